"""Room that another VM makes first: for who must leave its host and has no target for want of memory alone.

Either somebody leaves a host anyway that would take it then, in flight or by this plan, and it waits for that; or one VM
there is moved on for its sake, the smallest that makes room and has another place, at most one for each that waits. Whoever
makes room moves under the policy that wants it made, and keeps to what routine moves keep to: its rest, its rules and
wishes, and the marks of the host that it goes to. Nothing of it is remembered: once the room is there, the next plan finds
the second half as a move like any other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ballastd.core.accounts import Figure, Worth
from ballastd.core.arrays import Floats, Ints
from ballastd.core.balancing import horizon_of, price_of
from ballastd.core.books import OPERATOR
from ballastd.core.draft import Candidate, Draft, Stuck
from ballastd.core.drafting import (
    NOES_SHOWN,
    Shortlist,
    add,
    best_of,
    offered_target,
    terms_of,
    times_turned_away,
    why_left_out,
    why_moved_enough,
)
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.migrations import MigrationPhase
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import Cooldown, Mode, MoveBudget, PolicySet
from ballastd.core.weighing import copying_costs

WORK_MAX, ASKING_LEAST, LOOKING = 50_000, 250, 25
"""So much is done in one plan to find who could make room: as many hosts as there are, and so many at least, for each time a
place is looked for, and something for each VM that was looked at. Who comes later stays, and says so."""
_LEAVES = (MigrationPhase.ORDERED, MigrationPhase.RUNNING, MigrationPhase.COMPLETED)


def make_room(draft: Draft) -> None:
    """Plan moves for those that are stuck in the draft, in their order, or say in their refusals why no room is made."""
    waiting, draft.stuck = draft.stuck, []
    left: list[tuple[Refusal, list[Search]]] = []
    for alternatives in waiting:
        tried: list[Search] = []
        refusal = alternatives[0].refusal
        for one in alternatives:
            tried.append(Search(draft, one))
            if tried[-1].succeeds():
                del draft.refusals[_place_of(draft, refusal)]
                break
        else:
            left.append((refusal, tried))
    by_source: dict[int, list[Search]] = defaultdict(list)
    for _, tried in left:
        by_source[tried[0].source].extend(tried)
    for refusal, tried in left:
        circle = next((words for one in tried if (words := _circle(draft, one, by_source))), "")
        draft.refusals[_place_of(draft, refusal)] = replace(refusal, detail=refusal.detail + tried[0].words(circle))


def _place_of(draft: Draft, refusal: Refusal) -> int:
    return next(number for number, no in enumerate(draft.refusals) if no is refusal)


def _circle(draft: Draft, search: Search, left: Mapping[int, Sequence[Search]]) -> str:
    """Return in words with whom a VM waits in a circle: each needs the room of the other. ``left``: who else waits, by host
    row."""
    records, hosts = draft.snapshot.records, draft.snapshot.hosts.names
    for row, others in left.items():
        other = next((one for one in others if one.would_go_to(search.source)), None) if search.would_go_to(row) else None
        if other is not None:
            return (f"{records[search.vm].name} waits for {records[other.vm].name} to leave {hosts[row]}, and that for it "
                    f"to leave {hosts[search.source]}: a circle, and no third host takes either")
    return ""


class Search:
    """The search for room for one VM that is stuck."""

    def __init__(self, draft: Draft, stuck: Stuck) -> None:
        self._draft, self._stuck, self._intent, self.vm = draft, stuck, stuck.intent, stuck.vm
        snapshot = draft.snapshot
        self.source = int(snapshot.vms.host[self.vm])
        self._terms = terms_of(self._intent, draft.policies)
        self._short = _short(draft, self._terms.fill, self.vm)
        away = times_turned_away(draft, self.vm)
        opens = snapshot.hosts.target & (self._short > 0)
        if stuck.worths is not None:
            opens &= stuck.worths > 0
        opens[self.source] = False
        opens[[row for row, name in enumerate(snapshot.hosts.names) if name in away]] = False
        self._opens, self._points = opens, draft.points(self.source)
        self._makes = _makes_room_for(draft, self._intent)
        self._takes: dict[int, bool] = {}
        self._noes: list[tuple[int, Refusal]] = []

    def succeeds(self) -> bool:
        """Plan the move of the VM after one that makes room for it; return whether there is one."""
        return bool(self._opens.any()) and (self._waits() or self._has_room_made())

    def would_go_to(self, row: int) -> bool:
        """Return whether a host would take the VM if it had room: asked once, in the draft as it is then."""
        if not self._opens[row] or (row not in self._takes and self._draft.searched >= WORK_MAX):
            return False
        if row not in self._takes:
            self._draft.searched += max(ASKING_LEAST, len(self._opens))
            credit = int(self._short[row]) + _counted(self._draft, row)
            self._takes[row] = bool(self._takers(self._draft, row, credit))
        return self._takes[row]

    def words(self, circle: str) -> str:
        """Return why no room is made, to be said after why no host has any; empty where that would not help."""
        hosts = [name for row, name in enumerate(self._draft.snapshot.hosts.names) if self._takes.get(row)]
        if not hosts:
            return ""
        names = self._draft.snapshot.records
        shown = "; ".join(f"{names[vm].name} on {no.host}: {no.detail}" for vm, no in self._noes[:NOES_SHOWN])
        why = circle or shown or "no VM there is as large as what is missing"
        return f"; no room is made on {', '.join(hosts[:NOES_SHOWN])}: {why}"

    def _waits(self) -> bool:
        """Have the VM wait for those that leave one of its targets anyway, if they make room enough."""
        leaving = _leaving(self._draft)
        for row in sorted(leaving, key=lambda row: (-int(self._points[row]), row)):
            counted, missing = list(self._draft.counted_on.get(row, ())), int(self._short[row])
            for vm in leaving[row]:
                if missing > 0 and vm not in counted:
                    counted.append(vm)
                    missing -= int(self._draft.snapshot.vms.memory[vm])
            if missing <= 0 and self.would_go_to(row) and self._follows(self._draft, row, tuple(counted), 0.0):
                return True
        return False

    def _has_room_made(self) -> bool:
        draft = self._draft
        for vm in self._movers():
            at = int(draft.snapshot.vms.host[vm])
            if draft.searched >= WORK_MAX:
                self._noes.append((vm, Refusal(RefusalKind.NO_TARGET, "was not looked at: enough was in this plan",
                                               host=draft.snapshot.hosts.names[at])))
                return False
            draft.searched += LOOKING
            if not _is_in_scope(draft, self._intent, at) or not self.would_go_to(at):
                continue
            intent = replace(self._makes, host=draft.snapshot.hosts.names[at])
            no = _why_it_stays(draft, intent, vm)
            if no is not None:
                self._noes.append((vm, replace(no, host=intent.host)))
                continue
            draft.searched += max(ASKING_LEAST, len(self._opens))
            trial = draft.copy()
            if self._moves_on(trial, intent, vm, at):
                draft.become(trial)
                return True
        return False

    def _movers(self) -> list[int]:
        """Return the VMs that would make room, the cheapest first: those that a person was offered, then by memory, then by
        how good a target their host is."""
        draft, vms = self._draft, self._draft.snapshot.vms
        found = np.flatnonzero(self._opens[vms.host] & (vms.memory >= self._short[vms.host]))
        ranked: list[int] = found[np.lexsort((-self._points[vms.host[found]], vms.memory[found]))].tolist()
        if self._intent.mode is not Mode.RECOMMEND:
            return ranked
        return sorted(ranked, key=lambda vm: offered_target(draft, self._intent, vm) is None)

    def _moves_on(self, trial: Draft, intent: Intent, vm: int, at: int) -> bool:
        """Plan on ``trial`` that a VM moves on from ``at``, and that the one that is stuck follows it; return whether both
        can."""
        limits = trial.policies.limits
        # it is a routine move whatever wants it, and is not slowed down where those are not
        terms = replace(terms_of(intent, trial.policies), avoid_labels=(), by_operator=False, keeps_wishes=True,
                        must_end=None if limits.may_slow(routine=True) else limits)
        targets = Shortlist(trial, terms, vm, at, self._places(at))
        kept, noes = best_of(targets, targets.next())
        if not kept:
            against = [*targets.why_barred(1), *noes]
            why = f" ({against[0].host}: {against[0].detail})" if against else ""
            self._noes.append((vm, Refusal(RefusalKind.NO_TARGET, f"no other host takes it{why}", host=intent.host)))
            return False
        memory = int(trial.snapshot.vms.memory[vm])
        price = price_of(trial, vm, at, kept[0].row)
        name = trial.snapshot.records[self.vm].name
        add(trial, intent, vm, at, kept, [*targets.why_barred(NOES_SHOWN), *noes],
            Worth(f"makes room for {name}", (Figure("room made", memory, "B"),),
                  copying_costs(price.memory, price.copy, price.risk)))
        trial.moves[-1] = replace(trial.moves[-1], routine=True, room_for=self._intent.host)
        return self._follows(trial, at, (*trial.counted_on.get(at, ()), vm), price.processors)

    def _places(self, at: int) -> Floats:
        """Return, by host, 1 where a VM may move on to: not to the host that the other one leaves, nor to what may share its
        fault."""
        facts = self._draft.snapshot.facts
        places: Floats = np.ones(len(facts))
        places[[at, self.source]] = 0.0
        for key in self._intent.avoid_labels:
            shared = facts[self.source].declared.label(key)
            if shared is not None:
                places[[row for row, fact in enumerate(facts) if fact.declared.label(key) == shared]] = 0.0
        return places

    def _follows(self, draft: Draft, row: int, counted: tuple[int, ...], paid: float) -> bool:
        """Plan that the VM goes to ``row`` once ``counted`` have left it; return whether it may. ``paid``: what making room
        costs, in host seconds."""
        snapshot = draft.snapshot
        ranked = self._takers(draft, row, int(snapshot.vms.memory[list(counted)].sum()))
        worth = self._worth(draft, row, paid)
        if not ranked or (worth is None and self._intent.kind is IntentKind.RELIEVE):
            return False
        add(draft, self._intent, self.vm, self.source, ranked, [], worth)
        draft.moves[-1] = replace(draft.moves[-1], after=tuple(snapshot.vms.ids[vm] for vm in counted))
        draft.counted_on[row] = counted
        return True

    def _worth(self, draft: Draft, row: int, paid: float) -> Worth | None:
        """Return what the move is worth, None where that is for others to say, or relief is not worth both moves."""
        price = price_of(draft, self.vm, self.source, row)
        if self._intent.kind is not IntentKind.RELIEVE:
            known = self._stuck.worth
            return None if known is None else replace(known, costs=copying_costs(price.memory, price.copy, price.risk))
        assert self._stuck.worths is not None
        gain, stays = float(self._stuck.worths[row]), horizon_of(self._intent)
        return price.worth(gain, stays) if gain * stays > price.processors + paid else None

    def _takers(self, draft: Draft, row: int, credit: int) -> list[Candidate]:
        """Return the host in ``row`` as a target, if it takes the VM once so many bytes have left it."""
        only: Floats = np.zeros(len(draft.promised))
        only[row] = 1.0 if self._stuck.worths is None else self._stuck.worths[row]
        draft.promised[row] -= credit
        targets = Shortlist(draft, self._terms, self.vm, self.source, only)
        found = targets.next()
        no = None if found is None else targets.why_no_reserve(found)
        draft.promised[row] += credit
        return [found] if found is not None and no is None else []


def _counted(draft: Draft, row: int) -> int:
    return int(draft.snapshot.vms.memory[list(draft.counted_on.get(row, ()))].sum())


def _short(draft: Draft, fill: Fill | None, vm: int) -> Ints:
    """Return, by host, the bytes that are missing for a VM to fit, beside those that are counted on already; 0 or less where
    it fits."""
    hosts, need = draft.snapshot.hosts, int(draft.snapshot.vms.memory[vm])
    held: Ints = draft.promised.copy()
    for row in draft.counted_on:
        held[row] -= _counted(draft, row)
    short: Ints = need + held - hosts.room
    if fill is not None:
        over = hosts.used + hosts.reserved + held + need - np.floor(fill.memory * hosts.limit).astype(np.int64)
        short = np.maximum(short, over)
    return short


def _leaving(draft: Draft) -> dict[int, list[int]]:
    """Return the VMs (rows) that leave each host (row) that any leaves: in flight first, then by this plan, if they wait for
    nobody themselves. Who has grown since it was ordered gives back less than it has, and is left out."""
    snapshot, found = draft.snapshot, defaultdict[int, list[int]](list)
    for one in draft.ledger.open_migrations():
        vm = bisect_left(snapshot.vms.ids, one.vm)
        if (one.phase in _LEAVES and one.vm in snapshot.vms.ids[vm:vm + 1] and one.source in snapshot.hosts.names
                and one.memory >= snapshot.vms.copied[vm]):
            found[snapshot.row(one.source)].append(vm)
    for move in draft.moves:
        if not move.after:
            found[snapshot.row(move.source)].append(bisect_left(snapshot.vms.ids, move.vm))
    return found


def _makes_room_for(draft: Draft, intent: Intent) -> Intent:
    """Return what whoever makes room moves for: the same policy, and the rests and marks of routine moves."""
    if intent.routine:
        return intent
    return replace(intent, fill=_marks(draft.policies), cooldown=Cooldown(), budget=MoveBudget())


def _marks(policies: PolicySet) -> Fill | None:
    """Return above what share a host would be hot by any policy; None where none says."""
    if not policies.balance:
        return None
    above = {resource: min((edge.above for one in policies.balance for edge in one.hot if edge.resource == resource),
                           default=1.0) for resource in ("cpu", "memory", "network")}
    return Fill(above["cpu"], above["memory"], above["network"])


def _is_in_scope(draft: Draft, intent: Intent, row: int) -> bool:
    """Return whether a policy may move VMs off a host for the sake of another one: where it could act by itself."""
    if intent.policy == OPERATOR or intent.kind is IntentKind.REPAIR:
        return True
    scopes = {**{one.name: one.scope for one in draft.policies.balance},
              **{one.name: one.scope for one in draft.policies.evacuation}}
    return intent.policy in scopes and scopes[intent.policy].covers(draft.snapshot.facts[row].declared)


def _why_it_stays(draft: Draft, intent: Intent, vm: int) -> Refusal | None:
    """Return why a VM does not make room wherever it would go, or None."""
    snapshot = draft.snapshot
    if snapshot.vm_why_not[vm]:
        return snapshot.vm_why_not[vm][0]
    if vm in draft.moved or bool(snapshot.vms.busy[vm]):
        return Refusal(RefusalKind.VM_BUSY, "is moving already", snapshot.vms.ids[vm], intent.host)
    return why_left_out(draft, intent, vm) or why_moved_enough(draft, intent, vm)
