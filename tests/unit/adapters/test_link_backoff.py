"""Back-off between attempts to reach the broker."""

from __future__ import annotations

import random

from ballastd.adapters.mqtt.link import BACKOFF_FIRST_SECONDS, BACKOFF_MAX_SECONDS, backoff_seconds


def test_the_first_wait_is_short_and_no_wait_exceeds_the_cap() -> None:
    rng = random.Random(1)
    assert max(backoff_seconds(1, rng) for _ in range(500)) <= BACKOFF_FIRST_SECONDS
    assert max(backoff_seconds(99, rng) for _ in range(500)) <= BACKOFF_MAX_SECONDS


def test_waits_grow_with_failures_in_a_row() -> None:
    rng = random.Random(2)
    means = [sum(backoff_seconds(attempt, rng) for _ in range(2000)) / 2000 for attempt in (1, 3, 5, 7)]
    assert means == sorted(means)
    assert means[-1] > 10 * means[0]


def test_a_thousand_agents_do_not_come_back_in_step() -> None:
    waits = sorted(backoff_seconds(6, random.Random(seed)) for seed in range(1000))
    assert waits[100] < 0.2 * waits[-1]
    assert waits[900] > 0.8 * waits[-1]


def test_the_same_dice_give_the_same_waits() -> None:
    assert [backoff_seconds(n, random.Random(7)) for n in range(1, 9)] == [
        backoff_seconds(n, random.Random(7)) for n in range(1, 9)]
