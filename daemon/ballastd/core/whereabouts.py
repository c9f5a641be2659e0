"""Where VMs are while a plan is sought, what hosts then hold, and what it costs to have brought them there."""

from __future__ import annotations

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.heat import Doors, Heat


class Whereabouts:
    """``at``: host rows by VM row. ``cpu``: processors that hosts need for whom they have, ``memory``: bytes. A VM needs
    at home what it uses, elsewhere as much as at its busier times. ``doors`` have counted ``at``, and count every move."""

    def __init__(self, heat: Heat, doors: Doors, at: Ints) -> None:
        self._heat, self._doors, self.at = heat, doors, at.copy()
        self.cpu, self.memory = heat.cpu.copy(), heat.memory.copy()
        for vm in np.flatnonzero(at != heat.vm_host).tolist():
            self._shift(vm, int(heat.vm_host[vm]), int(at[vm]))

    def passes(self, vm: int, target: int) -> bool:
        """Return whether the doors let a VM in."""
        return target not in self._doors.shut(vm) and self._doors.admits(vm, target)

    def move(self, vm: int, target: int) -> None:
        """Have a VM on another host."""
        source = int(self.at[vm])
        self._doors.leave(vm, source)
        self._doors.enter(vm, target)
        self._shift(vm, source, target)
        self.at[vm] = target

    def return_to(self, at: Ints) -> None:
        """Have all VMs where they were once."""
        for vm in np.flatnonzero(self.at != at).tolist():
            self.move(vm, int(at[vm]))

    def taken(self, vms: Ints, there: Ints, *, paired: bool = False) -> Floats:
        """Return the processors that VMs need on hosts, by VM and host, or of each pair."""
        home, used, peak = self._heat.vm_host[vms], self._heat.vm_cpu[vms], self._heat.vm_peak[vms]
        taken: Floats = (np.where(home == there, used, peak) if paired else
                         np.where(home[:, None] == there[None, :], used[:, None], peak[:, None]))
        return taken

    def dearer(self, vms: Ints, there: Ints) -> Floats:
        """Return by how many bytes more is copied if VMs are on other hosts, by VM and host: less where one goes home."""
        home = self._heat.vm_host[vms]
        away = (home[:, None] != there[None, :]).astype(np.float64) - (self.at[vms] != home)[:, None]
        more: Floats = away * self._heat.vm_cost[vms][:, None]
        return more

    def cost(self) -> float:
        """Return how many bytes are copied in all."""
        return float(self._heat.vm_cost[self.at != self._heat.vm_host].sum())

    def _shift(self, vm: int, source: int, target: int) -> None:
        cpu, peak, home = float(self._heat.vm_cpu[vm]), float(self._heat.vm_peak[vm]), int(self._heat.vm_host[vm])
        self.cpu[source] -= cpu if source == home else peak
        self.cpu[target] += cpu if target == home else peak
        self.memory[source] -= self._heat.vm_memory[vm]
        self.memory[target] += self._heat.vm_memory[vm]
