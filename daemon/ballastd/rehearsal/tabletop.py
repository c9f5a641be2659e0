"""The mind alone on a table: no event loop, no ports, no daemon; machines and migrations as counters. Thousands of seeds a
quarter of an hour, for what is wrong in a decision rather than in when it is carried out.

What is on the table is the truth; the mind is told of it, late and with gaps, and its orders are judged by the truth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from ballastd.core import events as ev
from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.inputs import HostUnreachable, Input, OperatorCommand, TelemetryConnected, Verb
from ballastd.core.inventory import HostInventory, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.plain import to_plain
from ballastd.core.plans import Order
from ballastd.core.policies import PolicySet, Timing
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.rehearsed import Violation
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.telemetry import Report, Sample
from ballastd.rehearsal.machines import Machine, Machines, usable
from ballastd.rehearsal.seeds import HOUR, Outcome, policies_of
from ballastd.sim.generating import generate

CALM_SECONDS = 2 * 3600.0
EPOCH_WALL = 1_750_000_000.0
STEP_SECONDS = 10.0
REPORT_SECONDS = 10.0
ROUTINE_SECONDS = 30.0
"""How often the daemon thinks where nothing calls for it."""
CHANCES = {
    "burn": 0.05, "error": 0.0015, "heat": 0.003, "cool": 0.01, "acknowledge": 0.01, "cut": 0.003, "mend": 0.03,
    "mute": 0.003, "speak": 0.03, "pause": 0.001, "resume": 0.02, "cordon": 0.003, "uncordon": 0.02, "drain": 0.002,
    "undrain": 0.02, "stop": 0.003, "carry": 0.003, "restart": 0.004,
}
"""How likely each is in one step."""
LONG_OPEN_SECONDS = 1800.0
"""On the table nothing takes so long; a large cluster may still even itself out, a move every five minutes."""
JOURNAL_FAILS = 0.01
MOVE_FAILS = 0.15


@dataclass(slots=True)
class _Host(Machine):
    errors: float = 0.0
    vouched: float = 0.0
    """Errors that an operator has acknowledged, or that were there when the mind first heard of them: nobody knows that
    those are new."""
    is_heard: bool = False
    celsius: float = 50.0
    is_cut: bool = False
    is_mute: bool = False


class Tabletop:
    """A cluster, a mind, and the judge between them. ``violations``: what the judge found. ``step_seconds``: how often the
    mind is told how everything is, and thinks."""

    def __init__(self, cluster: SavedCluster, policies: PolicySet, seed: int, timing: Timing = Timing(), *,
                 step_seconds: float = STEP_SECONDS) -> None:
        self.violations: list[Violation] = []
        self.orders = 0
        self.steps = 0
        self.restarts = 0
        self._luck = Random(f"{seed} tabletop")
        self._policies = policies
        self._step_seconds = step_seconds
        self._declared = cluster.declaration(timing)
        self._seconds = 0.0
        self._hosts = {host.name: _Host(host, usable(host)) for host in cluster.hosts}
        for vm in cluster.vms:
            self._hosts[vm.host].stock(vm)
        self._table = Machines(self._hosts)
        self._returns: list[Input] = []
        self._wishes: list[Input] = []
        self._durable: list[ev.Event] = []
        self._sequences: dict[HostName, int] = {}
        self._asked: dict[HostName, float] = {}
        self._mind = self._wake_up()

    @property
    def now(self) -> Instant:
        """The present instant."""
        return Instant(self._seconds, EPOCH_WALL + self._seconds, "tabletop")

    def play(self, seconds: float, *, is_calm: bool = False) -> None:
        """Let time pass. ``is_calm``: nothing happens but what is under way, and the mind thinks at its routine pace."""
        until = self._seconds + seconds
        if is_calm:
            self._step_seconds = max(self._step_seconds, ROUTINE_SECONDS)
        while self._seconds < until:
            self._seconds += self._step_seconds
            if not is_calm:
                self._happen()
            self._returns.extend(self._table.land(self.now))
            self._turn(may_fail=not is_calm)

    def heal(self) -> None:
        """Put everything right."""
        for host in self._hosts.values():
            host.is_cut = host.is_mute = False
            host.celsius, host.vouched = 50.0, host.errors
            for verb in (Verb.ACKNOWLEDGE, Verb.UNCORDON, Verb.UNDRAIN):
                self._wish(verb, host.saved.name)
        self._wish(Verb.RESUME)

    def judge_rest(self) -> None:
        """Judge a cluster that was left alone: nothing is open any more but what has just begun."""
        for migration in self._mind.ledger.open_migrations():
            if self.now.wall - migration.ordered_wall > LONG_OPEN_SECONDS:
                self._complain("rest", f"{migration.vm_name} is {migration.phase.value} still")

    # what happens

    def _happen(self) -> None:
        for what, chance in CHANCES.items():
            if self._luck.random() < chance:
                getattr(self, f"_{what}")(self._luck.choice(list(self._hosts.values())))

    def _burn(self, host: _Host) -> None:
        for vm, record in host.vms.items():
            if self._luck.random() < 0.5:
                host.burn[vm] = self._luck.choice((0.05, 0.3, 0.9)) * record.vcpus

    def _error(self, host: _Host) -> None:
        host.errors += 1.0

    def _heat(self, host: _Host) -> None:
        host.celsius = 98.0

    def _cool(self, host: _Host) -> None:
        host.celsius = 50.0

    def _cut(self, host: _Host) -> None:
        host.is_cut = True

    def _mend(self, host: _Host) -> None:
        host.is_cut = False

    def _mute(self, host: _Host) -> None:
        host.is_mute = True

    def _speak(self, host: _Host) -> None:
        host.is_mute = False

    def _acknowledge(self, host: _Host) -> None:
        host.vouched = host.errors
        self._wish(Verb.ACKNOWLEDGE, host.saved.name)

    def _pause(self, _host: _Host) -> None:
        self._wish(Verb.PAUSE)

    def _resume(self, _host: _Host) -> None:
        self._wish(Verb.RESUME)

    def _cordon(self, host: _Host) -> None:
        self._wish(Verb.CORDON, host.saved.name)

    def _uncordon(self, host: _Host) -> None:
        self._wish(Verb.UNCORDON, host.saved.name)

    def _drain(self, host: _Host) -> None:
        self._wish(Verb.DRAIN, host.saved.name)

    def _undrain(self, host: _Host) -> None:
        self._wish(Verb.UNDRAIN, host.saved.name)

    def _stop(self, host: _Host) -> None:
        for vm, record in list(host.vms.items()):
            if vm not in self._table.flights and record.state.runs and self._luck.random() < 0.2:
                host.vms[vm] = replace(record, state=VmState.SHUTOFF)

    def _carry(self, host: _Host) -> None:
        """Somebody moves a VM by hand, in no time."""
        for vm, record in list(host.vms.items()):
            other = self._luck.choice(list(self._hosts.values()))
            may = vm not in self._table.flights and other is not host and not (other.is_cut or host.is_cut)
            if may and record.state.runs:
                self._table.transfer(vm, host, other)
                return

    def _restart(self, _host: _Host) -> None:
        """The daemon is killed and comes back with what was durable: the same ledger, or the journal is no journal."""
        before = to_plain(self._mind.ledger.open_migrations())
        paused = self._mind.ledger.paused
        self._mind = self._wake_up()
        self.restarts += 1
        if to_plain(self._mind.ledger.open_migrations()) != before or self._mind.ledger.paused != paused:
            self._complain("replay", "what was durable is not what was known")

    # what the mind is told, and what it decides

    def _wake_up(self) -> Controller:
        ledger = Ledger()
        ledger.replay(self._durable)
        self._returns = []
        self._wishes = []
        mind = Controller(self._declared, self._policies, ledger, self.now)
        self._returns.append(TelemetryConnected(self.now))
        return mind

    def _wish(self, verb: Verb, subject: str = "") -> None:
        self._wishes.append(OperatorCommand(f"{self.steps}-{verb.value}-{subject}", verb, subject, "operator"))

    def _inputs(self) -> tuple[Input, ...]:
        seen: list[Input] = [*self._returns, *self._wishes]
        self._returns, self._wishes = [], []
        for host in self._hosts.values():
            seen.append(HostUnreachable(host.saved.name, self.now, "cut") if host.is_cut else self._inventory(host))
            if not (host.is_mute or host.is_cut):
                seen.append(self._report(host))
        return tuple(seen)

    def _inventory(self, host: _Host) -> HostInventory:
        return self._table.inventory(host, self.now, f"uuid-of-{host.saved.name}")

    def _report(self, host: _Host) -> Report:
        name = host.saved.name
        self._sequences[name] = self._sequences.get(name, 0) + 1
        work = min(1.0, self._asked[name] / host.saved.cpus)
        return Report(name, "boot", self._sequences[name], self.now.wall, Seconds(REPORT_SECONDS), (
            Sample("cpu.utilization", work), Sample("ecc.uncorrected", host.errors, "A"),
            Sample("temperature", host.celsius, "cpu0", critical=100.0)), self.now)

    def _turn(self, *, may_fail: bool) -> None:
        self.steps += 1
        self._asked = self._table.work(self._step_seconds)
        decision = self._mind.step(self._inputs(), self.now)
        if may_fail and decision.events and self._luck.random() < JOURNAL_FAILS:
            self._mind.reject(decision.revision, "no space left on device")
            return
        self._durable.extend(decision.events)
        self._mind.advance(decision.revision)
        for host in self._hosts.values():
            if not (host.is_heard or host.is_mute or host.is_cut):
                host.is_heard, host.vouched = True, host.errors
        for event in decision.events:
            if isinstance(event, ev.InvariantFailed):
                self._complain("own-invariant", event.detail)
        for order in decision.orders:
            self._judge(order, decision)
            self._begin(order)
        for abort in decision.aborts:
            self._table.abort(abort.migration, self._seconds)

    def _begin(self, order: Order) -> None:
        self.orders += 1
        lasts = order.move.memory / (1 << 20) / order.bandwidth_mib_s * self._luck.choice((1.0, 1.3, 4.0))
        self._table.begin(order, self._seconds + lasts, is_bad=self._luck.random() < MOVE_FAILS)

    # the judge

    def _judge(self, order: Order, decision: Decision) -> None:
        move, limits = order.move, self._policies.limits
        source, target = self._hosts[move.source], self._hosts[move.target]
        record = source.vms.get(move.vm)
        if record is None or not record.state.runs:
            self._complain("where-it-is", f"{move.vm_name} does not run on {move.source}")
            return
        if move.vm in self._table.flights:
            self._complain("one-migration", f"{move.vm_name} is moving already")
        if target.is_cut or source.is_cut:
            self._complain("sight", f"{move.vm_name} from {move.source} to {move.target}, one of which does not answer")
        if target.held() + record.ordinary > target.limit:
            self._complain("memory", f"{move.vm_name} does not fit on {move.target}")
        if target.errors > target.vouched and not target.is_mute:
            self._complain("fit-target", f"{move.vm_name} is sent to {move.target}, whose memory fails")
        if self._mind.ledger.paused is not None:
            self._complain("pause", f"{move.vm_name} moves while all is paused")
        flights = [flight.order.move for flight in self._table.flights.values()]
        for what, count, limit in (
                ("cluster", len(flights), limits.in_flight_cluster),
                (f"out of {move.source}", sum(one.source == move.source for one in flights), limits.in_flight_host_out),
                (f"into {move.target}", sum(one.target == move.target for one in flights), limits.in_flight_host_in)):
            if count >= limit:
                self._complain("concurrency", f"{move.vm_name} begins beside {count} migrations ({what}); at most {limit}")
        if order.revision != decision.revision:
            self._complain("revision", f"{order.id} is of another step than {decision.revision}")

    def _complain(self, rule: str, detail: str) -> None:
        self.violations.append(Violation(self._seconds, rule, detail))


def play_seed(seed: int, hours: float = 4.0) -> Outcome:
    """Play a seed: ``hours`` of trouble, then everything is put right, and two hours later nothing is open."""
    luck, lasts = Random(f"{seed} table"), hours * HOUR
    hosts = luck.randint(3, 8)
    cluster = generate(hosts, luck.randint(2, 6) * hosts, seed, fill=luck.uniform(0.2, 0.5), load=luck.uniform(0.05, 0.4))
    # nothing is switched: there are no power controllers on the table
    table = Tabletop(cluster, replace(policies_of(luck, EPOCH_WALL, lasts), consolidation=()), seed)
    table.play(lasts)
    table.heal()
    table.play(CALM_SECONDS, is_calm=True)
    table.judge_rest()
    happened = {"moves": table.orders, "restarts": table.restarts, "offs": 0}
    return Outcome(seed, (), tuple(table.violations), happened, lasts + CALM_SECONDS, ())
