"""The whole daemon on real hosts: somebody pauses a guest with virsh in the middle of its migration."""

from __future__ import annotations

import time

from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    journal,
    lab_of_a_file,
    settled,
    unsettled,
    until,
    until_left,
)
from tests.lab import Lab
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 70
"""5 MiB/s for migrations: a guest of 48 MiB is under way for ten seconds."""

lab = lab_of_a_file("p")


def state(lab: Lab, guest: LabGuest, host: str = "h1") -> str:
    return lab.hosts[host].virsh("domstate", guest.name, "--reason").strip()


def leaving(lab: Lab, stand: Stand) -> tuple[LabGuest, DaemonProcess]:
    """Return a guest on h1, and a daemon that acts."""
    guest = lab.start_guest("h1", "web", memory_mib=48, mode="1")
    daemon = stand.acting(link_mbit=LINK_MBIT)
    until(lambda: (daemon.ask("vms") or {}).get("vms"), 30.0, "the guest is seen", daemon)
    return guest, daemon


def pause_on_its_way(lab: Lab, guest: LabGuest, daemon: DaemonProcess) -> None:
    until(lambda: any((m["progress"] or 0.0) > 0.1 for m in daemon.migrations()), 30.0, "it is under way", daemon)
    lab.hosts["h1"].virsh("suspend", guest.name)
    assert state(lab, guest) == "paused (migrating)", "libvirt shows it as it shows a hand-over"


def kinds(stand: Stand) -> list[str]:
    return [r["kind"] for r in journal(stand.home)]


def until_told(daemon: DaemonProcess, host: str) -> None:
    words = f"which somebody paused while it migrated, runs on {host}"
    until(lambda: words in daemon.log.read_text(), 10.0, "people are told", daemon)


def test_a_drained_guest_that_is_paused_on_its_way_is_called_off_told_and_left_alone(lab: Lab, stand: Stand) -> None:
    guest, daemon = leaving(lab, stand)
    assert daemon.ctl("host", "drain", "h1").returncode == 0
    pause_on_its_way(lab, guest, daemon)
    until(lambda: "AbortOrdered" in kinds(stand), 10.0, "it is called off", daemon)
    assert kinds(stand).index("HandPauseSeen") < kinds(stand).index("AbortOrdered")
    assert daemon.ctl("host", "undrain", "h1").returncode == 0
    until(lambda: not unsettled(stand.home), 20.0, "its books are closed", daemon)
    assert [end["ending"] for end in settled(stand.home).values()] == ["aborted"]
    assert state(lab, guest) == "running (migration canceled)", "libvirt set it going, whatever was wanted"
    until_told(daemon, "h1")
    lab.hosts["h1"].virsh("suspend", guest.name)
    time.sleep(NO_DAMAGE_SECONDS)
    assert state(lab, guest) == "paused (user)"
    lab.hosts["h1"].virsh("resume", guest.name)
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_a_guest_that_leaves_a_failing_host_arrives_runs_there_and_that_is_told(lab: Lab, stand: Stand) -> None:
    guest, daemon = leaving(lab, stand)
    lab.hosts["h1"].fault("uncorrected")
    pause_on_its_way(lab, guest, daemon)
    until(lambda: "HandPauseSeen" in kinds(stand), 10.0, "it is noticed", daemon)
    until_left(lab, guest, "h1", 40.0, daemon)
    until(lambda: not unsettled(stand.home), 20.0, "its books are closed", daemon)
    assert "AbortOrdered" not in kinds(stand)
    target = lab.runs_on(guest)
    assert target is not None
    assert state(lab, guest, target) == "running (migrated)"
    until_told(daemon, target)
    assert_lives_once(lab, guest)
