"""The mind's one stateful object: ``step`` decides, ``advance`` or ``reject`` says whether it became durable.

A step drafts a ledger, books what it decides on the draft, and hands the events out. The shell appends them to
the journal and then calls ``advance``: only now the draft becomes the ledger and the orders may be carried out.
If the journal refuses, ``reject`` drops the draft: memory and disk never disagree, and until something can be
written again nothing starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial

from ballastd.core import evaluation, latching, reconciliation
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.admission import admit
from ballastd.core.arrivals import Arrivals, to_check
from ballastd.core.autostarts import to_note
from ballastd.core.booking_clock import CLOCK_STEP_SECONDS, ClockWatch, ahead
from ballastd.core.clearance import Gate
from ballastd.core.commands import OFF_VERBS, carry_out
from ballastd.core.consolidation import Outlook, empty_intents, why_not_off
from ballastd.core.copying import copy_of
from ballastd.core.decisions import Decision, Step
from ballastd.core.demotions import changes, held_back
from ballastd.core.dirtying import with_rate
from ballastd.core.doubles import Doubles, told_double
from ballastd.core.draft import UNCHARTED
from ballastd.core.easing import balance_intents, repair_intents
from ballastd.core.emptying import close_evacuations
from ballastd.core.facts import facts_of, showing_nothing
from ballastd.core.gates import Gatekeeper, clearance
from ballastd.core.homes import Homes, told_move
from ballastd.core.inputs import (
    BandwidthSet,
    CallReturned,
    HostUnreachable,
    Input,
    OperatorCommand,
    PoliciesReplaced,
    PowerReturned,
    PowerSeen,
    ProgressSeen,
    RivalSeen,
    SelfSuspect,
    ShutdownReturned,
    TelemetryConnected,
    TelemetryLost,
    Verb,
    VmAsked,
)
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import HostInventory, same_but_for_use
from ballastd.core.judging import Judge
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Loads
from ballastd.core.migrations import ALARMING
from ballastd.core.notices import Notice
from ballastd.core.planning import PlanUnsound, course_of, plan
from ballastd.core.plans import Deferral, DeferralKind, Order, Plan, TuneOrder
from ballastd.core.policies import ClusterDeclaration, Health, Mode, PolicySet
from ballastd.core.portrait import Portrait
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.recent import Recent, tell
from ballastd.core.recommendations import Recommendations, ordered
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.senses import Senses
from ballastd.core.shutdowns import Scene, Shutdowns, Shutting
from ballastd.core.snapshot import HostFacts, Snapshot, take
from ballastd.core.strandings import Strandings
from ballastd.core.switching import Switchboard, Switching, unplaced
from ballastd.core.telemetry import AgentState, Report
from ballastd.core.trends import Trends
from ballastd.core.under_way import UnderWay, way_given


class Controller:
    """See the module. One caller, one thread, no I/O."""

    def __init__(self, cluster: ClusterDeclaration, policies: PolicySet, ledger: Ledger, now: Instant,
                 revision: int = 0, version: str = "", again: tuple[Notice, ...] = ()) -> None:
        self._cluster, self._policies = cluster, policies
        self._ledger, self._revision = ledger, revision
        self._pending: Step | None = None
        self._senses = Senses(cluster.timing, ledger)
        self._judge_of_health, self._notebook = Judge(self._senses.telemetry), latching.Notebook()
        self._verdicts = self._judge_of_health.verdicts
        self._looks, window = reconciliation.Looks(), cluster.timing.load_window
        counts_network = any(host.network_mib_s is not None for host in cluster.hosts)
        self._loads, self._trends = Loads(window, counts_network=counts_network), Trends(window)
        self._doubles = Doubles(frozenset(host.name for host in cluster.hosts))
        self._homes, self._recent = Homes(), Recent()
        self._under_way = UnderWay(self._senses)
        self._switchboard, self._gatekeeper = Switchboard(), Gatekeeper(cluster.timing, now)
        self._strandings, self._recommendations, self._shutdowns = Strandings(), Recommendations(), Shutdowns()
        self._arrivals = Arrivals(cluster.arrival_checks)
        self._last: Snapshot | None = None
        self._clock, self._books_clock = ClockWatch(now), ClockWatch(now)
        self._remembered, self._course = -1, UNCHARTED
        self._first: list[ev.Event] = [ev.DaemonStarted(now.wall, now.boot_id, version),
                                       ev.PoliciesLoaded(now.wall, policies.digest)]
        self._again = again

    @property
    def ledger(self) -> Ledger:
        """The ledger as it is durable. To be read, not changed."""
        return self._ledger

    @property
    def unused_reports(self) -> Counter[str]:
        """How many reports were not used, or not wholly, by host and reason."""
        return self._senses.telemetry.unused

    @property
    def revision(self) -> int:
        """The number of the last step."""
        return self._revision

    def machine(self, host: HostName) -> str:
        """Return the UUID of the machine that a host is, as its hypervisor said last, empty while nobody knows."""
        inventory, power = self._senses.inventories.get(host), self._ledger.power.get(host)
        return inventory.host_uuid if inventory is not None else power.machine if power is not None else ""

    def copy(self, now: Instant) -> ClusterCopy:
        """Return the cluster as it was seen last, to be saved."""
        return copy_of(self._cluster, self._senses.inventories, self._ledger, self._loads, now)

    def step(self, inputs: tuple[Input, ...], now: Instant) -> Decision:
        """Return what ought to be done once ``inputs`` are known. Nothing is booked until ``advance``."""
        self._revision += 1
        step = Step(now, self._ledger.draft(), self._revision)
        step.take(self._first, self._again)
        self._follow_clock(step)
        commands = [one for one in inputs if isinstance(one, OperatorCommand)]
        for one in inputs:
            self._absorb(one, step)
        self._book_returns(step)
        for command in commands:
            self._obey(command, step)
        self._judge(step)
        self._reconcile(step)
        facts = self._facts(step)
        snapshot = self._last = take(facts, step.draft, now, self._loads, self._last)
        self._trends.follow(self._policies, snapshot, self._senses.telemetry, now)
        return self._decide(step, snapshot)

    def advance(self, revision: int) -> None:
        """The decision of ``revision`` is durable: what it booked is the truth now."""
        step = self._decided(revision)
        self._ledger = step.draft
        self._books_clock.keep(step.now)
        self._recent.note(tuple(step.events))
        self._homes.keep()
        self._strandings.keep()
        self._first, self._again = [], ()
        orders = frozenset(power.order for power in self._ledger.power.values())
        asked = frozenset(one.id for one in self._ledger.shutdowns.open())
        self._senses.forget_closed(frozenset(self._ledger.migrations), orders, asked)
        self._arrivals.forget_closed(self._ledger)
        if self._remembered != self._senses.turn:
            self._remembered = self._senses.turn
            self._loads.forget_others(vm.vm for one in self._senses.inventories.values() for vm in one.vms)
        self._gatekeeper.journal_works()

    def reject(self, revision: int, reason: str) -> None:
        """The decision of ``revision`` could not be made durable: forget it, and start nothing until it can."""
        self._decided(revision)
        self._arrivals.forget_closed(self._ledger)
        self._gatekeeper.journal_failed(reason)

    def _decided(self, revision: int) -> Step:
        """Return the step of ``revision``, of which now is known whether it is durable."""
        step = self._pending
        if step is None or step.revision != revision:
            raise ValueError(f"revision {revision} is not the one that was decided last")
        self._pending = None
        return step

    def observe_only(self, reason: str) -> None:
        """Start nothing any more, until a person restarts the daemon."""
        self._gatekeeper.observe_only(reason)

    def closed_until(self, host: HostName) -> float | None:
        """Return until when (wall) the host's agent says that its hook refuses guests, None where it says no such thing."""
        agent = self._senses.agents.get(host)
        return agent.cordon_until if agent is not None and agent.online else None

    def is_urgent(self, one: Input) -> bool:
        """Return whether ``one`` should wake the loop at once: a counter rose, an alarm turned, an operator spoke, a call
        returned, a host was looked at that is the end of something under way, or one that is emptied has changed."""
        if isinstance(one, Report):
            return any(self._senses.turned(one.host, s.metric, s.subject, s.value) for s in one.samples)
        if isinstance(one, HostInventory):
            known = self._senses.inventories.get(one.host)
            return (known is None or (one.host in self._ledger.evacuating and not same_but_for_use(known, one))
                    or one.host in self._ledger.shutdowns.hosts()
                    or any(one.host in (m.source, m.target) for m in self._ledger.migrations.values()))
        if isinstance(one, AgentState):
            return one.host in self._ledger.power
        return isinstance(one, OperatorCommand | CallReturned | SelfSuspect | RivalSeen | PoliciesReplaced | PowerReturned
                          | ShutdownReturned)

    def _follow_clock(self, step: Step) -> None:
        """Where the wall clock was set, have what is noted keep its age; and at the start see that nothing is noted later
        than now: until then it would hold up what may begin."""
        now, by = step.now, self._books_clock.stepped(step.now)
        if since := self._clock.stepped(now):
            self._judge_of_health.step_clock(since)
            self._clock.keep(now)
        if by or (self._first and ahead(step.draft, now.wall) > CLOCK_STEP_SECONDS):
            step.book(ev.ClockStepped(now.wall, by, self._books_clock.booted()))

    def _absorb(self, one: Input, step: Step) -> None:
        match one:
            case Report():
                self._senses.telemetry.absorb(one)
            case AgentState():
                self._senses.agents[one.host] = one
            case HostInventory():
                self._loads.see(self._senses.see(one))
                if one.host in step.draft.confirmed_dead:
                    step.book(ev.HostSeenAlive(step.now.wall, one.host))
            case HostUnreachable():
                self._senses.miss(one)
            case CallReturned():
                self._senses.hear_return(one)
            case ProgressSeen():
                self._senses.hear_progress(one)
            case VmAsked():
                self._arrivals.hear(one)
            case PowerSeen():
                self._senses.power[one.host] = one
            case PowerReturned():
                self._senses.power_returned[one.order] = one
            case ShutdownReturned():
                self._senses.shutdown_returned[one.id] = one
            case _:
                self._absorb_rare(one, step)

    def _absorb_rare(self, one: Input, step: Step) -> None:
        match one:
            case BandwidthSet():
                self._senses.bandwidths[one.migration] = one.bandwidth_mib_s
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

    def _book_returns(self, step: Step) -> None:
        for key, one in sorted(self._senses.returned.items()):
            migration = step.draft.migrations.get(key)
            if migration is not None and migration.called is None:
                step.book(ev.MigrationCalled(step.now.wall, key, one.result, one.message,
                                             None if one.downtime is None else round(1000 * one.downtime, 1)))

    def _obey(self, command: OperatorCommand, step: Step) -> None:
        hosts = frozenset(host.name for host in self._cluster.hosts)
        reachable = frozenset(host for host in hosts if self._senses.is_reachable(host, step.now))
        events, answer = carry_out(command, step.draft, hosts, reachable, step.now.wall, self._why_not_off(command, step),
                                   self._cluster.timing, self._recommendations.current,
                                   self._under_way.parted(step.draft, step.now) if command.verb is Verb.ABORT else ())
        for event in events:
            step.book(event)
            if isinstance(event, ev.VerdictsAcknowledged):
                self._judge_of_health.acknowledge(event.host, step.now)
        step.answers.append(answer)

    def _why_not_off(self, command: OperatorCommand, step: Step) -> dict[HostName, str]:
        """Return why the host that is spoken of cannot be switched off now; asked only where it is to be."""
        host = HostName(command.subject)
        if command.verb not in OFF_VERBS or all(one.name != host for one in self._cluster.hosts):
            return {}
        outlook = self._outlook(step)
        snapshot = take(self._facts(step), step.draft, step.now, self._loads)
        no = why_not_off(None, host, snapshot, outlook, proving=command.verb is Verb.WAKE_TEST)
        return {} if no is None else {host: no.detail}

    def _outlook(self, step: Step) -> Outlook:
        return Outlook(step.draft, self._policies, self._trends, self._senses.agents, self._cluster.timing)

    def _judge(self, step: Step) -> None:
        deaf, hosts = self._gatekeeper.telemetry_trouble is not None, self._cluster.hosts
        self._verdicts = self._judge_of_health.judge(self._policies, hosts, step.draft, step.now, deaf=deaf)
        step.take(latching.newly_latched(self._verdicts, step.draft, step.now), ())
        names, reported = tuple(host.name for host in hosts), self._judge_of_health.reported
        for noted in self._notebook.counters_to_note(self._policies, names, reported, self._senses.telemetry, step.draft,
                                                     step.now):
            step.book(noted)

    def _reconcile(self, step: Step) -> None:
        reachable = frozenset(h.name for h in self._cluster.hosts if self._senses.is_reachable(h.name, step.now))
        # who is vouched to be dead shows something else than was seen: no turn of the hosts stands for that
        turn = -1 - step.revision if step.draft.confirmed_dead else self._senses.turn
        inventories = self._senses.inventories
        for dead in step.draft.confirmed_dead:
            # an operator vouches that it is off: it shows nothing, and it shows it now
            inventories = {**inventories, dead: showing_nothing(dead, step.now)}
            reachable |= {dead}
        ends = {end for m in step.draft.open_migrations() for end in (m.source, m.target)}
        undeclared = frozenset(ends.difference(host.name for host in self._cluster.hosts))
        empty = {host: showing_nothing(host, step.now) for host in undeclared}
        shown = {**inventories, **empty} if empty else inventories
        looked_at = frozenset(shown) | frozenset(self._senses.unreachable)
        sight = reconciliation.Sight(shown, reachable | undeclared, looked_at, self._senses.ended, self._looks, step.now,
                                     self._cluster.timing, undeclared)
        for settling in reconciliation.reconcile(step.draft, sight):
            event = with_rate(settling, step.draft, self._senses.progress)
            step.book(event)
            if isinstance(event, ev.MigrationSettled) and event.ending in ALARMING:
                step.notices.append(reconciliation.told_ending(event, step.draft.settled[-1]))
        step.notices.extend(reconciliation.standing_still(step.draft, sight))
        doubles = self._doubles.follow(step.draft, inventories, reachable, turn, step.now)
        step.take(doubles, map(told_double, (one for one in doubles if isinstance(one, ev.DuplicateSeen))))
        moved = self._homes.follow(step.draft, inventories, reachable, turn, step.now)
        step.take(moved, map(told_move, moved))

    def _facts(self, step: Step) -> tuple[HostFacts, ...]:
        return facts_of(self._cluster, self._senses, self._loads, self._verdicts.health, step.draft, self._quarantined(),
                        step.now)

    def _quarantined(self) -> frozenset[HostName]:
        """Return the hosts on which nothing new may start, by the response to what fires there."""
        return frozenset([host.name for host in self._cluster.hosts
                          if self._verdicts.health(host.name) is not Health.HEALTHY
                          and evaluation.quarantined(host, self._policies, self._verdicts) is not None])

    def _decide(self, step: Step, snapshot: Snapshot) -> Decision:
        blast = evaluation.blast_radius(self._policies, self._cluster.hosts, self._verdicts, step.now)
        self._follow_site_event(step, blast)
        outlook = self._outlook(step)
        intents = self._intents(step, snapshot, outlook)
        gates = self._gatekeeper.gates(snapshot, step.draft, self._policies.limits, step.now)
        if self._gatekeeper.freeze_ended:
            self._restart_holds()
        plan_made = self._plan(step, snapshot, intents)
        offered = self._recommendations.follow(plan_made, intents, self._policies, step.draft,
                                               self._cluster.timing.recommendation, snapshot, held=bool(gates))
        step.take(offered.events, offered.notices)
        others, limits = self._under_way.others, self._policies.limits
        others.follow(self._cluster.hosts, step.draft, limits.give_way, step.now)
        admission = admit(plan_made, intents, snapshot, step.draft, self._policies, gates, self._cluster.timing,
                          step.revision, offered.approved, self._shutdowns.going_down(step.draft, step.now),
                          None if limits.give_way is None else others, self._under_way.asks())
        granted = self._switchboard.still_wanted(admission.orders, plan_made, snapshot, outlook, self._senses)
        orders = self._book_orders(step, granted, admission.begins, intents, offered.approved)
        record_at = partial(self._senses.record, now=step.now)
        step.take(to_check(orders, record_at, self._cluster.arrival_checks, step.now.wall), ())
        step.take(to_note(orders, record_at, step.draft, step.now.wall), ())
        tunes = () if gates else self._under_way.tell_again(
            step.draft, self._book_tunes(step, admission.tunes), step.revision, step.now)
        step.take(*close_evacuations(snapshot, step.draft, intents))
        step.notices.extend(self._strandings.follow(plan_made, intents, gates, step.draft, snapshot))
        switching = self._switch(step, snapshot, outlook, plan_made, gates)
        shutting = self._shut_down(step, snapshot, intents, plan_made, gates)
        care = self._under_way.follow(step.draft, self._policies, self._verdicts.health, gates, admission.peaks,
                                      step.revision, step.now)
        step.take(care.events, care.notices)
        asked = self._arrivals.follow(step.draft, record_at, self._senses.looked_since, step.now)
        step.take(asked.events, asked.notices)
        self._probe_journal(step)
        made = Plan(plan_made.moves, (*plan_made.refusals, *switching.refusals, *shutting.refusals),
                    (*admission.deferrals, *switching.deferrals, *shutting.deferrals))
        portrait = Portrait(snapshot, step.draft, self._policies, self._senses, self._verdicts, intents, made, orders,
                            gates, step.now, step.revision, self._gatekeeper.telemetry_trouble, self._recent.newest_first(),
                            self._recommendations.current, self._cluster.arrival_checks, admission.given)
        self._pending = step
        return Decision(
            step.revision, tuple(step.events), orders, care.aborts, tunes, care.downtimes, care.post_copies,
            care.autostarts, shutting.orders, asked.checks, switching.orders,
            self._cordons(step), tuple(step.answers), tuple(step.notices), clearance(snapshot, step.draft, gates), portrait,
            self._wake_at(step, gates, made.deferrals))

    def _intents(self, step: Step, snapshot: Snapshot, outlook: Outlook) -> tuple[Intent, ...]:
        """Return everything that ought to change: what may be done before what is only looked at, so that a policy on
        trial takes no room from one that governs; within that saving, then broken must-rules, relief, broken wishes,
        packing, evenness."""
        saving = evaluation.intents(self._policies, self._cluster.hosts, self._verdicts, step.draft, step.now)
        step.take(*changes(self._policies, step.draft, step.now.wall))
        easing = balance_intents(self._policies, snapshot, self._trends)
        packing = empty_intents(snapshot, outlook)
        relief = tuple(i for i in easing if i.kind is IntentKind.RELIEVE)
        evening = tuple(i for i in easing if i.kind is not IntentKind.RELIEVE)
        musts, wishes = (repair_intents(self._policies, snapshot, self._trends, must=must) for must in (True, False))
        wanted = held_back((*saving, *musts, *relief, *wishes, *packing, *evening), step.draft)
        return tuple(sorted(wanted, key=lambda intent: intent.mode is not Mode.AUTO))

    def _switch(self, step: Step, snapshot: Snapshot, outlook: Outlook, made: Plan, gates: tuple[Gate, ...]) -> Switching:
        stuck = {no.host: no.detail for no in made.refusals if no.host is not None}
        switching = self._switchboard.follow(
            snapshot, outlook, self._senses, step.revision, held=bool(gates) or step.draft.broken is not None,
            held_all=any(gate.kind is not DeferralKind.FROZEN for gate in gates) or step.draft.broken is not None,
            stuck=stuck, unplaced=unplaced(made, step.draft))
        for event in switching.events:
            step.book(event)
            level = "alarm" if isinstance(event, pw.PowerFailed) else "info"
            told = tell(event)
            if told is not None:
                step.notices.append(Notice(level, f"power/{told.host}", told.text))
        lasts = self._cluster.timing.recommendation
        offered = self._recommendations.follow_switching(switching.suggested, step.draft, lasts, step.now, held=bool(gates))
        step.take(offered.events, offered.notices)
        return switching

    def _shut_down(self, step: Step, snapshot: Snapshot, intents: tuple[Intent, ...], made: Plan, gates: tuple[Gate, ...]
                   ) -> Shutting:
        shutting = self._shutdowns.follow(Scene(step.draft, self._policies, intents, made, gates, snapshot, self._senses,
                                                step.revision))
        step.take(shutting.events, shutting.notices)
        return shutting

    def _follow_site_event(self, step: Step, blast: evaluation.Blast) -> None:
        event = self._gatekeeper.site_event(step.draft.site_event, blast.reason, self._policies.limits, step.now)
        if event is not None:
            step.book(event)
            began = isinstance(event, ev.SiteEventBegun)
            text = f"site event: {blast.reason}; nothing new starts" if began else "the site event is over"
            step.notices.append(Notice("alarm" if began else "info", "site-event", text))

    def _restart_holds(self) -> None:
        """After a freeze every hold timer starts again: what was pending then proves nothing now."""
        self._judge_of_health.restart_holds()
        self._trends.restart_holds()

    def _plan(self, step: Step, snapshot: Snapshot, intents: tuple[Intent, ...]) -> Plan:
        try:
            made = plan(snapshot, step.draft, intents, self._policies, self._course)
        except PlanUnsound as error:
            detail = f"our own plan is unsound: {error}"
            if step.draft.broken is None or step.draft.broken.detail != detail:
                step.book(ev.InvariantFailed(step.now.wall, detail))
                step.notices.append(Notice("alarm", "invariant", detail))
            return Plan()
        self._course = course_of(made)
        return made

    def _book_orders(self, step: Step, orders: tuple[Order, ...], begins: tuple[HostName, ...],
                     intents: tuple[Intent, ...], approved: Mapping[VmId, str]) -> tuple[Order, ...]:
        if step.draft.broken is not None:
            return ()
        for host in begins:
            step.book(ev.EvacuationBegun(step.now.wall, host, next(
                o.move.policy for o in orders if o.move.wanted_by == host)))
            because = next(i.because for i in intents if i.host == host)
            step.notices.append(Notice("warning", f"evacuation/{host}", f"emptying {host}: {because}"))
        for order in orders:
            step.book(ordered(order, step.draft, approved.get(order.move.vm, ""), step.now.wall))
            step.take(way_given(order.id, order.given, step.now.wall), ())
        return orders

    @staticmethod
    def _book_tunes(step: Step, tunes: tuple[TuneOrder, ...]) -> tuple[TuneOrder, ...]:
        for tune in tunes:
            step.book(ev.BandwidthOrdered(step.now.wall, tune.migration, tune.bandwidth_mib_s, tune.because,
                                          tune.climbs))
            step.take(way_given(tune.migration, tune.given, step.now.wall), ())
        return tunes

    def _probe_journal(self, step: Step) -> None:
        if self._gatekeeper.journal_is_failing and not step.events:
            step.book(ev.JournalRecovered(step.now.wall))

    def _cordons(self, step: Step) -> frozenset[HostName]:
        """Return the hosts whose agents should refuse guests: cordoned, draining, on their way off, or quarantined."""
        closed = {*step.draft.cordoned, *step.draft.drains, *step.draft.power, *self._quarantined()}
        return frozenset([host.name for host in self._cluster.hosts if host.name in closed])

    def _wake_at(self, step: Step, gates: tuple[Gate, ...], deferrals: tuple[Deferral, ...]) -> float | None:
        """Return when something may change though nothing is heard: a hold, a gate, a back-off, a deadline."""
        now, times = step.now, [*self._under_way.deadlines(), *self._trends.wakes(self._policies)]
        times += self._judge_of_health.wakes(now.monotonic)
        walls = [gate.until_wall for gate in gates]
        walls += [d.until_wall for d in deferrals if d.kind is not DeferralKind.MODE]
        times += [now.monotonic + max(0.0, wall - now.wall) for wall in walls if wall is not None]
        return min((t for t in times if t > now.monotonic), default=None)
