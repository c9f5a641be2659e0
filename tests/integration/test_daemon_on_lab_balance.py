"""The whole daemon balances real hosts: load is read off libvirt and the hosts' own /proc, relief is a live migration."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.demo.cluster import agent_command
from tests.integration.daemon_parts import (
    ON_LAB,
    POLICIES,
    Stand,
    a_lab,
    assert_books_are_closed,
    assert_lives_once,
    journal,
    ordered,
    until,
    until_acting,
    until_on,
    until_settled,
)
from tests.lab import Lab

pytestmark = ON_LAB

CALM = {"inventory_interval": "1s", "telemetry_stale": "8s", "load_window": "6s"}
BALANCE = """\
---
kind: Balance
name: even-load
hot: {cpu: 60%, memory: off, cpu.pressure.some: off, for: 2s}
cool: {cpu: 52%}
imbalance: {above: 100%}
cooldown: {vm: 10m, no_return: 1h, host_settle: 6s, foreign_move: 1h}
mode: auto
"""
APART = """\
---
kind: Placement
name: replicas-apart
vms: {tag: replica}
rule: apart
strength: must
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    # an unhurried agent: a hurried one is itself a load that no VM explains
    with a_lab("b", agent=agent_command) as one:
        yield one


def test_a_hot_host_is_relieved_by_one_move_and_then_all_rests(lab: Lab, stand: Stand) -> None:
    guests = [lab.start_guest("h1", f"busy{i}", mode="work9") for i in range(3)]
    idle = lab.start_guest("h2", "idle")
    daemon = stand.daemon(policies=POLICIES + BALANCE, timing=CALM).start()
    until_acting(daemon, 60.0)
    until(lambda: ordered(stand.home), 90.0, "somebody is moved off h1", daemon)
    until_settled(daemon, stand.home)
    first = ordered(stand.home)[0]
    assert first["source"] == "h1"
    assert first["routine"] is True
    assert "h1 is hot: cpu is" in first["because"]
    time.sleep(8.0)
    moved = [r["vm_name"] for r in ordered(stand.home)]
    assert len(moved) == len(set(moved)) < 3, "nobody moves twice, and somebody stays"
    assert_lives_once(lab, *guests, idle)
    assert_books_are_closed(stand.home)
    assert "off it for at least" in first["because"], "the reason says what it brings and costs"


def test_a_must_rule_decides_where_relief_may_go(lab: Lab, stand: Stand) -> None:
    words = '<b:ballastd xmlns:b="https://ballastd.org/1" tags="replica"/>'
    busy = [lab.start_guest("h1", f"replica{i}", mode="work9", metadata=words) for i in range(1)]
    others = [lab.start_guest("h1", f"other{i}", mode="work9") for i in range(2)]
    there = lab.start_guest("h2", "replica-there", metadata=words)
    daemon = stand.daemon(policies=POLICIES + BALANCE + APART, timing=CALM).start()
    until_acting(daemon, 60.0)
    until(lambda: ordered(stand.home), 90.0, "somebody is moved off h1", daemon)
    until_settled(daemon, stand.home)
    time.sleep(4.0)
    for record in ordered(stand.home):
        assert (record["vm_name"], record["target"]) != ("replica0", "h2")
    assert_lives_once(lab, *busy, *others, there)


def test_a_move_by_an_operators_hand_is_left_alone(lab: Lab, stand: Stand) -> None:
    guests = [lab.start_guest("h2", f"near{i}", mode="work9") for i in range(2)]
    moved = lab.start_guest("h1", "by-hand", mode="1")
    daemon = stand.daemon(policies=POLICIES + BALANCE, timing=CALM).start()
    until_acting(daemon, 60.0)
    lab.migrate(moved, "h2")
    until_on(lab, moved, "h2", daemon=daemon)
    until(lambda: "by-hand" in [r.get("vm_name") for r in journal(stand.home) if r["kind"] == "ForeignMoveSeen"], 30.0,
          "the move is noticed", daemon)
    lab.set_mode(moved, "work9")
    until(lambda: ordered(stand.home), 90.0, "h2 is relieved, by another's moving", daemon)
    until_settled(daemon, stand.home)
    assert "by-hand" not in [r["vm_name"] for r in ordered(stand.home)]
    assert lab.runs_on(moved) == "h2"
    assert_lives_once(lab, *guests, moved)
