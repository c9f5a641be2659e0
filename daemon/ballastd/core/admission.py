"""Which planned moves may start now; for the others, why not yet and until when.

Every move passes every budget at once. Nothing here looks at a clock, a socket or a task: gates are values the
controller hands in.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ballastd.core.books import DAY_SECONDS, HOUR_SECONDS, OPERATOR, allowed_again
from ballastd.core.clearance import Gate
from ballastd.core.climbing import Asks, Climb
from ballastd.core.convergence import ladder
from ballastd.core.domains import AT_A_TIME_SECONDS, first_apart
from ballastd.core.giving_way import WHOLE, Others, Way, link_of
from ballastd.core.intents import Intent, IntentKind, Wants
from ballastd.core.inventory import Dirtying, VmRecord
from ballastd.core.last_resorts import may_begin
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Failure, Migration
from ballastd.core.plans import Deferral, DeferralKind, Given, Move, Order, Plan, TuneOrder
from ballastd.core.policies import Limits, Mode, PolicySet, Timing, Window
from ballastd.core.prediction import Passage, fair_share, foretell, never_ends
from ballastd.core.quantities import GIB, HostName, Seconds, VmId
from ballastd.core.sharing import Links, Sharing, climbs, dirtying_now, hurry, retune, share
from ballastd.core.snapshot import Snapshot
from ballastd.core.statements import have_left

FIT_FACTOR = 1.5
NOBODY: Mapping[VmId, float] = MappingProxyType({})
NO_ASKS = Asks()
WITHHELD_PAUSE_SECONDS = 2.0
WITHHELD_PAUSE_MAX_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Admission:
    """What may start, what must wait, which evacuations begin with it, and new bandwidths for running jobs. ``given``: what
    those under way (ids) that give way are given now, and why; ``peaks``: what those (ids) may be given instead that do not
    converge with that, MiB/s."""

    orders: tuple[Order, ...]
    deferrals: tuple[Deferral, ...]
    begins: tuple[HostName, ...]
    tunes: tuple[TuneOrder, ...]
    given: Mapping[str, Given]
    peaks: Mapping[str, int]


@dataclass(slots=True)
class _Tally:
    """What is in flight as orders are granted one by one."""

    cluster: int
    out: dict[HostName, int]
    into: dict[HostName, int]
    granted: list[tuple[Move, int]] = field(default_factory=list)
    begins: list[HostName] = field(default_factory=list)
    routine: dict[str, int] = field(default_factory=dict)


def admit(plan: Plan, intents: tuple[Intent, ...], snapshot: Snapshot, ledger: Ledger, policies: PolicySet,
          gates: tuple[Gate, ...], timing: Timing, revision: int, approved: Container[VmId] = (),
          going_down: Mapping[VmId, float] = NOBODY, others: Others | None = None,
          asks: Asks = NO_ASKS) -> Admission:
    """Return the orders that may start now, in plan order, and a deferral for each other move.

    ``approved``: VMs whose planned moves a person approved: the mode of their policy does not hold them, all else does.
    ``going_down``: VMs that were asked to shut down just now, and until when (wall) they may be on their way down.
    ``others``: what others use of links, None where nobody gives way. It changes what jobs are given, and not what may
    start: that rests on static shares. ``asks``: who does not converge with what it has.
    """
    tally = _tally(snapshot, ledger)
    links = Links(snapshot, ledger, policies.limits, tally.out, tally.into, others, asks)
    climbing = climbs(links)
    wants = Wants(intents)
    deferrals: list[Deferral] = []
    for move in plan.moves:
        intent = wants.of(move.wanted_by, move.policy, routine=move.routine, makes_room=move.room_for is not None)
        no = (_deferral(move, intent, tally, snapshot, ledger, policies, gates, going_down.get(move.vm),
                        approved=move.vm in approved) or _held_back(move, climbing, snapshot))
        if no is not None:
            deferrals.append(no)
            continue
        if intent.routine:
            tally.routine[move.policy] = tally.routine.get(move.policy, 0) + 1
        elif move.wanted_by not in ledger.evacuating and move.wanted_by not in tally.begins:
            tally.begins.append(move.wanted_by)
        tally.cluster += 1
        tally.out[move.source] += 1
        tally.into[move.target] += 1
        tally.granted.append((move, len(tally.granted) + 1))
    sharing = share(links, [move for move, _ in tally.granted])
    orders = tuple(_order(move, number, snapshot, ledger, sharing, policies, timing, revision)
                   for move, number in tally.granted)
    running = {m.id: sharing.given(m) for m in ledger.open_migrations() if m.id in sharing.parts}
    return Admission(orders, tuple(deferrals), tuple(tally.begins), retune(sharing, ledger, running, revision),
                     {m.id: running[m.id] for m in ledger.open_migrations() if m.gives_way is not None and m.id in running},
                     sharing.peaks)


def _tally(snapshot: Snapshot, ledger: Ledger) -> _Tally:
    names = snapshot.hosts.names
    booked = sum(1 for m in ledger.open_migrations() if m.holds_slot)
    return _Tally(
        cluster=booked + snapshot.foreign_jobs,
        out={name: int(snapshot.hosts.jobs_out[i]) for i, name in enumerate(names)},
        into={name: int(snapshot.hosts.jobs_in[i]) for i, name in enumerate(names)},
    )


def _deferral(move: Move, intent: Intent, tally: _Tally, snapshot: Snapshot, ledger: Ledger,
              policies: PolicySet, gates: tuple[Gate, ...], goes_down_until: float | None, *, approved: bool
              ) -> Deferral | None:
    for gate in gates:
        if move.source not in gate.passes:
            return Deferral(gate.kind, gate.reason, move.vm, move.source, gate.until_wall)
    if intent.mode is not Mode.AUTO and not (approved and intent.mode is Mode.RECOMMEND):
        return Deferral(DeferralKind.MODE, f"policy {intent.policy} is in mode {intent.mode.value}", move.vm,
                        move.source)
    waits = _waits(move, snapshot, ledger) or _goes_down(move, goes_down_until)
    if waits is not None:
        return waits
    budget = (_routine_budget(move, intent, tally, snapshot, ledger) if intent.routine
              else _evacuation_budget(move, intent, tally, snapshot, ledger, policies.limits))
    return (budget or _another_domain(move, intent, tally, snapshot, ledger)
            or window_deferral(move, policies, snapshot.now.wall)
            or _back_off(move, ledger, policies.limits, snapshot.now.wall)
            or _in_flight(move, tally, policies.limits)
            or _bandwidth(move, tally, snapshot, policies.limits)
            or _outrun(move, intent, tally, snapshot, ledger, policies.limits))


def _waits(move: Move, snapshot: Snapshot, ledger: Ledger) -> Deferral | None:
    """Return for whom a move waits that needs the room of others at its target, until each of them is seen to be gone."""
    if not move.after:
        return None
    target = snapshot.row(move.target)
    there = [record.name for record, seen in zip(snapshot.records, snapshot.cast.seen_at, strict=True)
             if record.vm in move.after and (target in seen or ledger.open_migration_of(record.vm) is not None)]
    if not there:
        return None
    return Deferral(DeferralKind.WAITS, f"waits until {have_left(there, move.target)}", move.vm, move.source)


def _goes_down(move: Move, until: float | None) -> Deferral | None:
    """Return why a VM is not moved that was asked to shut down just now: it would go down on its way."""
    if until is None:
        return None
    return Deferral(DeferralKind.LAST_RESORT, "was asked to shut down, and may be going down just now", move.vm, move.source,
                    until)


def _routine_budget(move: Move, intent: Intent, tally: _Tally, snapshot: Snapshot, ledger: Ledger) -> Deferral | None:
    """Return which of a routine policy's limits is used up: at once, per hour, per day; or why an end still rests."""
    budget, wall, policy = intent.budget, snapshot.now.wall, intent.policy
    if budget is None:
        return None
    granted = tally.routine.get(policy, 0)
    flying = sum(1 for m in ledger.open_migrations() if m.policy == policy and m.holds_slot) + granted
    if flying >= budget.in_flight:
        return Deferral(DeferralKind.MOVES_IN_FLIGHT, f"{flying} moves of {policy} in flight, at most {budget.in_flight}",
                        move.vm, move.source)
    for kind, span, limit, words in ((DeferralKind.MOVES_PER_HOUR, HOUR_SECONDS, budget.per_hour, "an hour"),
                                     (DeferralKind.MOVES_PER_DAY, DAY_SECONDS, budget.per_day, "a day")):
        made = [o.wall for o in ledger.routine_orders if o.policy == policy and o.wall > wall - span]
        if len(made) + granted >= limit:
            return Deferral(kind, f"{len(made) + granted} moves of {policy} within {words}, at most {limit}", move.vm,
                            move.source, allowed_again([*made, *[wall] * granted], limit, span))
    return _settling(move, intent, snapshot, ledger) or _of_vm(move, intent, snapshot, ledger)


