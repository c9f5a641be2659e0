"""The whole daemon on real hosts: a guest that starts with its host does so where it arrived, whatever died on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.integration.daemon_parts import (
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    journal,
    lab_of_a_test,
    unsettled,
    until,
    until_left,
)
from tests.lab import Lab, LabError
from tests.lab.guest import LabGuest

pytestmark = ON_LAB

LINK_MBIT = 120
"""8 MiB/s for migrations: a guest of 24 MiB is under way for three seconds."""
CLEANS_UP_SECONDS = 0.05
"""So long after the guest stopped at its source it has arrived, and its definition there is not taken away yet."""

lab = lab_of_a_test("a")


def starts_with(lab: Lab, guest: LabGuest) -> list[str]:
    """Return the hosts that start a guest when they boot."""
    found = []
    for host in lab.hosts.values():
        try:
            said = host.virsh("dominfo", guest.name)
        except LabError:  # it is not there
            continue
        if "Autostart:      enable" in said:
            found.append(host.name)
    return found


def daemon_is_killed(lab: Lab, stand: Stand, guest: LabGuest) -> None:
    stand.running().kill()
    until_left(lab, guest, "h1", 30.0)
    assert starts_with(lab, guest) == [], "nobody was there to see to it"
    stand.running().start()


def source_is_told_to_end(lab: Lab, stand: Stand, guest: LabGuest) -> None:
    """It finishes first what is under way, and the caller hears an error."""
    lab.hosts["h1"].stop_libvirtd()
    until_left(lab, guest, "h1", 30.0)
    lab.hosts["h1"].restart_libvirtd()


def source_is_killed_as_it_arrives(lab: Lab, stand: Stand, guest: LabGuest) -> None:
    """Then the definition stays behind, and starts with its host as before; or all is rolled back, and it is moved again."""
    host, until_time = lab.hosts["h1"], time.monotonic() + 20.0
    with suppress(LabError):  # on a busy machine it may be gone before anybody sees it stand still
        while "paused" not in host.virsh("domstate", guest.name):
            assert time.monotonic() < until_time
    time.sleep(CLEANS_UP_SECONDS)
    host.kill_libvirtd()
    time.sleep(1.0)
    host.restart_libvirtd()


@pytest.mark.parametrize("fault", [daemon_is_killed, source_is_told_to_end, source_is_killed_as_it_arrives])
def test_autostart_is_given_back_where_the_guest_arrived(
        lab: Lab, stand: Stand, fault: Callable[[Lab, Stand, LabGuest], None]) -> None:
    guest = lab.start_guest("h1", "web", memory_mib=24, mode="1", persistent=True)
    lab.hosts["h1"].virsh("autostart", guest.name)
    daemon = stand.acting(link_mbit=LINK_MBIT)
    until(lambda: (daemon.ask("vms") or {}).get("vms"), 30.0, "the guest is seen", daemon)
    assert daemon.ctl("host", "drain", "h1").returncode == 0
    until(lambda: any((m["progress"] or 0.0) > 0.05 for m in daemon.migrations()), 20.0, "it is under way", daemon)
    fault(lab, stand, guest)
    until_left(lab, guest, "h1", 60.0, daemon)
    until(lambda: starts_with(lab, guest) == [lab.runs_on(guest)], 30.0, "it starts with its host alone", daemon)
    until(lambda: any(r["kind"] == "AutostartEnded" and r["restored"] for r in journal(stand.home)), 10.0, "that is seen",
          daemon)
    assert not unsettled(stand.home)
    assert_books_are_closed(stand.home)
    assert_lives_once(lab, guest)
    noted, ordered = (next(i for i, r in enumerate(journal(stand.home)) if r["kind"] == kind)
                      for kind in ("AutostartNoted", "AutostartOrdered"))
    assert noted < ordered
