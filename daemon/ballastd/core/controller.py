"""The mind's one stateful object: ``step`` decides, ``advance`` or ``reject`` says whether it became durable.

A step drafts a ledger, books what it decides on the draft, and hands the events out. The shell appends them to
the journal and then calls ``advance``: only now the draft becomes the ledger and the orders may be carried out.
If the journal refuses, ``reject`` drops the draft: memory and disk never disagree, and until something can be
written again nothing starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ballastd.core import evaluation, reconciliation
from ballastd.core import events as ev
from ballastd.core.admission import Gate, admit
from ballastd.core.commands import carry_out
from ballastd.core.conditions import Aggregate, Phase
from ballastd.core.gates import Gatekeeper
from ballastd.core.inputs import (
    Answer,
    CallReturned,
    HostUnreachable,
    Input,
    OperatorCommand,
    PoliciesReplaced,
    ProgressSeen,
    RivalSeen,
    SelfSuspect,
    TelemetryConnected,
    TelemetryLost,
)
from ballastd.core.intents import Intent
from ballastd.core.inventory import HostInventory
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending
from ballastd.core.planning import PlanUnsound, plan
from ballastd.core.plans import AbortOrder, Deferral, DeferralKind, Order, Plan, TuneOrder
from ballastd.core.policies import ClusterDeclaration, Health, PolicySet
from ballastd.core.portrait import Portrait, draw
from ballastd.core.quantities import Bytes, HostName, Instant, VmId
from ballastd.core.senses import Senses
from ballastd.core.snapshot import HostFacts, Snapshot, take
from ballastd.core.standing import reasons_to_avoid
from ballastd.core.telemetry import AgentState, Report
from ballastd.core.views import ClusterView

ABORT_AGAIN_SECONDS = 10.0
CORDON_SECONDS = 900.0
"""A cordon request expires by itself, so that a dead daemon does not leave a host closed for ever."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know. ``key``: notices with one key are about one thing."""

    level: str
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one step wants: ``events`` made durable first, then tunes, aborts and orders carried out.

    ``cordons``: every host that should be closed at its hook now. ``wake_at``: monotonic instant at which
    something may change by itself, or None.
    """

    revision: int
    events: tuple[ev.Event, ...]
    orders: tuple[Order, ...]
    aborts: tuple[AbortOrder, ...]
    tunes: tuple[TuneOrder, ...]
    cordons: frozenset[HostName]
    answers: tuple[Answer, ...]
    notices: tuple[Notice, ...]
    view: ClusterView
    wake_at: float | None


@dataclass(slots=True)
class _Step:
    """One step in the making."""

    now: Instant
    draft: Ledger
    revision: int
    events: list[ev.Event] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def book(self, event: ev.Event) -> None:
        """Book an event on the draft and remember it for the journal."""
        self.draft.apply(event)
        self.events.append(event)


class Controller:
    """See the module. One caller, one thread, no I/O."""

    def __init__(self, cluster: ClusterDeclaration, policies: PolicySet, ledger: Ledger, now: Instant,
                 revision: int = 0, version: str = "") -> None:
        self._cluster = cluster
        self._policies = policies
        self._ledger = ledger
        self._revision = revision
        self._pending: tuple[int, Ledger] | None = None
        self._senses = Senses(cluster.timing, ledger)
        self._verdicts: evaluation.Verdicts = {}
        self._became_true: dict[tuple[str, HostName], float] = {}
        self._acknowledged: dict[HostName, float] = {}
        self._looks = reconciliation.Looks()
        self._deadlines: dict[str, float] = {}
        self._aborted_at: dict[str, float] = {}
        self._suspected: dict[VmId, tuple[float, tuple[HostName, ...]]] = {}
        self._cleared: dict[VmId, float] = {}
        self._gatekeeper = Gatekeeper(cluster.timing, now)
        self._first: list[ev.Event] = [ev.DaemonStarted(now.wall, now.boot_id, version),
                                       ev.PoliciesLoaded(now.wall, policies.digest)]

    @property
    def ledger(self) -> Ledger:
        """The ledger as it is durable. To be read, not changed."""
        return self._ledger

    @property
    def revision(self) -> int:
        """The number of the last step."""
        return self._revision

    def step(self, inputs: tuple[Input, ...], now: Instant) -> Decision:
        """Return what ought to be done once ``inputs`` are known. Nothing is booked until ``advance``."""
        self._revision += 1
        step = _Step(now, self._ledger.draft(), self._revision)
        for event in self._first:
            step.book(event)
        commands = [one for one in inputs if isinstance(one, OperatorCommand)]
        for one in inputs:
            self._absorb(one, step)
        self._book_returns(step)
        for command in commands:
            self._obey(command, step)
        self._judge(step)
        self._reconcile(step)
        facts = self._facts(step)
        snapshot = take(facts, step.draft, now)
        return self._decide(step, snapshot)

    def advance(self, revision: int) -> None:
        """The decision of ``revision`` is durable: what it booked is the truth now."""
        if self._pending is None or self._pending[0] != revision:
            raise ValueError(f"revision {revision} is not the one that was decided last")
        self._ledger = self._pending[1]
        self._pending = None
        self._first = []
        self._senses.forget_closed(frozenset(self._ledger.migrations))
        self._gatekeeper.journal_works()

    def reject(self, revision: int, reason: str) -> None:
        """The decision of ``revision`` could not be made durable: forget it, and start nothing until it can."""
        if self._pending is None or self._pending[0] != revision:
            raise ValueError(f"revision {revision} is not the one that was decided last")
        self._pending = None
        self._gatekeeper.journal_failed(reason)

    def observe_only(self, reason: str) -> None:
        """Start nothing any more, until a person restarts the daemon."""
        self._gatekeeper.observe_only(reason)

    def is_urgent(self, one: Input) -> bool:
        """Return whether ``one`` should wake the loop at once: a counter rose, an alarm turned, an operator
        spoke, a call returned, or a host changed while something is under way."""
        if isinstance(one, Report):
            return any(self._senses.turned(one.host, s.metric, s.subject, s.value) for s in one.samples)
        if isinstance(one, HostInventory):
            return bool(self._ledger.migrations or self._ledger.evacuating) or one.host not in self._senses.inventories
        return isinstance(one, OperatorCommand | CallReturned | SelfSuspect | RivalSeen | PoliciesReplaced)

    def _absorb(self, one: Input, step: _Step) -> None:
        match one:
            case Report():
                self._senses.telemetry.absorb(one)
            case AgentState():
                self._senses.agents[one.host] = one
            case HostInventory():
                self._senses.see(one)
                if one.host in step.draft.confirmed_dead:
                    step.book(ev.HostSeenAlive(step.now.wall, one.host))
            case HostUnreachable():
                self._senses.miss(one)
            case CallReturned():
                self._senses.hear_return(one)
            case ProgressSeen():
                self._senses.hear_progress(one)
            case _:
                self._absorb_rare(one, step)

    def _absorb_rare(self, one: Input, step: _Step) -> None:
        match one:
            case PoliciesReplaced():
                self._policies = one.policies
                if one.policies.digest != step.draft.policies_digest:
                    step.book(ev.PoliciesLoaded(step.now.wall, one.policies.digest))
            case TelemetryConnected():
                self._senses.telemetry.forget_freshness()
                self._gatekeeper.telemetry_lost(None)
            case TelemetryLost():
                self._gatekeeper.telemetry_lost(one.reason)
            case SelfSuspect():
                self._senses.telemetry.forget_freshness()
                self._gatekeeper.suspect_ourselves(one, step.now)
            case RivalSeen():
                self._gatekeeper.note_rival(one.name)
                if one.name is not None:
                    step.notices.append(Notice("alarm", "rival", f"another daemon ({one.name}) claims this cluster; "
                                               "both observe until one is stopped"))
            case _:
                pass

    def _book_returns(self, step: _Step) -> None:
        for key, one in sorted(self._senses.returned.items()):
            migration = step.draft.migrations.get(key)
            if migration is not None and migration.called is None:
                step.book(ev.MigrationCalled(step.now.wall, key, one.result, one.message))

    def _obey(self, command: OperatorCommand, step: _Step) -> None:
        hosts = frozenset(host.name for host in self._cluster.hosts)
        reachable = frozenset(host for host in hosts if self._senses.is_reachable(host, step.now))
        events, answer = carry_out(command, step.draft, hosts, reachable, step.now.wall)
        for event in events:
            step.book(event)
            if isinstance(event, ev.VerdictsAcknowledged):
                self._forget_latched(event.host, step.now)
        step.answers.append(answer)

    def _forget_latched(self, host: HostName, now: Instant) -> None:
        self._acknowledged[host] = now.monotonic
        for policy in self._policies.health:
            if policy.condition.latched:
                self._verdicts.pop((policy.name, host), None)

    def _judge(self, step: _Step) -> None:
        last = self._verdicts
        self._verdicts = evaluation.evaluate(self._policies, self._cluster.hosts, self._senses.telemetry, last,
                                             step.draft, self._acknowledged, step.now)
        for key, verdict in self._verdicts.items():
            before = last.get(key)
            shown = verdict.phase in (Phase.PENDING, Phase.FIRING)
            if not shown:
                self._became_true.pop(key, None)
            elif before is None or before.phase not in (Phase.PENDING, Phase.FIRING):
                self._became_true[key] = step.now.monotonic
        self._latch(step)
        self._note_counters(step)

    def _latch(self, step: _Step) -> None:
        for policy in self._policies.health:
            if not policy.condition.latched:
                continue
            for host in self._cluster.hosts:
                key = (policy.name, host.name)
                verdict = self._verdicts.get(key)
                if verdict and verdict.phase is Phase.FIRING and key not in step.draft.latched:
                    words = evaluation.describe(verdict.evidence, policy)
                    step.book(ev.VerdictLatched(step.now.wall, policy.name, host.name, words))

    def _note_counters(self, step: _Step) -> None:
        """Keep what latched counters showed, so that a rise while we are down is not taken for a baseline."""
        metrics = sorted({p.condition.metric for p in self._policies.health
                          if p.condition.latched and p.condition.aggregate is Aggregate.INCREASE})
        for host in self._cluster.hosts:
            for metric in metrics:
                known = step.draft.counters.get((host.name, metric), {})
                values = tuple((subject, value) for subject in self._senses.telemetry.subjects(host.name, metric)
                               if (value := self._senses.telemetry.last_value(host.name, metric, subject)) is not None
                               and known.get(subject) != value)
                if values:
                    step.book(ev.CountersNoted(step.now.wall, host.name, metric, values))

    def _reconcile(self, step: _Step) -> None:
        reachable = frozenset(h.name for h in self._cluster.hosts if self._senses.is_reachable(h.name, step.now))
        inventories = self._senses.inventories
        for dead in step.draft.confirmed_dead:
            # an operator vouches that it is off: it shows nothing, and it shows it now
            inventories = {**inventories, dead: _empty(dead, step.now)}
            reachable |= {dead}
        looked_at = frozenset(inventories) | frozenset(self._senses.unreachable)
        sight = reconciliation.Sight(inventories, reachable, looked_at, self._senses.ended, self._looks, step.now,
                                     self._cluster.timing)
        for event in reconciliation.reconcile(step.draft, sight):
            step.book(event)
            if isinstance(event, ev.MigrationSettled) and event.ending in _ALARMING:
                step.notices.append(Notice("alarm", f"migration/{event.id}", f"{event.ending.value}: {event.detail}"))
        self._find_duplicates(step, inventories, reachable)

    def _find_duplicates(self, step: _Step, inventories: dict[HostName, HostInventory],
                         reachable: frozenset[HostName]) -> None:
        found = reconciliation.find_duplicates(inventories, reachable)
        for vm, (name, hosts) in sorted(found.items()):
            oldest = min(inventories[host].begun.monotonic for host in hosts)
            first = self._suspected.get(vm)
            if first is None or first[1] != hosts:
                self._suspected[vm] = (step.now.monotonic, hosts)
            elif oldest > first[0] and vm not in step.draft.duplicates:
                step.book(ev.DuplicateSeen(step.now.wall, vm, name, hosts))
                step.notices.append(Notice("alarm", f"duplicate/{vm}", f"{name} runs on {' and '.join(hosts)}: both "
                                           "hosts are frozen; nothing is destroyed automatically"))
        self._suspected = {vm: seen for vm, seen in self._suspected.items() if vm in found}
        for vm, seen in sorted(step.draft.duplicates.items()):
            if vm in found or not all(host in reachable for host in seen.hosts):
                self._cleared.pop(vm, None)
                continue
            since = self._cleared.setdefault(vm, step.now.monotonic)
            if min(inventories[host].begun.monotonic for host in seen.hosts) > since:
                step.book(ev.DuplicateCleared(step.now.wall, vm))
                del self._cleared[vm]

    def _facts(self, step: _Step) -> tuple[HostFacts, ...]:
        facts = []
        for host in self._cluster.hosts:
            health = evaluation.health_of(host.name, self._policies, self._verdicts)
            reachable = self._senses.is_reachable(host.name, step.now)
            reading = self._senses.telemetry.reading(host.name, "cpu.utilization", "", step.now)
            facts.append(HostFacts(
                declared=host, inventory=self._senses.inventories.get(host.name), health=health, reachable=reachable,
                fresh=self._senses.telemetry.is_fresh(host.name, step.now),
                avoid=reasons_to_avoid(host.name, health, reachable, self._senses.why_unreachable(host.name),
                                       self._senses.telemetry, self._wants_empty(host.name), step.draft, step.now),
                cpu_utilization=None if reading is None else reading.value,
                asked=self._senses.was_asked(host.name)))
        return tuple(facts)

    def _wants_empty(self, host: HostName) -> bool:
        declared = self._cluster.host(host)
        return declared is not None and evaluation.quarantined(declared, self._policies, self._verdicts) is not None

    def _decide(self, step: _Step, snapshot: Snapshot) -> Decision:
        blast = evaluation.blast_radius(self._policies, self._cluster.hosts, self._verdicts, self._became_true,
                                        step.now)
        self._follow_site_event(step, blast)
        intents = evaluation.intents(self._policies, self._cluster.hosts, self._verdicts, step.draft, step.now)
        gates = self._gatekeeper.gates(snapshot, step.draft, self._policies.limits, step.now)
        if self._gatekeeper.freeze_ended:
            self._restart_holds()
        plan_made = self._plan(step, snapshot, intents)
        admission = admit(plan_made, intents, snapshot, step.draft, self._policies, gates, self._cluster.timing,
                          step.revision)
        orders = self._book_orders(step, admission.orders, admission.begins, intents)
        tunes = () if gates else self._book_tunes(step, admission.tunes)
        self._close_evacuations(step, snapshot, intents)
        aborts = self._aborts(step)
        self._probe_journal(step)
        made = Plan(plan_made.moves, plan_made.refusals, (*admission.deferrals,))
        portrait = Portrait(snapshot, step.draft, self._policies, self._senses, self._verdicts, intents, made, orders,
                            gates, step.now, step.revision, self._gatekeeper.telemetry_trouble)
        self._pending = (step.revision, step.draft)
        return Decision(
            step.revision, tuple(step.events), orders, aborts, tunes, self._cordons(step), tuple(step.answers),
            tuple(step.notices), draw(portrait), self._wake_at(step, gates, admission.deferrals))

    def _follow_site_event(self, step: _Step, blast: evaluation.Blast) -> None:
        event = self._gatekeeper.site_event(step.draft.site_event, blast.reason, self._policies.limits, step.now)
        if event is not None:
            step.book(event)
            began = isinstance(event, ev.SiteEventBegun)
            text = f"site event: {blast.reason}; nothing new starts" if began else "the site event is over"
            step.notices.append(Notice("alarm" if began else "info", "site-event", text))

    def _restart_holds(self) -> None:
        """After a freeze every hold timer starts again: what was pending then proves nothing now."""
        for key, verdict in list(self._verdicts.items()):
            if verdict.phase is Phase.PENDING:
                del self._verdicts[key]

    def _plan(self, step: _Step, snapshot: Snapshot, intents: tuple[Intent, ...]) -> Plan:
        try:
            return plan(snapshot, step.draft, intents, self._policies.limits)
        except PlanUnsound as error:
            step.book(ev.InvariantFailed(step.now.wall, f"our own plan is unsound: {error}"))
            step.notices.append(Notice("alarm", "invariant", f"our own plan is unsound: {error}"))
            return Plan()

    def _book_orders(self, step: _Step, orders: tuple[Order, ...], begins: tuple[HostName, ...],
                     intents: tuple[Intent, ...]) -> tuple[Order, ...]:
        if step.draft.broken is not None:
            return ()
        policy_of = {order.move.source: order.move.policy for order in orders}
        for host in begins:
            step.book(ev.EvacuationBegun(step.now.wall, host, policy_of[host]))
            because = next(i.because for i in intents if i.host == host)
            step.notices.append(Notice("warning", f"evacuation/{host}", f"emptying {host}: {because}"))
        for order in orders:
            move = order.move
            retry = len(step.draft.recent_failures(move.vm, step.now.wall - 86400.0))
            step.book(ev.MigrationOrdered(
                step.now.wall, order.id, move.vm, move.vm_name, move.source, move.target, move.memory,
                order.bandwidth_mib_s, move.policy, move.because, step.now.wall + order.deadline, move.predicted,
                retry=retry))
        return orders

    @staticmethod
    def _book_tunes(step: _Step, tunes: tuple[TuneOrder, ...]) -> tuple[TuneOrder, ...]:
        for tune in tunes:
            step.book(ev.BandwidthOrdered(step.now.wall, tune.migration, tune.bandwidth_mib_s))
        return tunes

    @staticmethod
    def _close_evacuations(step: _Step, snapshot: Snapshot, intents: tuple[Intent, ...]) -> None:
        wanted = {intent.host for intent in intents}
        for host in sorted(step.draft.evacuating):
            busy = any(m.source == host for m in step.draft.open_migrations())
            if host not in snapshot.hosts.names:
                step.book(ev.EvacuationEnded(step.now.wall, host, "no longer declared"))
            elif not busy and not snapshot.vms_on(host):
                step.book(ev.EvacuationEnded(step.now.wall, host, "empty"))
                step.notices.append(Notice("info", f"evacuation/{host}", f"{host} is empty"))
            elif not busy and host not in wanted:
                step.book(ev.EvacuationEnded(step.now.wall, host, "no longer asked for"))

    def _aborts(self, step: _Step) -> tuple[AbortOrder, ...]:
        found: list[AbortOrder] = []
        self._deadlines = {k: v for k, v in self._deadlines.items() if k in step.draft.migrations}
        for m in step.draft.open_migrations():
            left = max(0.0, min(m.deadline_wall - step.now.wall, m.deadline_wall - m.ordered_wall))
            deadline = self._deadlines.setdefault(m.id, step.now.monotonic + left)
            reason = m.abort_reason or self._reason_to_abort(m.id, deadline, step)
            if not reason or not m.holds_slot:
                continue
            if not m.abort_reason:
                step.book(ev.AbortOrdered(step.now.wall, m.id, reason))
            if step.now.monotonic - self._aborted_at.get(m.id, float("-inf")) >= ABORT_AGAIN_SECONDS:
                self._aborted_at[m.id] = step.now.monotonic
                found.append(AbortOrder(m.id, m.vm, m.source, reason, step.revision))
        return tuple(found)

    def _reason_to_abort(self, key: str, deadline: float, step: _Step) -> str:
        m = step.draft.migrations[key]
        if step.now.monotonic > deadline:
            return f"not done within {m.deadline_wall - m.ordered_wall:.0f} s"
        here = evaluation.health_of(m.source, self._policies, self._verdicts)
        there = evaluation.health_of(m.target, self._policies, self._verdicts)
        if there > Health.HEALTHY and there >= here:
            return f"target {m.target} turned {there.name.lower()}"
        return self._closed_window(key, step)

    def _closed_window(self, key: str, step: _Step) -> str:
        m = step.draft.migrations[key]
        policy = next((p for p in self._policies.evacuation if p.name == m.policy), None)
        if policy is None or policy.ignore_windows:
            return ""
        named = [self._policies.windows[name] for name in policy.windows]
        if not any(window.cancel_at_close for window in named):
            return ""
        wall = step.now.wall
        denied = any(not w.allows and w.open_until(wall) is not None for w in named if w.cancel_at_close)
        allowing = [w for w in named if w.allows]
        closed = bool(allowing) and all(w.open_until(wall) is None for w in allowing)
        return "its window closed" if denied or closed else ""

    def _probe_journal(self, step: _Step) -> None:
        if self._gatekeeper.journal_is_failing and not step.events:
            step.book(ev.JournalRecovered(step.now.wall))

    def _cordons(self, step: _Step) -> frozenset[HostName]:
        """Return the hosts whose agents should refuse guests: cordoned, draining, or quarantined by policy."""
        return frozenset(host.name for host in self._cluster.hosts
                         if host.name in step.draft.cordoned or host.name in step.draft.drains
                         or self._wants_empty(host.name))

    def _wake_at(self, step: _Step, gates: tuple[Gate, ...], deferrals: tuple[Deferral, ...]) -> float | None:
        """Return when something may change though nothing is heard: a hold, a gate, a back-off, a deadline."""
        now, times = step.now, list(self._deadlines.values())
        for policy in self._policies.health:
            for host in self._cluster.hosts:
                verdict = self._verdicts.get((policy.name, host.name))
                if verdict is not None and verdict.held_from is not None:
                    hold = policy.condition.hold if verdict.phase is Phase.PENDING else policy.condition.clear_hold
                    times.append(verdict.held_from + hold)
        walls = [gate.until_wall for gate in gates]
        walls += [d.until_wall for d in deferrals if d.kind is not DeferralKind.MODE]
        times += [now.monotonic + max(0.0, wall - now.wall) for wall in walls if wall is not None]
        return min((t for t in times if t > now.monotonic), default=None)


_ALARMING = frozenset({Ending.SPLIT, Ending.LEFTOVER, Ending.DOWN, Ending.VANISHED})


def _empty(host: HostName, now: Instant) -> HostInventory:
    return HostInventory(host, now, now, Bytes(0), Bytes(0), 0, ())
