"""Independent checkers of the invariants: they look at the true state after every event."""

from __future__ import annotations

from ballastd.sim.checkers.arrivals import AskedFewOnly
from ballastd.sim.checkers.autostarts import AutostartKept
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.copies import NobodyLost, NoOtherCopy, OneCopy, OneMigration, Twins
from ballastd.sim.checkers.gates import Rivals, SiteEvents
from ballastd.sim.checkers.journal import ClosedHosts, JournalFirst, OneEnding
from ballastd.sim.checkers.limits import Concurrency, Cooldowns, LastResort, Modes, Pause, Rates, Standstill, Windows
from ballastd.sim.checkers.links import GivingWay, Links
from ballastd.sim.checkers.room import FailoverReserve, Memory, Overcommit
from ballastd.sim.checkers.rules import MustRules, Wishes
from ballastd.sim.checkers.shutdowns import LastOfAll
from ballastd.sim.checkers.switches import EmptyBeforeOff, FewSwitches, OnlyOurs, ProvedToWake, Rhythm
from ballastd.sim.checkers.targets import (
    BlastRadius,
    Evidence,
    FitTarget,
    Frozen,
    OwnersWord,
    StartUp,
    TurnedTarget,
)

CHECKERS: tuple[type[Checker], ...] = (
    OneCopy, NobodyLost, OneMigration, Twins, JournalFirst, Concurrency, Rates, Cooldowns, Windows, Modes, Pause, Standstill,
    LastResort, LastOfAll, Links, GivingWay, Memory, Overcommit, FailoverReserve, MustRules, Wishes, EmptyBeforeOff,
    FewSwitches, OnlyOurs, FitTarget,
    Evidence, Frozen, BlastRadius, OwnersWord, StartUp, TurnedTarget, OneEnding, NoOtherCopy, Rhythm, ProvedToWake,
    AskedFewOnly, AutostartKept, SiteEvents, Rivals, ClosedHosts,
)

__all__ = ["CHECKERS", "Checker"]
