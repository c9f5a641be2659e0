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
from ballastd.core.gathering import together
from ballastd.core.inventory import BROKEN, COME, LEFT, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.notices import Notice
from ballastd.core.plans import PostCopyOrder
from ballastd.core.policies import EvacuationPolicy, Health, LastResort, Mode, PolicySet
from ballastd.core.quantities import HostName, Instant

ASK_AGAIN_SECONDS = 10.0
ASKS_MAX = 6
"""So often it is asked for before it is given up."""
HELD_SECONDS = 600.0
"""For so long it may stand in the journal while it is held, or an end does not show the VM, before it is given up."""
DARK_SECONDS = 30.0
"""For so long a source may be silent before it counts as gone: then hypervisors give up one another (docs/libvirt.md)."""


@dataclass(frozen=True, slots=True)
class Resorts:
    """What to book, what to carry out, what to tell people. ``spared``: migrations (ids) that are not called off whatever
    speaks for it; ``awaited``: those that are not called off for getting nowhere, until it is known whether they may."""

    events: tuple[ev.PostCopyOrdered | ev.PostCopyWithdrawn, ...] = ()
    orders: tuple[PostCopyOrder, ...] = ()
    notices: tuple[Notice, ...] = ()
    spared: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()


def may_begin(policy: EvacuationPolicy | None, record: VmRecord | None) -> bool:
    """Return whether a migration under ``policy`` may be begun so that its VM can be put into post-copy later."""
    return (policy is not None and policy.mode is Mode.AUTO and LastResort.POST_COPY in policy.last_resorts
            and record is not None and record.post_copy)


@dataclass(frozen=True, slots=True)
class Ends:
    """What both hosts show of a VM now, None of one that does not; whether the source answers at all; ``wants``: whether the
    migration's policy, its owner and its hosts' health are for it; ``is_held``: whether a gate, or that one of them is
    frozen, is against it."""

    here: VmRecord | None
    there: VmRecord | None
    source_answers: bool
    wants: bool
    is_held: bool

    @property
    def has_parted(self) -> bool:
        """Whether it is in post-copy, broken or not."""
        return any(one is not None and one.state in LEFT | COME for one in (self.here, self.there))

    @property
    def is_broken(self) -> bool:
        """Whether one of them shows that memory which it needs does not come any more."""
        return any(one is not None and one.state in BROKEN for one in (self.here, self.there))

    @property
    def is_ready(self) -> bool | None:
        """Whether both show it on its way, free to go; None where one does not show it, or it does not run just now."""
        if self.here is None or self.there is None or self.here.state is not VmState.RUNNING:
            return None
        return self.here.post_copy and not self.here.pins and self.there.state is VmState.INCOMING


