"""Fans, power supplies and temperatures of real hosts: each severity has its answer, and what heals is used again."""

from __future__ import annotations

import time

from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    document,
    journal,
    lab_of_a_file,
    told,
    until,
    until_acting,
    until_left,
    until_settled,
)
from tests.lab import Lab

pytestmark = ON_LAB

POLICIES = """\
kind: Health
name: fan-alarm
when: {metric: fan.alarm, is: true, for: 1s}
severity: suspect
clear: {for: 2s}
---
kind: Health
name: power-supply-alarm
when: {metric: psu.alarm, is: true, for: 1s}
severity: degraded
clear: {for: 2s}
---
kind: Health
name: too-hot
when: {metric: temperature, relative_to: critical, above: 0C, for: 1s}
severity: failing
clear: {below: -10C, for: 2s}
---
kind: Health
name: corrected-storm
when: {metric: ecc.corrected, increase: 1h, above: 100}
severity: degraded
clear: acknowledge
---
kind: Evacuation
name: suspect-hosts
on: {severity: suspect}
respond: quarantine
mode: auto
---
kind: Evacuation
name: degraded-hosts
on: {severity: degraded}
respond: drain
mode: auto
---
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
ignore_windows: true
mode: auto
---
kind: Limits
name: cluster
bandwidth: {link_share: 60%, migration_minimum: 1MiB/s}
freeze: {settle: 1s}
retries: {backoff: 1s}
"""

lab = lab_of_a_file("a")


def host(daemon, name: str) -> dict[str, object]:
    return next(h for h in document(daemon, "host", "list") if h["name"] == name)


def acting(stand: Stand):
    daemon = stand.daemon(policies=POLICIES).start()
    until_acting(daemon)
    stand.until_heard(daemon)
    until(lambda: all(h["target"] for h in document(daemon, "host", "list")), 30.0, "every host may receive", daemon)
    return daemon


def test_a_fan_quarantines_its_host_and_a_repaired_one_lets_it_be_used_again(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = acting(stand)
    lab.hosts["h1"].fault("fan")
    until(lambda: host(daemon, "h1")["health"] == "suspect", 30.0, "it is suspect", daemon)
    until(lab.hosts["h1"].is_closed, 30.0, "its own hook is shut", daemon)
    assert not host(daemon, "h1")["target"]
    time.sleep(NO_DAMAGE_SECONDS)
    assert lab.runs_on(guest) == "h1", "quarantine moves nothing"
    assert not [r for r in journal(stand.home) if r["kind"] == "MigrationOrdered"]
    assert "fan-alarm" in told(daemon, "h1")
    lab.hosts["h1"].clear_faults()
    until(lambda: host(daemon, "h1")["target"], 30.0, "it is healthy and used again", daemon)
    until(lambda: not lab.hosts["h1"].is_closed(), 30.0, "its hook is open", daemon)


def test_a_power_supply_drains_its_host(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = acting(stand)
    lab.hosts["h1"].fault("supply")
    until_left(lab, guest, "h1", 30.0, daemon)
    until_settled(daemon, stand.home)
    assert_lives_once(lab, guest)
    assert_books_are_closed(stand.home)
    (order,) = [r for r in journal(stand.home) if r["kind"] == "MigrationOrdered"]
    assert (order["policy"], "power-supply-alarm" in order["because"]) == ("degraded-hosts", True)
    lab.hosts["h1"].clear_faults()
    until(lambda: host(daemon, "h1")["health"] == "healthy", 30.0, "it is healthy again", daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert lab.runs_on(guest) != "h1", "nothing comes back by itself"


def test_heat_evacuates_and_counts_until_it_is_well_below_the_limit(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = acting(stand)
    lab.hosts["h1"].fault("hot", 101)
    until_left(lab, guest, "h1", 30.0, daemon)
    until_settled(daemon, stand.home)
    lab.hosts["h1"].fault("hot", 95)
    time.sleep(NO_DAMAGE_SECONDS + 2.0)
    assert host(daemon, "h1")["health"] == "failing", "five degrees below the limit are no ten"
    lab.hosts["h1"].clear_faults()
    until(lambda: host(daemon, "h1")["target"], 30.0, "it has cooled down, and is used again", daemon)
    assert_lives_once(lab, guest)


def test_a_latched_condition_stays_until_somebody_has_looked(lab: Lab, stand: Stand) -> None:
    daemon = acting(stand)
    lab.hosts["h2"].fault("corrected", 500)
    until(lambda: host(daemon, "h2")["health"] == "degraded", 30.0, "it is degraded", daemon)
    lab.hosts["h2"].clear_faults()
    daemon.kill()
    daemon.start()
    until_acting(daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert host(daemon, "h2")["health"] == "degraded", "neither a repair nor a restart is an acknowledgement"
    assert daemon.ctl("host", "acknowledge", "h2", "--reason", "DIMM replaced").returncode == 0
    until(lambda: host(daemon, "h2")["target"], 30.0, "somebody has looked", daemon)
