"""The lab keeps its promises: real migrations, faults that bite, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, LabError, LabHost, leftovers, missing, sweep
from tests.lab.cgroups import CpuGroup, Mounted, Spent, find
from tests.lab.commands import run, wait_until
from tests.lab.namespaces import path_of

ROOT = Path(__file__).resolve().parents[2]
QUOTA = 0.4
# names of our own: another run of these tests may be going on beside this one
NAME = f"t{os.getpid()}"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two hosts with a hook and an agent, shared by the tests of this file."""
    home = tmp_path_factory.mktemp("lab")
    hook = home / "hook"
    hook.write_text("#!/bin/sh\ntest ! -e /run/libvirt/cordon\n")

    def agent(host: LabHost) -> list[str]:
        return ["sh", "-c", f"echo on {host.name} as $(hostname); exec sleep 1000"]

    with Lab(f"{NAME}m", 2, cpu_quota=QUOTA, hook=hook, agent_command=agent) as one:
        yield one
    assert leftovers(f"{NAME}m") == []


def test_a_lab_leaves_nothing_behind(tmp_path: Path) -> None:
    name = f"{NAME}a"
    with Lab(name, 1, tmp_path) as lab:
        lab.broker().start()
        lab.start_guest("h1", "g", disk="nbd")
        assert len(leftovers(name)) > 5
    assert leftovers(name) == []
    assert list(tmp_path.iterdir()) == []


def test_a_lab_dies_with_its_owner_even_by_sigkill() -> None:
    name = f"{NAME}k"
    code = (f"import time; from tests.lab import Lab; lab = Lab({name!r}, 1).up()\n"
            "lab.start_guest('h1', 'g'); lab.enter(); print('up', flush=True); time.sleep(100)")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        assert leftovers(name)
        owner.send_signal(signal.SIGKILL)
    wait_until(lambda: not leftovers(name), 15, "the keeper to take the lab down")


def test_a_stranger_of_a_like_name_is_left_alone() -> None:
    name = f"{NAME}s"
    run("ip", "netns", "add", f"{name}-h1")
    try:
        with pytest.raises(LabError, match="no lab"):
            Lab(name, 1).up()
        sweep(name)
        assert path_of(f"{name}-h1").exists()
    finally:
        run("ip", "netns", "del", f"{name}-h1")


def test_two_labs_of_one_name_are_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="is up"):
        Lab(lab.plan.name, 1).up()


def test_the_command_line_makes_uses_and_ends_a_lab() -> None:
    def order(*words: str, prefix: tuple[str, ...] = ()) -> str:
        argv = [*prefix, sys.executable, "tests/lab", *words, "--name", f"{NAME}c"]
        return subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT).stdout

    try:
        assert "qemu+tcp://10.77.0.11/system" in order("up", "--hosts", "2", "--vms", "2")
        order("migrate", "vm01", "h2")
        # as a daemon in the controller's network would switch
        order("power", "h1", "off", prefix=("ip", "netns", "exec", f"{NAME}c-ctl"))
        assert order("power", "h1", "status") == "off\n"
        assert "vm01   h2 running/2  1" in order("status")
        order("power", "h1", "on", "--wait", prefix=("ip", "netns", "exec", f"{NAME}c-ctl"))
        assert order("power", "h1", "status") == "on\n"
    finally:
        order("down")
    assert leftovers(f"{NAME}c") == []


def test_a_guest_moves_and_its_heart_does_not_miss_a_beat(lab: Lab) -> None:
    guest = lab.start_guest("h1", "mover", mode="2")
    before = lab.hosts["h1"].tx_bytes()
    lab.migrate(guest, "h2")
    beat = lab.wait_beat(guest, 10)
    assert [(seen.host, seen.state, seen.emulators) for seen in lab.where(guest)] == [("h2", 1, 1)]
    assert beat.breaks == 0
    assert lab.hosts["h1"].tx_bytes() - before > 6 << 20
    lab.stop_guest(guest)
    assert lab.where(guest) == []


