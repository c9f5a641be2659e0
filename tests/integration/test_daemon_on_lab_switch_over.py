"""The whole daemon on real hosts: libvirtds die at the switch-over; each VM is found as it is, and nothing is made of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ballastd.cli.demo.telling import wait_for
from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    ON_LAB,
    POLICIES,
    Stand,
    assert_books_are_closed,
    document,
    journal,
    lab_of_a_file,
    ordered,
    settled,
    stood,
    unsettled,
    until,
    until_acting,
    until_left,
)
from tests.integration.end_parts import (
    BY_MIGRATION,
    PAUSED,
    Calls,
    Ear,
    an_ear,
    hold_at_switch_over,
    restart_at_switch_over,
    runs_at,
    seen_at,
    until_copying,
)
from tests.lab import Lab
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 60
"""4 MiB/s for migrations, shared by all: four guests of 16 MiB would be under way for sixteen seconds."""
FOUR_AT_ONCE = POLICIES.replace(
    "retries:", "in_flight: {cluster: 4, host_out: 4, host_in: 4}\nfailover: {hosts: 0}\nretries:")
ALARM_SECONDS, LOOKS_SECONDS = 15.0, 2.0
"""Within so long what is not right is told, and what must not be is waited for."""

lab = lab_of_a_file("w")


@dataclass
class Crossing:
    """Four guests on their way from h1 to h2, and what became of them. ``orders``: of each, by its name; ``since``: when
    the daemon was started again, by the wall clock; ``unseen``: what was settled and told while h2 did not answer."""

    lab: Lab
    stand: Stand
    ear: Ear
    calls: Calls
    daemon: DaemonProcess
    guests: dict[str, LabGuest]
    orders: dict[str, str]
    since: float = 0.0
    unseen: tuple[list[str], dict[str, list[str]]] = ([], {})

    def alarms(self, name: str) -> list[str]:
        return self.ear.alarms(f"migration/{self.orders[name]}")

    def end(self, name: str) -> dict[str, Any]:
        return settled(self.stand.home)[self.orders[name]]

    def states(self, name: str) -> tuple[Any, Any]:
        return seen_at(self.lab.hosts["h1"], self.guests[name]), seen_at(self.lab.hosts["h2"], self.guests[name])


@pytest.fixture(scope="module")
def crossed(lab: Lab) -> Iterator[Crossing]:
    """The daemon is killed in the middle of four migrations. By the time it is started again they have come to the
    switch-over, h2 does not answer, and h1 has forgotten them. One guest is destroyed at both ends, one is destroyed at h2,
    one resumed at h1 by somebody who should not have. Then h2 answers again."""
    with stood(lab) as stand, an_ear(stand.home / "notices") as ear:
        guests = {name: lab.start_guest("h1", name, memory_mib=16, mode="1") for name in ("left", "down", "split", "gone")}
        calls = Calls(lab)
        daemon = stand.daemon(link_mbit=LINK_MBIT, policies=FOUR_AT_ONCE).start()
        until_acting(daemon)
        stand.until_heard(daemon)
        assert daemon.ctl("host", "cordon", "h3").returncode == 0
        assert daemon.ctl("host", "drain", "h1").returncode == 0
        until_copying(daemon, *guests.values(), share=0.05)
        daemon.kill()
        orders = {r["vm_name"]: r["id"] for r in ordered(stand.home)}
        scene = Crossing(lab, stand, ear, calls, daemon, guests, orders)
        hold_at_switch_over(lab, "h1", "h2", *guests.values())
        restart_at_switch_over(lab.hosts["h1"], *guests.values())
        lab.hosts["h1"].virsh("destroy", "gone")
        lab.hosts["h1"].virsh("resume", "split")
        for name in ("gone", "down"):
            lab.hosts["h2"].kill_qemu(name)
        scene.since = time.time()
        daemon.start()
        until(lambda: daemon.records("host does not answer"), 20.0, "h2 does not answer", daemon)
        wait_for(lambda: scene.alarms("left") and scene.alarms("down"), ALARM_SECONDS, 0.1)
        time.sleep(LOOKS_SECONDS)  # for what must not come
        scene.unseen = list(settled(stand.home)), {name: scene.alarms(name) for name in guests}
        lab.hosts["h2"].resume_libvirtd()
        until(lambda: not unsettled(stand.home), 30.0, "all are settled", daemon)
        yield scene


def test_paused_while_nobody_can_ask_the_target_is_an_alarm_and_stays_open(crossed: Crossing) -> None:
    ends, alarms = crossed.unseen
    assert ends == []
    for name in ("left", "down"):
        assert len(alarms[name]) == 1, alarms
        assert "may run on h2, which does not answer" in alarms[name][0]
    assert alarms["gone"] == alarms["split"] == []


def test_paused_at_the_source_and_running_at_the_target_is_a_leftover(crossed: Crossing) -> None:
    assert crossed.states("left") == ((PAUSED, BY_MIGRATION), (1, 2))
    assert crossed.end("left")["ending"] == "leftover"
    assert "runs on h2; a paused copy is left on h1" in crossed.alarms("left")[-1]


def test_paused_at_the_source_and_absent_at_the_target_is_down(crossed: Crossing) -> None:
    assert crossed.states("down") == ((PAUSED, BY_MIGRATION), None)
    assert crossed.end("down")["ending"] == "down"
    assert "paused on h1, not on h2: it is down" in crossed.alarms("down")[-1]


def test_running_at_both_ends_is_split_and_freezes_both(crossed: Crossing) -> None:
    assert runs_at(crossed.lab, crossed.guests["split"]) == ["h1", "h2"]
    assert crossed.end("split")["ending"] == "split"
    assert "runs on BOTH h1 and h2" in crossed.alarms("split")[-1]
    assert crossed.ear.alarms(f"duplicate/{crossed.guests['split'].uuid}") == [
        "split runs on h1 and h2: both hosts are frozen; nothing is destroyed automatically"]
    shown = {h["name"]: h for h in document(crossed.daemon, "host", "list")}
    assert not shown["h1"]["target"]
    assert not shown["h2"]["target"]


def test_absent_at_both_ends_has_vanished(crossed: Crossing) -> None:
    assert crossed.states("gone") == (None, None)
    assert crossed.end("gone")["ending"] == "vanished"
    alarm = crossed.alarms("gone")[-1]
    assert "neither on h1 nor on h2" in alarm
    assert f"ballastctl vm definition {crossed.guests['gone'].uuid} shows what it was" in alarm
    told = crossed.daemon.ctl("vm", "definition", crossed.guests["gone"].uuid)
    assert "<name>gone</name>" in told.stdout


def test_nothing_was_destroyed_resumed_started_or_moved_until_a_person_had_cleaned_up(crossed: Crossing) -> None:
    """The last of this scene: what is good again is drained as was asked for."""
    lab, daemon, home = crossed.lab, crossed.daemon, crossed.stand.home
    assert crossed.calls.deeds(crossed.since) == []
    assert len(ordered(home)) == len(crossed.guests)
    lab.hosts["h1"].virsh("destroy", "split")
    lab.hosts["h1"].virsh("destroy", "left")
    until(lambda: any(r["kind"] == "DuplicateCleared" for r in journal(home)), 20.0, "one copy is left", daemon)
    lab.hosts["h1"].virsh("resume", "down")
    assert daemon.ctl("host", "uncordon", "h3").returncode == 0, "a move to h2 ended down, and is not tried again at once"
    until_left(lab, crossed.guests["down"], "h1", 30.0, daemon)
    until(lambda: not unsettled(home), 20.0, "the books are closed", daemon)
    assert [r["vm_name"] for r in ordered(home)][len(crossed.guests):] == ["down"]
    assert [runs_at(lab, guest) for guest in crossed.guests.values()] == [["h2"], ["h3"], ["h2"], []]
    assert [lab.heartbeat(crossed.guests[name]).breaks for name in ("left", "down")] == [0, 0]
    assert_books_are_closed(home)
