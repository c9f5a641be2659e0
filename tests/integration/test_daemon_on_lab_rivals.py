"""The whole daemon on real hosts, twice by mistake: neither acts while the other is there, and both say so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.demo.cluster import BIN, DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    lab_of_a_file,
    ordered,
    reasons,
    stood,
    until,
    until_acting,
    until_left,
    until_posture,
    until_settled,
)
from tests.integration.end_parts import Calls, an_ear
from tests.integration.hurried import CLAIM_ROUNDS, RIVAL_SECONDS
from tests.lab import Lab

pytestmark = ON_LAB

HURRIED = (str(BIN / "python"), "-m", "tests.integration.hurried")

lab = lab_of_a_file("r")


@pytest.fixture
def other(lab: Lab, stand: Stand) -> Iterator[Stand]:
    """Where a second daemon lives, with a journal of its own."""
    with stood(lab, "other") as one:
        yield one


def test_two_daemons_notice_one_another_and_observe_until_one_is_stopped(lab: Lab, stand: Stand, other: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    calls = Calls(lab)
    with an_ear(stand.home / "notices") as ear:
        first = stand.daemon().start(HURRIED)
        until_acting(first)
        stand.until_heard(first)
        since = time.time()
        second = other.daemon().start(HURRIED)
        both: list[tuple[DaemonProcess, Stand]] = [(first, other), (second, stand)]
        for daemon, rival in both:
            until_posture(daemon, "observing")
            named = f"{rival.home}/journal.db) claims this cluster"
            until(lambda named=named: any(named in text for text in ear.alarms("rival")), 10.0, "it is told", daemon)
            assert named in reasons(daemon)
            assert daemon.ctl("host", "drain", "h1").returncode == 0, "a wish is taken note of"
        time.sleep(RIVAL_SECONDS + NO_DAMAGE_SECONDS)
        assert (first.posture(), second.posture()) == ("observing", "observing"), "for as long as both live"
        assert (ordered(stand.home), ordered(other.home)) == ([], [])
        assert calls.deeds(since) == []
        stopped = time.monotonic()
        second.stop()
        until_acting(first)
        assert time.monotonic() - stopped > RIVAL_SECONDS - CLAIM_ROUNDS - 1.0, "not before it was silent for a while"
        until_left(lab, guest, "h1", 30.0, first)
        until_settled(first, stand.home)
    assert ordered(other.home) == []
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)
