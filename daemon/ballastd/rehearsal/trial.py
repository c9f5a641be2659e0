"""One example played: the mind of production, driven by hand on virtual time, on machines that do as they are told.

Nothing is judged here but what is shown: the same controller, the same policies, the same picture as in the daemon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.examples import Example, Look, Sensor, Timeline
from ballastd.core.inputs import (
    HostUnreachable,
    Input,
    OperatorCommand,
    PowerReturned,
    PowerSeen,
    TelemetryConnected,
    Verb,
)
from ballastd.core.inventory import VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Order
from ballastd.core.policies import PolicySet, Timing
from ballastd.core.power import PowerOrder, PowerState, PowerStatus
from ballastd.core.quantities import HostName, Instant, Seconds, VmId
from ballastd.core.telemetry import METRICS, AgentState, MetricKind, Report, Sample
from ballastd.core.views import ClusterView
from ballastd.rehearsal.history import proved_wakeable, switched_off
from ballastd.rehearsal.machines import Machine, Machines, usable

TIMING = Timing()
BEFORE_SECONDS = float(TIMING.startup_quiet)
"""How long the daemon is up when an example begins: its quiet is over at second 0, and everybody was heard."""
PACE_SECONDS = 30.0
CALM_PACE_SECONDS = 75.0
"""While nothing happens the mind is asked just often enough for nobody to fall silent. It says itself when a hold, a window
or a rest ends, and is asked then."""
CALM_AFTER_SECONDS = 300.0
"""How long after something happened the pace is that of production: as long as load is averaged."""
NEXT_SECONDS_MIN = 1.0
CORDON_SECONDS = 600.0
MIB = 1 << 20
SPEAKS = Timeline((), 1.0)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there was to see at a look: the mind's own picture, every move that began until then, and the hosts that are
    closed at their hooks."""

    look: Look
    view: ClusterView
    moves: tuple[Order, ...]
    cordons: tuple[HostName, ...]


def begins_of(example: Example) -> float:
    """Return the wall second from which the example's windows must be compiled."""
    return example.begins_wall - BEFORE_SECONDS


def play(example: Example, policies: PolicySet) -> tuple[Seen, ...]:
    """Play an example to its last look. ``policies``: with windows compiled from ``begins_of(example)`` on."""
    return _Trial(example, policies).play()