def _of_vm(move: Move, intent: Intent, snapshot: Snapshot, ledger: Ledger) -> Deferral | None:
    wall, limit = snapshot.now.wall, intent.budget.per_vm_per_day if intent.budget else 0
    made = [o.wall for o in ledger.routine_orders if o.vm == move.vm and o.wall > wall - DAY_SECONDS]
    if len(made) < limit:
        return None
    return Deferral(DeferralKind.MOVES_OF_VM, f"it was moved {len(made)} times within a day, at most {limit}", move.vm,
                    move.source, allowed_again(made, limit, DAY_SECONDS))


def _settling(move: Move, intent: Intent, snapshot: Snapshot, ledger: Ledger) -> Deferral | None:
    """After a move both ends are given time: their load has to be seen anew. A host being emptied needs no rest."""
    rest, wall = intent.cooldown.host_settle if intent.cooldown else Seconds(0.0), snapshot.now.wall
    for host in () if intent.kind is IntentKind.EMPTY else (move.source, move.target):
        touched = ledger.host_touched(host)
        if touched is not None and wall < touched + rest:
            return Deferral(DeferralKind.HOST_SETTLING, f"a move from or to {host} ended {wall - touched:.0f} s ago, it is "
                            f"left alone for {rest:g} s", move.vm, move.source, touched + rest)
    return None


