"""What pretend VMs carry over their network: bytes since each began to run on its host, as a hypervisor counts them."""

from __future__ import annotations

from collections.abc import Iterable

from ballastd.core.quantities import MIB, HostName, VmId
from ballastd.ports.running import Clock


class Traffic:
    """The networks of all hosts: as wide as anybody wants. ``mib_s``: how much each VM carries while it runs, both
    directions together, nothing where it is not said; set before it runs."""

    def __init__(self, clock: Clock) -> None:
        self.mib_s: dict[VmId, float] = {}
        self._clock = clock
        self._since: dict[HostName, dict[VmId, float]] = {}

    def add(self, host: HostName, guests: Iterable[VmId]) -> None:
        """Have a host, and the VMs that run on it."""
        now = self._clock.now().monotonic
        self._since[host] = dict.fromkeys(guests, now)

    def run(self, host: HostName, vm: VmId, *, runs: bool) -> None:
        """A VM runs on a host from now on, or no longer does."""
        if runs:
            self._since[host].setdefault(vm, self._clock.now().monotonic)
        else:
            self._since[host].pop(vm, None)

    def carried(self, host: HostName) -> dict[VmId, int]:
        """Return the bytes of each VM that runs on a host, since it began to."""
        now = self._clock.now().monotonic
        return {vm: int(self.mib_s.get(vm, 0.0) * MIB * (now - since)) for vm, since in self._since[host].items()}
