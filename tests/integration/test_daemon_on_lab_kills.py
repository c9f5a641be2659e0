"""The whole daemon on real hosts, killed at every instant of a migration: adopted, once, and the books are closed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.chaos.kills import play
from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    lab_of_a_file,
    ordered,
    settled,
    unsettled,
    until,
    until_left,
)
from tests.lab import Lab
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 120
"""8 MiB/s for migrations: a guest of 24 MiB is under way for three seconds."""
STOP_SECONDS = 10.0

lab = lab_of_a_file("k")


class Flight:
    """One guest, and a daemon that was just told to drain its host."""

    def __init__(self, lab: Lab, stand: Stand) -> None:
        self.lab, self.stand = lab, stand
        self.guest: LabGuest = lab.start_guest("h1", "web", memory_mib=24, mode="1")
        self.daemon: DaemonProcess = stand.acting(link_mbit=LINK_MBIT)
        until(lambda: (self.daemon.ask("vms") or {}).get("vms"), 30.0, "the guest is seen", self.daemon)
        assert self.daemon.ctl("host", "drain", "h1").returncode == 0

    def wait(self, what: Callable[[], object]) -> None:
        """Look as fast as can be: these instants are short."""
        until_time = time.monotonic() + 20.0
        while not what():
            assert time.monotonic() < until_time, self.daemon.log.read_text()[-3000:]

    def ordered(self) -> bool:
        return bool(ordered(self.stand.home))

    def arriving(self) -> bool:
        return any(host.emulated() for name, host in self.lab.hosts.items() if name != "h1")

    def copied(self, share: float) -> bool:
        return any((m["progress"] or 0.0) >= share for m in self.daemon.migrations())

    def gone_from_source(self) -> bool:
        return not self.lab.hosts["h1"].emulated()

    def settled(self) -> bool:
        return self.ordered() and not unsettled(self.stand.home)


INSTANTS: dict[str, Callable[[Flight], object]] = {
    "before the call": Flight.ordered,
    "as the target begins": Flight.arriving,
    "late in the copying": lambda flight: flight.copied(0.80),
    "as the source ends": Flight.gone_from_source,
}


@pytest.mark.parametrize("instant", INSTANTS)
def test_killed_and_started_again_it_adopts_what_runs(lab: Lab, stand: Stand, instant: str) -> None:
    flight = Flight(lab, stand)
    flight.wait(lambda: INSTANTS[instant](flight))
    flight.daemon.kill()
    open_at_kill = unsettled(stand.home)
    flight.daemon.start()
    until_left(lab, flight.guest, "h1", 40.0, flight.daemon)
    until(lambda: ordered(stand.home) and not unsettled(stand.home), 30.0, "the books are closed", flight.daemon)
    assert_lives_once(lab, flight.guest)
    assert_books_are_closed(stand.home)
    if instant != "before the call":
        assert len(ordered(stand.home)) == 1, "adopted, not ordered again"
    for key in open_at_kill:
        shown = next(m for m in flight.daemon.migrations() if m["id"] == key)
        assert shown["adopted"]
        assert shown["ending"] == "completed" or instant == "before the call"


@pytest.mark.parametrize(("place", "instant"), [("uncordon", "before"), ("migrate", "during")])
def test_killed_at_the_boundary_of_an_act_it_is_done_once_and_not_forgotten(lab: Lab, place: str, instant: str) -> None:
    """The others are tried by ``python -m tests.chaos.kills``."""
    outcome = play(lab, place, instant, 1)
    assert outcome.violations == []
    assert outcome.is_struck


def test_asked_to_stop_it_leaves_the_job_to_the_hosts_and_settles_it_afterwards(lab: Lab, stand: Stand) -> None:
    flight = Flight(lab, stand)
    flight.wait(lambda: flight.copied(0.05))
    begun = time.monotonic()
    os.kill(flight.daemon.pid, signal.SIGTERM)
    assert flight.daemon.stop() == 0
    assert time.monotonic() - begun < STOP_SECONDS
    assert len(unsettled(stand.home)) == 1
    # nobody looks on, and the job completes by itself
    until_left(lab, flight.guest, "h1", 30.0)
    flight.daemon.start()
    until(lambda: not unsettled(stand.home), 30.0, "the books are closed", flight.daemon)
    assert [end["ending"] for end in settled(stand.home).values()] == ["completed"]
    assert len(ordered(stand.home)) == 1
    assert_books_are_closed(stand.home)
    assert_lives_once(lab, flight.guest)