def _evacuation_budget(move: Move, intent: Intent, tally: _Tally, snapshot: Snapshot, ledger: Ledger,
                       limits: Limits) -> Deferral | None:
    if move.wanted_by in ledger.evacuating or move.wanted_by in tally.begins:
        return None
    if intent.kind is IntentKind.DRAIN and intent.policy == OPERATOR:
        return None
    others = sorted({h for h, e in ledger.evacuating.items() if e.policy != OPERATOR} | set(tally.begins))
    if len(others) >= limits.evacuations_at_once:
        return Deferral(DeferralKind.EVACUATIONS_AT_ONCE, f"{', '.join(others)} being evacuated, at most "
                        f"{limits.evacuations_at_once} at once", move.vm, move.source)
    wall = snapshot.now.wall
    begun = ledger.evacuations_since(wall - HOUR_SECONDS) + len(tally.begins)
    if begun >= limits.evacuations_per_hour:
        starts = [start for start in ledger.evacuation_starts if start > wall - HOUR_SECONDS]
        until = allowed_again([*starts, *[wall] * len(tally.begins)], limits.evacuations_per_hour, HOUR_SECONDS)
        return Deferral(DeferralKind.EVACUATIONS_PER_HOUR, f"{begun} evacuations began within the hour, at most "
                        f"{limits.evacuations_per_hour}", move.vm, move.source, until)
    return None


