"""Hands on both ends of migrations that a daemon left open, and witnesses beside it: what was called, what was told."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.effects import LIBVIRTD
from tests.demo.cluster import DaemonProcess, wait_listening
from tests.integration.daemon_parts import until
from tests.lab import Lab, LabError, LabHost, virsh
from tests.lab.guest import LabGuest
from tests.lab.lab import RUNNING
from tests.lab.network import CONTROLLER_ADDRESS

PAUSED, BY_MIGRATION, POST_COPY_FAILED = 3, 2, 13
"""How libvirt numbers a guest that stands still for a migration, and one whose memory does not follow its processors."""
HELD_SECONDS = 20.0
_CALL = re.compile(r"^(\S+ \S+): \d+: debug : (virDomain\w+):\d+ : (?:dom=\S+, \(VM: name=(\S+), )?")
_LOOKS = re.compile(r"virDomain(Free|Ref|(Get|Lookup|Is|Has|ListAll|MigrateGet)\w+|SnapshotNum"
                    r"|Migrate(Prepare|Finish)3Params)")
"""What changes nothing, and what one libvirtd asks of another."""


class Calls:
    """What each libvirtd was called for, by its own log; also of one that is started again."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        for host in lab.hosts.values():
            (host.home / "calls.log").unlink(missing_ok=True)
            self._log(host)

    def deeds(self, since: float) -> list[str]:
        """Return what more than looks at a guest since then (seconds since the epoch): host, call, guest."""
        found = []
        for name, host in self._lab.hosts.items():
            for line in (host.home / "calls.log").read_text(errors="replace").splitlines():
                call = _CALL.match(line)
                if call is None or _LOOKS.fullmatch(call[2]):
                    continue
                if datetime.fromisoformat(call[1]).timestamp() >= since:
                    found.append(f"{name} {call[2]} {call[3]}")
        return found

    @staticmethod
    def _log(host: LabHost) -> None:
        outputs, filters = f"1:file:{host.home}/calls.log", "1:libvirt.domain"
        settings = Path(f"/proc/{host.first()}/root/etc/libvirt/libvirtd.conf")
        kept = [line for line in settings.read_text().splitlines() if not line.startswith("log_")]
        settings.write_text("\n".join([*kept, f'log_outputs = "{outputs}"', f'log_filters = "{filters}"', ""]))
        for words in (["daemon-log-outputs", outputs], ["daemon-log-filters", filters]):
            asked = host.run(["virt-admin", "-c", LIBVIRTD, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            said, _ = asked.communicate(timeout=20.0)
            if asked.returncode:
                raise LabError(f"{host.name} does not log its calls: {said.decode()}")


class Ear:
    """Who listens on the broker for what people are told."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def told(self, level: str = "") -> list[dict[str, Any]]:
        """Return the notices that came, of one level or of all."""
        lines = self._path.read_text().splitlines()
        return [one for one in map(json.loads, filter(None, lines)) if level in ("", one["level"])]

    def alarms(self, key: str) -> list[str]:
        """Return the texts of alarms about one thing."""
        return [one["text"] for one in self.told("alarm") if one["key"] == key]


@contextmanager
def an_ear(path: Path) -> Iterator[Ear]:
    """Yield an ear that hears every notice from now on."""
    with path.open("wb") as out:
        listening = subprocess.Popen(["mosquitto_sub", "-h", CONTROLLER_ADDRESS, "-q", "1", "-t", "ballastd/v1/notices"],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
    try:
        wait_listening()
        yield Ear(path)
    finally:
        listening.terminate()
        listening.wait(5.0)


def seen_at(host: LabHost, guest: LabGuest) -> tuple[int, int] | None:
    """Return a guest's state and reason at one host, None where that does not know it, or does not answer."""
    known = (virsh.states([host.link.netns])[0] or {}).get(guest.name)
    return None if known is None else (known.state, known.reason)


def runs_at(lab: Lab, guest: LabGuest) -> list[str]:
    """Return where copies of a guest run."""
    return [one.host for one in lab.where(guest) if one.state == RUNNING]


def until_copying(daemon: DaemonProcess, *guests: LabGuest, share: float = 0.1) -> None:
    """Wait until so much of each guest has been copied."""
    names = {guest.name for guest in guests}
    until(lambda: names <= {m["vm_name"] for m in daemon.migrations() if (m["progress"] or 0.0) >= share}, HELD_SECONDS,
          f"{sorted(names)} are under way", daemon)


def hold_at_switch_over(lab: Lab, source: str, target: str, *guests: LabGuest) -> None:
    """Have the target's libvirtd hang, and wait until the memory of all guests is over there: they stand still at both ends,
    and the word by which they run at the target lies there unread."""
    lab.hosts[target].hang_libvirtd()
    for guest in guests:
        lab.hosts[source].virsh("migrate-setspeed", guest.name, "100")
    _soon(lambda: all(seen_at(lab.hosts[source], guest) == (PAUSED, BY_MIGRATION) for guest in guests), "all stand still")


def restart_at_switch_over(host: LabHost, *guests: LabGuest) -> None:
    """Kill a source's libvirtd and start it again: it has lost how the migrations out of it ended."""
    time.sleep(0.5)  # its word to the target is under way
    host.kill_libvirtd()
    host.restart_libvirtd()
    for guest in guests:  # this waits until it has its guest in hand again
        host.virsh("qemu-monitor-command", guest.name, "--hmp", "info status")


def _soon(what: Callable[[], object], why: str) -> None:
    until_time = time.monotonic() + HELD_SECONDS
    while not what():
        if time.monotonic() > until_time:
            raise LabError(f"not within {HELD_SECONDS:g} s: {why}")
        time.sleep(0.05)
