"""An independent witness: asks every libvirtd itself, several times a second, and remembers what it saw."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import libvirt

from tests.lab.lab import Lab

LOOK_SECONDS = 0.15
RUNNING, PAUSED = 1, 3


@dataclass
class Trail:
    """Where one guest ran, in order, and the most copies that ever ran at one look."""

    hosts: list[str] = field(default_factory=list)
    copies_max: int = 0


class Witness:
    """Never asks the daemon anything. Start it after the process entered the lab's network."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)
        self.trails: dict[str, Trail] = defaultdict(Trail)
        self.now: dict[str, dict[str, int]] = {}
        """Host -> guest -> state, of the last look at which the host answered."""
        self.looks = 0
        self._since: dict[str, int] = {}

    def start(self) -> None:
        """Begin to look."""
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(5.0)

    def on(self, host: str) -> list[str]:
        """Return the guests on a host at the last look, whatever their state."""
        with self._lock:
            return sorted(self.now.get(host, {}))

    def everyone(self) -> list[str]:
        """Return all guests that run somewhere, once per running copy."""
        with self._lock:
            return sorted(name for known in self.now.values() for name, state in known.items() if state == RUNNING)

    def in_flight(self) -> list[str]:
        """Return guests that are shown by two hosts: they are migrating."""
        with self._lock:
            names = [name for known in self.now.values() for name in known]
        return sorted({name for name in names if names.count(name) > 1})

    def mark(self) -> None:
        """Begin a chapter: moves and arrivals are counted from here."""
        with self._lock:
            self._since = {name: len(trail.hosts) for name, trail in self.trails.items()}

    def moves(self) -> dict[str, list[str]]:
        """Return, per guest that moved since the mark, the hosts it came to run on."""
        with self._lock:
            found = {name: trail.hosts[self._since.get(name, 1):] for name, trail in self.trails.items()}
        return {name: hosts for name, hosts in found.items() if hosts}

    def _watch(self) -> None:
        connections: dict[str, libvirt.virConnect] = {}
        while not self._stop.wait(LOOK_SECONDS):
            seen: dict[str, dict[str, int]] = {}
            for name, host in self._lab.hosts.items():
                try:
                    if name not in connections:
                        connections[name] = libvirt.openReadOnly(host.uri)
                    seen[name] = dict(_states(connections[name]))
                except libvirt.libvirtError:
                    # silence is not emptiness: what was seen last stands until the host answers again
                    connections.pop(name, None)
                    if name in self.now:
                        seen[name] = self.now[name]
            self._note(seen)

    def _note(self, seen: dict[str, dict[str, int]]) -> None:
        running: dict[str, list[str]] = defaultdict(list)
        for host, known in seen.items():
            for name, state in known.items():
                if state == RUNNING:
                    running[name].append(host)
        with self._lock:
            self.now, self.looks = seen, self.looks + 1
            for name, hosts in running.items():
                trail = self.trails[name]
                trail.copies_max = max(trail.copies_max, len(hosts))
                for host in hosts:
                    if len(hosts) == 1 and (not trail.hosts or trail.hosts[-1] != host):
                        trail.hosts.append(host)


def _states(connection: libvirt.virConnect) -> Iterator[tuple[str, int]]:
    """Yield the active guests of a host and their states; one that leaves while it is asked is not there."""
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        try:
            yield domain.name(), domain.state()[0]
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
