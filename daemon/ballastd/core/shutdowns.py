"""Guests that are asked to shut down in order: the last that can be done for a VM whose host fails and that cannot leave it.

A guest that goes down by itself has all its data on its disk when the machine dies. But it serves nobody any more, and
nobody of us starts it again. So it is asked only where its policy lists that and its deadline has passed, on fresh evidence
that is latched, where the plan has nowhere to put it, nothing at all holds anything up, and its owner does not forbid it; a
few at a time, of one host at a time. It is asked a few times, never forced; and watched until it is known what became of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ballastd.core.admission import is_tried_out
from ballastd.core.books import OPERATOR
from ballastd.core.clearance import Gate
from ballastd.core.gathering import together
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult
from ballastd.core.notices import Notice
from ballastd.core.plans import Deferral, DeferralKind, Plan, Refusal, RefusalKind, ShutdownOrder
from ballastd.core.policies import EvacuationPolicy, LastResort, Mode, PolicySet
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.senses import Senses
from ballastd.core.shutdown_books import ASK_AGAIN_SECONDS, CALL_SECONDS, GuestShutdown
from ballastd.core.shutdown_events import (
    ShutdownAskedAgain,
    ShutdownEnded,
    ShutdownEnding,
    ShutdownEvent,
    ShutdownOrdered,
    ShutdownOver,
    ShutdownWithdrawn,
)
from ballastd.core.snapshot import HostFacts, Snapshot

ASKS_MAX = 5
AT_ONCE = 2
"""As many as leave a host at once as shipped: more would hold up one another's writing, and a person who hears the first
alarm and knows better can still save most of them."""
PATIENCE_SECONDS = 60.0
"""Why nothing takes a VM may pass by itself: an inventory comes, a host is heard again."""
WATCH_SECONDS = 600.0
"""For so long after it was asked last a guest may still go down by that."""
BY_ITSELF = "5/1"
"""The state and reason of a VM whose guest went down in order, as libvirt says it."""
SAVING = frozenset({IntentKind.EVACUATE, IntentKind.DRAIN})
_NEVER_MOVES = frozenset({RefusalKind.NO_TARGET, RefusalKind.VM_PINNED})
_K = DeferralKind


@dataclass(frozen=True, slots=True)
class Scene:
    """What a step knows. ``plan``: what it would move, and why not the others."""

    ledger: Ledger
    policies: PolicySet
    intents: tuple[Intent, ...]
    plan: Plan
    gates: tuple[Gate, ...]
    snapshot: Snapshot
    senses: Senses
    revision: int

    @property
    def now(self) -> Instant:
        """The instant of the step."""
        return self.snapshot.now

    def fact(self, host: HostName) -> HostFacts | None:
        """Return what is known of a host, None where it is not declared."""
        return next((fact for fact in self.snapshot.facts if fact.declared.name == host), None)

    def record(self, host: HostName, vm: VmId) -> VmRecord | None:
        """Return a VM as a host shows it now."""
        return None if host in self.ledger.confirmed_dead else self.senses.record(host, vm, self.now)

    def lives_on(self, vm: VmId) -> HostName | None:
        """Return which host shows now that it has a VM's memory, None where none does."""
        ids, facts = self.snapshot.vms.ids, self.snapshot.facts
        row = bisect_left(ids, vm)
        if row == len(ids) or ids[row] != vm:
            return None
        host = facts[int(self.snapshot.vms.host[row])].declared.name
        record = self.record(host, vm)
        return host if record is not None and record.state.holds_memory else None

    def claims(self) -> Iterator[tuple[Intent, EvacuationPolicy]]:
        """Yield what is to be emptied by policies that list the shutdown of guests, whatever their mode."""
        for intent in self.intents:
            policy = self.policies.evacuation_named(intent.policy)
            if (intent.kind in SAVING and intent.policy != OPERATOR and policy is not None
                    and LastResort.SHUTDOWN in policy.last_resorts and policy.deadline is not None):
                yield intent, policy

    def is_latched(self, host: HostName, policy: EvacuationPolicy) -> bool:
        """Return whether a condition is latched on a host that is as grave as its policy answers to."""
        return any((one.name, host) in self.ledger.latched for one in self.policies.health
                   if one.severity >= policy.severity)

    def why_held(self, intent: Intent) -> str:
        """Return why a policy only tells what it would do, empty where it may act."""
        if intent.mode is not Mode.AUTO:
            return f"policy {intent.policy} is in mode {intent.mode.value}"
        return f"policy {intent.policy} was demoted" if intent.policy in self.ledger.autonomy.demoted else ""

    def goes_to(self, vm: VmId) -> HostName | None:
        """Return where a VM is about to be moved, None where it is not, or where that failed too often."""
        if (migration := self.ledger.open_migration_of(vm)) is not None:
            return migration.target
        target = next((move.target for move in self.plan.moves if move.vm == vm), None)
        limits, wall = self.policies.limits, self.now.wall
        return None if target is None or is_tried_out(vm, self.ledger, limits, wall) else target

    def is_stuck(self, one: GuestShutdown) -> bool:
        """Return whether the plan still says that a guest which was asked cannot leave."""
        return one.vm in self.stuck_on(one.host)

    def stuck_on(self, host: HostName) -> dict[VmId, str]:
        """Return why each VM cannot leave a host that cannot, in the order in which they would leave."""
        noes: dict[VmId, list[Refusal]] = {}
        for no in self.plan.refusals:
            if no.vm is not None and no.host == host:
                noes.setdefault(no.vm, []).append(no)
        found = {vm: theirs[0].detail for vm, theirs in noes.items() if all(no.kind in _NEVER_MOVES for no in theirs)}
        found |= {move.vm: "its moves failed as often as one is tried within a day" for move in self.plan.moves
                  if move.source == host}
        return {vm: why for vm, why in found.items() if self.goes_to(vm) is None}

    def help_for(self, host: HostName, vm: VmId) -> str:
        """Return which host may soon take a VM that is not taken now, in words, empty where none is on its way."""
        if any(power.phase is PowerPhase.WAKING for power in self.ledger.power.values()):
            return "a host is being woken, which may be the help"
        going = sorted(name for name, power in self.ledger.power.items()
                       if power.phase is PowerPhase.GOING_OFF and power.policy != OPERATOR)
        is_homeless = any(no.kind is RefusalKind.NO_TARGET and (no.vm, no.host) == (vm, host) for no in self.plan.refusals)
        return f"{going[0]} is going off, and may be woken again for it" if going and is_homeless else ""


