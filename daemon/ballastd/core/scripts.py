"""A script: when a rehearsal begins, how long it lasts, and what happens in it."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks
from ballastd.core.policies import Timing


@dataclass(frozen=True, slots=True)
class Script:
    """``begins_wall``: wall seconds at which it begins. ``lasts``: seconds. ``acts``: sorted by time. ``wakeable``: whether
    every host with power counts as proved to wake from the start. ``quiet``: nothing is to be moved or switched.
    ``arrival_checks``: how VMs may be asked whether they answer."""

    begins_wall: float
    lasts: float
    acts: tuple[Act, ...] = ()
    seed: int = 0
    timing: Timing = Timing()
    wakeable: bool = True
    quiet: bool = False
    arrival_checks: AllowedChecks = NOTHING_ALLOWED
