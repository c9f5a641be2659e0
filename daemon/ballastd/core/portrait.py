"""The picture that the mind draws of itself after each step. Reads everything, decides nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ballastd.core import evaluation, recommendations
from ballastd.core.admission import never_arrives
from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks
from ballastd.core.arrivals import flawed_checks
from ballastd.core.autonomy import Offer
from ballastd.core.autostarts import notes_of
from ballastd.core.books import DAY_SECONDS, HOUR_SECONDS, OPERATOR
from ballastd.core.calibration import calibrated
from ballastd.core.clearance import Gate
from ballastd.core.convergence import UNSAID_MS
from ballastd.core.cures import cures_of, told
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import NO_USAGE, DeclaredHost, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import Given, Move, Order, Plan, RefusalKind
from ballastd.core.policies import Mode, MoveBudget, PolicySet
from ballastd.core.power import PowerPhase
from ballastd.core.prediction import remaining
from ballastd.core.quantities import MIB, HostName, Instant, VmId, human_bytes, human_seconds
from ballastd.core.readiness import named
from ballastd.core.schedules import Leaving, schedule
from ballastd.core.senses import Senses
from ballastd.core.shutdown_books import GuestShutdown
from ballastd.core.snapshot import Snapshot
from ballastd.core.telemetry import KEEPALIVE_SECONDS_MIN
from ballastd.core.unmatched import without_vms
from ballastd.core.verdicts import Verdicts
from ballastd.core.views import (
    BudgetView,
    ClusterView,
    CoverageView,
    GateView,
    HostView,
    IntentView,
    LeavingView,
    MigrationView,
    MoveView,
    NoView,
    PairView,
    RecentView,
    ShutdownView,
    VerdictView,
    VmView,
    WindowView,
)

ACTING, AWAITED = "acting", "awaited"
SETTLED_SHOWN = 50
HALVES_FROM = 4
"""Of so many VMs it is told when half are safe."""
COVERAGE_POINTS = 50
_PARTLY = frozenset({IntentKind.RELIEVE, IntentKind.EVEN, IntentKind.REPAIR})
"""What does not empty a host."""


@dataclass(frozen=True)
class Portrait:
    """All that a view is drawn from, once somebody looks: until the next step, for what the senses know goes on."""

    snapshot: Snapshot
    ledger: Ledger
    policies: PolicySet
    senses: Senses
    verdicts: Verdicts
    intents: tuple[Intent, ...]
    plan: Plan
    orders: tuple[Order, ...]
    gates: tuple[Gate, ...]
    now: Instant
    revision: int
    telemetry_trouble: str | None
    recent: tuple[RecentView, ...] = ()
    recommended: frozenset[str] = frozenset()
    """The ids of what the plan would do that people are asked about."""
    arrival_checks: AllowedChecks = NOTHING_ALLOWED
    given: Mapping[str, Given] = field(default_factory=dict)
    """What the migrations under way that give way (ids) are given of their links now."""

    @property
    def posture(self) -> str:
        """The gate that holds everything up, in a word, or ``acting``."""
        return self.gates[0].kind.value if self.gates else ACTING

    @cached_property
    def never_arrive(self) -> frozenset[str]:
        """The ids of the open migrations that are known never to end by themselves."""
        return frozenset(m.id for m in self.ledger.open_migrations()
                         if never_arrives(m, self.snapshot, self.ledger, self.policies.limits))

    @cached_property
    def names(self) -> Mapping[VmId, str]:
        """The names of the VMs that the plan speaks of by their ids."""
        return _names(self)

    @cached_property
    def noes(self) -> tuple[NoView, ...]:
        """What the plan refuses or puts off."""
        return _noes(self)

    @cached_property
    def view(self) -> ClusterView:
        """The view of this step."""
        return _draw(self)


@dataclass(slots=True)
class _Shown:
    """What one walk over the VMs of all inventories finds: a view of each where it is shown, how many run per host, and
    those whose owner names a check, or tries to."""

    views: dict[tuple[VmId, HostName], VmView] = field(default_factory=dict)
    running: dict[HostName, int] = field(default_factory=dict)
    checked: dict[VmId, VmRecord] = field(default_factory=dict)


def _draw(p: Portrait) -> ClusterView:
    shown, names = _shown(p), p.names
    intents = tuple(_intent(p, intent, names) for intent in p.intents)
    return ClusterView(
        revision=p.revision, wall=p.now.wall, posture=p.posture,
        gates=tuple(GateView(g.kind.value, g.reason, g.until_wall) for g in p.gates),
        hosts=tuple(_host(p, row, shown.running) for row in range(len(p.snapshot.facts))),
        vms=tuple(sorted(shown.views.values(), key=lambda view: (view.name, view.id, view.host))),
        migrations=_migrations(p),
        intents=intents,
        moves=_moves(p, names, {(intent.policy, one.vm): one for intent in intents for one in intent.schedule}),
        noes=p.noes,
        budgets=_budgets(p),
        policies_digest=p.policies.digest,
        notes=_notes(p, shown.checked.values()),
        windows=_windows(p),
        recent=p.recent,
        recommendations=recommendations.shown(p.ledger, p.now.wall, p.recommended),
        rejections=recommendations.rejections(p.ledger, p.now.wall),
        demotions=recommendations.demotions(p.ledger), pairs=_pairs(p), shutdowns=_shutdowns(p),
    )


def _windows(p: Portrait) -> tuple[WindowView, ...]:
    found = []
    for name, window in sorted(p.policies.windows.items()):
        closes = window.open_until(p.now.wall)
        changes = closes if closes is not None else window.next_open(p.now.wall)
        ahead = tuple(interval for interval in window.intervals if interval[1] > p.now.wall)
        found.append(WindowView(name, window.allows, closes is not None, changes, ahead, window.horizon))
    return tuple(found)


def _notes(p: Portrait, checked: Iterable[VmRecord]) -> tuple[str, ...]:
    """Return what an operator should put right: the broker, and host-to-host keepalives that invite two copies."""
    found = [f"telemetry: {p.telemetry_trouble}"] if p.telemetry_trouble else []
    asked = sum(1 for one in recommendations.shown(p.ledger, p.now.wall, p.recommended) if not one.by)
    if asked:
        found.append(f"{asked} recommendation(s) wait for an answer: ballastctl plan")
    found.extend(f"{name} only recommends, though it says auto: {e.because}; once its cause is known: ballastctl policy "
                 f"promote {name}" for name, e in sorted(p.ledger.autonomy.demoted.items()))
    found.extend(without_vms(p.policies, p.snapshot))
    found.extend(flawed_checks(checked, p.arrival_checks))
    found.extend(f"{one.vm_name} is asked to shut down on {one.host}: ballastctl explain {one.vm}"
                 for one in p.ledger.shutdowns.open() if one.is_asked)
    found.extend(f"{one.vm_name} was shut down on {one.host}, and runs nowhere: ballastctl vm definition {one.vm}"
                 for one in p.ledger.shutdowns.missed())
    found.extend(notes_of(p.ledger))
    for host, agent in sorted(p.senses.agents.items()):
        if agent.keepalive is not None and agent.keepalive[0] * agent.keepalive[1] < KEEPALIVE_SECONDS_MIN:
            found.append(f"{host}: its libvirt gives a peer up after {agent.keepalive[0]} s x {agent.keepalive[1]}; a "
                         "hiccup can then fail a migration or leave two copies; set 5 s x 24 in qemu.conf and libvirtd.conf")
    found.extend(f"{fact.declared.name}: its load is not believed: {fact.load.doubt}" for fact in p.snapshot.facts
                 if fact.load.doubt)
    return tuple(found)


def _host(p: Portrait, row: int, running: Mapping[HostName, int]) -> HostView:
    fact, hosts = p.snapshot.facts[row], p.snapshot.hosts
    name, inventory, agent = fact.declared.name, fact.inventory, p.senses.agents.get(fact.declared.name)
    carried, least = _network(p, row)
    unreachable = p.senses.unreachable.get(name)
    marks = [word for word, marked in (("cordoned", p.ledger.cordoned), ("draining", p.ledger.drains),
                                       ("evacuating", p.ledger.evacuating), ("dead", p.ledger.confirmed_dead))
             if name in marked]
    if name in p.ledger.frozen_hosts():
        marks.append("frozen")
    return HostView(
        name=name, health=fact.health.name.lower(), marks=tuple(marks), target=not fact.avoid,
        why_not=tuple(told((no,)) for no in fact.avoid), reachable=fact.reachable,
        inventory_age=None if inventory is None else max(0.0, p.now.monotonic - inventory.taken.monotonic),
        telemetry_age=p.senses.telemetry.age(name, p.now), reports_heard=p.senses.telemetry.heard(name),
        agent="unheard" if agent is None else "online" if agent.online else "offline",
        hook=agent is not None and agent.hook, cpu_utilization=fact.cpu_utilization,
        memory_total=inventory.memory_total if inventory else 0, memory_limit=int(hosts.limit[row]),
        memory_used=int(hosts.used[row]), memory_reserved=int(hosts.reserved[row]),
        memory_room=int(hosts.room[row]),
        vms_running=running.get(name, 0),
        migrations_in=int(hosts.jobs_in[row]), migrations_out=int(hosts.jobs_out[row]),
        verdicts=_verdicts(p, name), labels=fact.declared.labels,
        unreachable_reason=unreachable.reason if unreachable else "",
        cpu_limit=fact.load.limit, processors=fact.load.machine, cpu_by_vms=fact.load.by_vms, **_power(p, fact.declared),
        network_limit=fact.declared.network_mib_s, network_by_vms=carried, network_least=least,
    )


def _network(p: Portrait, row: int) -> tuple[float | None, float | None]:
    """Return what the VMs of a host carry, MiB/s, all of them and as far as it is known; None where that is not known, or
    nobody says how much they can."""
    fact, hosts = p.snapshot.facts[row], p.snapshot.hosts
    if fact.declared.network_mib_s is None or fact.inventory is None:
        return None, None
    carried = float(hosts.network[row])
    return None if math.isnan(carried) else carried, float(hosts.network_least[row])


def _power(p: Portrait, declared: DeclaredHost) -> dict[str, str]:
    """Return the power of a host as its view shows it: where it is on its way, and what its controller said last."""
    power, seen = p.ledger.power.get(declared.name), p.senses.power.get(declared.name)
    said = ""
    if seen is not None:
        said = f"its controller says {seen.status.state.value}" if seen.status else f"its controller: {seen.reason}"
    if power is None:
        proof = p.ledger.wakeable.get(declared.name)
        proved = "" if proof is None else f"can be woken: proved {human_seconds(max(0.0, p.now.wall - proof))} ago"
        return {"power": "on" if declared.power else "unmanaged", "power_detail": "; ".join(filter(None, (said, proved)))}
    since = human_seconds(max(0.0, p.now.wall - power.since_wall))
    return {"power": power.phase.value, "power_detail": "; ".join(filter(
        None, (f"for {since}: {power.policy}: {power.because}", said)))}


def _verdicts(p: Portrait, host: HostName) -> tuple[VerdictView, ...]:
    found = []
    for policy in p.policies.health:
        verdict = p.verdicts.get((policy.name, host))
        if verdict is None:
            continue
        latch = p.ledger.latched.get((policy.name, host))
        evidence = evaluation.describe(verdict.evidence, policy) if verdict.evidence else ""
        found.append(VerdictView(
            policy.name, policy.severity.name.lower(), verdict.phase.value, latch.wall if latch else verdict.since.wall,
            latch is not None, latch.evidence if latch else evidence))
    return tuple(found)


def _shown(p: Portrait) -> _Shown:
    shown = _Shown()
    cpu = dict(zip(p.snapshot.vms.ids, p.snapshot.vms.cpu.tolist(), strict=True))
    for fact in p.snapshot.facts:
        if fact.inventory is None:
            continue
        usage, running = fact.inventory.usage, 0
        for r in fact.inventory.vms:
            running += r.state is VmState.RUNNING
            if r.check is not None or r.check_flaw:
                shown.checked[r.vm] = r
            migration = p.ledger.open_migration_of(r.vm)
            shown.views[r.vm, fact.declared.name] = VmView(
                r.vm, r.name, fact.declared.name, r.state.value, r.memory_max, r.vcpus, r.priority,
                tuple(f"{pin.kind.value}: {pin.thing}; cure: {pin.cure}" for pin in r.pins),
                migration.id if migration else "", _cpu(cpu.get(r.vm)), usage.get(r.vm, NO_USAGE).memory, r.tags,
                r.group, r.ignored, r.mobility.value, r.downtime_max_ms, r.post_copy, r.memory_max - r.ordinary,
                r.shutdown, _shutdown_state(p, r.vm, fact.declared.name), _check_of(p, r),
                r.check_flaw or (p.arrival_checks.why_not(r.check) if r.check else ""))
        shown.running[fact.declared.name] = running
    return shown


def _names(p: Portrait) -> Mapping[VmId, str]:
    wanted = {*(vm for move in p.plan.moves for vm in move.after), *(no.vm for no in p.plan.refusals if no.vm),
              *(no.vm for no in p.plan.deferrals if no.vm)}
    named_there = {vm: record.name for vm, record in zip(p.snapshot.vms.ids, p.snapshot.records, strict=True)
                   if vm in wanted} if wanted else {}
    named_there.update((one.vm, one.vm_name) for one in p.ledger.open_migrations())
    named_there.update((one.vm, one.vm_name) for one in p.plan.moves)
    return named_there


def _check_of(p: Portrait, record: VmRecord) -> str:
    """Return how a VM is asked whether it answers, empty where it is not, or must not be."""
    return record.check.words() if record.check is not None and not p.arrival_checks.why_not(record.check) else ""


def _cpu(used: float | None) -> float | None:
    return None if used is None or math.isnan(used) else used


def _migrations(p: Portrait) -> tuple[MigrationView, ...]:
    settled = list(p.ledger.settled)[-SETTLED_SHOWN:]
    return tuple(_migration(p, m) for m in (*p.ledger.open_migrations(), *reversed(settled)))


def _migration(p: Portrait, m: Migration) -> MigrationView:
    seen, given = p.senses.progress.get(m.id), p.given.get(m.id)
    progress = None if seen is None or m.ending else seen.progress
    share = None
    if progress is not None and progress.memory_total > 0:
        share = 1.0 - min(1.0, progress.memory_remaining / progress.memory_total)
    end = p.now.wall if m.settled_wall is None else m.settled_wall
    return MigrationView(
        m.id, m.vm, m.vm_name, m.source, m.target, m.phase.value, m.ending.value if m.ending else "", m.policy,
        m.because, m.ordered_wall, m.settled_wall, m.deadline_wall, m.bandwidth_mib_s, m.predicted,
        max(0.0, end - m.ordered_wall), 1.0 if m.ending else share, m.adopted, m.abort_reason or m.call_message,
        None if progress is None else progress.throughput_bytes_s / MIB, m.runners_up, m.why_not,
        None if progress is None else remaining(progress, m.downtime_ms or UNSAID_MS),
        progress.iteration if progress and progress.iteration else None,
        progress.memory_remaining if progress and progress.memory_total else None,
        progress.dirty_bytes_s / MIB if progress and progress.dirty_bytes_s else None, m.downtime_ms,
        1000 * progress.expected_downtime if progress and progress.iteration > 1 else None, m.auto_converge,
        m.post_copy_because, m.downtime_predicted_ms, m.downtime_took_ms, m.check.words() if m.check else "",
        m.answered_before, m.arrival.value if m.arrival else AWAITED if m.id in p.ledger.arrivals else "", m.arrival_detail,
        m.arrival_seconds, m.id not in p.never_arrive, m.gives_way if given is None else given.because,
        0 if given is None else max(0, given.bandwidth_mib_s + given.less_mib_s - m.bandwidth_mib_s), m.bandwidth_because)


def _pairs(p: Portrait) -> tuple[PairView, ...]:
    """Return how moves went, all pairs together first."""
    known, nobody = calibrated(p.ledger.settled, p.now.wall), HostName("")
    found = [] if known.everywhere is None else [PairView("", "", known.everywhere.moves, known.everywhere.factor,
                                                          known.factor(nobody, nobody), known.everywhere.downtime)]
    found += [PairView(source, target, one.moves, one.factor, known.factor(source, target), one.downtime, one.tried,
                       one.failed, one.risk) for (source, target), one in sorted(known.pairs.items())]
    return tuple(found)


def _shutdown_state(p: Portrait, vm: VmId, host: HostName) -> str:
    one = p.ledger.shutdowns.by_vm.get(vm)
    return "" if one is None or one.host != host or not _is_of_late(one, p.now.wall) else one.state


def _is_of_late(one: GuestShutdown, wall: float) -> bool:
    """Return whether a shutdown is anything to anybody: one that is over is history after a day."""
    return one.ended_wall is None or one.is_missed or wall - one.ended_wall < DAY_SECONDS


def _shutdowns(p: Portrait) -> tuple[ShutdownView, ...]:
    shown = [one for one in reversed(p.ledger.shutdowns.by_vm.values()) if _is_of_late(one, p.now.wall)]
    return tuple(ShutdownView(
        one.id, one.vm, one.vm_name, one.host, one.policy, one.because,
        one.state, one.detail or one.withdrawn, one.times, one.ordered_wall, one.asked_wall, one.ended_wall,
        one.over) for one in shown)


def _intent(p: Portrait, intent: Intent, names: Mapping[VmId, str]) -> IntentView:
    left = len(p.snapshot.vms_on(intent.host))
    held = any(intent.host not in gate.passes for gate in p.gates)
    state = "done" if left == 0 and not intent.routine else "held" if held else "active"
    if intent.mode is not Mode.AUTO and left:
        state = "recommended" if intent.mode is Mode.RECOMMEND else "observed"
    leavings = () if intent.kind in _PARTLY else _leavings(p, intent)
    return IntentView(intent.kind.value, intent.host, intent.policy, intent.because, intent.severity.name.lower(),
                      intent.mode.value, intent.since.wall, intent.deadline_wall, state, left,
                      "" if intent.kind in _PARTLY else _forecast(p, intent, leavings, names),
                      _coverage(leavings), tuple(_leaving(p, intent, one, names) for one in leavings))


def _leaving(p: Portrait, intent: Intent, one: Leaving, names: Mapping[VmId, str]) -> LeavingView:
    late = 0.0 if intent.deadline_wall is None else one.ends - (intent.deadline_wall - p.now.wall)
    return LeavingView(one.vm, names.get(one.vm, one.vm), one.target, round(one.begins, 1), round(one.ends, 1),
                       round(late, 1) if late > 0 else None)


def _leavings(p: Portrait, intent: Intent) -> tuple[Leaving, ...]:
    under_way = p.ledger.open_migrations()
    links = dict(zip(p.snapshot.hosts.names, p.snapshot.hosts.link_mib_s.tolist(), strict=True))
    # what moves elsewhere takes its share of links and limits, and is nobody who leaves here; nor does who gets nowhere
    found, endless = schedule(_wanted(p, intent), under_way, links, p.policies.limits, p.now.wall), _endless(p, intent)
    return tuple(one for one in found if one.source == intent.host and one.vm not in endless)


def _endless(p: Portrait, intent: Intent) -> frozenset[VmId]:
    """Return the VMs that leave a host, or are planned to for an intent, though copying them never ends by itself."""
    planned = (one.vm for one in _wanted(p, intent) if one.source == intent.host and not one.ends)
    begun = (m.vm for m in p.ledger.open_migrations() if m.source == intent.host and m.id in p.never_arrive)
    return frozenset((*planned, *begun))


def _wanted(p: Portrait, intent: Intent) -> Iterator[Move]:
    """Yield the moves that are planned for an intent and have not begun."""
    begun = {one.vm for one in p.ledger.open_migrations()}
    return (one for one in p.plan.moves
            if one.wanted_by == intent.host and one.policy == intent.policy and one.vm not in begun)


def _forecast(p: Portrait, intent: Intent, leavings: tuple[Leaving, ...], names: Mapping[VmId, str]) -> str:
    """Return in words what will be saved and by when, who is too late, and how much cannot leave, or has nowhere to go."""
    rows = p.snapshot.vms_on(intent.host)
    stay = sum(1 for vm in rows if p.snapshot.vm_why_not[vm])
    homeless = sum(1 for no in p.plan.refusals if no.kind is RefusalKind.NO_TARGET and no.host == intent.host)
    told = []
    if leavings:
        left = float("inf") if intent.deadline_wall is None else intent.deadline_wall - p.now.wall
        words = (f"{len(leavings)} VM(s), {human_bytes(sum(one.memory for one in leavings))}, in about "
                 f"{human_seconds(leavings[-1].ends)} once they may start")
        if len(leavings) >= HALVES_FROM:
            words += f", half of them after {human_seconds(leavings[(len(leavings) - 1) // 2].ends)}"
        late = [names.get(one.vm, one.vm) for one in leavings if one.ends > left]
        if intent.deadline_wall is not None:
            words += f", {len(leavings) - len(late)} of them by the deadline"
        told.append(words)
        if late:
            told.append(f"too late: {named(late)}")
    if endless := len(_endless(p, intent)):
        told.append(f"{endless} dirty memory as fast as it is copied")
    if stay:
        told.append(f"{stay} cannot leave")
    if homeless:
        told.append(f"{homeless} have nowhere to go")
    return "; ".join(told)


def _coverage(leavings: tuple[Leaving, ...]) -> tuple[CoverageView, ...]:
    """Return the curve, in no more points than can be shown."""
    points, memory = [], 0
    step = max(1, len(leavings) // COVERAGE_POINTS)
    for number, one in enumerate(leavings, 1):
        memory += one.memory
        if number % step == 0 or number == len(leavings):
            points.append(CoverageView(round(one.ends, 1), number, memory))
    return tuple(points)


def _moves(p: Portrait, names: Mapping[VmId, str], leaves: Mapping[tuple[str, str], LeavingView]) -> tuple[MoveView, ...]:
    starting = {order.move.vm for order in p.orders}
    offers = {(o.vm, o.target): o for o in p.ledger.autonomy.offers.values() if p.now.wall < o.until_wall}
    return tuple(_move(m, offers.get((m.vm, m.target)), names, leaves.get((m.policy, m.vm)), starting=m.vm in starting)
                 for m in p.plan.moves)


def _move(m: Move, offer: Offer | None, names: Mapping[VmId, str], leaves: LeavingView | None, *, starting: bool
          ) -> MoveView:
    state = "starting" if starting else "waiting"
    if offer is not None and not starting:
        state = "approved" if offer.approved_by else "recommended"
    return MoveView(m.vm, m.vm_name, m.source, m.target, m.memory, m.predicted, m.policy, m.because, state, m.runners_up,
                    m.why_not, offer.id if offer else "", m.account, m.after, tuple(names.get(vm, vm) for vm in m.after),
                    m.room_for or "", m.ends, leaves)


def _noes(p: Portrait) -> tuple[NoView, ...]:
    names = p.names
    cannot = [NoView("refusal", r.kind.value, r.detail, r.vm or "", names.get(r.vm, "") if r.vm else "", r.host or "",
                     against=r.against, cure=cures_of(r))
              for r in p.plan.refusals]
    not_yet = [NoView("deferral", d.kind.value, d.detail, d.vm or "", names.get(d.vm, "") if d.vm else "", d.host or "",
                      d.until_wall) for d in p.plan.deferrals]
    return (*cannot, *not_yet)


def _budgets(p: Portrait) -> tuple[BudgetView, ...]:
    limits, ledger = p.policies.limits, p.ledger
    in_flight = sum(1 for m in ledger.open_migrations() if m.holds_slot) + p.snapshot.foreign_jobs
    begun = ledger.evacuations_since(p.now.wall - HOUR_SECONDS)
    automatic = sum(1 for e in ledger.evacuating.values() if e.policy != OPERATOR)
    wall = p.now.wall
    routine = [budget for name, limit in _routine_limits(p) for budget in (
        BudgetView(f"{name}: moves in flight", sum(1 for m in ledger.open_migrations() if m.policy == name and m.holds_slot),
                   limit.in_flight),
        BudgetView(f"{name}: moves within the hour", ledger.routine_since(wall - HOUR_SECONDS, name), limit.per_hour),
        BudgetView(f"{name}: moves within the day", ledger.routine_since(wall - DAY_SECONDS, name), limit.per_day))]
    off = sum(1 for power in ledger.power.values() if power.phase is not PowerPhase.FAILED)
    allowed = max(1, int(limits.hosts_off_share * len(p.snapshot.hosts.names)))
    power = [BudgetView("hosts off or on their way", off, allowed)] if p.policies.consolidation else []
    return (
        BudgetView("migrations in flight", in_flight, limits.in_flight_cluster),
        BudgetView("hosts being evacuated", automatic, limits.evacuations_at_once),
        BudgetView("evacuations begun within the hour", begun, limits.evacuations_per_hour),
        *routine, *power,
    )


def _routine_limits(p: Portrait) -> list[tuple[str, MoveBudget]]:
    return [*((balance.name, balance.budget) for balance in p.policies.balance),
            *((packing.name, packing.budget) for packing in p.policies.consolidation),
            *((rule.name, rule.budget) for rule in p.policies.placement if rule.mode is not Mode.OBSERVE)]
