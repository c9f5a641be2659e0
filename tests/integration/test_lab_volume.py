"""A frozen file system thaws, whoever of those that could see to it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import missing, sweep
from tests.lab.commands import LabError, run, wait_until
from tests.lab.namespaces import inside
from tests.lab.processes import identify, stuck
from tests.lab.state import Plan, alone, registered, save_keeper
from tests.lab.volume import FREEZER, FROZEN_SECONDS_MAX, Volume, thaw_under, unmount_under

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 15.0
OWNER = """
import sys, time
from pathlib import Path
from tests.lab.volume import Volume

Volume(Path(sys.argv[1])).freeze()
print("frozen", flush=True)
time.sleep(60.0)
"""

FREEZING = """
import fcntl, os, sys
from contextlib import suppress

handle = os.open(sys.argv[1], os.O_RDONLY)
while True:
    with suppress(OSError):  # it is frozen still
        fcntl.ioctl(handle, 0xC0045877, 0)  # FIFREEZE
"""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    """Yield a lab that is nothing but its entry, watched over by this process: should that be killed, the next sweep knows
    where its volume is."""
    one, keeper = Plan(f"v{os.getpid()}", 1, str(tmp_path / "lab")), identify(os.getpid())
    assert keeper is not None
    with alone():
        one.save()
        save_keeper(one.path, keeper)
    try:
        yield one
    finally:
        sweep(one.name)


@pytest.fixture
def volume(plan: Plan) -> Iterator[Volume]:
    one = Volume(plan.path / "state").make()
    try:
        yield one
    finally:
        one.thaw()


def written(volume: Volume) -> subprocess.Popen[bytes]:
    """Begin to write; who does that to a frozen one waits, and cannot be ended."""
    return subprocess.Popen(["sh", "-c", f"echo >{volume.place}/line && sync -f {volume.place}/line"])


def waits(writing: subprocess.Popen[bytes]) -> bool:
    """Return whether it stands in the kernel."""
    return stuck(writing.pid) == {writing.pid}


def loops() -> str:
    """Return what loop devices are made of."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # it is given back meanwhile
            found.append(backing.read_text())
    return "".join(found)


def guards(place: Path) -> list[int]:
    """Return who watches over the freeze of a place."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = line.read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if b"freezer" in words and str(place).encode() in words:
            found.append(int(line.parent.name))
    return found


def test_what_waits_for_a_frozen_one_goes_on_when_it_thaws(volume: Volume) -> None:
    volume.freeze()
    writing = written(volume)
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    volume.thaw()
    assert writing.wait(SECONDS) == 0
    assert guards(volume.place) == []


def test_what_is_not_mounted_is_not_frozen_in_its_place(tmp_path: Path) -> None:
    # one that cannot be frozen: should this fail, nothing of the machine's own is
    run("mount", "-t", "tmpfs", "under", str(tmp_path))
    try:
        one = Volume(tmp_path / "state")
        one.place.mkdir()
        with pytest.raises(LabError, match="nothing is mounted"):
            one.freeze()
        assert guards(one.place) == []
    finally:
        run("umount", str(tmp_path))


def test_it_thaws_when_whoever_froze_it_is_killed(volume: Volume) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(volume.place)], stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"frozen\n"
        writing = written(volume)
        wait_until(lambda: waits(writing), SECONDS, "somebody waits")
        owner.kill()
    assert writing.wait(SECONDS) == 0


def test_it_thaws_when_whoever_froze_it_was_killed_before_he_knew(volume: Volume) -> None:
    with subprocess.Popen(["bash", "-c", FREEZER, "freezer", str(volume.place), str(FROZEN_SECONDS_MAX)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.close()
        guard.stdout.close()
    assert guard.returncode == 0
    assert written(volume).wait(SECONDS) == 0


def test_who_guards_the_freeze_does_not_end_before_it(volume: Volume) -> None:
    volume.freeze()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        os.kill(guards(volume.place)[0], number)
    writing = written(volume)
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    assert len(guards(volume.place)) == 1
    volume.thaw()
    assert writing.wait(SECONDS) == 0


@pytest.mark.parametrize("sees_to_it", [Volume.thaw, lambda volume: thaw_under(volume.place.parent)])
def test_it_is_thawed_though_its_guard_was_killed(volume: Volume, sees_to_it: Callable[[Volume], None]) -> None:
    volume.freeze()
    os.kill(guards(volume.place)[0], signal.SIGKILL)
    writing = written(volume)
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    sees_to_it(volume)
    assert writing.wait(SECONDS) == 0


def test_it_is_not_unmounted_frozen(volume: Volume) -> None:
    volume.freeze()
    os.kill(guards(volume.place)[0], signal.SIGKILL)
    writing = written(volume)
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    unmount_under(volume.place.parent)
    assert writing.wait(SECONDS) in {0, 1, 2}, "with its line, or without a place to write it to"
    assert str(volume.place) not in Path("/proc/self/mounts").read_text()


def test_who_freezes_it_while_it_is_swept_leaves_nobody_behind(plan: Plan, volume: Volume) -> None:
    place, ours, host = volume.place, f"{plan.name}-ctl", f"{plan.name}-h1"
    for netns in (ours, host):
        run("ip", "netns", "add", netns)
    freezing = subprocess.Popen(inside(ours, sys.executable, "-c", FREEZING, str(place)))
    writing = subprocess.Popen(inside(host, "sh", "-c", f"while :; do echo >{place}/line && sync -f {place}/line; done"))
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    sweep(plan.name)
    assert freezing.wait(SECONDS) == writing.wait(SECONDS) == -signal.SIGKILL
    assert str(plan.path) not in Path("/proc/self/mounts").read_text()


def test_a_sweep_thaws_it_and_leaves_no_mount(plan: Plan, volume: Volume) -> None:
    volume.freeze()
    os.kill(guards(volume.place)[0], signal.SIGKILL)
    writing = written(volume)
    wait_until(lambda: waits(writing), SECONDS, "somebody waits")
    sweep(plan.name)
    assert str(plan.path) not in Path("/proc/self/mounts").read_text()
    assert not plan.path.exists()
    assert plan.name not in registered()
    assert writing.wait(SECONDS) in {0, 1, 2}, "with its line, or without a place to write it to"
    wait_until(lambda: str(plan.path) not in loops(), SECONDS, "its loop device is given back")


def test_one_that_its_kernel_does_not_trust_refuses_every_write_until_it_is_mended(volume: Volume) -> None:
    kept = volume.place / "kept"
    kept.write_text("whole")
    run("sync", "-f", str(kept))
    volume.refuse()
    with pytest.raises(OSError, match="Read-only"):
        (volume.place / "more").write_text("lost")
    assert kept.read_text() == "whole"
    with subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; read line"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as elsewhere:
        assert elsewhere.stdout is not None
        assert elsewhere.stdout.readline() == b"\n"
        volume.mend()
        (volume.place / "more").write_text("kept")
        assert kept.read_text() == "whole"
        elsewhere.communicate(b"\n")
