"""The machine's clocks."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from ballastd.adapters.clock import BOOT_ID_FILE, SystemClock, read_boot_id


def test_both_clocks_are_the_machine_s() -> None:
    before, now, after = time.clock_gettime(time.CLOCK_BOOTTIME), SystemClock().now(), time.time()
    assert before <= now.monotonic <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert after - 1 < now.wall <= after
    assert now.boot_id == BOOT_ID_FILE.read_text().strip()


def test_the_monotonic_clock_counts_suspension() -> None:
    """It is the kernel's time since boot, suspended or not, and not the clock that the event loop sleeps by."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(SystemClock().now().monotonic - uptime) < 1.0


def test_time_goes_on() -> None:
    clock = SystemClock()
    instants = [clock.now() for _ in range(1000)]
    assert all(later.since(earlier) >= 0 for earlier, later in itertools.pairwise(instants))
    assert len({instant.boot_id for instant in instants}) == 1


def test_a_machine_that_does_not_tell_its_boot_has_an_empty_one(tmp_path: Path) -> None:
    assert read_boot_id(tmp_path / "nothing") == ""
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    assert read_boot_id(tmp_path / "odd") == ""