def test_a_locked_disk_refuses_a_second_opener(lab: Lab) -> None:
    guest = lab.start_guest("h1", "locked", disk="locked")
    with pytest.raises(LabError, match="lock"):
        lab.hosts["h2"].virsh("create", str(lab.book.definition(guest.name)))
    lab.migrate(guest, "h2")
    assert lab.runs_on(guest) == "h2"
    lab.stop_guest(guest)


def test_two_running_copies_show_in_the_heartbeat(lab: Lab) -> None:
    guest = lab.start_guest("h1", "twin", disk="shareable")
    lab.hosts["h2"].virsh("create", str(lab.book.definition(guest.name)))
    wait_until(lambda: lab.heartbeat(guest).breaks > 2, 20, "the heartbeat to break")
    assert lab.runs_on(guest) is None
    assert sum(seen.emulators for seen in lab.where(guest)) == 2
    lab.stop_guest(guest)


def test_power_is_silent_and_comes_back(lab: Lab) -> None:
    host = lab.hosts["h2"]
    guest = lab.start_guest("h2", "doomed", persistent=True)
    identity = host.virsh("capabilities").partition("<uuid>")[2][:36]
    host.power_off()
    assert not host.is_on()
    assert lab.inventory()["h2"] is None
    assert lab.where(guest) == []
    host.power_on()
    assert lab.inventory()["h2"] == {}
    assert identity == host.uuid == host.virsh("capabilities").partition("<uuid>")[2][:36]
    log = (host.home / "agent.log").read_text().splitlines()
    assert log == ["on h2 as h2"] * 2
    host.signal_agent(signal.SIGKILL)
    host.start_agent()
    log_file = host.home / "agent.log"
    wait_until(lambda: log_file.read_text().count("on h2") == 3, 5, "the agent to start again")