class LastResorts:
    """Remembers since when each is in it, since when its source is silent, since when it cannot be asked for, when and how
    often it was asked for, all by the monotonic clock; and what was told."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._dark: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._given_up: set[str] = set()
        self._asked: dict[str, tuple[float, int]] = {}
        self._told: dict[tuple[str, str], None] = {}

    def follow(self, ledger: Ledger, policies: PolicySet, outrun: Mapping[str, str], revision: int, now: Instant, *,
               health: Callable[[HostName], Health], record_at: Callable[[Migration, HostName], VmRecord | None],
               answers: Callable[[HostName], bool], is_held: Callable[[Migration], bool]) -> Resorts:
        """Return what is to be done for those that are dirtied faster than they are copied. ``outrun``: why each cannot be
        had otherwise; ``record_at``: its VM as a host shows it now, None where it does not; ``answers``: whether a host
        does."""
        self._forget(ledger)
        found: list[Resorts] = []
        for m in ledger.open_migrations():
            if not (m.post_copy or m.post_copy_because):
                continue
            policy = policies.evacuation_named(m.policy)
            here = record_at(m, m.source)
            wants = (policy is not None and may_begin(policy, here) and health(m.source) >= policy.severity
                     and health(m.target) is Health.HEALTHY)
            ends = Ends(here, record_at(m, m.target), answers(m.source), wants, is_held(m))
            if ends.has_parted:
                found.append(self._parted(m, ends, now))
            elif m.holds_slot and not m.abort_reason:
                ask = self._asked_for if m.post_copy_because else self._to_be_asked_for
                found.append(ask(m, ends, outrun.get(m.id, ""), revision, now))
        return together(Resorts(), found)

    def _forget(self, ledger: Ledger) -> None:
        self._since = {key: at for key, at in self._since.items() if key in ledger.migrations}
        self._given_up &= ledger.migrations.keys()
        self._dark = {key: at for key, at in self._dark.items() if key in ledger.migrations}
        self._held = {key: at for key, at in self._held.items() if key in ledger.migrations}
        self._asked = {key: asked for key, asked in self._asked.items() if key in ledger.migrations}
        self._told = {told: None for told in self._told if told[0] in ledger.migrations}

    def _to_be_asked_for(self, m: Migration, ends: Ends, because: str, revision: int, now: Instant) -> Resorts:
        if not because or ends.is_held or m.id in self._given_up:
            return Resorts()
        if ends.is_ready is None:
            return Resorts(awaited=frozenset({m.id}))
        if not (ends.is_ready and ends.wants):
            return Resorts()
        self._asked[m.id] = (now.monotonic, 1)
        told = Notice("warning", f"migration/{m.id}", f"{m.vm_name} goes to {m.target} before its memory: {because}")
        return Resorts((ev.PostCopyOrdered(now.wall, m.id, because),), (_order(m, because, revision),), (told,),
                       frozenset({m.id}))

    def _asked_for(self, m: Migration, ends: Ends, _because: str, revision: int, now: Instant) -> Resorts:
        """It is in the journal, and nobody shows it yet: the call did not arrive, was refused, or was never made."""
        spared = frozenset({m.id})
        if ends.is_ready is None or ends.is_held:
            if now.monotonic - self._held.setdefault(m.id, now.monotonic) < HELD_SECONDS:
                return Resorts(spared=spared)
            what = "it was held" if ends.is_held else "an end did not show it on its way"
            return self._give_up(m, f"{what} for {HELD_SECONDS:.0f} s", now)
        self._held.pop(m.id, None)
        at, times = self._asked.get(m.id, (float("-inf"), 0))
        if not (ends.is_ready and ends.wants):
            return self._give_up(m, "something speaks against it now", now)
        if times >= ASKS_MAX and now.monotonic - at >= ASK_AGAIN_SECONDS:
            return self._give_up(m, f"it was asked for {times} times", now)
        if now.monotonic - at < ASK_AGAIN_SECONDS:
            return Resorts(spared=spared)
        self._asked[m.id] = (now.monotonic, times + 1)
        return Resorts(orders=(_order(m, m.post_copy_because, revision),), spared=spared)

    def _give_up(self, m: Migration, why: str, now: Instant) -> Resorts:
        self._given_up.add(m.id)
        return Resorts((ev.PostCopyWithdrawn(now.wall, m.id, why),), notices=(
            Notice("warning", f"migration/{m.id}", f"{m.vm_name} does not go before its memory: {why}"),))

    def _parted(self, m: Migration, ends: Ends, now: Instant) -> Resorts:
        since, given = self._since.setdefault(m.id, now.monotonic), m.deadline_wall - m.ordered_wall
        if ends.source_answers:
            self._dark.pop(m.id, None)
        is_dark = not ends.source_answers and now.monotonic - self._dark.setdefault(m.id, now.monotonic) >= DARK_SECONDS
        told: tuple[Notice, ...] = ()
        if ends.is_broken or is_dark:
            told = self._once(m, "broke", f"the way of {m.vm_name} from {m.source} to {m.target} broke with its memory in "
                              "two halves, and it may stand still; neither must be stopped; cure: bring the network and the "
                              "source back, then virsh migrate with --postcopy-resume; where that fails it has to be "
                              "started anew")
        elif now.monotonic - since > given:
            told = self._once(m, "late", f"{m.vm_name} runs on {m.target}, and its memory has not all come from {m.source} "
                              f"within as long as its whole migration was given, {given:.0f} s; neither must be stopped")
        else:
            self._told.pop((m.id, "broke"), None)
        return Resorts(notices=told, spared=frozenset({m.id}))

    def _once(self, m: Migration, what: str, text: str) -> tuple[Notice, ...]:
        if (m.id, what) in self._told:
            return ()
        self._told[m.id, what] = None
        return (Notice("alarm", f"migration/{m.id}", text),)


def _order(m: Migration, because: str, revision: int) -> PostCopyOrder:
    return PostCopyOrder(m.id, m.vm, m.source, m.target, because, revision)
