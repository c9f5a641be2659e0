"""A table whose hosts have power: agents that shut the hook when asked, controllers that do as told, or lie."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ballastd.core.decisions import Decision
from ballastd.core.inputs import Input, PowerReturned, PowerSeen, Verb
from ballastd.core.migrations import CallResult
from ballastd.core.policies import ConsolidationPolicy, Mode, PolicySet, Window
from ballastd.core.power import PowerPhase, PowerState, PowerStatus
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.telemetry import AgentState
from tests.builders import POLICIES, WALL, ClusterBuilder, Table, a_cluster, machine_of, table

NIGHT = Window("nights.window", True, ((WALL - 1000.0, WALL + 8 * 3600.0),), WALL + 14 * 86400.0)
NIGHTS = ConsolidationPolicy("nights", NIGHT.name, mode=Mode.AUTO, power_off_hold=Seconds(600.0))
PACKED = replace(POLICIES, consolidation=(NIGHTS,), windows={NIGHT.name: NIGHT})


@dataclass
class Powered:
    """Drives a table. ``says``: what a controller says regardless of the truth; ``ignores``: hosts that do not do as
    they are told; ``identity``: what a controller says its machine is; ``deaf``: agents that shut no hook."""

    table: Table
    says: dict[str, PowerState] = field(default_factory=dict)
    ignores: set[str] = field(default_factory=set)
    identity: dict[str, str] = field(default_factory=dict)
    deaf: set[str] = field(default_factory=set)
    withholds: int = 0
    """How many wakes to come the kernel withholds."""
    emulators: dict[str, int] = field(default_factory=dict)
    kept: bool = False
    """Whether what agents say is what a broker kept of it."""
    shut: frozenset[str] = frozenset()
    returns: list[Input] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    orders: list[tuple[str, bool]] = field(default_factory=list)

    def turn(self, seconds: float = 10.0) -> Decision:
        """Let time pass and take a step; carry out what it orders."""
        t = self.table.wait(seconds)
        decision = t.step(*self._agents(), *self._controllers(), *self.returns)
        self.returns = list(t.carry_out(decision))
        self.shut = frozenset(decision.cordons)
        for order in decision.power:
            if order.on and self.withholds:
                self.withholds -= 1
                self.returns.append(PowerReturned(order.id, order.host, CallResult.WITHHELD, "its controller: busy", t.now))
                continue
            self.orders.append((order.host, order.on))
            self.returns.append(PowerReturned(order.id, order.host, CallResult.OK, "", t.now))
            if order.host in self.ignores:
                continue
            if order.on:
                t.powered_off.discard(order.host)
            else:
                assert not t.world[order.host], "a host with something on it was switched off"
                t.powered_off.add(order.host)
        self.decisions.append(decision)
        return decision

    def turn_without_returns(self, seconds: float = 10.0) -> Decision:
        """Let time pass and take a step; what it orders is left to the test."""
        return self.table.wait(seconds).step(*self._agents(), *self._controllers())

    def turns(self, seconds: float, step: float = 10.0) -> list[Decision]:
        """Do so for a while."""
        return [self.turn(step) for _ in range(int(seconds / step))]

    def until(self, phase: PowerPhase | None, host: str, seconds: float = 4000.0) -> Decision:
        """Do so until a host has reached a phase (None: simply on)."""
        for _ in range(int(seconds / 10)):
            decision = self.turn()
            if self.phase(host) is phase:
                return decision
        raise AssertionError(f"{host} is {self.phase(host)}, not {phase}: {decision.view.noes}")

    def phase(self, host: str) -> PowerPhase | None:
        power = self.table.controller.ledger.power.get(HostName(host))
        return None if power is None else power.phase

    def off(self) -> set[str]:
        return {host.name for host in self.table.cluster.hosts if self.phase(host.name) is not None}

    def say(self, verb: Verb, host: str):
        """Say something as an operator; return the answer."""
        decision = self.table.say(verb, host)
        self.returns.extend(self.table.carry_out(decision))
        self.orders.extend((o.host, o.on) for o in decision.power)
        return decision.answers[0]

    def restart(self, policies: PolicySet = PACKED) -> None:
        """Crash and start again."""
        self.table.restart(policies)

    def _agents(self) -> list[Input]:
        now = self.table.now
        return [AgentState(host.name, host.name not in self.table.powered_off, now, hook=True,
                           cordon_until=now.wall + 900.0 if host.name in self.shut - self.deaf else None,
                           retained=self.kept,
                           emulators=self.emulators.get(host.name, len(self.table.world[host.name])))
                for host in self.table.cluster.hosts]

    def _controllers(self) -> list[Input]:
        found: list[Input] = []
        for host in self.table.cluster.hosts:
            truth = PowerState.OFF if host.name in self.table.powered_off else PowerState.ON
            status = PowerStatus(self.says.get(host.name, truth), self.identity.get(host.name, machine_of(host.name)))
            found.append(PowerSeen(host.name, status, self.table.now))
        return found


def four_powered(vms: int = 1, gib: int = 8) -> ClusterBuilder:
    """Return hosts h1 to h4 with power; h1 has most VMs, h4 the fewest."""
    builder = a_cluster()
    for h in range(1, 5):
        builder = builder.host(f"h{h}", power="redfish")
        for v in range(vms + (4 - h) // 2):
            builder = builder.running(f"h{h}v{v}", gib)
    return builder


def powered(builder: ClusterBuilder | None = None, policies: PolicySet = PACKED, *, proved: bool = True) -> Powered:
    """Return a powered table, warmed up, every host proved to be wakeable unless told otherwise."""
    p = Powered(table(builder or four_powered(), policies).warm_up())
    if proved:
        for host in p.table.cluster.hosts:
            p.say(Verb.CONFIRM_WAKEABLE, host.name)
    p.turns(40.0)
    return p


def asleep() -> Powered:
    """Return one whose h3 was switched off."""
    p = powered()
    p.until(PowerPhase.OFF, "h3")
    return p