@pytest.mark.parametrize("further", [False, True])
def test_a_cut_is_a_cut_until_it_heals(lab: Lab, further: bool) -> None:
    host = lab.hosts["h2"]
    ping = [*lab.exec_prefix(), "bash", "-c", f"timeout 1 bash -c '</dev/tcp/{host.address}/16509'"]
    assert subprocess.run(ping, check=False).returncode == 0
    (host.cut_further if further else host.cut)()
    assert host.link.is_cut()
    assert subprocess.run(ping, check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert lab.inventory()["h2"] is not None, "the oracle has a way of its own"
    host.heal()
    wait_until(lambda: subprocess.run(ping, check=False).returncode == 0, 10, "the link to heal")


def test_a_narrow_link_is_narrow(lab: Lab) -> None:
    guest = lab.start_guest("h1", "slow")
    lab.hosts["h1"].shape(30)
    began = time.monotonic()
    lab.migrate(guest, "h2")
    lab.hosts["h1"].unshape()
    assert time.monotonic() - began > 1.5, "7 MiB over 30 Mbit/s"
    lab.stop_guest(guest)


def test_guests_outlive_libvirtd(lab: Lab) -> None:
    host = lab.hosts["h1"]
    guest = lab.start_guest("h1", "survivor")
    host.kill_libvirtd()
    assert [(seen.state, seen.emulators) for seen in lab.where(guest)] == [(None, 1)]
    host.restart_libvirtd()
    wait_until(lambda: lab.runs_on(guest) == "h1", 10, "libvirtd to find its guest")
    assert lab.wait_beat(guest, 5).breaks == 0
    host.hang_libvirtd()
    with pytest.raises(LabError, match="no answer"):
        host.virsh("list", seconds=0.5)
    host.resume_libvirtd()
    assert "survivor" in host.virsh("list")
    lab.stop_guest(guest)


def test_a_burning_guest_keeps_to_the_quota_and_shows_in_proc(lab: Lab) -> None:
    host = lab.hosts["h1"]
    guest = lab.start_guest("h1", "burner", mode="burn")
    began, before, stat = time.monotonic(), host.group.spent(), _busy_part(host, (0, 0))
    time.sleep(3)
    used = (host.group.spent().nanoseconds - before.nanoseconds) / 1e9 / (time.monotonic() - began)
    assert QUOTA * 0.5 < used <= QUOTA * 1.2
    busy, idle = _busy_part(host, stat)
    assert busy / (busy + idle) > 0.5, "a host that uses its quota is a busy host"
    lab.stop_guest(guest)


def _busy_part(host: LabHost, since: tuple[int, int]) -> tuple[int, int]:
    times = [int(word) for word in (host.sysfs / "proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(times) - times[3] - since[0], times[3] - since[1]


def test_hardware_faults_are_written_as_a_kernel_would(lab: Lab) -> None:
    host = lab.hosts["h1"]
    dimm = host.sysfs / "sys/devices/system/edac/mc/mc1/dimm0"
    alarm = host.sysfs / "sys/class/hwmon/hwmon1/temp1_crit_alarm"
    host.fault("uncorrected")
    host.fault("corrected", 40)
    host.fault("hot", 101)
    assert (dimm / "dimm_ue_count").read_text() == (dimm / "../ue_count").read_text() == "1\n"
    assert (dimm / "dimm_ce_count").read_text() == (dimm / "../ce_count").read_text() == "40\n"
    assert alarm.read_text() == "1\n"
    host.clear_faults()
    assert (dimm / "dimm_ue_count").read_text() == alarm.read_text() == "0\n"
    with pytest.raises(LabError, match="one of"):
        host.fault("gremlins")


def test_the_hook_of_a_host_is_called(lab: Lab) -> None:
    host = lab.hosts["h2"]
    guest = lab.start_guest("h1", "unwanted")
    assert host.run(["touch", "/run/libvirt/cordon"]).wait() == 0
    with pytest.raises(LabError, match="hook"):
        lab.migrate(guest, "h2")
    assert host.run(["rm", "/run/libvirt/cordon"]).wait() == 0
    assert lab.runs_on(guest) == "h1"
    lab.stop_guest(guest)


def test_the_broker_can_be_silenced(lab: Lab) -> None:
    broker = lab.broker(user="agent", password="secret").start()
    client = [*lab.exec_prefix("h1"), "bash", "-c", f"</dev/tcp/{broker.address}/{broker.port}"]
    assert subprocess.run(client, check=False).returncode == 0
    broker.hang()
    broker.resume()
    broker.stop()
    assert subprocess.run(client, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_entering_and_leaving_the_controllers_network(lab: Lab) -> None:
    outside = Path("/proc/thread-self/ns/net").readlink()
    lab.enter()
    assert Path("/proc/thread-self/ns/net").readlink() != outside
    lab.leave()
    assert Path("/proc/thread-self/ns/net").readlink() == outside


@pytest.mark.parametrize(("text", "expected"), [
    (("1 0 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n2 0 0:2 / /c/acct rw - cgroup cgroup rw,cpuacct\n"
      "3 0 0:3 / /c/unified rw - cgroup2 cgroup2 rw"), Mounted(1, Path("/c/cpu"), Path("/c/acct"))),
    ("1 0 0:1 / /c rw shared:4 - cgroup2 cgroup2 rw,nsdelegate", Mounted(2, Path("/c"), Path("/c"))),
    ("1 0 0:1 / / rw - ext4 /dev/vda rw", None),
])
def test_control_groups_of_both_versions_are_found(text: str, expected: Mounted | None) -> None:
    assert find(text) == expected


def test_a_quota_is_set_and_read_in_version_2(tmp_path: Path) -> None:
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory\n")
    group = CpuGroup("x-h1", 0.5, Mounted(2, tmp_path, tmp_path))
    group.build()
    group.limit()
    (tmp_path / "x-h1/cpu.stat").write_text("usage_usec 1500000\nnr_periods 30\nnr_throttled 4\n")
    assert (tmp_path / "x-h1/cpu.max").read_text() == "50000 100000"
    assert group.spent() == Spent(1_500_000_000, 30, 4)
    assert group.member_files() == [tmp_path / "x-h1/cgroup.procs"]
