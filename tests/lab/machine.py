"""A machine of the lab: namespaces around a first process, a power switch, a cable, and a real libvirtd."""

from __future__ import annotations

import shlex
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cgroups import CpuGroup
from tests.lab.commands import LabError, start_apart, wait_until
from tests.lab.namespaces import path_of
from tests.lab.network import Port
from tests.lab.processes import command, first_of, in_network, in_pid_namespace, numbers, send
from tests.lab.sensors import Sensors

SCRIPT = Path(__file__).with_name("host.sh")
TCP_PORT = 16509
LISTENING = "0A"
READY_SECONDS = 30.0
END_SECONDS = 30.0

LIBVIRTD_CONF = """listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
host_uuid = "{uuid}"
log_outputs = "3:file:{home}/libvirtd.log"
"""
QEMU_CONF = """user = "+0"
group = "+0"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
remember_owner = 0
dynamic_ownership = 0
migration_address = "0.0.0.0"
migration_host = "{address}"
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs libvirtd; every method looks at it anew, for other processes may act on it.

    `link` is its cable, `sensors` its hardware, `group` its share of the processors.
    """

    name: str
    uuid: str
    home: Path
    link: Port
    group: CpuGroup
    sensors: Sensors

    @property
    def address(self) -> str:
        """Its address on the lab's network."""
        return self.link.address

    @property
    def uri(self) -> str:
        """Its libvirt URI, good from every namespace of the lab."""
        return f"qemu+tcp://{self.address}/system"

    @property
    def migration_uri(self) -> str:
        """Where its QEMUs take incoming memory."""
        return f"tcp://{self.address}"

    @property
    def sysfs(self) -> Path:
        """The root of what its kernel shows: holds sys/ and proc/."""
        return self.sensors.root

    # -- settings, before it is switched on

    def prepare(self, hook: Path | None, agent: Sequence[str] | None) -> None:
        """Write its settings; they are copied into its memory at every start."""
        settings = self.home / "etc"
        (settings / "hooks").mkdir(parents=True, exist_ok=True)
        (settings / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=self.uuid, home=self.home))
        (settings / "qemu.conf").write_text(QEMU_CONF.format(address=self.address))
        if hook is not None:
            shutil.copy(hook, settings / "hooks/qemu")
            (settings / "hooks/qemu").chmod(0o755)
        self.sysfs.mkdir(parents=True, exist_ok=True)
        if not (self.sysfs / "etc").is_symlink():  # its hardware is made up, its settings are its own
            (self.sysfs / "etc").symlink_to("/etc")
        if agent is not None:
            script = self.home / "agent.sh"
            script.write_text(f"#!/bin/sh\ncd {shlex.quote(str(Path.cwd()))}\nexec {shlex.join(agent)}\n")
            script.chmod(0o755)

    # -- power

    def is_on(self) -> bool:
        """Return whether it is switched on and its first process lives."""
        return self.first() is not None

    def power_on(self, *, wait: bool = True) -> None:
        """Plug it in and start it; a host that is on stays as it is."""
        if self.is_on():
            return
        self.link.heal()
        self.sensors.boot()
        members = self.group.member_files()
        inner = ["ip", "netns", "exec", self.link.netns, "unshare", "-m", "-u", "-p", "-f", "--mount-proc",
                 "--kill-child", "bash", str(SCRIPT), self.name, str(self.home)]
        start_apart(joining(members, inner), self.home / "console.log")
        wait_until(self.is_on, READY_SECONDS, f"{self.name} to start")
        if wait:
            self.wait_ready()

    def power_off(self) -> None:
        """Take its power: silent, as in life. The cable goes first, so that no peer gets a reset."""
        self.link.cut()
        self.crash()

    def shut_down(self) -> None:
        """Have its system go down in order: the agent says goodbye, libvirtd ends, the guests with it, then the power."""
        if (first := self.first()) is None:
            return
        for pid in [one for one in (self.from_pid_file(self.home / "agent.pid"), self.libvirtd()) if one is not None]:
            send(pid, signal.SIGTERM)
        wait_until(lambda: self.libvirtd() is None and self.from_pid_file(self.home / "agent.pid") is None,
                   END_SECONDS, f"the services of {self.name} to end")
        if self.first() == first:
            self.power_off()

    def crash(self) -> None:
        """Kill everything on it while its network still answers: peers get a reset at once."""
        first = self.first()
        if first is not None:
            send(first, signal.SIGKILL)
        wait_until(lambda: not in_network(path_of(self.link.netns)), END_SECONDS, f"{self.name} to end")

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return as soon as its libvirtd takes connections."""
        wait_until(self.is_listening, seconds, f"the libvirtd of {self.name} to listen (see {self.home})")

    def is_listening(self) -> bool:
        """Return whether somebody listens on libvirt's TCP port: known from the kernel, nobody is asked."""
        first = self.first()
        if first is None:
            return False
        try:
            rows = Path(f"/proc/{first}/net/tcp").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError, OSError):
            return False
        port = f":{TCP_PORT:04X}"
        return any(row.split()[1].endswith(port) and row.split()[3] == LISTENING for row in rows)

    def save_qemu_cache(self, place: Path) -> None:
        """Copy what its libvirtd has learnt of QEMU, for other hosts to start with."""
        cache = Path(f"/proc/{self.first()}/root/var/cache/libvirt/qemu")
        if cache.is_dir():
            shutil.copytree(cache, place)

    # -- libvirtd

    def libvirtd(self) -> int | None:
        """Return the process number of its libvirtd, None when it does not run."""
        first = self.first()
        if first is None:
            return None
        pid = self.from_pid_file(Path(f"/proc/{first}/root/run/libvirt/libvirtd.pid"))
        return pid if pid is not None and command(pid) == "libvirtd" else None

    def kill_libvirtd(self) -> None:
        """End its libvirtd at once; the guests run on."""
        self._to_libvirtd(signal.SIGKILL)
        self._wait_no_libvirtd()

    def stop_libvirtd(self) -> None:
        """Ask its libvirtd to end, and return at once: it takes seconds during a migration."""
        self._to_libvirtd(signal.SIGTERM)

    def hang_libvirtd(self) -> None:
        """Freeze its libvirtd: connections are accepted by the kernel and nobody answers."""
        self._to_libvirtd(signal.SIGSTOP)

    def resume_libvirtd(self) -> None:
        """Let a frozen libvirtd go on."""
        self._to_libvirtd(signal.SIGCONT)

    def restart_libvirtd(self, *, wait: bool = True) -> None:
        """Start libvirtd, after the end of one that still runs (it holds the pid file)."""
        if (first := self.first()) is None:
            raise LabError(f"{self.name} is off")
        if (running := self.libvirtd()) is not None:
            send(running, signal.SIGTERM)
            send(running, signal.SIGCONT)
        self._wait_no_libvirtd()
        send(first, signal.SIGUSR1)
        if wait:
            self.wait_ready()

    def from_pid_file(self, path: Path) -> int | None:
        """Return our number of the process whose number over there is in the file, None when it is gone."""
        first = self.first()
        try:
            inner = int(path.read_text())
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        members = in_pid_namespace(first) if first is not None else []
        return next((pid for pid in members if numbers(pid)[-1:] == [inner]), None)

    def first(self) -> int | None:
        """Return its first process, None when it is off."""
        return first_of(in_network(path_of(self.link.netns)))

    def _to_libvirtd(self, number: signal.Signals) -> None:
        pid = self.libvirtd()
        if pid is None:
            raise LabError(f"no libvirtd runs on {self.name}")
        send(pid, number)

    def _wait_no_libvirtd(self) -> None:
        wait_until(lambda: self.libvirtd() is None, END_SECONDS, f"the libvirtd of {self.name} to end")


def joining(members: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """Return argv run within the control group that has these member files."""
    # the shell enters the control group and becomes the command: no member is ever outside
    joins = "".join(f"echo $$ > {shlex.quote(str(path))}; " for path in members)
    return ["sh", "-c", f'{joins}exec "$@"', "sh", *argv]