@dataclass(frozen=True, slots=True)
class Shutting:
    """What to book, what to carry out, what to say of those that are not asked, and what to tell people."""

    events: tuple[ShutdownEvent, ...] = ()
    orders: tuple[ShutdownOrder, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    deferrals: tuple[Deferral, ...] = ()
    notices: tuple[Notice, ...] = ()


class Shutdowns:
    """Remembers, by the monotonic clock, since when each VM is stuck, when each guest was asked last, when one that was
    asked was seen last not to be stuck, and when it was missed first; which calls this run made; and which guests never were
    out of sight since they were asked."""

    def __init__(self) -> None:
        self._stuck: dict[tuple[HostName, VmId], float] = {}
        self._asked: dict[tuple[str, int], float] = {}
        self._called: set[tuple[str, int]] = set()
        self._loose: dict[str, float] = {}
        self._missed: dict[str, float] = {}
        self._in_sight: set[str] = set()

    def going_down(self, ledger: Ledger, now: Instant) -> Mapping[VmId, float]:
        """Return the VMs that may be on their way down, with until when (wall): those that were asked just now."""
        left = {one.vm: ASK_AGAIN_SECONDS - (now.monotonic - self._asked_at(one, now)) for one in ledger.shutdowns.open()}
        return {vm: now.wall + seconds for vm, seconds in left.items() if seconds > 0.0}

    def follow(self, scene: Scene) -> Shutting:
        """Return what is to be done now."""
        books = scene.ledger.shutdowns.open()
        ids = {one.id for one in books}
        self._asked = {(one.id, one.times): self._asked_at(one, scene.now) for one in books}
        self._called &= self._asked.keys()
        self._loose = {key: at for key, at in self._loose.items() if key in ids}
        self._missed = {key: at for key, at in self._missed.items() if key in ids}
        self._in_sight &= ids
        found = [self._go_on(one, scene) for one in books]
        found.extend(self._begin(scene))
        found.append(_over(scene))
        made = together(Shutting(), found)
        for order in made.orders:
            self._asked[order.id, order.times] = scene.now.monotonic
            self._called.add((order.id, order.times))
            self._in_sight.add(order.id)
        return made

    def _asked_at(self, one: GuestShutdown, now: Instant) -> float:
        """Return when a guest was asked last: by the wall clock only where a run before asked it, and just now where that
        says that it will be."""
        known = self._asked.get((one.id, one.times))
        return now.monotonic - max(0.0, now.wall - one.asked_wall) if known is None else known

    # guests that were asked

    def _go_on(self, one: GuestShutdown, scene: Scene) -> Shutting:
        fact, ledger = scene.fact(one.host), scene.ledger
        if fact is None or one.host in ledger.confirmed_dead:
            return _ended(one, ShutdownEnding.LOST, "its host is not declared any more" if fact is None
                          else f"{one.host} is confirmed dead", scene, "warning")
        if not fact.reachable:
            self._in_sight.discard(one.id)
        if ledger.open_migration_of(one.vm) is not None:
            return Shutting() if one.withdrawn else _withdrawn(one, f"it moves to {scene.goes_to(one.vm)} instead", scene)
        record = scene.record(one.host, one.vm)
        if not fact.reachable:
            return Shutting()
        if record is None or not record.state.holds_memory:
            return self._gone(one, record, scene)
        self._missed.pop(one.id, None)
        self._in_sight.add(one.id)
        passed = scene.now.monotonic - self._asked[one.id, one.times]
        if one.withdrawn:
            return Shutting() if passed < WATCH_SECONDS else _ended(one, ShutdownEnding.STAYED, one.withdrawn, scene)
        if why := _why_withdrawn(one, record, scene):
            return _withdrawn(one, why, scene)
        if (passed >= ASK_AGAIN_SECONDS and not scene.gates
                and (record.state is not VmState.RUNNING or record.job is not JobKind.NONE)):
            return _withdrawn(one, f"it is {record.state.value}, with {record.job.value} job", scene)
        if no := self._why_held(one, fact, scene):
            return Shutting(deferrals=(no,))
        if passed < ASK_AGAIN_SECONDS or (passed < CALL_SECONDS and self._is_out(one, scene)):
            return Shutting()
        return _asked_again(one, scene)

    def _why_held(self, one: GuestShutdown, fact: HostFacts, scene: Scene) -> Deferral | None:
        """Return what keeps a guest from being asked again that would have kept it from being asked at all, or None."""
        if not scene.is_stuck(one) or scene.help_for(one.host, one.vm):
            self._loose[one.id] = scene.now.monotonic
        if scene.gates:
            gate = scene.gates[0]
            why, kind, until = gate.reason, gate.kind, gate.until_wall
        else:
            why, kind, until = self._doubt(one, fact, scene), _K.LAST_RESORT, None
        return Deferral(kind, f"it is not asked again to shut down: {why}", one.vm, one.host, until) if why else None

    def _doubt(self, one: GuestShutdown, fact: HostFacts, scene: Scene) -> str:
        if scene.ledger.broken is not None:
            return "our own books are in doubt"
        if not fact.fresh:
            return f"{one.host} has not been heard of late"
        if one.host in scene.ledger.frozen_hosts():
            return f"{one.host} is frozen"
        if not scene.is_stuck(one):
            return "the plan does not say that nothing takes it"
        if coming := scene.help_for(one.host, one.vm):
            return coming
        is_due = any(i.host == one.host and p.name == one.policy and i.deadline_wall is not None
                     and i.deadline_wall <= scene.now.wall for i, p in scene.claims())
        if not is_due:
            return f"the deadline of {one.host} was put off"
        stays = scene.now.monotonic - self._loose.get(one.id, float("-inf")) >= PATIENCE_SECONDS
        return "" if stays else "only if it stays so for a minute"

    def _is_out(self, one: GuestShutdown, scene: Scene) -> bool:
        """Return whether the call by which this run asked a guest last has not returned yet."""
        returned = scene.senses.shutdown_returned.get(one.id)
        return (one.id, one.times) in self._called and (returned is None or returned.times < one.times)

    def _gone(self, one: GuestShutdown, record: VmRecord | None, scene: Scene) -> Shutting:
        """It is not active on its host any more: it is elsewhere, or it is down once everybody was looked at after that."""
        first = self._missed.setdefault(one.id, scene.now.monotonic)
        others = [fact for fact in scene.snapshot.facts if fact.reachable and fact.declared.name != one.host]
        for fact in others:
            there = scene.record(fact.declared.name, one.vm)
            if there is not None and there.state.holds_memory:
                where = f"it is {there.state.value} on {fact.declared.name}"
                return _ended(one, ShutdownEnding.ELSEWHERE, where, scene, "info")
        looked = [fact.inventory.begun.monotonic for fact in (*others, scene.fact(one.host))
                  if fact is not None and fact.inventory is not None]
        if min(looked, default=first) <= first:
            return Shutting()
        is_proved = (record is not None and (record.state, record.reason) == (VmState.SHUTOFF, BY_ITSELF)
                     and one.id in self._in_sight)
        what = "it is seen nowhere" if record is None else f"it is {record.state.value} ({record.reason or 'no reason'})"
        late = f", after that was withdrawn ({one.withdrawn})" if one.withdrawn else ""
        starts = record is not None and record.autostart
        again = f"; {one.host} starts it with itself when it boots (autostart)" if starts else ""
        how = f"went down on {one.host} as it was asked to{late}, {what}"
        if not is_proved:
            what += "; whether by being asked is not known"
            how = f"is down on {one.host}{late}, {what}, and its disk may be as after a power cut"
        text = (f"{one.vm_name} {how}: {one.because}; nobody starts it "
                f"again: ballastctl vm definition {one.vm} has what it was, to be started on a sound host once it is seen "
                f"to run nowhere{again}")
        return Shutting((ShutdownEnded(scene.now.wall, one.id, ShutdownEnding.DOWN, what),),
                        notices=(Notice("alarm", f"shutdown/{one.vm}", text),))

    # guests that may have to be

    def _begin(self, scene: Scene) -> list[Shutting]:
        claims = list(scene.claims())
        if not claims:
            self._stuck = {}
            return []
        stuck = {(intent.host, vm): why for intent, _ in claims for vm, why in scene.stuck_on(intent.host).items()
                 if _is_askable(scene, intent, vm)}
        now = scene.now.monotonic
        self._stuck = {} if scene.gates else {
            (host, vm): now if scene.help_for(host, vm) else self._stuck.get((host, vm), now) for host, vm in stuck}
        asked = [one for one in scene.ledger.shutdowns.open() if one.is_asked and self._takes_a_turn(one, scene)]
        busy, taken, found = {one.host for one in asked}, len(asked), list[Shutting]()
        for intent, policy in claims:
            for (host, vm), why in stuck.items():
                if host != intent.host:
                    continue
                no = self._why_not(vm, intent, policy, scene) or _no_room(vm, host, busy, taken, scene)
                if no is None:
                    found.append(_ordered(vm, intent, why, scene, len(found)))
                    busy, taken = {*busy, host}, taken + 1
                else:
                    found.append(Shutting(refusals=(no,)) if isinstance(no, Refusal) else Shutting(deferrals=(no,)))
        return found

    def _takes_a_turn(self, one: GuestShutdown, scene: Scene) -> bool:
        """Return whether others wait for a guest that was asked: not for one whose host does not answer any more, once it
        cannot be going down by what it was asked just now."""
        fact = scene.fact(one.host)
        is_recent = scene.now.monotonic - self._asked[one.id, one.times] < ASK_AGAIN_SECONDS
        return is_recent or (fact is not None and fact.reachable)

    def _why_not(self, vm: VmId, intent: Intent, policy: EvacuationPolicy, scene: Scene) -> Refusal | Deferral | None:
        """Return why a VM that is stuck is not asked now, or None."""
        host, now, record = intent.host, scene.now, scene.record(intent.host, vm)
        if record is None or not record.shutdown:
            return Refusal(RefusalKind.LAST_RESORT, "its owner does not want it shut down (metadata: shutdown)", vm, host)
        if held := scene.why_held(intent):
            return Deferral(_K.MODE, f"{held}: it would be asked to shut down once its deadline has passed", vm, host)
        deadline, given = intent.deadline_wall, policy.deadline
        if deadline is None or given is None:
            return Deferral(_K.LAST_RESORT, "its host has no deadline", vm, host)
        # the clock on the wall may have been set; how long it really has been so may not
        if now.wall < deadline or now.monotonic - intent.since.monotonic < given:
            return Deferral(_K.LAST_RESORT, "it is asked to shut down if it is still there at the deadline", vm, host,
                            max(deadline, now.wall + given - (now.monotonic - intent.since.monotonic)))
        if scene.gates:
            gate = scene.gates[0]
            return Deferral(gate.kind, f"it is not asked to shut down: {gate.reason}", vm, host, gate.until_wall)
        fact, why, until = scene.fact(host), "", None
        if not scene.is_latched(host, policy):
            why = f"nothing latched says that {host} fails"
        elif fact is None or not fact.fresh:
            why = f"{host} has not been heard of late"
        elif coming := scene.help_for(host, vm):
            why = coming
        elif said := _was_asked_for_that(scene.ledger.shutdowns.asked_for_the_same(vm, host)):
            why = said
        elif (passed := now.monotonic - self._stuck.get((host, vm), now.monotonic)) < PATIENCE_SECONDS:
            why, until = "it is asked to shut down if it stays so for a minute", now.wall + PATIENCE_SECONDS - passed
        return Deferral(_K.LAST_RESORT, why, vm, host, until) if why else None


def _is_askable(scene: Scene, intent: Intent, vm: VmId) -> bool:
    """Return whether a VM is there as one that could be asked; whoever wants to be left alone, or is none of those that the
    policy speaks of, is not even spoken of."""
    record, before = scene.record(intent.host, vm), scene.ledger.shutdowns.by_vm.get(vm)
    return (record is not None and record.state is VmState.RUNNING and record.job is JobKind.NONE and not record.ignored
            and intent.vms.covers(record) and (before is None or before.ending is not None))


def _was_asked_for_that(before: GuestShutdown | None) -> str:
    """Return what came of asking a guest for the same evidence before: who did not obey does not obey now, and who was
    started again was so by somebody who knows better. Empty where it may be asked."""
    if before is None:
        return ""
    if before.ending is ShutdownEnding.DOWN:
        return "it was shut down for that before, and somebody started it again"
    return f"it was asked to {before.times} times, and does not go down" if before.times >= ASKS_MAX else ""


def _no_room(vm: VmId, host: HostName, busy: set[HostName], taken: int, scene: Scene) -> Deferral | None:
    """Return whose turn comes first, or None."""
    limits, others = scene.policies.limits, sorted(busy - {host})
    emptied = sorted(name for name, one in scene.ledger.evacuating.items() if one.policy != OPERATOR and name != host)
    why = ""
    if others:
        why = f"guests of {others[0]} are asked to shut down; those of one host at a time"
    elif host not in scene.ledger.evacuating and len(emptied) >= limits.evacuations_at_once:
        why = f"{', '.join(emptied)} being evacuated, at most {limits.evacuations_at_once} at once"
    elif taken >= AT_ONCE:
        why = f"{taken} guests are asked to shut down, at most {AT_ONCE} at once"
    return Deferral(_K.LAST_RESORT, why, vm, host) if why else None


def _why_withdrawn(one: GuestShutdown, record: VmRecord, scene: Scene) -> str:
    """Return what speaks against a shutdown that was ordered, as everything is now; empty where nothing does."""
    claim = next(((i, p) for i, p in scene.claims() if i.host == one.host and p.name == one.policy), None)
    policy = scene.policies.evacuation_named(one.policy)
    if policy is not None and not scene.is_latched(one.host, policy):
        return f"{one.host} is not held to fail any more"
    if claim is None:
        return f"{one.policy} does not ask for it any more"
    if held := scene.why_held(claim[0]):
        return held
    if not claim[0].vms.covers(record):
        return f"{one.policy} does not speak of it any more"
    if record.ignored or not record.shutdown:
        return "its owner does not want it shut down"
    if (target := scene.goes_to(one.vm)) is not None:
        return f"it can move to {target} after all"
    books = scene.ledger.shutdowns.open()
    # while its host did not answer others had their turn
    after = [other.host for other in books[books.index(one):] if other.is_asked and other.host != one.host]
    return f"those of {after[0]} are asked now, and those of one host at a time" if after else ""


def _ordered(vm: VmId, intent: Intent, why: str, scene: Scene, number: int) -> Shutting:
    record = scene.record(intent.host, vm)
    assert record is not None
    before = scene.ledger.shutdowns.asked_for_the_same(vm, intent.host)
    event = ShutdownOrdered(scene.now.wall, f"{scene.revision}-s{number + 1}", vm, record.name, intent.host, intent.policy,
                            f"{intent.because}; it cannot leave: {why}", 1 if before is None else before.times + 1)
    order = ShutdownOrder(event.id, vm, record.name, intent.host, event.times, event.because, scene.revision)
    told = Notice("alarm", f"shutdown/{vm}", f"{record.name} is asked to shut down on {intent.host}, whose deadline has "
                  f"passed: {event.because}; to have none asked after it: ballastctl pause")
    return Shutting((event,), (order,), notices=(told,))


def _over(scene: Scene) -> Shutting:
    """Return what is booked of guests that went down, and run again."""
    events = []
    for one in scene.ledger.shutdowns.missed():
        host = scene.lives_on(one.vm)
        if host is not None:
            events.append(ShutdownOver(scene.now.wall, one.id, one.vm_name, one.host, f"it runs on {host} again"))
    return Shutting(tuple(events))


def _order(one: GuestShutdown, times: int, scene: Scene) -> ShutdownOrder:
    return ShutdownOrder(one.id, one.vm, one.vm_name, one.host, times, one.because, scene.revision)


def _asked_again(one: GuestShutdown, scene: Scene) -> Shutting:
    if one.times >= ASKS_MAX:
        why = f"it does not go down, though it was asked {one.times} times{_said(one, scene)}"
        return _withdrawn(one, why, scene, "alarm", f"; shut it down by hand before {one.host} takes it along")
    event = ShutdownAskedAgain(scene.now.wall, one.id, one.times + 1)
    return Shutting((event,), (_order(one, one.times + 1, scene),))


def _said(one: GuestShutdown, scene: Scene) -> str:
    """Return what its hypervisor, or our kernel, said to the last call, if that did not go well."""
    returned = scene.senses.shutdown_returned.get(one.id)
    is_told = returned is not None and returned.times == one.times and returned.result is not CallResult.OK
    return f" (the last time: {returned.message})" if returned is not None and is_told else ""


def _withdrawn(one: GuestShutdown, why: str, scene: Scene, level: str = "warning", cure: str = "") -> Shutting:
    text = f"{one.vm_name} is not asked to shut down on {one.host} any more: {why}{cure}"
    told = Notice(level, f"shutdown/{one.vm}", text)
    return Shutting((ShutdownWithdrawn(scene.now.wall, one.id, why),), notices=(told,))


def _ended(one: GuestShutdown, ending: ShutdownEnding, detail: str, scene: Scene, level: str = "") -> Shutting:
    text = f"what became of {one.vm_name}, which was asked to shut down on {one.host}: {detail}"
    told = (Notice(level, f"shutdown/{one.vm}", text),) if level else ()
    return Shutting((ShutdownEnded(scene.now.wall, one.id, ending, detail),), notices=told)
