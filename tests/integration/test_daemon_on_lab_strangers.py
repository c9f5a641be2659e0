"""The whole daemon on real hosts, and other people's hands on their guests: noticed, counted, respected, never undone."""

from __future__ import annotations

import subprocess
import time

from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    POLICIES,
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
from tests.integration.end_parts import Calls, an_ear, runs_at, seen_at, until_copying
from tests.lab import Lab, virsh
from tests.lab.guest import LabGuest
from tests.lab.lab import SHUT_OFF

pytestmark = ON_LAB

LINK_MBIT = 40
"""3 MiB/s for migrations, shared by two guests of 16 MiB: they are under way for ten seconds."""
ONE_AT_ONCE = POLICIES.replace("retries:", "in_flight: {cluster: 1}\nretries:")
OUR_CALLS = {"virDomainMigratePerform3Params", "virDomainMigrateSetMaxDowntime", "virDomainMigrateSetMaxSpeed"}

lab = lab_of_a_file("s")


def shown(daemon: DaemonProcess) -> dict[str, tuple[str, str]]:
    """Return where the daemon sees which guest, and in which state, by name."""
    return {vm["name"]: (vm["host"], vm["state"]) for vm in (daemon.ask("vms") or {}).get("vms", ())}


def renamed(lab: Lab, guest: LabGuest, name: str) -> LabGuest:
    """Return the guest as it is called from now on."""
    other = LabGuest(name, guest.uuid, guest.memory_mib, guest.vcpus, guest.disk, persistent=guest.persistent)
    lab.book.enter(other)
    return other


def is_persistent(lab: Lab, guest: LabGuest, host: str) -> bool:
    return "Persistent:     yes" in lab.hosts[host].virsh("dominfo", guest.name)


def test_a_strangers_migration_takes_a_place_and_rests_where_it_went(lab: Lab, stand: Stand) -> None:
    """One move at a time is allowed, and theirs is one; on its way it gets another name."""
    ours = lab.start_guest("h1", "ours", mode="1")
    theirs = lab.start_guest("h2", "theirs", memory_mib=24, mode="1")
    with an_ear(stand.home / "notices") as ear:
        daemon = stand.daemon(policies=ONE_AT_ONCE).start()
        until_acting(daemon)
        stand.until_heard(daemon)
        target = lab.hosts["h3"]
        moving = subprocess.Popen(virsh.argv(
            lab.hosts["h2"].link.netns, "migrate", "--live", "--p2p", "--migrateuri", target.migration_uri, "--bandwidth",
            "3", "--dname", "renamed", "theirs", target.uri), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        theirs = renamed(lab, theirs, "renamed")
        until(target.emulated, 10.0, "it is under way")
        until(lambda: shown(daemon).get("renamed", ("", ""))[0] == "h3", 10.0, "it is seen", daemon)
        assert daemon.ctl("host", "drain", "h1").returncode == 0
        until(lambda: "in-flight-cluster" in daemon.ctl("plan").stdout, 5.0, "ours waits for it", daemon)
        assert ordered(stand.home) == []
        assert moving.poll() is None, "all the while it was under way"
        assert moving.wait(30.0) == 0
        until_left(lab, ours, "h1", 30.0, daemon)
        until(lambda: not unsettled(stand.home), 20.0, "the books are closed", daemon)
        (seen,) = [r for r in journal(stand.home) if r["kind"] == "ForeignMoveSeen"]
        assert (seen["vm"], seen["vm_name"], seen["source"], seen["target"]) == (theirs.uuid, "renamed", "h2", "h3")
        assert [one["text"] for one in ear.told() if one["key"] == f"foreign-move/{theirs.uuid}"] == [
            "somebody else moved renamed from h2 to h3; it is left there for a while"]
    assert runs_at(lab, theirs) == ["h3"]
    assert [r["vm_name"] for r in ordered(stand.home)] == ["ours"]
    assert_lives_once(lab, ours)


def test_what_people_stop_start_rename_and_undefine_stays_so(lab: Lab, stand: Stand) -> None:
    stopped, called, undefined = (lab.start_guest("h1", name, persistent=True)
                                  for name in ("stopped", "called", "undefined"))
    h1, calls = lab.hosts["h1"], Calls(lab)
    daemon = stand.acting()
    h1.virsh("destroy", "stopped")
    h1.virsh("destroy", "called")
    h1.virsh("domrename", "called", "calls-itself")
    h1.virsh("start", "calls-itself")
    h1.virsh("undefine", "undefined")
    called, started = renamed(lab, called, "calls-itself"), lab.start_guest("h2", "started")
    since = time.time()
    until(lambda: shown(daemon) == {"stopped": ("h1", "shutoff"), "calls-itself": ("h1", "running"),
                                    "undefined": ("h1", "running"), "started": ("h2", "running")},
          10.0, "it is noticed", daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert calls.deeds(since) == []
    # what people made of them is what is moved
    assert daemon.ctl("host", "drain", "h1").returncode == 0
    for guest in (called, undefined):
        until_left(lab, guest, "h1", 30.0, daemon)
    until(lambda: not unsettled(stand.home), 20.0, "the books are closed", daemon)
    assert {deed.split()[1] for deed in calls.deeds(since)} <= OUR_CALLS
    assert sorted(r["vm_name"] for r in ordered(stand.home)) == ["calls-itself", "undefined"]
    assert (seen_at(h1, stopped) or (0, 0))[0] == SHUT_OFF
    assert runs_at(lab, started) == ["h2"]
    assert is_persistent(lab, called, lab.runs_on(called) or "")
    assert not is_persistent(lab, undefined, lab.runs_on(undefined) or "")
    assert_books_are_closed(stand.home)


def test_who_is_on_the_way_may_be_stopped_and_is_neither_renamed_nor_undefined(lab: Lab, stand: Stand) -> None:
    going, stopped = (lab.start_guest("h1", name, memory_mib=16, mode="1", persistent=True) for name in ("going", "stopped"))
    h1, calls = lab.hosts["h1"], Calls(lab)
    with an_ear(stand.home / "notices") as ear:
        daemon = stand.acting(link_mbit=LINK_MBIT)
        assert daemon.ctl("host", "drain", "h1").returncode == 0
        until_copying(daemon, going, stopped)
        others = [subprocess.Popen(virsh.argv(h1.link.netns, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                  for words in (("domrename", "going", "gone"), ("undefine", "going"))]
        h1.virsh("destroy", "stopped")
        since, orders = time.time(), {r["vm_name"]: r["id"] for r in ordered(stand.home)}
        until(lambda: not unsettled(stand.home), 40.0, "the books are closed", daemon)
        ends = {name: settled(stand.home)[key]["ending"] for name, key in orders.items()}
        assert ends == {"going": "completed", "stopped": "vanished"}
        until(lambda: ear.alarms(f"migration/{orders['stopped']}"), 5.0, "that it is gone is told", daemon)
        time.sleep(NO_DAMAGE_SECONDS)
        assert 0 not in [other.wait(30.0) for other in others], "libvirt had them wait for the job, and then it was gone"
    assert (seen_at(h1, stopped) or (0, 0))[0] == SHUT_OFF, "who was stopped is defined as before, and not started"
    assert {deed.split()[1] for deed in calls.deeds(since)} <= OUR_CALLS
    assert len(ordered(stand.home)) == 2
    assert is_persistent(lab, going, lab.runs_on(going) or "")
    assert_lives_once(lab, going)
    assert_books_are_closed(stand.home)
