"""One host of the lab: what runs on it, and hands to break each of its parts."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import virsh
from tests.lab.commands import LabError
from tests.lab.machine import Machine, joining
from tests.lab.namespaces import path_of
from tests.lab.processes import arguments, command, in_network, send, stuck


@dataclass(frozen=True, slots=True)
class LabHost(Machine):
    """A host of the lab, known by its name: its guests and agent, its cable and its hardware."""

    def emulators(self, guest: str) -> list[int]:
        """Return the QEMU processes of a guest on this host, whatever libvirtd believes."""
        wanted = f"guest={guest},"
        return [pid for pid, words in self._emulators() if any(word.startswith(wanted) for word in words)]

    def emulated(self) -> list[str]:
        """Return the names of the guests which have a QEMU process on this host."""
        named = [word for _, words in self._emulators() for word in words if word.startswith("guest=")]
        return [word.removeprefix("guest=").split(",", 1)[0] for word in named]

    def stuck(self) -> set[int]:
        """Return every thread on it that stands in the kernel, as those do that wait for its disk."""
        return set[int]().union(*map(stuck, in_network(path_of(self.link.netns))))

    def kill_qemu(self, guest: str) -> None:
        """End the guest's QEMU here at once: the guest is lost unless another copy runs elsewhere."""
        self._to_qemu(guest, signal.SIGKILL)

    def stop_qemu(self, guest: str) -> None:
        """Freeze the guest's QEMU here."""
        self._to_qemu(guest, signal.SIGSTOP)

    def cont_qemu(self, guest: str) -> None:
        """Let the guest's QEMU go on."""
        self._to_qemu(guest, signal.SIGCONT)

    def start_agent(self) -> None:
        """Start the agent again, as its unit would; at power-on it starts by itself."""
        if (first := self.first()) is None:
            raise LabError(f"{self.name} is off")
        send(first, signal.SIGUSR2)

    def signal_agent(self, number: signal.Signals) -> None:
        """Send its agent a signal: SIGKILL, SIGTERM, SIGSTOP, SIGCONT."""
        agent = self.from_pid_file(self.home / "agent.pid")
        if agent is None:
            raise LabError(f"no agent runs on {self.name}")
        send(agent, number)

    def exec_prefix(self) -> list[str]:
        """Return what to put before a command to run it inside the host, within its share of the CPU."""
        first = self.first()
        if first is None:
            raise LabError(f"{self.name} is off")
        return joining(self.group.member_files(), [
            "nsenter", "-t", str(first), "-m", "-u", "-n", "-p", f"--wdns={Path.cwd()}", "--"])

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command inside the host; it ends with the host."""
        return subprocess.Popen([*self.exec_prefix(), *argv], **options)

    def virsh(self, *words: str, seconds: float = virsh.SECONDS) -> str:
        """Return the answer of the host's own libvirtd; a LabError when it refuses or is silent."""
        return virsh.order(self.link.netns, *words, seconds=seconds)

    def is_closed(self) -> bool:
        """Return whether its cordon flag stands: its hook refuses guests."""
        return Path(f"/proc/{self.first() or 0}/root/run/libvirt/cordon").exists()

    def network_counters(self) -> str:
        """Return the host's own /proc/net/dev, empty when it is off."""
        try:
            return Path(f"/proc/{self.first() or 0}/net/dev").read_text()
        except (FileNotFoundError, ProcessLookupError, OSError):
            return ""

    # -- its cable and its hardware

    def cut(self) -> None:
        """Pull its cable."""
        self.link.cut()

    def cut_further(self) -> None:
        """Cut its network further away: it keeps its carrier."""
        self.link.cut_further()

    def heal(self) -> None:
        """Undo either cut."""
        self.link.heal()

    def shape(self, rate_mbit: float, delay_ms: float = 0.0, loss_percent: float = 0.0) -> None:
        """Limit its network in both directions; delay and loss need netem (see link.has_netem)."""
        self.link.shape(rate_mbit, delay_ms, loss_percent)

    def unshape(self) -> None:
        """Take the limits off its network."""
        self.link.unshape()

    def tx_bytes(self) -> int:
        """Return the bytes it sent."""
        return self.link.tx_bytes()

    def fault(self, kind: str, amount: float | None = None) -> None:
        """Break a part: uncorrected, corrected (how many), hot (degrees Celsius), fan, supply."""
        self.sensors.fault(kind, amount)

    def clear_faults(self) -> None:
        """Repair it: parts replaced, drivers loaded anew, memory errors counted from zero."""
        self.sensors.healthy()

    def _emulators(self) -> list[tuple[int, list[str]]]:
        pids = in_network(path_of(self.link.netns))
        return [(pid, arguments(pid)) for pid in pids if command(pid).startswith("qemu-system")]

    def _to_qemu(self, guest: str, number: signal.Signals) -> None:
        pids = self.emulators(guest)
        if not pids:
            raise LabError(f"{guest} has no QEMU on {self.name}")
        for pid in pids:
            send(pid, number)
