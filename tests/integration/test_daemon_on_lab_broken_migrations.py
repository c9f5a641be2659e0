"""The whole daemon on real hosts: a libvirtd dies in the middle of a migration, and the truth is found out."""

from __future__ import annotations

import time

import pytest

from tests.integration.daemon_parts import (
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    journal,
    lab_of_a_test,
    ordered,
    settled,
    until,
    until_left,
)
from tests.lab import Lab

pytestmark = ON_LAB

LINK_MBIT = 70
"""5 MiB/s for migrations: two guests of 16 MiB are under way for six seconds."""
DEAD_SECONDS = 2.0

lab = lab_of_a_test("m")


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_libvirtd_that_dies_in_the_middle_leaves_one_copy_and_true_books(lab: Lab, stand: Stand, end: str) -> None:
    web, db = (lab.start_guest("h1", name, memory_mib=16, mode="1") for name in ("web", "db"))
    daemon = stand.acting(link_mbit=LINK_MBIT)
    lab.hosts["h1"].fault("uncorrected")
    until(lambda: any((m["progress"] or 0.0) > 0.2 and m["vm_name"] == "web" for m in daemon.migrations()), 20.0,
          "it is under way", daemon)
    first = ordered(stand.home, "web")[0]
    host = lab.hosts[first[end]]
    host.kill_libvirtd()
    time.sleep(DEAD_SECONDS)
    assert len(ordered(stand.home, "web")) == 1, "nothing is ordered again while nobody knows how it ended"
    host.restart_libvirtd()
    until(lambda: first["id"] in settled(stand.home), 40.0, "it is settled", daemon)
    ending = settled(stand.home)[first["id"]]["ending"]
    after = [r for r in ordered(stand.home, "web") if r["id"] != first["id"]]
    if not after:
        assert (ending == "completed") == (lab.runs_on(web) == first["target"])
    for guest in (web, db):
        until_left(lab, guest, "h1", 60.0, daemon)
    until(lambda: any(r["kind"] == "EvacuationEnded" for r in journal(stand.home)), 30.0, "the host is empty", daemon)
    assert_lives_once(lab, web, db)
    assert_books_are_closed(stand.home)
    for guest in (web, db):
        orders = ordered(stand.home, guest.name)
        endings = [settled(stand.home)[r["id"]]["ending"] for r in orders]
        assert endings[-1] == "completed"
        assert set(endings[:-1]) <= {"failed", "aborted", "refused"}
        assert orders[-1]["target"] == lab.runs_on(guest)
