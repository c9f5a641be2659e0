"""A host of the lab whose own disk hangs: who has to write to it waits, nobody else does, and nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, leftovers, missing
from tests.lab.commands import wait_until

ROOT = Path(__file__).resolve().parents[2]
NAME = f"o{os.getpid()}"
SECONDS = 20.0
OWNER = """
import subprocess, sys, time
from tests.lab import Lab

lab = Lab(sys.argv[1], 1, storage=True).up()
lab.storage["h1"].freeze()
lab.hosts["h1"].run(["touch", "/var/lib/libvirt/line"])
print(lab.storage["h1"].place, flush=True)
time.sleep(100.0)
"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(f"{NAME}m", 2, storage=True) as one:
        yield one
    assert leftovers(f"{NAME}m") == []


def test_a_migration_to_a_host_whose_disk_hangs_waits_and_its_guest_does_not(lab: Lab) -> None:
    guest, (source, target) = lab.start_guest("h1", "mover", mode="1", persistent=True), lab.hosts.values()
    lab.storage["h2"].freeze()
    with lab.migrating(guest, "h2") as moving:
        try:
            wait_until(target.stuck, SECONDS, "its libvirtd waits")
            assert source.stuck() == set()
            assert "mover" in source.virsh("list")
            lab.wait_beat(guest, 20)
            assert moving.poll() is None
        finally:
            lab.storage["h2"].thaw()
        assert moving.wait(SECONDS) == 0
    assert lab.runs_on(guest) == "h2"
    assert lab.wait_beat(guest, 5).breaks == 0
    assert not target.stuck()
    lab.stop_guest(guest)


def test_each_start_finds_it_empty(lab: Lab) -> None:
    host = lab.hosts["h2"]
    guest = lab.define_guest("h2", "stored")
    assert list(lab.storage["h2"].place.glob("etc/libvirt/qemu/stored.xml"))
    host.power_off()
    host.power_on()
    assert lab.inventory()["h2"] == {}
    assert not list(lab.storage["h2"].place.glob("etc/libvirt/qemu/*.xml"))
    lab.stop_guest(guest)


def test_one_that_is_frozen_when_its_owner_is_killed_leaves_nothing() -> None:
    name = f"{NAME}k"
    with subprocess.Popen([sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        place = owner.stdout.readline().decode().strip()
        assert place in Path("/proc/self/mounts").read_text()
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not leftovers(name), SECONDS, "the keeper to take the lab down")
    assert place not in Path("/proc/self/mounts").read_text()
