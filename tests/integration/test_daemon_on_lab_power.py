"""Hosts go off and come back, on real hosts with real hooks; and switches that lie are found out."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ballastd.cli.demo.telling import wait_for
from tests.demo.cluster import DaemonProcess, power_switch
from tests.integration.daemon_parts import (
    ON_LAB,
    POLICIES,
    Stand,
    assert_lives_once,
    journal,
    lab_of_a_file,
    told,
    until,
    until_acting,
)
from tests.lab import Lab

pytestmark = ON_LAB

OTHER_MACHINE = "99999999-0001-4000-8000-000000000000"
TIMES = {"cordon_confirm": "20s", "power_off": "12s", "wake": "15s"}
SAYS_NOTHING = [sys.executable, "-c", "pass"]

lab = lab_of_a_file("p")


def powered(stand: Stand, **lies: list[str]) -> DaemonProcess:
    """Return a daemon that acts, whose switch for h3 lies; every host counts as wakeable."""
    def switch(lab: Lab, host: str) -> dict[str, Any]:
        return power_switch(lab, host) | (lies if host == "h3" else {})

    daemon = stand.daemon(policies=POLICIES, power=switch, timing=TIMES).start()
    until_acting(daemon)
    until(lambda: all(host["hook"] and host["telemetry_age"] is not None for host in hosts(daemon).values()), 30.0,
          "every hook is confirmed", daemon)
    for name in stand.lab.hosts:
        assert daemon.ctl("host", "confirm-wakeable", name).returncode == 0
    return daemon


def hosts(daemon: DaemonProcess) -> dict[str, dict[str, Any]]:
    return {host["name"]: host for host in (daemon.ask("hosts") or {}).get("hosts", ())}


def power(daemon: DaemonProcess, host: str = "h3") -> str:
    return str(hosts(daemon).get(host, {}).get("power"))


def off(daemon: DaemonProcess, host: str = "h3") -> None:
    answer = daemon.ctl("host", "power", "off", host)
    assert answer.returncode == 0, answer.stderr


def test_a_host_is_emptied_closed_switched_off_and_woken(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h3", "web", mode="1")
    daemon = powered(stand)
    off(daemon)
    until(lambda: power(daemon) == "off", 60.0, "it is off", daemon)
    assert not lab.hosts["h3"].is_on()
    assert_lives_once(lab, guest)
    assert daemon.posture() == "acting", "a sleeping host freezes nothing"
    assert "switched off" in told(daemon, "h3")
    daemon.kill()
    daemon.start()
    until_acting(daemon)
    assert power(daemon) == "off", "a restart forgets nothing"
    assert daemon.ctl("host", "power", "on", "h3").returncode == 0
    until(lambda: power(daemon) == "on", 60.0, "it is back", daemon)
    until(lambda: hosts(daemon)["h3"]["target"], 30.0, "it may receive again", daemon)
    assert lab.hosts["h3"].is_on()
    assert not lab.hosts["h3"].is_closed()
    whole = ["HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff", "WakeOrdered", "HostAwake"]
    assert [r["kind"] for r in journal(stand.home) if r.get("host") == "h3" and r["kind"] in whole] == whole


def test_a_wake_test_proves_it(lab: Lab, stand: Stand) -> None:
    daemon = stand.daemon(policies=POLICIES, power=power_switch, timing=TIMES).start()
    until_acting(daemon)
    until(lambda: hosts(daemon)["h3"]["hook"], 30.0, "its hook is confirmed", daemon)
    assert daemon.ctl("host", "power", "off", "h3").returncode == 1, "without proof no operator either"
    assert daemon.ctl("host", "wake-test", "h3").returncode == 0
    until(lambda: "HostAwake" in [r["kind"] for r in journal(stand.home)], 90.0, "it went off and came back", daemon)
    assert lab.hosts["h3"].is_on()
    assert "can be woken: proved" in hosts(daemon)["h3"]["power_detail"]


def test_a_switch_that_says_off_while_the_host_is_on_is_found_out(lab: Lab, stand: Stand, tmp_path: Path) -> None:
    told_off = tmp_path / "told"
    says = f"import pathlib; print('off' if pathlib.Path({str(told_off)!r}).exists() else 'on', {lab.hosts['h3'].uuid!r})"
    daemon = powered(stand, off=["/bin/sh", "-c", f"echo told >> {told_off}"], status=[sys.executable, "-c", says])
    off(daemon)
    until(lambda: power(daemon) == "failed", 60.0, "the lie is found out", daemon)
    assert "its hypervisor answers" in str(journal(stand.home))
    assert lab.hosts["h3"].is_on()
    assert not hosts(daemon)["h3"]["target"]
    time.sleep(3.0)
    assert told_off.read_text().splitlines() == ["told"], "it is not told again"
    assert daemon.ctl("host", "acknowledge", "h3").returncode == 0
    until(lambda: hosts(daemon)["h3"]["target"], 30.0, "an operator has looked; it is used again", daemon)


def test_a_host_that_does_not_go_off_is_not_forced(lab: Lab, stand: Stand) -> None:
    daemon = powered(stand, off=SAYS_NOTHING)
    off(daemon)
    until(lambda: power(daemon) == "failed", 60.0, "its time is over", daemon)
    assert "did not go off within" in str(journal(stand.home))
    assert lab.hosts["h3"].is_on()


def test_a_switch_of_another_machine_is_told_nothing(lab: Lab, stand: Stand, tmp_path: Path) -> None:
    mark = tmp_path / "told"
    daemon = powered(stand, off=["/bin/sh", "-c", f"touch {mark}"], status=["/bin/echo", "on", OTHER_MACHINE])
    off(daemon)
    until(lambda: "PowerFailed" in [r["kind"] for r in journal(stand.home)], 60.0, "the kernel withholds the order", daemon)
    assert "controls another machine" in str(journal(stand.home))
    assert not mark.exists()
    assert lab.hosts["h3"].is_on()


def test_a_host_that_never_wakes_is_suspect(lab: Lab, stand: Stand) -> None:
    daemon = powered(stand, on=SAYS_NOTHING)
    off(daemon)
    until(lambda: power(daemon) == "off", 60.0, "it is off", daemon)
    assert daemon.ctl("host", "power", "on", "h3").returncode == 0
    until(lambda: power(daemon) == "failed", 60.0, "its time is over", daemon)
    assert "did not come back" in str(journal(stand.home))
    until(lambda: hosts(daemon)["h3"]["health"] == "suspect", 30.0, "it is suspect", daemon)


def test_a_guest_started_on_a_closed_host_is_refused_by_its_own_hook(lab: Lab, stand: Stand) -> None:
    daemon = powered(stand, off=SAYS_NOTHING)
    off(daemon)
    assert wait_for(lab.hosts["h3"].is_closed, 30.0)
    assert lab.refuses_guests("h3")
