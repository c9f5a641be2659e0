"""Conditions in words: whatever is written is said, and nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest

from ballastd.documents.policies_in_words import condition_in_words


@pytest.mark.parametrize(("when", "words"), [
    ({"metric": "ecc.uncorrected", "increase": "1h", "above": 0}, "ecc.uncorrected rises by more than 0 within 1h"),
    ({"metric": "temperature", "relative_to": "critical", "above": "-5C", "for": "5m"},
     "temperature is above its sensor's own critical limit (counted from it: -5C), for 5m without a gap"),
    ({"metric": "fan.alarm", "is": True, "for": "1m"}, "fan.alarm is true, for 1m without a gap"),
    ({"metric": "memory.available", "below": "4GiB"}, "memory.available is below 4GiB"),
    ({"metric": "ecc.corrected", "rate": "10m", "above": "10/min"}, "ecc.corrected rises at more than 10/min over 10m"),
    ({"metric": "cpu.utilization", "mean": "10m", "above": "90%"}, "the mean of cpu.utilization over 10m is above 90%"),
    ({"metric": "fan.alarm", "is": True, "at_least": 2}, "fan.alarm is true on 2 of its subjects"),
    ({"silent": "5m"}, "nothing was heard of it for 5m"),
    ({"all": [{"metric": "fan.alarm", "is": True}, {"not": {"metric": "psu.alarm", "is": True}}], "for": "1m"},
     "(fan.alarm is true) and (it is not so that psu.alarm is true), for 1m without a gap"),
    ({"at_least": 2, "of": [{"silent": "5m"}, {"metric": "fan.alarm", "is": True}]},
     "2 of (nothing was heard of it for 5m), (fan.alarm is true)"),
    ({"metric": "temperature", "above": "85C", "samples": "3 of 5"}, "temperature is above 85C, samples 3 of 5"),
])
def test_a_condition_is_said_whole(when: dict[str, Any], words: str) -> None:
    assert condition_in_words(when) == words