def window_deferral(move: Move, policies: PolicySet, wall: float) -> Deferral | None:
    """Return why windows keep a move from starting at ``wall``; denials win; urgent moves ignore windows.

    A move names its windows; deny-windows that no policy names do not apply to it. With allow-windows, at least one
    must be open, and the move must fit into what is left of it with a margin of one half.
    """
    if move.urgent or not move.windows:
        return None
    named = [policies.windows[name] for name in move.windows]
    for window in named:
        end = window.open_until(wall)
        if not window.allows and (end is not None or not window.is_known(wall)):
            return Deferral(DeferralKind.WINDOW, f"window {window.name} denies", move.vm, move.source, end)
        starts = window.next_open(wall)
        if not window.allows and starts is not None and wall + move.predicted * FIT_FACTOR > starts:
            return Deferral(DeferralKind.WILL_NOT_FIT, f"needs {move.predicted * FIT_FACTOR:.0f} s, window "
                            f"{window.name} denies in {starts - wall:.0f} s", move.vm, move.source,
                            window.open_until(starts))
    allowing = [window for window in named if window.allows]
    return _no_window_fits(move, allowing, wall) if allowing else None


def _no_window_fits(move: Move, allowing: list[Window], wall: float) -> Deferral | None:
    names = ", ".join(window.name for window in allowing)
    closes = _open_until(allowing, wall)
    opens = min((s for window in allowing if (s := window.next_open(closes or wall)) is not None), default=None)
    if closes is None:
        return Deferral(DeferralKind.WINDOW, f"no window of {names} is open", move.vm, move.source, opens)
    left = closes - wall
    if move.predicted * FIT_FACTOR > left:
        return Deferral(DeferralKind.WILL_NOT_FIT, f"needs {move.predicted * FIT_FACTOR:.0f} s, {names} closes in "
                        f"{left:.0f} s", move.vm, move.source, opens)
    return None


def _open_until(allowing: list[Window], wall: float) -> float | None:
    """Return until when one or another of ``allowing`` is open without a gap, or None where none is at ``wall``."""
    closes: float | None = None
    while (later := max((end for window in allowing if (end := window.open_until(closes or wall)) is not None),
                        default=None)) is not None:
        closes = later
    return closes


def counted_failures(vm: VmId, ledger: Ledger, wall: float) -> tuple[Failure, ...]:
    """Return the failed moves of ``vm`` within a day that count against its retries: those that were begun."""
    return tuple(a for a in ledger.recent_failures(vm, wall - DAY_SECONDS) if not a.withheld)


def is_tried_out(vm: VmId, ledger: Ledger, limits: Limits, wall: float) -> bool:
    """Return whether so many moves of ``vm`` failed within a day that none is begun any more."""
    return len(counted_failures(vm, ledger, wall)) > limits.retries_per_move


def _back_off(move: Move, ledger: Ledger, limits: Limits, wall: float) -> Deferral | None:
    """Failed attempts back off by doubling and are counted; those the kernel withheld only back off."""
    attempts = ledger.recent_failures(move.vm, wall - DAY_SECONDS)
    failures = counted_failures(move.vm, ledger, wall)
    if is_tried_out(move.vm, ledger, limits, wall):
        until = allowed_again([failure.wall for failure in failures], limits.retries_per_move + 1, DAY_SECONDS)
        return Deferral(DeferralKind.BACK_OFF, f"{len(failures)} moves of it failed within a day, at most "
                        f"{limits.retries_per_move} retries", move.vm, move.source, until)
    if not attempts:
        return None
    last = attempts[-1]
    pause = limits.retry_backoff * 2 ** (len(failures) - 1)
    if last.withheld:
        row = next((i for i, a in enumerate(reversed(attempts)) if not a.withheld), len(attempts))
        pause = min(WITHHELD_PAUSE_MAX_SECONDS, WITHHELD_PAUSE_SECONDS * 2 ** (row - 1))
    if wall >= last.wall + pause:
        return None
    what = "was withheld by the kernel" if last.withheld else "failed"
    return Deferral(DeferralKind.BACK_OFF, f"the last attempt {what} {wall - last.wall:.0f} s ago, next in "
                    f"{last.wall + pause - wall:.0f} s", move.vm, move.source, last.wall + pause)


