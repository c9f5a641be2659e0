"""The whole daemon on real hosts: what else the two ends of a migration can come to, and how long it is looked at."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from tests.chaos.stories import POST_COPY_POLICIES
from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    journal,
    lab_of_a_file,
    ordered,
    settled,
    unsettled,
    until,
    until_acting,
    until_left,
)
from tests.integration.end_parts import (
    PAUSED,
    POST_COPY_FAILED,
    Calls,
    an_ear,
    runs_at,
    seen_at,
    until_copying,
)
from tests.lab import Lab, LabError
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 40
"""3 MiB/s for migrations: a guest of 16 MiB is under way for five seconds."""
POST_COPY_MBIT = 120
"""Fast enough that a copy gets nowhere within seconds, and slow enough that a post-copy can be struck."""
OUTAGE_SECONDS, WATCH_SECONDS = 21.0, 40.0
"""Both copies of a guest without a disk lock ran in 11 of 11 after a source had lost its carrier for 18 to 25 seconds, the
second from 30 seconds after the cut on (docs/libvirt.md)."""

lab = lab_of_a_file("e")


def under_way(stand: Stand, guest: LabGuest) -> tuple[DaemonProcess, dict[str, Any]]:
    """Return the daemon that drains h1 of a guest whose copying has begun, and its order."""
    daemon = stand.acting(link_mbit=LINK_MBIT)
    assert daemon.ctl("host", "drain", "h1").returncode == 0
    until_copying(daemon, guest)
    return daemon, ordered(stand.home)[0]


def break_post_copy(lab: Lab, guest: LabGuest) -> bool:
    """Part the halves of a guest as a network would, once it is in post-copy; return whether they are parted."""
    with suppress(LabError):
        lab.hosts["h1"].virsh("qemu-monitor-command", guest.name, '{"execute": "migrate-pause"}')
    return seen_at(lab.hosts["h1"], guest) == (PAUSED, POST_COPY_FAILED)


def test_absent_at_the_source_and_running_at_the_target_is_completed_though_the_call_failed(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", memory_mib=16, mode="1", persistent=True)
    calls = Calls(lab)
    with an_ear(stand.home / "notices") as ear:
        daemon, order = under_way(stand, guest)
        since = time.time()
        lab.hosts["h1"].stop_libvirtd()
        until(lambda: any(r["kind"] == "MigrationCalled" for r in journal(stand.home)), 20.0, "the call returned", daemon)
        until(lambda: lab.hosts["h1"].libvirtd() is None and runs_at(lab, guest) == [order["target"]], 20.0,
              "it went on to its end", daemon)
        assert unsettled(stand.home) == [order["id"]], "nobody has seen the source"
        lab.hosts["h1"].restart_libvirtd()
        until(lambda: not unsettled(stand.home), 30.0, "it is settled", daemon)
        called = next(r for r in journal(stand.home) if r["kind"] == "MigrationCalled")
        assert called["result"] == "error"
        assert settled(stand.home)[order["id"]]["ending"] == "completed"
        assert len(ordered(stand.home)) == 1
        assert calls.deeds(since) == []
        assert ear.told("alarm") == []
    assert "Persistent:     yes" in lab.hosts[order["target"]].virsh("dominfo", "web")
    assert seen_at(lab.hosts["h1"], guest) is None, "no definition stayed"
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_running_at_the_source_and_absent_at_the_target_has_failed_and_is_ordered_anew(lab: Lab, stand: Stand) -> None:
    """Somebody called it off while the daemon was dead."""
    guest = lab.start_guest("h1", "web", memory_mib=16, mode="1")
    daemon, order = under_way(stand, guest)
    daemon.kill()
    lab.hosts["h1"].virsh("domjobabort", "web")
    until(lambda: seen_at(lab.hosts[order["target"]], guest) is None, 10.0, "its copy is gone")
    daemon.start()
    until(lambda: order["id"] in settled(stand.home), 30.0, "it is settled", daemon)
    assert settled(stand.home)[order["id"]]["ending"] == "failed"
    assert next(m for m in daemon.migrations() if m["id"] == order["id"])["adopted"]
    until_left(lab, guest, "h1", 30.0, daemon)
    until(lambda: not unsettled(stand.home), 20.0, "the books are closed", daemon)
    first, again = ordered(stand.home)
    assert again["target"] == lab.runs_on(guest) != first["target"]
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_a_post_copy_that_broke_is_left_alone_and_one_with_a_half_gone_is_torn(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", memory_mib=24, mode="9")
    calls = Calls(lab)
    with an_ear(stand.home / "notices") as ear:
        daemon = stand.daemon(link_mbit=POST_COPY_MBIT, policies=POST_COPY_POLICIES).start()
        until_acting(daemon)
        stand.until_heard(daemon)
        lab.hosts["h1"].fault("uncorrected")
        until(lambda: break_post_copy(lab, guest), 60.0, "it is in post-copy", daemon)
        since, order = time.time(), ordered(stand.home)[0]
        alarm = f"migration/{order['id']}"
        until(lambda: ear.alarms(alarm), 20.0, "it is told", daemon)
        assert "broke with its memory in two halves, and it may stand still; neither must be stopped" in ear.alarms(alarm)[0]
        until(lambda: next(m for m in daemon.migrations() if m["id"] == order["id"])["phase"] == "lost", 20.0,
              "it takes nobody's place", daemon)
        time.sleep(NO_DAMAGE_SECONDS)
        assert unsettled(stand.home) == [order["id"]]
        lab.hosts[order["target"]].kill_qemu("web")
        until(lambda: not unsettled(stand.home), 20.0, "it is settled", daemon)
        assert settled(stand.home)[order["id"]]["ending"] == "torn"
        until(lambda: "one half of it is gone" in ear.alarms(alarm)[-1], 5.0, "that is told too", daemon)
        assert f"ballastctl vm definition {guest.uuid} shows what it was" in ear.alarms(alarm)[-1]
        assert calls.deeds(since) == []
        assert len(ordered(stand.home)) == 1
        assert seen_at(lab.hosts["h1"], guest) is not None, "the other half is where it was"


def test_two_copies_that_an_outage_made_are_found_because_it_is_watched_for_forty_seconds(lab: Lab, stand: Stand) -> None:
    """With the watch as it is by default. The guest has no disk that could be locked."""
    guest = lab.start_guest("h1", "web", memory_mib=64, mode="1")
    calls = Calls(lab)
    with an_ear(stand.home / "notices") as ear:
        daemon = stand.daemon(link_mbit=240, timing={"late_copy_watch": f"{WATCH_SECONDS:g}s"}).start()
        until_acting(daemon)
        stand.until_heard(daemon)
        assert daemon.ctl("host", "drain", "h1").returncode == 0
        until_copying(daemon, guest, share=0.3)
        since, order = time.time(), ordered(stand.home)[0]
        lab.hosts["h1"].cut()
        time.sleep(OUTAGE_SECONDS)
        lab.hosts["h1"].heal()
        healed = time.time()
        until(lambda: not unsettled(stand.home), 80.0, "it is settled", daemon)
        end = settled(stand.home)[order["id"]]
        assert end["wall"] - healed >= WATCH_SECONDS
        assert runs_at(lab, guest) == ["h1", order["target"]]
        assert end["ending"] == "split"
        until(lambda: ear.alarms(f"migration/{order['id']}") and ear.alarms(f"duplicate/{guest.uuid}"), 5.0, "told", daemon)
        assert calls.deeds(since) == []
        assert len(ordered(stand.home)) == 1
