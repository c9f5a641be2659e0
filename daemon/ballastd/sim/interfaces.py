"""What the links of pretend hosts carry, as agents read it off their interfaces: migrations, and whoever else uses them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable

from ballastd.core.quantities import MIB, HostName
from ballastd.ports.running import Clock
from ballastd.sim.links import Flow

NOBODY = HostName("")
"""The other end of what others send and receive: as fast as anybody."""


class Interfaces:
    """The interfaces of all hosts. ``others``: how much of a host's link others want each way, MiB/s."""

    def __init__(self, clock: Clock) -> None:
        self.others: dict[HostName, float] = {}
        self._clock = clock
        self._rates: dict[tuple[str, HostName], float] = {}
        self._carried: defaultdict[tuple[str, HostName], float] = defaultdict(float)
        self._counted = clock.now().monotonic
        self._read: defaultdict[HostName, deque[tuple[float, float, float]]] = defaultdict(deque)

    def flows(self) -> list[Flow]:
        """Return what others ask of the links."""
        return [flow for host, mib_s in self.others.items() if mib_s > 0.0
                for flow in (Flow(host, NOBODY, mib_s), Flow(NOBODY, host, mib_s))]

    def carry(self, flows: Iterable[tuple[Flow, float]]) -> None:
        """From now on these flow, each at its rate, MiB/s."""
        self._count()
        self._rates = {}
        for flow, rate in flows:
            for way in (("out", flow.source), ("in", flow.target)):
                self._rates[way] = self._rates.get(way, 0.0) + rate

    def rates(self, host: HostName, window: float) -> tuple[float, float] | None:
        """Return what a host sent and received, bytes/s, as means since it was read about ``window`` seconds ago; None where
        it is read for the first time."""
        self._count()
        now, read = self._clock.now().monotonic, self._read[host]
        while len(read) > 1 and read[1][0] <= now - window:
            read.popleft()
        read.append((now, self._carried["out", host], self._carried["in", host]))
        (then, sent, received), (_, sent_now, received_now) = read[0], read[-1]
        if now <= then:
            return None
        return (sent_now - sent) * MIB / (now - then), (received_now - received) * MIB / (now - then)

    def _count(self) -> None:
        now = self._clock.now().monotonic
        for way, rate in self._rates.items():
            self._carried[way] += rate * (now - self._counted)
        self._counted = now
