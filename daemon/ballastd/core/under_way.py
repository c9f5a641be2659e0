"""What becomes of migrations that have begun: for how long their VMs may stand still, which go before their memory, and
which are called off; and what is given back to those that have arrived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ballastd.core import events as ev
from ballastd.core.aborts import Aborts
from ballastd.core.autostarts import Autostarts
from ballastd.core.clearance import Gate
from ballastd.core.climbing import Asks
from ballastd.core.convergence import Convergence
from ballastd.core.giving_way import Others
from ballastd.core.hand_pauses import HandPauses
from ballastd.core.inventory import COME, LEFT
from ballastd.core.last_resorts import LastResorts
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration, MigrationPhase
from ballastd.core.notices import Notice
from ballastd.core.plans import AbortOrder, AutostartOrder, DowntimeOrder, Given, PostCopyOrder, TuneOrder
from ballastd.core.policies import Health, PolicySet
from ballastd.core.quantities import HostName, Instant
from ballastd.core.senses import Senses

TELL_AGAIN_SECONDS = 10.0
"""How often a job is told a bandwidth of which nobody knows that it reached it."""
REASSURE_SECONDS = 60.0
"""How often it is told one that did: a call that was given up earlier may be carried out after it, and others may set
another one."""


@dataclass(frozen=True, slots=True)
class Care:
    """What to book, and what to carry out once that is durable."""

    events: tuple[ev.Event, ...]
    downtimes: tuple[DowntimeOrder, ...]
    aborts: tuple[AbortOrder, ...]
    post_copies: tuple[PostCopyOrder, ...]
    autostarts: tuple[AutostartOrder, ...]
    notices: tuple[Notice, ...]


def way_given(migration: str, given: Given | None, wall: float) -> tuple[ev.WayGiven, ...]:
    """Return what to book of what a migration was given for the sake of others, nothing where it was for nobody's."""
    return () if given is None else (ev.WayGiven(wall, migration, given.less_mib_s, given.because),)


class UnderWay:
    """Remembers the course and the time limit of each, and when each was told its bandwidth again (monotonic seconds)."""

    def __init__(self, senses: Senses) -> None:
        self._senses = senses
        self._aborts, self._convergence, self._last_resorts = Aborts(), Convergence(), LastResorts()
        self._autostarts, self._hands = Autostarts(senses), HandPauses(senses)
        self._told: dict[str, float] = {}
        self._asking: Mapping[str, str] = {}
        self.others = Others(senses)

    def follow(self, ledger: Ledger, policies: PolicySet, health: Callable[[HostName], Health], gates: tuple[Gate, ...],
               peaks: Mapping[str, int], revision: int, now: Instant) -> Care:
        """Return what is to be done about them now. A gate that lets an evacuation pass lets its VMs stand still for longer,
        too; nothing is lengthened once our own books are in doubt. ``peaks``: what those (ids) may be given of
        their links that do not converge."""
        def is_held(m: Migration) -> bool:
            return ledger.broken is not None or any(m.source not in gate.passes for gate in gates)

        def is_held_or_frozen(m: Migration) -> bool:
            return is_held(m) or not frozen.isdisjoint((m.source, m.target))

        frozen = ledger.frozen_hosts()
        eased = self._convergence.follow(
            ledger, self._senses.progress, lambda m: self._senses.record(m.source, m.vm, now), policies.limits, peaks,
            revision, now, is_held)
        self._asking = eased.asks
        resorts = self._last_resorts.follow(
            ledger, policies, eased.outrun, revision, now, health=health, is_held=is_held_or_frozen,
            record_at=lambda m, host: self._senses.record(host, m.vm, now),
            answers=lambda host: host in ledger.confirmed_dead or self._senses.is_reachable(host, now))
        hopeless = {key: why for key, why in eased.hopeless.items() if key not in resorts.awaited}
        called_off, aborts = self._aborts.follow(ledger, policies, health, hopeless, resorts.spared, revision, now)
        given_back, hands = self._autostarts.follow(ledger, revision, now), self._hands.follow(ledger, now)
        return Care((*eased.events, *resorts.events, *called_off, *given_back.events, *hands.events), eased.orders, aborts,
                    resorts.orders, given_back.orders, (*resorts.notices, *given_back.notices, *hands.notices))

    def asks(self) -> Asks:
        """Return who did not converge a moment ago, and how fast VMs dirty their memory."""
        return Asks(self._asking, self.others.dirtied)

    def tell_again(self, ledger: Ledger, tunes: tuple[TuneOrder, ...], revision: int, now: Instant) -> tuple[TuneOrder, ...]:
        """Return ``tunes``, and what the books say of jobs that were given another bandwidth before: soon where nobody knows
        that it reached them, for the call failed or a run before died, else seldom; what others are given rests on it."""
        self._told = {key: at for key, at in self._told.items() if key in ledger.migrations}
        mine = {tune.migration for tune in tunes}
        again = [TuneOrder(m.id, m.vm, m.source, m.target, m.bandwidth_mib_s, revision) for m in ledger.open_migrations()
                 if m.retuned and m.phase is MigrationPhase.RUNNING and m.id not in mine
                 and now.monotonic - self._told.get(m.id, float("-inf")) >= self._patience(m)]
        self._told.update({tune.migration: now.monotonic for tune in (*tunes, *again)})
        return (*tunes, *again)

    def _patience(self, m: Migration) -> float:
        has_arrived = self._senses.bandwidths.get(m.id) == m.bandwidth_mib_s
        return REASSURE_SECONDS if has_arrived else TELL_AGAIN_SECONDS

    def parted(self, ledger: Ledger, now: Instant) -> frozenset[str]:
        """Return the open migrations (ids) of which an end shows now that their VM went before its memory."""
        shown = ((m.id, self._senses.record(host, m.vm, now)) for m in ledger.open_migrations()
                 for host in (m.source, m.target))
        return frozenset(key for key, record in shown if record is not None and record.state in LEFT | COME)

    def deadlines(self) -> Iterable[float]:
        """Return the monotonic instants at which open migrations run out of time."""
        return self._aborts.deadlines()
