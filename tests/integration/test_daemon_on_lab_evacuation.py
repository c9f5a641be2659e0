"""The whole daemon on real hosts: a failing host is emptied, what cannot move stays and says why."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.cluster import HOOK
from tests.integration.daemon_parts import (
    ON_LAB,
    POLICIES,
    Stand,
    a_lab,
    assert_books_are_closed,
    assert_lives_once,
    document,
    journal,
    settled,
    told,
    until,
    until_acting,
    until_left,
    until_settled,
)
from tests.lab import Lab

pytestmark = ON_LAB

PIN = "<b:ballastd xmlns:b='https://ballastd.org/1' pinned='yes'/>"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hook keeps a copy of the journal of the instant at which a guest arrives."""
    return tmp_path_factory.mktemp("evidence")


@pytest.fixture(scope="module")
def lab(evidence: Path) -> Iterator[Lab]:
    hook = evidence / "hook"
    hook.write_text(f"""#!/bin/sh
# ballastd-cordon-hook chained
if [ "$2/$3" = migrate/begin ]; then
    mkdir "{evidence}/$1" && cp "$(cat {evidence}/journal)"/journal.db* "{evidence}/$1/"
fi
exec /bin/sh {HOOK} "$@"
""")
    with a_lab("e", hook=hook) as one:
        (evidence / "journal").write_text(str(one.plan.path / "daemon"))
        yield one


def ordered_when_it_arrived(evidence: Path, guest: str) -> list[str]:
    with sqlite3.connect(evidence / guest / "journal.db") as copy:
        query = "SELECT json_extract(content, '$.vm_name') FROM records WHERE content LIKE '%MigrationOrdered%'"
        names = [row[0] for row in copy.execute(query)]
    copy.close()
    return names


def test_a_failing_host_is_emptied_and_no_heart_misses_a_beat(lab: Lab, stand: Stand,
                                                                evidence: Path) -> None:
    guests = [lab.start_guest("h1", f"web{n}", memory_mib=16, mode=mode) for n, mode in enumerate(("3", "burn"))]
    daemon = stand.acting()
    lab.hosts["h1"].fault("uncorrected")
    for guest in guests:
        until_left(lab, guest, "h1", 30.0, daemon)
    until_settled(daemon, stand.home)
    until(lambda: any(r["kind"] == "EvacuationEnded" for r in journal(stand.home)), 30.0, "the evacuation ends", daemon)
    assert_lives_once(lab, *guests)
    assert_books_are_closed(stand.home)
    assert [end["ending"] for end in settled(stand.home).values()] == ["completed", "completed"]
    for guest in guests:
        # the order was durable before the target knew of the guest
        assert guest.name in ordered_when_it_arrived(evidence, guest.name)

    vms = {vm["name"]: vm for vm in document(daemon, "vm", "list")}
    hosts = {host["name"]: host for host in document(daemon, "host", "list")}
    assert {vms[g.name]["host"] for g in guests} <= {"h2", "h3"}
    assert hosts["h1"]["health"] == "failing"
    assert not hosts["h1"]["target"]
    assert hosts["h1"]["vms_running"] == 0
    migrations = document(daemon, "migration", "list")
    assert {m["vm_name"] for m in migrations} == {"web0", "web1"}
    one = document(daemon, "migration", "show", migrations[0]["id"])
    assert (one["source"], one["ending"]) == ("h1", "completed")
    assert document(daemon, "host", "show", "h2")["name"] == "h2"
    assert document(daemon, "explain", "h1")["lines"]
    assert document(daemon, "explain", "web0")["lines"]
    plan = document(daemon, "plan")
    assert (plan["posture"], plan["moves"]) == ("acting", [])
    kinds = [r["content"]["kind"] for r in document(daemon, "journal", "show", "-n", "200")]
    assert kinds == [r["kind"] for r in journal(stand.home)][-200:]
    assert kinds.index("VerdictLatched") < kinds.index("EvacuationBegun") < kinds.index("MigrationOrdered")
    assert document(daemon, "status")["posture"] == "acting"


@pytest.mark.parametrize(("memory_mib", "ends"), [(16, True), (64, False)])
def test_a_busy_guest_stands_still_for_longer_or_is_not_moved(lab: Lab, stand: Stand, memory_mib: int, ends: bool) -> None:
    # what it writes to over and over takes under a second, or nearly four; it halts at each tick, for one that never does
    # may lose a page as it is copied (docs/libvirt.md)
    guest = lab.start_guest("h1", "busy", memory_mib=memory_mib, mode="9")
    convergence = "convergence: {downtime_max: 1s, auto_converge: never, no_progress: 3s}\n"
    daemon = stand.daemon(policies=POLICIES.replace("retries:", f"{convergence}retries:")).start()
    until_acting(daemon)
    stand.until_heard(daemon)
    lab.hosts["h1"].fault("uncorrected")
    if ends:
        until_left(lab, guest, "h1", 60.0, daemon)
    else:
        until(lambda: any(r["kind"] == "AbortOrdered" for r in journal(stand.home)), 90.0, "it is called off", daemon)
        daemon.ctl("pause")
        assert "is dirtied faster than it is copied" in next(
            r["reason"] for r in journal(stand.home) if r["kind"] == "AbortOrdered")
    until_settled(daemon, stand.home, 60.0)
    steps = [r["downtime_ms"] for r in journal(stand.home) if r["kind"] in ("MigrationOrdered", "DowntimeOrdered")]
    assert steps[0] == 100
    if ends:
        assert len(steps) > 1
        assert sorted(set(steps)) == steps
    else:
        assert steps[:8] == [100, 150, 200, 300, 400, 500, 700, 1000]
    assert lab.runs_on(guest) == "h1" or ends
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)


def test_what_is_pinned_or_has_no_lock_stays_and_says_how_to_cure_it(lab: Lab, stand: Stand) -> None:
    shared = lab.start_guest("h1", "shared", disk="shareable", mode="1")
    network = lab.start_guest("h1", "network", disk="nbd", mode="1")
    pinned = lab.start_guest("h1", "pinned", metadata=PIN, mode="1")
    locked = lab.start_guest("h1", "locked", disk="locked", mode="1")
    daemon = stand.acting()
    lab.hosts["h1"].fault("uncorrected")
    until_left(lab, locked, "h1", 30.0, daemon)
    until_settled(daemon, stand.home)
    assert_lives_once(lab, shared, network, pinned, locked)
    assert [lab.runs_on(g) for g in (shared, network, pinned)] == ["h1", "h1", "h1"]
    assert {r["vm_name"] for r in journal(stand.home) if r["kind"] == "MigrationOrdered"} == {"locked"}
    assert "remove <shareable/>" in told(daemon, "shared")
    assert "vouch for it by protocol and name (vouched_storage: rbd:pool)" in told(daemon, "network")
    assert "remove pinned from its ballastd metadata element" in told(daemon, "pinned")
    assert {no["vm_name"] for no in document(daemon, "plan")["noes"]} == {"shared", "network", "pinned"}
    assert "failing" in told(daemon, "h1")
