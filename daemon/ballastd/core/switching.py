"""Switching hosts off and on: one host at a time, every step on two signs, and never by force.

Closing a host: its hook is confirmed shut, two looks begun after that show no domain, and its agent counts no
emulator. Going off: its controller says off *and* it falls silent; a controller that says off while the hypervisor
answers lies, and is not believed again. Waking: hypervisor, telemetry and agent are back, on the same machine.
Whatever goes wrong ends in FAILED, which only an operator clears.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.admission import lately_changed, why_apart
from ballastd.core.books import HOUR_SECONDS, OPERATOR
from ballastd.core.consolidation import Outlook, choose, may_act, reason_to_wake, why_not_left, why_not_off
from ballastd.core.inputs import PowerSeen
from ballastd.core.inventory import HostInventory, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Deferral, DeferralKind, Order, Plan, Refusal, RefusalKind
from ballastd.core.policies import Mode
from ballastd.core.power import AGENT_WORD_SECONDS, WAKE_TEST, HostPower, PowerOrder, PowerPhase, PowerState, same_machine
from ballastd.core.quantities import HostName, Instant, human_seconds
from ballastd.core.recommendations import Suggested
from ballastd.core.senses import Senses
from ballastd.core.snapshot import Snapshot

CORDON_LEFT_SECONDS = 60.0
"""How long a confirmed cordon must still stand before a host is told to go off behind it."""
WAKE_RATE_SECONDS = 60.0
TOLD_SECONDS = 60.0
"""For so long a controller may say off after it was told to switch a host on; an order to one that is on does nothing."""
NEW_SECONDS = 3 * TOLD_SECONDS
"""For so long at most a phase is watched before it is given up, though its time passed while no daemon ran, and perhaps
with it an order."""
WAKE_TRIES = 5
"""How often within an hour a wake is ordered anew when it was not even told to the controller."""


@dataclass(slots=True)
class Closing:
    """What was seen of a host since its hook was confirmed shut: when that was, and the looks begun after it."""

    confirmed: float
    looks: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Switching:
    """What one step wants of power: events to book, orders to carry out once they are durable, and the noes."""

    events: tuple[ev.Event, ...] = ()
    orders: tuple[PowerOrder, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    deferrals: tuple[Deferral, ...] = ()
    suggested: Suggested | None = None


@dataclass(frozen=True, slots=True)
class _Phase:
    """A phase of a host: when this run saw it first (monotonic), and how long it had lasted then by the wall clock."""

    phase: PowerPhase
    order: str
    watched: float
    before: float


class Switchboard:
    """Remembers what was seen since each phase began. Phases themselves are the ledger's."""

    def __init__(self) -> None:
        self._closing: dict[HostName, Closing] = {}
        self._ordered: dict[HostName, float] = {}
        self._stuck: dict[HostName, float] = {}
        self._said_off: dict[HostName, float] = {}
        self._phases: dict[HostName, _Phase] = {}
        self._ordering = 0
        """How many wakes the last step ordered, and the monotonic times by which those before it were ordered for certain: a
        step ends once the journal has it, which takes as long as the disk does."""
        self._woken: deque[float] = deque()

    def follow(self, snapshot: Snapshot, outlook: Outlook, senses: Senses, revision: int, *, held: bool, held_all: bool,
               stuck: Mapping[HostName, str], unplaced: int) -> Switching:
        """Return what follows for every host on its way, and whether another one is chosen.

        ``held``: a gate stands, so nothing new begins; ``held_all``: one that holds what a person asks for as well. A freeze
        does not: the hosts that are to be woken may be the very ones that are unknown. ``stuck``: hosts being emptied, and
        what keeps a VM there.
        ``unplaced``: VMs on failing or drained hosts that no host takes.
        """
        now = snapshot.now.monotonic
        self._woken.extend([now] * self._ordering)
        self._ordering = 0
        while self._woken and self._woken[0] <= now - WAKE_RATE_SECONDS:
            self._woken.popleft()
        turn = _Turn(self, snapshot, outlook, senses, revision, held, stuck, unplaced)
        for host in self._phases.keys() - outlook.ledger.power.keys():
            self.forget(host)
        for host in sorted(outlook.ledger.power):
            turn.follow(host, outlook.ledger.power[host])
        asked = {} if held_all else outlook.ledger.wakes_asked(snapshot.now.wall)
        for host in sorted(asked.keys() - turn.ended):
            turn.wake(host, OPERATOR, f"asked by {asked[host].by}", urgent=True)
        if not held and not turn.events:
            turn.choose()
        return Switching(tuple(turn.events), tuple(turn.orders), tuple(turn.refusals), tuple(turn.deferrals),
                         turn.suggested)

    def still_wanted(self, orders: tuple[Order, ...], made: Plan, snapshot: Snapshot, outlook: Outlook, senses: Senses
                     ) -> tuple[Order, ...]:
        """Return the orders without those off hosts that were to be emptied and stay on after all, as ``follow`` is going to
        say in this very step."""
        turn = _Turn(self, snapshot, outlook, senses, 0, False, {}, unplaced(made, outlook.ledger))
        powers = {order.move.source: outlook.ledger.power.get(order.move.source) for order in orders if order.move.routine}
        kept = {host for host, power in powers.items()
                if power is not None and power.phase is PowerPhase.EMPTYING and turn.why_kept(host, power) is not None}
        return tuple(order for order in orders if order.move.source not in kept)

    def forget(self, host: HostName) -> None:
        """A phase ended: what was seen during it proves nothing for the next."""
        self._closing.pop(host, None)
        self._stuck.pop(host, None)
        self._said_off.pop(host, None)
        self._phases.pop(host, None)

    def confirmed(self, host: HostName, at: float) -> Closing:
        """Note that the host's hook is shut; return the notes of it."""
        return self._closing.setdefault(host, Closing(at))

    def unconfirmed(self, host: HostName) -> None:
        """The host's hook is no longer known to be shut: what was seen behind it proves nothing."""
        self._closing.pop(host, None)

    def order_given(self, host: HostName, at: float) -> None:
        """Note when an order was given, on the monotonic clock."""
        self._ordered[host] = at

    def wake_given(self, host: HostName, at: float) -> None:
        """Note that a wake was ordered, on the monotonic clock."""
        self.order_given(host, at)
        self._ordering += 1

    def wakes_lately(self) -> int:
        """Return how many wakes were ordered within the minute, this step's among them, by a clock that nobody sets and as
        the journal had them."""
        return len(self._woken) + self._ordering

    def ordered_at(self, host: HostName) -> float:
        """Return when this run gave the last order, minus infinity when a run before did."""
        return self._ordered.get(host, float("-inf"))

    def said_off_since(self, host: HostName, at: float) -> float:
        """Return since when the host's controller says off; ``at``: when it said so now."""
        return self._said_off.setdefault(host, at)

    def watch(self, host: HostName, power: HostPower, now: Instant) -> None:
        """Note that the host is in this phase: what has passed of it before counts by the wall clock."""
        known = self._phases.get(host)
        if known is None or (known.phase, known.order) != (power.phase, power.order):
            self._phases[host] = _Phase(power.phase, power.order, now.monotonic, max(0.0, now.wall - power.since_wall))

    def lasted(self, host: HostName, now: Instant) -> float:
        """Return for how long the host has been in its phase, seconds, whatever the wall clock does meanwhile."""
        known = self._phases[host]
        return known.before + now.monotonic - known.watched

    def is_overdue(self, host: HostName, patience: float, now: Instant) -> bool:
        """Return whether the phase has lasted longer than ``patience``, and was watched for long enough to say so."""
        watched = now.monotonic - self._phases[host].watched
        return self.lasted(host, now) > patience and watched >= min(NEW_SECONDS, patience)

    def stuck_for(self, host: HostName, at: float, *, is_stuck: bool) -> float:
        """Return for how long emptying the host has been stuck."""
        if not is_stuck:
            self._stuck.pop(host, None)
            return 0.0
        return at - self._stuck.setdefault(host, at)


