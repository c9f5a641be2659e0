"""Counting emulators: all that run, nothing that only looks like one, and no number where some are hidden."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ballastd.agent.emulators import count_emulators
from tests.data.sysfs_trees import write

QEMU = "/usr/bin/qemu-system-x86_64"
KERNEL_THREAD = 0x20_0000


def process(proc: Path, number: int, name: str, *, program: str = "", state: str = "S", flags: int = 0x40_0100) -> None:
    write(proc, f"{number}/stat", f"{number} ({name}) {state} 1 {number} {number} 0 -1 {flags} 5 0 0 0 0 0 0 0 20 0 4 0")
    (proc / f"{number}/cmdline").write_bytes(f"{program}\0-name\0guest=x\0".encode() if program else b"")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """The processes of a host without guests, with the files that are no processes."""
    process(tmp_path, 1, "systemd", program="/sbin/init")
    process(tmp_path, 2, "kthreadd", flags=KERNEL_THREAD)
    process(tmp_path, 812, "libvirtd", program="/usr/sbin/libvirtd")
    write(tmp_path, "stat", "cpu 1 2 3 4")
    write(tmp_path, "self/stat", f"7 ({QEMU}) S 1 7 7 0 -1 0")
    return tmp_path


def test_a_host_without_guests_has_none(proc: Path) -> None:
    assert count_emulators(proc) == 0


@pytest.mark.parametrize(("name", "program"), [
    ("qemu-system-x86", QEMU), ("qemu-system-ppc", "/usr/bin/qemu-system-ppc64"), ("qemu-kvm", "/usr/libexec/qemu-kvm"),
    ("kvm", "/usr/bin/kvm"), ("guest (17) web)", QEMU), ("qemu-system-x86", ""), ("CPU 0/KVM", "qemu-kvm"),
])
def test_an_emulator_is_known_by_any_of_its_names(proc: Path, name: str, program: str) -> None:
    process(proc, 4711, name, program=program)
    assert count_emulators(proc) == 1


def test_an_emulator_that_hides_behind_other_names_is_known_by_its_file(proc: Path) -> None:
    process(proc, 4711, "worker", program="worker")
    (proc / "4711/exe").symlink_to(f"{QEMU} (deleted)")  # a newer one was installed since
    assert count_emulators(proc) == 1


@pytest.mark.parametrize("state", ["R", "S", "D", "T", "t"])
def test_an_emulator_counts_however_it_stands(proc: Path, state: str) -> None:
    process(proc, 4711, "qemu-system-x86", program=QEMU, state=state)
    assert count_emulators(proc) == 1


@pytest.mark.parametrize(("name", "program", "state", "flags"), [
    ("qemu-system-x86", "", "Z", 0x40_0104), ("kvm-nx-lpage-re", "", "S", KERNEL_THREAD), ("kvm", "", "S", KERNEL_THREAD),
    ("kvm_stat", "/usr/bin/python3", "S", 0), ("qemu-img", "/usr/bin/qemu-img", "S", 0), ("vim", "vim", "S", 0),
    ("qemu-ga", "/usr/bin/qemu-ga", "S", 0), ("virtqemud", "/usr/sbin/virtqemud", "S", 0),
])
def test_what_runs_no_guest_does_not_count(proc: Path, name: str, program: str, state: str, flags: int) -> None:
    process(proc, 4711, name, program=program, state=state, flags=flags)
    assert count_emulators(proc) == 0


def test_every_one_counts(proc: Path) -> None:
    for number in range(100, 160):
        process(proc, number, "qemu-system-x86", program=QEMU)
    assert count_emulators(proc) == 60


def test_a_process_that_ends_while_it_is_looked_at_is_no_error(proc: Path) -> None:
    (proc / "4711").mkdir()
    assert count_emulators(proc) == 0


def test_where_processes_are_hidden_there_is_no_number(proc: Path, tmp_path: Path) -> None:
    assert count_emulators(tmp_path / "nowhere") is None
    shutil.rmtree(proc / "1")  # as under hidepid
    assert count_emulators(proc) is None


def test_where_one_process_cannot_be_read_there_is_no_number(proc: Path) -> None:
    (proc / "4711/stat").mkdir(parents=True)
    assert count_emulators(proc) is None


@pytest.mark.parametrize("status", ["", "4711 (qemu-system-x86) S 1", "4711 (x) S 1 1 1 0 -1 many"])
def test_where_one_process_is_not_understood_there_is_no_number(proc: Path, status: str) -> None:
    write(proc, "4711/stat", status)
    assert count_emulators(proc) is None


def test_a_real_process_counts_until_it_has_ended(tmp_path: Path) -> None:
    emulator, seen = tmp_path / "qemu-system-pretend", tmp_path / "proc"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", emulator)
    seen.mkdir()
    with subprocess.Popen([emulator, "30"]) as pretended:
        for number in (1, 2, os.getpid(), pretended.pid):  # of this machine's, which may run others, only some
            (seen / str(number)).symlink_to(f"/proc/{number}")
        try:
            assert count_emulators(seen) == 1
        finally:
            pretended.kill()
        os.waitid(os.P_PID, pretended.pid, os.WEXITED | os.WNOWAIT)
        assert count_emulators(seen) == 0  # a zombie
    assert count_emulators(seen) == 0
