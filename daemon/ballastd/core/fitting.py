"""Places for all who leave hosts that are emptied, chosen together: where one after the other finds none for somebody.

A search over who could go where. Whoever has the fewest hosts left comes next, the largest first, and goes where it was to
go anyway, then where least memory is left over; a choice that leaves somebody nowhere is taken back. Every host is asked
with the constraints of the real moves and all that was chosen before it, and the failover reserve after them. What is tried
is counted, so that equal drafts give equal places on any machine; where the count ends the search, somebody may be left out
though all would have fitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ballastd.core.arrays import Bools, Ints
from ballastd.core.constraints import Terms, Trial, refusal, shut
from ballastd.core.draft import NOWHERE, Draft
from ballastd.core.drafting import NOBODY, Shortlist, leave_out, terms_of
from ballastd.core.intents import Intent
from ballastd.core.placement import Occupied, rules_for
from ballastd.core.reserve import Reserve
from ballastd.core.scoring import Coming

TRIES_MAX = 500
"""So many times in one walk a host is tried for somebody. There are two walks at most: by the places that were meant before,
then by room alone."""
TRIES_IN_ALL = 4 * TRIES_MAX
"""So many times in all walks for hosts that are emptied together; to begin a walk counts as one for each VM in it. Whoever
comes later and finds no target stays, and says so."""
RESERVE_TRIES = 10
"""To ask for the failover reserve takes as long as so many."""


@dataclass(slots=True)
class _Choice:
    """Somebody (index), the hosts that are left to try for it (rows), the best last, and the one that it is at. ``before``:
    the reserve when it was nowhere; ``vain``: the hosts at which it left somebody else nowhere."""

    one: int
    rows: list[int]
    before: Reserve | None
    vain: list[int] = field(default_factory=list)
    at: int = NOBODY


@dataclass(slots=True)
class Tries:
    """How many are left."""

    left: int = TRIES_IN_ALL


class Fitting:
    """The search. ``base``: what is planned beside it; ``intents``: what hosts are emptied for; ``tries``: what it may take,
    less what it took."""

    def __init__(self, base: Draft, intents: Sequence[Intent], tries: Tries) -> None:
        self._base, self._tries = base.copy(), tries
        for intent in intents:
            leave_out(self._base, intent)
        self._terms = {base.snapshot.row(intent.host): terms_of(intent, base.policies) for intent in intents}

    def has_place(self, vm: int) -> bool:
        """Return whether any host would take a VM (row) if it were the only one to leave, as far as tries are left."""
        source = int(self._base.snapshot.vms.host[vm])
        terms = self._terms[source]
        targets = Shortlist(self._base, terms, vm, source)
        while self._tries.left > 0 and (one := targets.next()) is not None:
            self._tries.left -= RESERVE_TRIES if terms.keeps_reserve else 1
            if targets.why_no_reserve(one) is None:
                return True
        return False

    def places(self, vms: Sequence[int], wish: Mapping[int, int]) -> dict[int, int]:
        """Return places that leave none of these VMs (rows) out, as host rows; empty where none were found. ``wish``: where
        they were to go."""
        for meant in (wish, NOWHERE):
            if self._tries.left <= len(vms):
                break
            self._tries.left -= len(vms)
            if found := _Search(self._base, self._terms, sorted(vms), meant, self._tries).placement():
                return found
        return {}


class _Search:
    """One walk through the choices. Columns: a row per VM that is to be placed, a column per host."""

    def __init__(self, base: Draft, terms: Mapping[int, Terms], vms: Sequence[int], wish: Mapping[int, int],
                 tries: Tries) -> None:
        snapshot = base.snapshot
        self._base, self._vms, self._wish, self._tries = base, vms, wish, tries
        self._until = tries.left - TRIES_MAX
        self._sources: list[int] = snapshot.vms.host[list(vms)].tolist()
        self._terms = [replace(terms[source], rules=rules_for(snapshot, terms[source].rules, vm))
                       for vm, source in zip(vms, self._sources, strict=True)]
        self._needs: Ints = snapshot.vms.memory[list(vms)]
        self._never: Bools = np.array([shut(snapshot, vm, base.promised, base.shifted, base.rerouted, None) for vm in vms])
        self._never[np.arange(len(vms)), self._sources] = True
        self._usable = ~self._never.all(axis=0)
        self._coming = Coming(base.promised.copy(), base.shifted.copy(), base.rerouted.copy())
        self._room: Ints = snapshot.hosts.room - base.promised
        self._left: Bools = np.ones(len(vms), np.bool_)
        self._counts: Ints = (~self._never).sum(axis=1)
        """How many hosts have room for each and did not say never."""
        self._moved, self._homes = dict(base.moved), dict(base.homes)
        self._reserve = base.reserve.fork() if any(one.keeps_reserve for one in self._terms) else None
        self._is_plain = self._reserve is None and not any(
            snapshot.records[vm].needs.backing or one.vcpus_per_processor is not None or any(rule.must for rule in one.rules)
            for vm, one in zip(vms, self._terms, strict=True))
        """Whether they take nothing from one another but memory: then hosts that look alike are alike."""

    def placement(self) -> dict[int, int]:
        """Return where all of them can go together, empty where everything was tried, or enough."""
        first = self._choice()
        path = [] if first is None else [first]
        while path:
            if path[-1].at != NOBODY:
                self._take_back(path[-1])
            if not self._goes_on(path[-1]):
                path.pop()
            elif len(path) == len(self._vms):
                return {vm: self._moved[vm] for vm in self._vms}
            elif (following := self._choice()) is not None:
                path.append(following)
        return {}

    def _choice(self) -> _Choice | None:
        """Return who is placed next, None where somebody is left nowhere."""
        left = np.flatnonzero(self._left)
        needs = self._needs[left]
        opens = self._usable & (self._room >= needs.min())
        if not self._counts[left].all() or int(needs.sum()) > int(self._room[opens].sum()):
            return None
        one = int(left[np.lexsort((left, -needs, self._counts[left]))[0]])
        rows = np.flatnonzero(~self._never[one] & (self._room >= self._needs[one]))
        vm = self._vms[one]
        is_hot = self._base.over(vm, self._coming)[rows] > 0
        order = np.lexsort((rows, self._room[rows], is_hot, rows != self._wish.get(vm, NOBODY)))
        return _Choice(one, rows[order][::-1].tolist(), self._reserve)

    def _goes_on(self, choice: _Choice) -> bool:
        """Put somebody at the next host that takes it; return whether there is one."""
        while choice.rows and self._tries.left > max(0, self._until):
            row = choice.rows.pop()
            if self._is_plain and any(self._are_alike(row, other) for other in choice.vain):
                continue
            self._tries.left -= 1
            if self._takes(choice.one, row):
                self._put(choice, row)
                return True
        return False

    def _are_alike(self, row: int, other: int) -> bool:
        return self._room[row] == self._room[other] and bool((self._never[:, row] == self._never[:, other]).all())

    def _takes(self, one: int, row: int) -> bool:
        vm, source, base = self._vms[one], self._sources[one], self._base
        # room was asked for already
        if self._is_refused(one, row, self._moved, self._homes):
            if self._is_refused(one, row, base.moved, base.homes):
                self._never[one, row] = True
                self._counts[one] -= 1
            return False
        return (self._reserve is None or not self._terms[one].keeps_reserve
                or self._reserve.worse_after(int(base.snapshot.vms.memory[vm]), row, source) is None)

    def _is_refused(self, one: int, row: int, moved: dict[int, int], homes: Occupied) -> bool:
        base = self._base
        trial = Trial(base.snapshot, base.ledger, self._vms[one], self._sources[one], row, base.promised, base.shifted,
                      base.rerouted, moved, homes, self._terms[one])
        return refusal(trial) is not None

    def _put(self, choice: _Choice, row: int) -> None:
        vm = self._vms[choice.one]
        self._fill(row, int(self._needs[choice.one]))
        self._shift(choice.one, row, 1)
        self._left[choice.one], self._moved[vm], choice.at = False, row, row
        self._homes[vm] = self._base.homes[vm] | {row}
        if choice.before is not None:
            self._reserve = choice.before.fork()
            self._reserve.move(int(self._needs[choice.one]), self._sources[choice.one], row)

    def _take_back(self, choice: _Choice) -> None:
        vm = self._vms[choice.one]
        self._fill(choice.at, -int(self._needs[choice.one]))
        self._shift(choice.one, choice.at, -1)
        del self._moved[vm]
        self._left[choice.one], self._homes[vm], self._reserve = True, self._base.homes[vm], choice.before
        choice.vain.append(choice.at)
        choice.at = NOBODY

    def _shift(self, one: int, row: int, sign: int) -> None:
        """Count what somebody takes from his host to another, or, with -1, no more."""
        vms, vm = self._base.snapshot.vms, self._vms[one]
        self._coming.promised[row] += sign * self._needs[one]
        for changed, used in ((self._coming.shifted, vms.cpu[vm]), (self._coming.rerouted, vms.network[vm])):
            if not np.isnan(used):
                changed[self._sources[one]] -= sign * used
                changed[row] += sign * used

    def _fill(self, row: int, memory: int) -> None:
        """Take so many bytes of a host's room, or give them back."""
        may, before = ~self._never[:, row], int(self._room[row])
        self._room[row] = before - memory
        self._counts += (may & (self._needs <= before - memory)).astype(np.int64) - (may & (self._needs <= before))