def unplaced(made: Plan, ledger: Ledger) -> int:
    """Return how many VMs that have to leave a host go nowhere, but for hosts that are emptied to be switched off."""
    emptying = {host for host, power in ledger.power.items() if power.phase is PowerPhase.EMPTYING}
    return sum(1 for no in made.refusals if no.kind is RefusalKind.NO_TARGET and no.host not in emptying)


@dataclass(slots=True)
class _Turn:
    board: Switchboard
    snapshot: Snapshot
    outlook: Outlook
    senses: Senses
    revision: int
    held: bool
    stuck: Mapping[HostName, str]
    unplaced: int
    events: list[ev.Event] = field(default_factory=list)
    orders: list[PowerOrder] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    deferrals: list[Deferral] = field(default_factory=list)
    ended: set[HostName] = field(default_factory=set)
    """Hosts whose phase ends in this turn."""
    suggested: Suggested | None = None

    @property
    def now(self) -> Instant:
        return self.snapshot.now

    def follow(self, host: HostName, power: HostPower) -> None:
        if host not in self.snapshot.hosts.names:
            self._end(pw.HostKept(self.now.wall, host, "it is no longer declared"))
            return
        self.board.watch(host, power, self.now)
        match power.phase:
            case PowerPhase.EMPTYING:
                self._emptying(host, power)
            case PowerPhase.CLOSING:
                self._close(host, power)
            case PowerPhase.GOING_OFF:
                self._going_off(host, power)
            case PowerPhase.OFF:
                self._off(host, power)
            case PowerPhase.WAKING:
                self._waking(host, power)
            case PowerPhase.FAILED:
                pass

    # on its way off

    def why_kept(self, host: HostName, power: HostPower) -> str | None:
        """Return why a host that was chosen stays on after all, or None."""
        left = why_not_left(host, self.snapshot, self.outlook.ledger)
        if left is not None:
            return left.detail
        if power.policy in (OPERATOR, WAKE_TEST):
            no = why_not_off(None, host, self.snapshot, self.outlook, proving=power.policy == WAKE_TEST)
            return None if no is None else no.detail
        policy = next((p for p in self.outlook.policies.consolidation if p.name == power.policy), None)
        if policy is None or not may_act(policy, power, self.outlook.ledger):
            return f"{power.policy} may no longer act"
        why, _ = reason_to_wake(host, self.snapshot, self.outlook, self.unplaced)
        if why:
            return why
        no = why_not_off(None, host, self.snapshot, self.outlook)
        return None if no is None else no.detail

    def _is_out_of_sight(self, host: HostName) -> bool:
        """Return whether a host on its way off is not known well enough to say anything of it: then nothing follows,
        until it is seen again or its time is over."""
        fact = self.snapshot.facts[self.snapshot.row(host)]
        if fact.fresh and fact.reachable and host in self.outlook.agents and host in self.senses.inventories:
            return False
        if self.board.is_overdue(host, self.outlook.timing.power_off, self.now):
            self._end(pw.HostKept(self.now.wall, host, "it was out of sight for too long"))
        return True

    def _emptying(self, host: HostName, power: HostPower) -> None:
        if self._is_out_of_sight(host):
            return
        why = self.why_kept(host, power)
        stuck = self.board.stuck_for(host, self.now.monotonic, is_stuck=host in self.stuck and not self.held)
        if why is None and stuck > self.outlook.timing.power_off:
            why = f"it cannot be emptied: {self.stuck[host]}"
        if why is not None:
            self._end(pw.HostKept(self.now.wall, host, why))
        elif self._is_empty(self.senses.inventories[host]) and not self._has_migrations(host):
            self._end(pw.HostClosing(self.now.wall, host))

    def _close(self, host: HostName, power: HostPower) -> None:
        if self._is_out_of_sight(host):
            return
        why, inventory = self.why_kept(host, power), self.senses.inventories[host]
        if why is None and (not self._is_empty(inventory) or self._has_migrations(host)):
            why = f"{_names(inventory)} appeared there"
        late = self.board.is_overdue(host, self.outlook.timing.cordon_confirm, self.now)
        notes = self._confirmation(host)
        if why is None and late and notes is None:
            why = f"its hook was not confirmed shut within {human_seconds(self.outlook.timing.cordon_confirm)}"
        if why is not None:
            self._end(pw.HostKept(self.now.wall, host, why))
        elif (notes is not None and self._seen_empty_twice(inventory, notes) and not self.held
              and not self._waits(host, power)):
            self._order_off(host, power, inventory.host_uuid)

    def _waits(self, host: HostName, power: HostPower) -> bool:
        """Return whether a host that could go off waits, for another failure domain was changed just now; then say so."""
        why = why_apart(host, lately_changed(self.outlook.ledger, self.snapshot), self.snapshot)
        if why is None or power.policy == OPERATOR:
            return False
        self.deferrals.append(Deferral(DeferralKind.POWER_RATE, why, host=host))
        return True

    def _confirmation(self, host: HostName) -> Closing | None:
        agent = self.outlook.agents.get(host)
        left = 0.0 if agent is None or agent.cordon_until is None else agent.cordon_until - self.now.wall
        # what a broker kept for us may be of any age: its agent, and the hook that it spoke of, may be gone since
        heard = agent is not None and agent.online and not agent.retained
        shut = heard and agent is not None and agent.hook and left > CORDON_LEFT_SECONDS
        # one message says both: shut, and no emulator; while the hook stays shut none can begin
        if agent is None or not shut or agent.emulators != 0 or self.now.since(agent.received) > AGENT_WORD_SECONDS:
            self.board.unconfirmed(host)
            return None
        return self.board.confirmed(host, agent.received.monotonic)

    def _seen_empty_twice(self, inventory: HostInventory, notes: Closing) -> bool:
        begun = inventory.begun.monotonic
        gap = self.outlook.timing.second_look
        if begun > notes.confirmed and (not notes.looks or begun - notes.looks[-1] >= gap):
            notes.looks.append(begun)
        return len(notes.looks) >= 2

    def _order_off(self, host: HostName, power: HostPower, machine: str) -> None:
        order = PowerOrder(f"{self.revision}-off-{host}", host, False, power.policy, power.because, self.revision)
        self.board.order_given(host, self.now.monotonic)
        self.orders.append(order)
        self._end(pw.PowerOffOrdered(self.now.wall, order.id, host, power.policy, power.because, machine))

    def _going_off(self, host: HostName, power: HostPower) -> None:
        seen, silent = self._status(host), self._is_silent(host)
        if self._call_failed(host, power):
            return
        if seen is not None and seen.status is not None and seen.status.state is PowerState.OFF:
            if silent:
                self._end(pw.HostOff(self.now.wall, host, "its controller says off, and it is silent"))
                return
            inventory = self.senses.inventories.get(host)
            said = self.board.said_off_since(host, seen.at.monotonic)
            if inventory is not None and inventory.begun.monotonic - said > self.outlook.timing.second_look:
                self._fail(host, "its controller says off, but its hypervisor answers: one of them is another machine, "
                                 "or the controller lies")
                return
        if self.board.is_overdue(host, self.outlook.timing.power_off, self.now):
            self._fail(host, f"it did not go off within {human_seconds(self.outlook.timing.power_off)}: "
                             f"{self._signs(host, silent=silent)}")

    # off and back

    def _off(self, host: HostName, power: HostPower) -> None:
        inventory = self.senses.inventories.get(host)
        if (self.senses.is_reachable(host, self.now) and inventory
                and self.now.monotonic - inventory.begun.monotonic < self.board.lasted(host, self.now)):
            self._end(pw.HostAwake(self.now.wall, host, "it answers: somebody else switched it on"))
            return
        why, urgent = reason_to_wake(host, self.snapshot, self.outlook, self.unplaced)
        if why and not self.held:
            self.wake(host, power.policy, why, urgent=urgent)

    def wake(self, host: HostName, policy: str, why: str, *, urgent: bool) -> None:
        """Order a wake, unless something holds it up: then say so."""
        ledger, wall = self.outlook.ledger, self.now.wall
        power = ledger.power.get(host)
        if power is not None and power.phase is PowerPhase.WAKING:
            return
        limit = self.outlook.policies.limits.wakes_per_min
        booked = ledger.power_acts_since(wall - WAKE_RATE_SECONDS, on=True) + sum(1 for o in self.orders if o.on)
        given = max(booked, self.board.wakes_lately())
        hold = self._minimum_off(power) if not urgent else None
        if given >= limit:
            self.deferrals.append(Deferral(DeferralKind.POWER_RATE, f"wakes: at most {limit} in a minute", host=host))
        elif hold is not None:
            self.deferrals.append(Deferral(DeferralKind.POWER_RATE, f"to be woken ({why}) once it was off long enough",
                                           host=host, until_wall=hold))
        else:
            order = PowerOrder(f"{self.revision}-on-{host}", host, True, policy, why, self.revision)
            self.board.wake_given(host, self.now.monotonic)
            self.orders.append(order)
            self._end(pw.WakeOrdered(wall, order.id, host, policy, why))

    def _minimum_off(self, power: HostPower | None) -> float | None:
        """Return until when (wall) the host stays off, None where that is over."""
        policy = next((p for p in self.outlook.policies.consolidation if power and p.name == power.policy), None)
        if policy is None or power is None or power.off_wall is None:
            return None
        until = power.off_wall + policy.minimum_off
        return until if until > self.now.wall else None

    def _waking(self, host: HostName, power: HostPower) -> None:
        if self._call_failed(host, power):
            return
        inventory, agent = self.senses.inventories.get(host), self.outlook.agents.get(host)
        ordered = self.board.ordered_at(host)
        back = (inventory is not None and inventory.begun.monotonic > ordered and self.senses.is_reachable(host, self.now)
                and self.senses.telemetry.is_fresh(host, self.now) and agent is not None and agent.online)
        if back and inventory is not None:
            seen = self._status(host)
            identity = seen.status.identity if seen and seen.status else None
            if identity is not None and not same_machine(identity, inventory.host_uuid):
                self._fail(host, f"its controller belongs to another machine ({identity}, not {inventory.host_uuid})")
                return
            if power.machine and inventory.host_uuid != power.machine:
                self._fail(host, f"another machine answers in its place ({inventory.host_uuid}, not {power.machine})")
                return
            took = round(self.board.lasted(host, self.now), 1)
            self._end(pw.HostAwake(self.now.wall, host, f"back after {human_seconds(took)}", took))
        elif self._was_never_told(host):
            self._order_again(host, power, "the daemon was restarted, nobody knows whether its controller was told, and "
                                           "that says off")
        elif self.board.is_overdue(host, self.outlook.timing.wake, self.now):
            self._fail(host, f"it did not come back within {human_seconds(self.outlook.timing.wake)}: "
                             f"{self._signs(host, silent=self._is_silent(host))}")

    def _was_never_told(self, host: HostName) -> bool:
        """Return whether a run before ordered a host's wake, and its controller has said for a while that it is off."""
        if self.board.ordered_at(host) > float("-inf"):
            return False
        seen = self._status(host)
        if seen is None or seen.status is None or seen.status.state is not PowerState.OFF or not self._is_silent(host):
            return False
        return seen.at.monotonic - self.board.said_off_since(host, seen.at.monotonic) >= TOLD_SECONDS

    # which one next

    def choose(self) -> None:
        """Choose the next host to empty, where a policy may act; else say what it would do."""
        choice = choose(self.snapshot, self.outlook)
        self.refusals.extend(choice.refusals)
        self.deferrals.extend(choice.deferrals)
        if choice.host is None or choice.policy is None:
            noes = [no.detail for no in choice.refusals] + [no.detail for no in choice.deferrals]
            self.suggested = Suggested(why_not=next(iter(noes), ""))
            return
        name, autonomy = choice.policy.name, self.outlook.ledger.autonomy
        mode, memory = autonomy.mode_of(choice.policy), int(self.snapshot.hosts.used[self.snapshot.row(choice.host)])
        suggested = Suggested(name, choice.host, choice.because, memory)
        offer = autonomy.open_offer(suggested.id, self.now.wall) if mode is Mode.RECOMMEND else None
        if mode is Mode.AUTO or (offer is not None and offer.approved_by):
            self.suggested = Suggested(why_not=f"{choice.host} is emptied now")
            approval = (offer.id, offer.approved_by) if offer is not None else ("", "")
            self.events.append(pw.HostEmptying(self.now.wall, choice.host, name, choice.because, *approval,
                                               next_hosts=choice.next_hosts))
            return
        self.suggested = suggested if mode is Mode.RECOMMEND else Suggested(why_not=f"{name} is in mode {mode.value}")
        self.deferrals.append(Deferral(DeferralKind.MODE, f"would be emptied and switched off ({choice.because}), but "
                                       f"{name} is in mode {mode.value}", host=choice.host))

    # signs

    def _status(self, host: HostName) -> PowerSeen | None:
        """Return what the controller said after the order, None where it said nothing since."""
        seen = self.senses.power.get(host)
        return seen if seen is not None and seen.at.monotonic > self.board.ordered_at(host) else None

    def _is_silent(self, host: HostName) -> bool:
        missed, agent = self.senses.unreachable.get(host), self.outlook.agents.get(host)
        quiet = missed is not None and missed.at.monotonic > self.board.ordered_at(host)
        gone = agent is None or not agent.online or not self.senses.telemetry.is_fresh(host, self.now)
        return quiet and gone

    def _signs(self, host: HostName, *, silent: bool) -> str:
        seen = self._status(host)
        said = "its controller did not answer" if seen is None else f"its controller says {_words(seen)}"
        return f"{said}; it is {'silent' if silent else 'not silent'}"

    def _call_failed(self, host: HostName, power: HostPower) -> bool:
        returned = self.senses.power_returned.get(power.order)
        if returned is None or returned.result in (CallResult.OK, CallResult.ERROR):
            return False  # taken, or nobody knows: the signs decide
        withheld = returned.result is CallResult.WITHHELD
        if withheld and power.phase is PowerPhase.GOING_OFF:
            self._end(pw.HostKept(self.now.wall, host, f"withheld by the kernel: {returned.message}"))
        elif withheld:
            self._order_again(host, power, returned.message)
        else:
            self._fail(host, f"the order was not taken: {returned.message}")
        return True

    def _order_again(self, host: HostName, power: HostPower, why: str) -> None:
        """A controller that was busy for a moment, or never heard of it, shall not leave a host asleep until somebody looks;
        but it is tried a few times only. Whoever did not go off by us is not ours to wake: that takes another asking."""
        if power.off_wall is None:
            self._end(pw.HostKept(self.now.wall, host, f"its wake is not ordered again, for it did not go off by us: {why}"))
            return
        tries = self.outlook.ledger.power_acts_since(self.now.wall - HOUR_SECONDS, on=True, host=host)
        if tries < WAKE_TRIES:
            self._end(pw.WakeWithheld(self.now.wall, host, why))
        else:
            self._fail(host, f"the order was not taken: {why}")

    @staticmethod
    def _is_empty(inventory: HostInventory) -> bool:
        return not inventory.vms

    def _has_migrations(self, host: HostName) -> bool:
        return any(host in (m.source, m.target) for m in self.outlook.ledger.open_migrations())

    def _fail(self, host: HostName, why: str) -> None:
        self._end(pw.PowerFailed(self.now.wall, host, why))

    def _end(self, event: pw.HostKept | pw.HostClosing | pw.PowerOffOrdered | pw.HostOff | pw.HostAwake | pw.PowerFailed
             | pw.WakeOrdered | pw.WakeWithheld) -> None:
        self.events.append(event)
        self.ended.add(event.host)
        self.board.forget(event.host)


def _names(inventory: HostInventory) -> str:
    found = [vm.name for vm in inventory.vms if vm.state is not VmState.CRASHED] or ["a migration"]
    return ", ".join(found[:3])


def _words(seen: PowerSeen) -> str:
    return seen.reason if seen.status is None else f"{seen.status.state.value} ({seen.status.detail})".replace(" ()", "")