class _Trial:
    def __init__(self, example: Example, policies: PolicySet) -> None:
        self._example = example
        self._seconds = -BEFORE_SECONDS
        self._hosts = {saved.name: Machine(saved, usable(saved)) for saved in example.cluster.hosts}
        for vm in example.cluster.vms:
            self._hosts[vm.host].stock(vm)
        self._table = Machines(self._hosts)
        self._agents, self._hypervisors = dict(example.agents), dict(example.hypervisors)
        self._is_on = {saved.name: saved.is_on for saved in example.cluster.hosts}
        self._switching: dict[HostName, tuple[float, bool]] = {}
        self._returns: list[Input] = [TelemetryConnected(self._now)]
        self._wishes = list(example.wishes)
        self._sequence, self._looked = 0, 0
        self._moves: list[Order] = []
        self._cordons: frozenset[HostName] = frozenset()
        books, wall = Ledger(), begins_of(example)
        books.replay((*switched_off(example.cluster, wall), *proved_wakeable(example.cluster, wall)))
        self._mind = Controller(example.cluster.declaration(TIMING), policies, books, self._now)
        self._moments = sorted({at for at in self._turns() if at >= 0})
        self._calm_at = -BEFORE_SECONDS

    @property
    def _now(self) -> Instant:
        # the monotonic clock of a machine is never below zero
        return Instant(self._seconds + BEFORE_SECONDS, self._example.begins_wall + self._seconds, "trial")

    def _turns(self) -> tuple[float, ...]:
        """Return every moment at which something turns, is asked for, or is looked at."""
        lines = [*(sensor.timeline for sensor in self._example.sensors), *(line for _, line in self._example.load),
                 *self._agents.values(), *self._hypervisors.values()]
        return (*(at for line in lines for at in line.moments()), *(wish.at for wish in self._example.wishes),
                *(look.at for look in self._example.looks))

    def play(self) -> tuple[Seen, ...]:
        seen, looks = [], list(self._example.looks)
        for vm, line in self._example.load:
            self._burn(vm, line.at(self._seconds) or 0.0)
        while True:
            decision = self._turn()
            while looks and looks[0].at <= self._seconds:
                seen.append(Seen(looks.pop(0), decision.view, tuple(self._moves), tuple(sorted(self._cordons))))
            if not looks:
                return tuple(seen)
            self._wait(self._next(decision))

    def _next(self, decision: Decision) -> float:
        """Return when the mind is asked next: at its pace, when something happens, when it wants to be woken."""
        soon = self._seconds + NEXT_SECONDS_MIN
        ends = [flight.ends - BEFORE_SECONDS for flight in self._table.flights.values()]
        ends += [at for at, _ in self._switching.values()]
        if decision.wake_at is not None:
            ends.append(decision.wake_at - BEFORE_SECONDS)
        due = min([self._seconds + self._pace(decision), *(max(soon, at) for at in ends)])
        return min([due, *(at for at in self._moments if at > self._seconds)])

    def _pace(self, decision: Decision) -> float:
        is_busy = bool(decision.orders or decision.power or self._table.flights or self._switching)
        if is_busy or self._seconds in self._moments:
            self._calm_at = self._seconds + CALM_AFTER_SECONDS
        pace = CALM_PACE_SECONDS if self._seconds >= self._calm_at else PACE_SECONDS
        return pace if self._seconds >= 0 else min(pace, -self._seconds)

    def _wait(self, until: float) -> None:
        self._table.work(until - self._seconds)
        self._seconds = until
        for vm, line in self._example.load:
            self._burn(vm, line.at(until) or 0.0)
        self._returns.extend(self._table.land(self._now))
        for host, (at, on) in list(self._switching.items()):
            if at <= until:
                self._is_on[host] = on
                del self._switching[host]

    def _burn(self, vm: VmId, processors: float) -> None:
        for host in self._hosts.values():
            if vm in host.burn:
                host.burn[vm] = processors

    def _ask(self, verb: Verb, subject: str) -> None:
        self._returns.append(OperatorCommand(f"{self._seconds:g}-{verb.value}-{subject}", verb, subject, "operator"))

    def _turn(self) -> Decision:
        while self._wishes and self._wishes[0].at <= self._seconds:
            wish = self._wishes.pop(0)
            self._ask(wish.verb, wish.subject)
        self._sequence += 1
        heard = [one for host in self._hosts.values() for one in self._hear(host)]
        told, self._returns = (*heard, *self._returns), []
        decision = self._mind.step(told, self._now)
        self._mind.advance(decision.revision)
        self._carry_out(decision)
        return decision

    def _carry_out(self, decision: Decision) -> None:
        self._cordons = decision.cordons
        for order in decision.orders:
            self._moves.append(order)
            lasts = order.move.memory / MIB / order.bandwidth_mib_s
            self._table.begin(order, self._now.monotonic + lasts)
        for abort in decision.aborts:
            self._table.abort(abort.migration, self._now.monotonic)
        for power in decision.power:
            self._switch(power)

    def _switch(self, order: PowerOrder) -> None:
        saved = self._hosts[order.host].saved
        lasts = saved.boot_seconds if order.on else saved.shutdown_seconds
        self._switching[order.host] = (self._seconds + lasts, order.on)
        self._returns.append(PowerReturned(order.id, order.host, CallResult.OK, "", self._now))

    # what the mind is told

    def _hear(self, host: Machine) -> list[Input]:
        name, now = host.saved.name, self._now
        is_on = self._is_on[name]
        speaks = is_on and bool(self._agents.get(name, SPEAKS).at(self._seconds))
        answers = is_on and bool(self._hypervisors.get(name, SPEAKS).at(self._seconds))
        found: list[Input] = [self._agent(host, speaks=speaks)]
        found.append(self._table.inventory(host, now, host.saved.machine) if answers else
                     HostUnreachable(name, now, "it does not answer"))
        if speaks:
            found.append(Report(name, "trial", self._sequence, now.wall, Seconds(PACE_SECONDS), self._samples(host), now))
        if host.saved.declared.power:
            state = PowerState.ON if is_on else PowerState.OFF
            found.append(PowerSeen(name, PowerStatus(state, host.saved.machine or None), now))
        return found

    def _agent(self, host: Machine, *, speaks: bool) -> AgentState:
        cordoned = host.saved.name in self._cordons
        running = sum(1 for record in host.vms.values() if record.state is not VmState.SHUTOFF)
        return AgentState(host.saved.name, speaks, self._now, "trial", hook=True, emulators=running,
                          cordon_until=self._now.wall + CORDON_SECONDS if cordoned else None)

    def _samples(self, host: Machine) -> tuple[Sample, ...]:
        own = (sensor for sensor in self._example.sensors if sensor.host == host.saved.name)
        said = [sample for sensor in own if (sample := self._sample(sensor)) is not None]
        if all(sample.metric != "cpu.utilization" for sample in said):
            said.append(Sample("cpu.utilization", min(1.0, host.asked() / host.saved.cpus)))
        return tuple(said)

    def _sample(self, sensor: Sensor) -> Sample | None:
        value = sensor.timeline.at(self._seconds)
        if value is None:
            return None
        if METRICS[sensor.metric].kind is MetricKind.COUNTER:
            value = float(math.floor(value))
        return Sample(sensor.metric, value, sensor.subject, sensor.high, sensor.critical)