def _another_domain(move: Move, intent: Intent, tally: _Tally, snapshot: Snapshot, ledger: Ledger) -> Deferral | None:
    """Return why a host is not emptied now: hosts in another failure domain are. The kernel insists on it."""
    if move.routine:
        packs = intent.kind is IntentKind.EMPTY and move.room_for is None
        why = why_apart(move.source, lately_changed(ledger, snapshot), snapshot) if packs else None
    elif intent.policy == OPERATOR:
        return None
    else:
        moving: list[Move | Migration] = [move for move, _ in tally.granted]
        moving += [m for m in ledger.open_migrations() if m.holds_slot]
        why = why_apart(move.source, {m.source for m in moving if not m.routine and m.policy != OPERATOR}, snapshot)
    return None if why is None else Deferral(DeferralKind.EVACUATIONS_AT_ONCE, why, move.vm, move.source)


def lately_changed(ledger: Ledger, snapshot: Snapshot) -> Set[HostName]:
    """Return the hosts that are emptied or went off, now or lately: packing leaves other domains alone for a while."""
    return ledger.changed_since(snapshot.now.wall - AT_A_TIME_SECONDS).keys()


def why_apart(host: HostName, others: Set[HostName], snapshot: Snapshot) -> str | None:
    """Return why a host waits for others, of which one stands in another failure domain; None where none does."""
    known = [snapshot.facts[snapshot.row(other)].declared for other in sorted(others) if other in snapshot.hosts.rows]
    found = first_apart(snapshot.facts[snapshot.row(host)].declared, known) if known else None
    return None if found is None else f"{found} is or was changed by us just now: one failure domain at a time"


def _in_flight(move: Move, tally: _Tally, limits: Limits) -> Deferral | None:
    checks = (
        (DeferralKind.IN_FLIGHT_CLUSTER, tally.cluster, limits.in_flight_cluster, "in the cluster"),
        (DeferralKind.IN_FLIGHT_OUT, tally.out[move.source], limits.in_flight_host_out, f"out of {move.source}"),
        (DeferralKind.IN_FLIGHT_IN, tally.into[move.target], limits.in_flight_host_in, f"into {move.target}"),
    )
    for kind, used, limit, where in checks:
        if used >= limit:
            return Deferral(kind, f"{used} of {limit} in flight {where}", move.vm, move.source)
    return None


def _bandwidth(move: Move, tally: _Tally, snapshot: Snapshot, limits: Limits) -> Deferral | None:
    share = _share(snapshot, tally, move.source, move.target, limits, 1)
    first = tally.out[move.source] == 0 and tally.into[move.target] == 0
    if share >= limits.migration_minimum_mib_s or first:
        return None
    return Deferral(DeferralKind.BANDWIDTH, f"{share} MiB/s would be left for each, at least "
                    f"{limits.migration_minimum_mib_s:g} wanted", move.vm, move.source)


def _held_back(move: Move, climbing: tuple[Climb, ...], snapshot: Snapshot) -> Deferral | None:
    """Return why a move waits for one that climbs on one of its links, unless it is in more of a hurry, or waited enough."""
    for one in climbing:
        until, shared = one.until_wall, {(move.source, Way.OUT), (move.target, Way.IN)}.intersection(one.lane.ends)
        if shared and hurry(move, snapshot) <= one.lane.hurry and (until is None or snapshot.now.wall < until):
            where = " and ".join(map(link_of, [end for end in one.lane.ends if end in shared]))
            return Deferral(DeferralKind.CLIMB, f"{one.name} is given the link {where}, for it does not converge with an "
                            "even share of it", move.vm, move.source, until)
    return None


def _outrun(move: Move, intent: Intent, tally: _Tally, snapshot: Snapshot, ledger: Ledger, limits: Limits
            ) -> Deferral | None:
    """Return why a routine move waits: with it, it or another one that shares its link, and that would end without it, would
    be left with so little of it that copying it never ends. Each was planned with what it gets beside those that were in
    flight then. One that makes room for who has to leave yields to nobody's comfort: it only is asked about itself."""
    if not move.routine or limits.may_slow(routine=True):
        return None
    shared = replace(tally, out={**tally.out, move.source: tally.out[move.source] + 1},
                     into={**tally.into, move.target: tally.into[move.target] + 1})
    granted: list[Move | Migration] = [one for one, _ in tally.granted]
    begun = [m for m in ledger.open_migrations() if m.holds_slot and m.source in tally.out and m.target in tally.into]
    beside = [one for one in (*granted, *begun) if one.source == move.source or one.target == move.target]
    for one in (move, *beside) if intent.routine else (move,):
        dirties = one.dirties if isinstance(one, Move) else dirtying_now(one, snapshot, ledger)
        if not one.routine or dirties is None:
            continue
        share = _share(snapshot, shared, one.source, one.target, limits, 0)
        if _copies_for_ever(one, share, dirties, snapshot, limits) and (one is move or not _copies_for_ever(
                one, _share(snapshot, tally, one.source, one.target, limits, 0), dirties, snapshot, limits)):
            return Deferral(DeferralKind.BANDWIDTH, f"{share} MiB/s would be left for {one.vm_name}, which dirties its "
                            f"memory at {dirties.words()}", move.vm, move.source)
    return None


