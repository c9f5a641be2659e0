"""The whole daemon on real hosts: what an operator says is done, and can be taken back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    POLICIES,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    document,
    journal,
    lab_of_a_file,
    ordered,
    settled,
    stood,
    until,
    until_acting,
    until_left,
    until_posture,
)
from tests.lab import Lab, LabError
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 120
"""8 MiB/s for migrations: a guest of 24 MiB is under way for three seconds."""

lab = lab_of_a_file("o")


@pytest.fixture(scope="module")
def stand(lab: Lab) -> Iterator[Stand]:
    with stood(lab) as one:
        yield one


@pytest.fixture(scope="module")
def daemon(stand: Stand) -> DaemonProcess:
    """One daemon for all tests of this file; each takes back what it asked for."""
    return stand.acting(link_mbit=LINK_MBIT)


@pytest.fixture
def guest(lab: Lab, daemon: DaemonProcess) -> Iterator[LabGuest]:
    one = lab.start_guest("h1", "web", memory_mib=24, mode="1")
    until(lambda: _shown_on(daemon, "web") == "h1", 30.0, "the daemon sees the guest", daemon)
    yield one
    lab.stop_guest(one)


def _shown_on(daemon: DaemonProcess, name: str) -> str | None:
    vms = (daemon.ask("vms") or {}).get("vms", ())
    return next((vm["host"] for vm in vms if vm["name"] == name), None)


def _say(daemon: DaemonProcess, *words: str) -> str:
    answer = daemon.ctl(*words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _under_way(daemon: DaemonProcess) -> str:
    """Return the migration that runs, once its job does."""
    until(lambda: any(m["phase"] == "running" for m in daemon.open_migrations()), 30.0, "a job runs", daemon)
    return str(daemon.open_migrations()[0]["id"])


def test_a_cordon_is_enforced_inside_the_host_and_can_be_lifted(lab: Lab, daemon: DaemonProcess, guest: LabGuest) -> None:
    assert "cordoned" in _say(daemon, "host", "cordon", "h2", "--reason", "fan")

    def flagged() -> bool:
        with lab.hosts["h2"].run(["test", "-e", "/run/libvirt/cordon"]) as looking:
            return looking.wait(5.0) == 0

    until(flagged, 30.0, "the agent raises the flag inside the host", daemon)
    with pytest.raises(LabError, match="this host is cordoned"):
        lab.migrate(guest, "h2")
    assert lab.runs_on(guest) == "h1"
    assert "cordoned" in document(daemon, "host", "show", "h2")["marks"]
    _say(daemon, "host", "uncordon", "h2")
    until(lambda: not flagged(), 30.0, "the agent lowers the flag", daemon)
    lab.migrate(guest, "h2")
    assert_lives_once(lab, guest)
    assert lab.runs_on(guest) == "h2"


def test_a_drain_empties_a_host_and_an_undrain_ends_it(lab: Lab, stand: Stand, daemon: DaemonProcess,
                                                       guest: LabGuest) -> None:
    said = _say(daemon, "host", "drain", "h1", "--deadline", "10m", "--watch")
    assert "being drained" in said
    assert "h1: 0 of 1 VMs safe" in said
    assert "h1 is empty: 1 VM in" in said, "it is watched to the end"
    until_left(lab, guest, "h1", 1.0, daemon)
    assert "draining" in " ".join(document(daemon, "host", "show", "h1")["marks"])
    until(lambda: not daemon.open_migrations(), 30.0, "the books are closed", daemon)
    assert "cancelled" in _say(daemon, "host", "undrain", "h1")
    assert document(daemon, "host", "show", "h1")["marks"] == []
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_pause_lets_what_runs_go_on_and_starts_nothing_until_resume(lab: Lab, stand: Stand, daemon: DaemonProcess,
                                                                    guest: LabGuest) -> None:
    other = lab.start_guest("h1", "db", memory_mib=24, mode="1")
    last = lab.start_guest("h1", "log", memory_mib=24, mode="1")
    until(lambda: _shown_on(daemon, "log") == "h1", 30.0, "the daemon sees the guests", daemon)
    before = len(ordered(stand.home))
    _say(daemon, "host", "drain", "h1")
    _under_way(daemon)
    assert "paused" in _say(daemon, "pause", "--reason", "storage")
    until_posture(daemon, "paused")
    going = ordered(stand.home)[before:]
    until(lambda: {m["id"] for m in going} <= set(settled(stand.home)), 30.0, "what ran goes on to its end", daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert ordered(stand.home)[before:] == going, "nothing was ordered while paused"
    assert len(going) < 3
    assert "paused by" in _say(daemon, "status")
    _say(daemon, "resume")
    for one in (guest, other, last):
        until_left(lab, one, "h1", 30.0, daemon)
    until(lambda: not daemon.open_migrations(), 30.0, "the books are closed", daemon)
    _say(daemon, "host", "undrain", "h1")
    assert_lives_once(lab, guest, other, last)
    lab.stop_guest(other)
    lab.stop_guest(last)


def test_an_aborted_migration_leaves_its_vm_at_the_source(lab: Lab, stand: Stand, daemon: DaemonProcess,
                                                          guest: LabGuest) -> None:
    _say(daemon, "host", "drain", "h1")
    key = _under_way(daemon)
    assert "being aborted" in _say(daemon, "migration", "abort", key, "--reason", "wrong rack")
    _say(daemon, "host", "undrain", "h1")
    until(lambda: key in settled(stand.home), 30.0, "the abort is settled", daemon)
    assert settled(stand.home)[key]["ending"] == "aborted"
    assert "wrong rack" in settled(stand.home)[key]["detail"]
    assert lab.runs_on(guest) == "h1"
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_a_broken_policy_is_refused_and_a_good_one_takes_over(stand: Stand, daemon: DaemonProcess) -> None:
    path = stand.home / "policies" / "all.yaml"
    digest = daemon.ask("status")["policies_digest"]
    path.write_text(POLICIES.replace("severity: failing\nclear", "severity: on fire\nclear"))
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: daemon.records("policies refused; the old ones go on governing"), 30.0, "it says so", daemon)
    said = daemon.records("policies refused; the old ones go on governing")[-1]
    assert "all.yaml:4" in said["problems"][0]
    assert daemon.ask("status")["policies_digest"] == digest
    refused = daemon.ctl("reload")
    assert refused.returncode != 0
    assert "all.yaml:4" in refused.stdout + refused.stderr
    until_acting(daemon)
    path.write_text(POLICIES.replace("deadline: 30m", "deadline: 20m"))
    os.kill(daemon.pid, signal.SIGHUP)
    until(lambda: daemon.ask("status")["policies_digest"] != digest, 30.0, "the new ones govern", daemon)
    assert [r for r in journal(stand.home) if r["kind"] == "PoliciesLoaded"][-1]["digest"] != digest
    until_acting(daemon)
