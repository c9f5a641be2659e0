"""What the links of pretend hosts carry, as agents read it off their interfaces: migrations, and whoever else uses them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable
from math import inf

from ballastd.core.quantities import MIB, HostName
from ballastd.ports.running import Clock
from ballastd.sim.links import Flow

NOBODY = HostName("")
"""The other end of what others send and receive: as fast as anybody."""
KEPT_SECONDS = 120.0
"""How far back it is known what a link carried."""


class Interfaces:
    """The interfaces of all hosts. ``others``: how much of a host's link others want each way, MiB/s."""

    def __init__(self, clock: Clock) -> None:
        self.others: dict[HostName, float] = {}
        self._clock = clock
        self._rates: dict[tuple[str, HostName], float] = {}
        self._carried: defaultdict[tuple[str, HostName], float] = defaultdict(float)
        self._counted = clock.now().monotonic
        self._counts: defaultdict[HostName, deque[tuple[float, float, float]]] = defaultdict(deque)
        """What each host had sent and received by when it was read, or the rates of its links changed, since the first
        reading."""

    def flows(self) -> list[Flow]:
        """Return what others ask of the links."""
        return [flow for host, mib_s in self.others.items() if mib_s > 0.0
                for flow in (Flow(host, NOBODY, mib_s), Flow(NOBODY, host, mib_s))]

    def carry(self, flows: Iterable[tuple[Flow, float]]) -> None:
        """From now on these flow, each at its rate, MiB/s."""
        for host in self._counts:
            self._read(host)
        self._count()
        self._rates = {}
        for flow, rate in flows:
            for way in (("out", flow.source), ("in", flow.target)):
                self._rates[way] = self._rates.get(way, 0.0) + rate

    def rates(self, host: HostName, window: float) -> tuple[float, float] | None:
        """Return what a host sent and received, bytes/s, as means over the last ``window`` seconds, or since it was read
        first; None where that is now."""
        now = self._read(host)
        counts = self._counts[host]
        begin = max(counts[0][0], now - window)
        if now <= begin:
            return None
        row = max(1, bisect_right(counts, (begin, inf, inf)))
        (then, sent, received), (later, sent_later, received_later) = counts[row - 1], counts[row]
        share = (begin - then) / (later - then)
        _, sent_now, received_now = counts[-1]
        return ((sent_now - sent - share * (sent_later - sent)) * MIB / (now - begin),
                (received_now - received - share * (received_later - received)) * MIB / (now - begin))

    def _read(self, host: HostName) -> float:
        """Write down what a host has sent and received by now; return the time."""
        self._count()
        counts = self._counts[host]
        while len(counts) > 1 and counts[1][0] < self._counted - KEPT_SECONDS:
            counts.popleft()
        if not counts or counts[-1][0] < self._counted:
            counts.append((self._counted, self._carried["out", host], self._carried["in", host]))
        return self._counted

    def _count(self) -> None:
        now = self._clock.now().monotonic
        for way, rate in self._rates.items():
            self._carried[way] += rate * (now - self._counted)
        self._counted = now
