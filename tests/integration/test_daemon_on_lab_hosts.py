"""The whole daemon on real hosts: one is off, one hangs, one was given a copy by a stranger's hand."""

from __future__ import annotations

import time

from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    document,
    journal,
    lab_of_a_file,
    ordered,
    told,
    until,
    until_acting,
    until_left,
    until_settled,
)
from tests.lab import Lab

pytestmark = ON_LAB

ANSWER_SECONDS = 1.0

lab = lab_of_a_file("h", hosts=4)


def test_two_copies_by_a_strangers_hand_freeze_both_hosts_and_nothing_is_destroyed(lab: Lab, stand: Stand) -> None:
    first = lab.start_guest("h1", "web", mode="1")
    daemon = stand.acting()
    second = lab.start_guest("h2", "web-again", identity=first.uuid, mode="1")
    until(lambda: any(r["kind"] == "DuplicateSeen" for r in journal(stand.home)), 30.0, "it is seen", daemon)
    alarm = next(r for r in journal(stand.home) if r["kind"] == "DuplicateSeen")
    assert alarm["hosts"] == ["h1", "h2"]
    until(lambda: any(r["level"] == "error" for r in daemon.records(
        "web runs on h1 and h2: both hosts are frozen; nothing is destroyed automatically")), 5.0, "it is told", daemon)
    until(lambda: [h["name"] for h in daemon.ask("hosts")["hosts"] if h["target"]] == ["h3", "h4"], 30.0,
          "neither of the two is a target", daemon)
    # even from a host that fails, a guest with two copies is not moved
    lab.hosts["h1"].fault("uncorrected")
    until(lambda: daemon.health().get("h1") == "failing", 30.0, "the fault is seen", daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert ordered(stand.home) == []
    assert "web was seen running on h1 and h2" in told(daemon, "h2")
    assert (lab.runs_on(first), lab.runs_on(second)) == ("h1", "h2")
    lab.stop_guest(second)
    until(lambda: any(r["kind"] == "DuplicateCleared" for r in journal(stand.home)), 30.0, "it is over", daemon)
    until_left(lab, first, "h1", 30.0, daemon)
    assert lab.heartbeat(first).breaks == 0


def test_a_hung_libvirtd_holds_nobody_else_up(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = stand.acting()
    lab.hosts["h4"].hang_libvirtd()
    lab.hosts["h1"].fault("uncorrected")
    slowest, until_time = 0.0, time.monotonic() + 30.0
    while lab.runs_on(guest) in (None, "h1") and time.monotonic() < until_time:
        asked = time.monotonic()
        assert daemon.ask("status") is not None
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.05)
    until_settled(daemon, stand.home)
    assert slowest < ANSWER_SECONDS
    assert lab.runs_on(guest) in ("h2", "h3")
    until(lambda: not _reachable(daemon, "h4"), 30.0, "the hung host is known to be out of reach", daemon)
    assert "h4" in told(daemon, "h4")
    lab.hosts["h4"].resume_libvirtd()
    until(lambda: _reachable(daemon, "h4"), 40.0, "it is picked up again", daemon)
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def _reachable(daemon: DaemonProcess, host: str) -> bool:
    return bool(next(h["reachable"] for h in daemon.ask("hosts")["hosts"] if h["name"] == host))


def test_a_host_that_is_off_at_the_start_is_named_and_picked_up_when_it_is_back(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    lab.hosts["h4"].power_off()
    daemon = stand.acting()
    said = daemon.records("host does not answer")
    assert [record["host"] for record in said] == ["h4"]
    assert said[0]["reason"]
    shown = document(daemon, "host", "show", "h4")
    assert not shown["reachable"]
    assert shown["unreachable_reason"]
    assert "h4" in told(daemon, "h4")
    lab.hosts["h1"].fault("uncorrected")
    until_left(lab, guest, "h1", 30.0, daemon)
    assert lab.runs_on(guest) in ("h2", "h3")
    until_settled(daemon, stand.home)
    lab.hosts["h4"].power_on()
    until(lambda: document(daemon, "host", "show", "h4")["target"], 40.0, "it is a target again", daemon)
    assert daemon.records("host answers again")
    until_acting(daemon)
    assert_lives_once(lab, guest)
