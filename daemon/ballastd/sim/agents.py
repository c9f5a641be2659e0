"""Telemetry agents of a pretend cluster and the broker between them and us: they lag, lose, lie, and fall silent.

Time comes from the running event loop only; chance from the ``random.Random`` that is handed in.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from ballastd.core.plausibility import implausible
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import METRICS, AgentState, Report, Sample
from ballastd.ports.messages import Malformed, TelemetryDown, TelemetryItem, TelemetryUp
from ballastd.ports.running import Clock

INTERVAL_SECONDS = 10.0
STATE_SECONDS = 60.0
"""An agent says again how it is at least this often."""
QUEUE_MAX = 50_000
TAPE_REPORTS = 60
"""So many reports of each agent can be said again by somebody."""


@dataclass(slots=True)
class Manners:
    """How one host's agent behaves. ``silent``: it says nothing. ``frozen``: it repeats what it said last, in new
    reports. ``lag``, ``jitter``: seconds on the way, fixed and at random on top, so that reports overtake one another.
    ``loss``, ``doubling``, ``garbling``: shares of reports lost, delivered twice, and made unreadable, [0, 1].
    ``skew``: its clock against ours, seconds. ``lies``: readings that it gives instead of the true ones.
    ``replaying``: what comes beside: nothing, or old reports as somebody ``recorded`` or the broker ``retained`` them.
    ``deaf``: it does not shut the hook when asked to. ``hookless``: it has none."""

    silent: bool = False
    frozen: bool = False
    lag: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    doubling: float = 0.0
    garbling: float = 0.0
    skew: float = 0.0
    lies: dict[tuple[str, str], float] = field(default_factory=dict)
    replaying: str = ""
    deaf: bool = False
    hookless: bool = False


@dataclass(frozen=True, slots=True)
class HostTruth:
    """What an agent could read of its host now. ``up``: it runs; ``heard``: its network is there; ``samples``: what
    changes with the load."""

    up: bool
    emulators: int
    heard: bool = True
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class _Said:
    """A report as it was sent."""

    boot: str
    sequence: int
    sent: float
    samples: tuple[Sample, ...]


@dataclass(slots=True)
class _Agent:
    host: HostName
    manners: Manners = field(default_factory=Manners)
    readings: dict[tuple[str, str], Sample] = field(default_factory=dict)
    boots: int = 1
    sequence: int = 0
    last: tuple[Sample, ...] = ()
    tape: deque[_Said] = field(default_factory=lambda: deque(maxlen=TAPE_REPORTS))
    was_up: bool = True
    state: tuple[bool, float | None, int] | None = None
    stated: float = float("-inf")


class SimulatedAgents:
    """One agent a host, behind ``ports.TelemetrySource``. ``truth``: what can be read of a host; ``cordoned_until``: what
    the broker retains for it, wall seconds or None. ``delivered``: when a host's last report reached us, loop seconds.
    ``interval``: seconds from report to report."""

    def __init__(self, hosts: Iterable[HostName], clock: Clock, truth: Callable[[HostName], HostTruth],
                 cordoned_until: Callable[[HostName], float | None], luck: Random,
                 interval: float = INTERVAL_SECONDS) -> None:
        self.delivered: dict[HostName, float] = {}
        self._agents = {host: _Agent(host) for host in hosts}
        self._clock = clock
        self._truth = truth
        self._cordoned_until = cordoned_until
        self._luck = luck
        self._interval = interval
        self._queue: asyncio.Queue[TelemetryItem] = asyncio.Queue(QUEUE_MAX)
        self._is_up = True
        self._counts: Counter[str] = Counter()

    @property
    def is_up(self) -> bool:
        """Whether the broker is there."""
        return self._is_up

    def manners(self, host: HostName) -> Manners:
        """Return how a host's agent behaves; to be changed in place."""
        return self._agents[host].manners

    def reading(self, host: HostName, metric: str, subject: str = "") -> float | None:
        """Return what a sensor truly shows, None where there is no such sensor."""
        sample = self._agents[host].readings.get((metric, subject))
        return None if sample is None else sample.value

    def set(self, host: HostName, metric: str, value: float, subject: str = "", critical: float | None = None,
            high: float | None = None) -> None:
        """Have a sensor show something else; the agent says so at once."""
        agent = self._agents[host]
        agent.readings[metric, subject] = Sample(metric, value, subject, high, critical)
        self._report(agent, self._truth(host))

    def readings(self, host: HostName) -> dict[tuple[str, str], Sample]:
        """Return every sensor of a host beside its load, as it truly shows."""
        return dict(self._agents[host].readings)

    def behave(self, host: HostName) -> None:
        """Have a host's agent be as it should again."""
        self._agents[host].manners = Manners()

    def start_anew(self, host: HostName) -> None:
        """A host's agent is started again."""
        agent = self._agents[host]
        agent.boots, agent.sequence = agent.boots + 1, 0

    def break_off(self) -> None:
        """The broker is gone, with all that was on its way."""
        if self._is_up:
            self._is_up = False
            while not self._queue.empty():
                self._queue.get_nowait()
            self._put(TelemetryDown(self._clock.now(), "connection refused"))

    def come_back(self) -> None:
        """The broker is back; agents say who they are at once."""
        if not self._is_up:
            self._is_up = True
            self._put(TelemetryUp(self._clock.now()))
            for agent in self._agents.values():
                agent.state = None

    def subscribe(self) -> None:
        """A daemon connects: it hears what is retained, and nothing that was said to another before it."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._put(TelemetryUp(self._clock.now()) if self._is_up
                  else TelemetryDown(self._clock.now(), "connection refused"))
        for agent in self._agents.values():
            agent.state = None

    async def live(self) -> None:
        """Report for ever, each host at a moment of its own within the interval."""
        names = sorted(self._agents)
        step = self._interval / max(1, len(names))
        while True:
            for name in names:
                self._turn(self._agents[name])
                await asyncio.sleep(step)

    def counters(self) -> dict[str, float]:
        """See ``ports.TelemetrySource``."""
        return {key: float(count) for key, count in sorted(self._counts.items())}

    async def items(self) -> AsyncIterator[TelemetryItem]:
        """See ``ports.TelemetrySource``."""
        while True:
            yield await self._queue.get()

    def _turn(self, agent: _Agent) -> None:
        truth = self._truth(agent.host)
        if not truth.up:
            if agent.was_up:
                agent.was_up = False
                agent.boots += 1
                agent.sequence = 0
                self._tell_state(agent, online=False, emulators=0)
            return
        agent.was_up = True
        self._report(agent, truth)
        if agent.manners.replaying:
            self._say_again(agent)
        if truth.heard and not agent.manners.silent:
            self._tell_state(agent, online=True, emulators=truth.emulators)

    def _report(self, agent: _Agent, truth: HostTruth) -> None:
        manners = agent.manners
        if manners.silent or not self._is_up or not (truth.up and truth.heard):
            return
        agent.sequence += 1
        if not (manners.frozen and agent.last):
            agent.last = (*truth.samples, *agent.readings.values())
        if manners.loss and self._luck.random() < manners.loss:
            self._counts["lost"] += 1
            return
        if manners.garbling and self._luck.random() < manners.garbling:
            self._put(Malformed(agent.host, "json", self._clock.now()))
            return
        copies = 2 if manners.doubling and self._luck.random() < manners.doubling else 1
        for _ in range(copies):
            self._send(agent, _lied(agent.last, manners.lies) if manners.lies else agent.last)

    def _send(self, agent: _Agent, samples: tuple[Sample, ...]) -> None:
        manners, now = agent.manners, self._clock.now()
        said = _Said(f"boot-{agent.boots}", agent.sequence, now.wall + manners.skew, samples)
        agent.tape.append(said)
        delay = manners.lag + (self._luck.random() * manners.jitter if manners.jitter else 0.0)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._deliver, agent.host, said)
        else:
            self._deliver(agent.host, said)

    def _say_again(self, agent: _Agent) -> None:
        """Somebody, or the broker, says what an agent said before."""
        if self._is_up and agent.tape:
            self._deliver(agent.host, self._luck.choice(agent.tape), retained=agent.manners.replaying == "retained")

    def _deliver(self, host: HostName, said: _Said, *, retained: bool = False) -> None:
        if not self._is_up:
            return
        now = self._clock.now()
        self.delivered[host] = now.monotonic
        self._counts["received"] += 1
        believable = tuple(one for one in said.samples if implausible(METRICS[one.metric], one.value) is None)
        self._put(Report(host, said.boot, said.sequence, said.sent, self._interval, believable, now, retained=retained,
                         refused_samples=len(said.samples) - len(believable)))

    def _tell_state(self, agent: _Agent, *, online: bool, emulators: int) -> None:
        until = None if agent.manners.deaf or agent.manners.hookless else self._cordoned_until(agent.host)
        now = self._clock.now()
        until = until if until is not None and until > now.wall else None
        state = (online, until, emulators)
        if self._is_up and (state != agent.state or now.monotonic - agent.stated >= STATE_SECONDS):
            agent.state, agent.stated = state, now.monotonic
            self._put(AgentState(agent.host, online, now, boot_id=f"boot-{agent.boots}", hook=not agent.manners.hookless,
                                 cordon_until=until, emulators=emulators))

    def _put(self, item: TelemetryItem) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self._counts["dropped"] += 1
        self._queue.put_nowait(item)


def _lied(samples: tuple[Sample, ...], lies: dict[tuple[str, str], float]) -> tuple[Sample, ...]:
    told = [Sample(s.metric, lies.get((s.metric, s.subject), s.value), s.subject, s.high, s.critical) for s in samples]
    known = {(s.metric, s.subject) for s in samples}
    return (*told, *(Sample(metric, value, subject) for (metric, subject), value in lies.items()
                     if (metric, subject) not in known))
