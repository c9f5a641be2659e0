"""A whole rehearsal from a setting to what it came to, with its progress on the way."""

from __future__ import annotations

import time
from collections.abc import Callable

from ballastd.core.rehearsed import Rehearsed
from ballastd.rehearsal.recording import Notes, rehearsed
from ballastd.rehearsal.stage import Setting, Stage, perform

SAMPLES_MAX = 2000
SAMPLE_SECONDS_MIN = 30.0

Progress = Callable[[float, int], None]
"""Told now and then how many virtual seconds have passed, and how many migrations were ordered."""


def rehearse(setting: Setting, seconds: float, progress: Progress = lambda _passed, _moves: None) -> Rehearsed:
    """Rehearse ``setting`` for so many virtual seconds.

    Raises:
        ConfigurationError: the setting cannot be used.
    """
    began = time.perf_counter()

    async def story(stage: Stage) -> Notes:
        notes = Notes(stage.world)

        def look(_stage: Stage) -> None:
            notes.look(stage)
            progress(notes.now, len(notes.moves))

        await stage.play(seconds, look, max(SAMPLE_SECONDS_MIN, seconds / SAMPLES_MAX))
        notes.close()
        return notes

    notes, stage = perform(setting, story)
    return rehearsed(stage, notes, round(time.perf_counter() - began, 3))