def _copies_for_ever(one: Move | Migration, mib_s: int, dirties: Dirtying, snapshot: Snapshot, limits: Limits) -> bool:
    """Return whether copying never ends with so much bandwidth, the VM not being slowed down for it."""
    record = _record(snapshot, one)
    most = ladder(limits, record.downtime_max_ms if record else None)[-1]
    return never_ends(one.memory, Passage(mib_s, mib_s, most, most), dirties.mib_s)


def never_arrives(m: Migration, snapshot: Snapshot, ledger: Ledger, limits: Limits) -> bool:
    """Return whether it is known of an open migration that copying never ends by itself with the bandwidth that it was
    granted."""
    if not m.holds_slot or m.auto_converge or m.post_copy_because or m.source not in snapshot.hosts.names:
        return False
    dirties = dirtying_now(m, snapshot, ledger)
    return dirties is not None and _copies_for_ever(m, m.bandwidth_mib_s, dirties, snapshot, limits)


def _record(snapshot: Snapshot, move: Move | Migration) -> VmRecord | None:
    inventory = snapshot.facts[snapshot.row(move.source)].inventory
    return inventory.find(move.vm) if inventory else None


def _share(snapshot: Snapshot, tally: _Tally, source: HostName, target: HostName, limits: Limits, more: int) -> int:
    here, there = snapshot.row(source), snapshot.row(target)
    return fair_share(float(snapshot.hosts.link_mib_s[here]), tally.out[source] + more,
                      float(snapshot.hosts.link_mib_s[there]), tally.into[target] + more, limits.link_share)


def _order(move: Move, number: int, snapshot: Snapshot, ledger: Ledger, sharing: Sharing, policies: PolicySet,
           timing: Timing, revision: int) -> Order:
    limits, part, given = policies.limits, sharing.part(move), sharing.given(move)
    bandwidth = given.bandwidth_mib_s
    floor = max(timing.migration_floor, timing.migration_per_gib * move.memory / GIB)
    record = _record(snapshot, move)
    # what spoke against an attempt that was prepared for post-copy may have been that very preparation
    had_no_luck = any(one.post_copy and not one.withheld
                      for one in ledger.recent_failures(move.vm, snapshot.now.wall - DAY_SECONDS))
    steps, may_slow = ladder(limits, record.downtime_max_ms if record else None), limits.may_slow(routine=move.routine)
    links = snapshot.hosts.link_mib_s[[snapshot.row(move.source), snapshot.row(move.target)]]
    over = Passage(bandwidth, float(links.min()), steps[0], steps[-1], may_slow)
    dirties = None if move.dirties is None else move.dirties.mib_s
    copy = foretell(move.memory, over, dirties)
    # whoever else comes, it has the time that it needs with the least that it is given
    slowest = copy if part.least is None else foretell(move.memory, replace(over, bandwidth_mib_s=part.least), dirties)
    takes = max(copy.takes, slowest.takes)
    return Order(f"{revision}-{number}", move, bandwidth, Seconds(max(floor, 2 * takes)), revision, steps[0], may_slow,
                 not (move.routine or had_no_luck) and may_begin(policies.evacuation_named(move.policy), record),
                 copy.takes, None if copy.downtime is None else round(1000 * copy.downtime, 1),
                 None if part.least is None else replace(given, because="") if given.because == WHOLE else given)
