"""What is done for a VM that does not get away from a failing host as it should, and that its policy and its owner allow:
its processors go first, and its memory follows them.

There is no way back from that, and a network that breaks in it leaves the VM standing still in two halves. So it is done
only where all else was tried: all the standstill that there is was allowed, its memory is still dirtied faster than it is
copied, its host is as sick as its policy answers to, and its target is well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ballastd.core import events as ev
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.notices import Notice
from ballastd.core.plans import PostCopyOrder
from ballastd.core.policies import EvacuationPolicy, Health, LastResort, Mode, PolicySet
from ballastd.core.quantities import HostName, Instant

ASK_AGAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Resorts:
    """What to book, what to carry out, what to tell people. ``spared``: migrations (ids) that are never called off."""

    events: tuple[ev.PostCopyOrdered, ...]
    orders: tuple[PostCopyOrder, ...]
    notices: tuple[Notice, ...]
    spared: frozenset[str]


def may_begin(policy: EvacuationPolicy | None, record: VmRecord | None) -> bool:
    """Return whether a migration under ``policy`` may be begun so that its VM can be put into post-copy later."""
    return (policy is not None and policy.mode is Mode.AUTO and LastResort.POST_COPY in policy.last_resorts
            and record is not None and record.post_copy)


class LastResorts:
    """Remembers since when each is in it and when it was last asked for, by the monotonic clock, and what was told."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def follow(self, ledger: Ledger, policies: PolicySet, outrun: Mapping[str, str], revision: int, now: Instant, *,
               health: Callable[[HostName], Health], record_at: Callable[[Migration, HostName], VmRecord | None],
               is_held: Callable[[Migration], bool]) -> Resorts:
        """Return what is to be done for those that are dirtied faster than they are copied. ``outrun``: why each cannot be
        had otherwise; ``record_at``: its VM as a host shows it now, None where it does not."""
        self._since = {key: at for key, at in self._since.items() if key in ledger.migrations}
        self._asked = {key: at for key, at in self._asked.items() if key in ledger.migrations}
        self._told = {told for told in self._told if told[0] in ledger.migrations}
        events: list[ev.PostCopyOrdered] = []
        orders: list[PostCopyOrder] = []
        notices: list[Notice] = []
        spared: set[str] = set()
        for m in ledger.open_migrations():
            if not m.holds_slot:
                continue
            here = record_at(m, m.source)
            because = m.post_copy_because or outrun.get(m.id, "")
            if not m.post_copy_because:
                if not because or m.abort_reason or is_held(m) or not _is_allowed(m, policies, health, here, record_at):
                    continue
                events.append(ev.PostCopyOrdered(now.wall, m.id, because))
            spared.add(m.id)
            since = self._since.setdefault(m.id, now.monotonic)
            if here is not None and here.state is VmState.RUNNING and self._is_due(m.id, now):
                orders.append(PostCopyOrder(m.id, m.vm, m.source, m.target, because, revision))
            notices.extend(self._told_of(m, because, (here, record_at(m, m.target)), now.monotonic - since))
        return Resorts(tuple(events), tuple(orders), tuple(notices), frozenset(spared))

    def _is_due(self, migration: str, now: Instant) -> bool:
        if now.monotonic - self._asked.get(migration, float("-inf")) < ASK_AGAIN_SECONDS:
            return False
        self._asked[migration] = now.monotonic
        return True

    def _told_of(self, m: Migration, because: str, ends: tuple[VmRecord | None, ...], lasts: float) -> tuple[Notice, ...]:
        if not m.post_copy_because:
            return self._once(m, "warning", f"{m.vm_name} goes to {m.target} before its memory: {because}")
        if any(one is not None and one.state is VmState.POSTCOPY_FAILED for one in ends):
            return self._once(m, "alarm", f"the way of {m.vm_name} from {m.source} to {m.target} broke with its memory in "
                              "two halves, and it may stand still; neither must be stopped; cure: bring the network back, "
                              "then virsh migrate with --postcopy-resume; where that fails it has to be started anew")
        if lasts > (given := m.deadline_wall - m.ordered_wall):
            return self._once(m, "alarm", f"{m.vm_name} runs on {m.target}, and its memory has not all come from {m.source} "
                              f"within as long as its whole migration was given, {given:.0f} s; neither must be stopped")
        return ()

    def _once(self, m: Migration, level: str, text: str) -> tuple[Notice, ...]:
        if (m.id, text) in self._told:
            return ()
        self._told.add((m.id, text))
        return (Notice(level, f"migration/{m.id}", text),)


def _is_allowed(m: Migration, policies: PolicySet, health: Callable[[HostName], Health], here: VmRecord | None,
                record_at: Callable[[Migration, HostName], VmRecord | None]) -> bool:
    """Return whether all still stands on which it was begun so: its policy, its owner's word, its host's state, its
    target's."""
    policy = policies.evacuation_named(m.policy)
    if not m.post_copy or policy is None or not may_begin(policy, here):
        return False
    there = record_at(m, m.target)
    return (health(m.source) >= policy.severity and health(m.target) is Health.HEALTHY
            and here is not None and here.state is VmState.RUNNING and not here.pins
            and there is not None and there.state is VmState.INCOMING)
