"""Load from /proc: utilisation over a window, steps back, garbage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ballastd.agent.load import LoadReader
from tests.unit.agent.looking import look, readings

TREES = Path(__file__).parents[2] / "data" / "hwmon-edac" / "proc-variants"


def stat(root: Path, *times: int) -> None:
    (root / "proc").mkdir(parents=True, exist_ok=True)
    (root / "proc/stat").write_text(f"cpu  {' '.join(map(str, times))}\ncpu0 1 1 1 1\ncpu1 1 1 1 1\nbtime 1\n")


def test_the_first_look_knows_no_utilisation(tmp_path: Path) -> None:
    stat(tmp_path, 100, 0, 0, 900)
    assert LoadReader(tmp_path, 10.0).read(0.0).samples == []


def test_utilisation_is_what_was_not_idle_in_between(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    stat(tmp_path, 100, 0, 50, 900, 10, 0, 0, 0, 0, 0)
    reader.read(0.0)
    stat(tmp_path, 130, 0, 60, 940, 30, 0, 0, 0, 30, 0)
    (sample,) = reader.read(1.0).samples
    assert sample.value == pytest.approx(40 / 100)


def test_utilisation_covers_the_window_and_not_only_the_last_look(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    for second in range(31):
        stat(tmp_path, 100 * min(second, 25), 0, 0, 100 * max(0, second - 25))
        findings = reader.read(float(second))
    (sample,) = findings.samples
    assert sample.value == pytest.approx(0.5)


def test_iowait_that_steps_back_makes_no_utilisation_out_of_range(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    for at, name in enumerate(("t0", "t1")):
        shutil.copytree(TREES / "stat-steps-back" / name, tmp_path, dirs_exist_ok=True)
        findings = reader.read(float(at))
    (sample,) = findings.samples
    assert sample.value == pytest.approx(15 / 65)
    assert findings.refused == []


def test_two_looks_without_a_tick_between_them_say_nothing(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    stat(tmp_path, 100, 0, 0, 900)
    reader.read(0.0)
    assert reader.read(0.1).samples == []


def test_what_an_old_kernel_does_not_have_is_neither_reported_nor_refused() -> None:
    findings = look(TREES / "no-psi")
    assert (findings.samples, findings.refused) == ([], [])


def test_an_older_kernel_has_no_full_pressure_for_processors() -> None:
    found = readings(look(TREES / "psi-old"))
    assert set(found) == {("cpu.pressure.some", "")}
    assert found["cpu.pressure.some", ""].value == pytest.approx(0.0153)


def test_garbage_in_one_line_of_pressure_costs_that_line() -> None:
    findings = look(TREES / "psi-bad")
    assert set(readings(findings)) == {("memory.pressure.full", "")}
    assert [one.where for one in findings.refused] == ["pressure/memory"]


@pytest.mark.parametrize("content", ["", "MemTotal: 100 kB\nMemAvailable: 200 kB\n",
                                     "MemTotal: 0 kB\nMemAvailable: 0 kB\n"])
def test_memory_that_contradicts_itself_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(content)
    findings = LoadReader(tmp_path, 10.0).read(0.0)
    assert findings.samples == []
    assert [one.where for one in findings.refused] == ["proc/meminfo"]


def net(root: Path, rx: int, tx: int) -> None:
    (root / "proc/net").mkdir(parents=True, exist_ok=True)
    (root / "sys/class/net/eth0/device").mkdir(parents=True, exist_ok=True)
    (root / "sys/class/net/vnet7").mkdir(parents=True, exist_ok=True)
    zeros = "0 0 0 0 0 0 0"
    (root / "proc/net/dev").write_text("Inter-| Receive | Transmit\n face |bytes packets|bytes packets\n" + "".join(
        f"{name:>6}: {rx} {zeros} {tx} {zeros}\n" for name in ("lo", "eth0", "vnet7")))


def test_network_rates_are_those_of_interfaces_with_hardware(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    net(tmp_path, 1000, 500)
    assert reader.read(0.0).samples == []
    net(tmp_path, 21_000, 2500)
    found = readings(reader.read(2.0))
    assert {key: sample.value for key, sample in found.items()} == {
        ("network.rx", "eth0"): 10_000.0, ("network.tx", "eth0"): 1000.0}


def test_a_reloaded_driver_makes_no_negative_rate(tmp_path: Path) -> None:
    reader = LoadReader(tmp_path, 10.0)
    net(tmp_path, 5_000_000, 5_000_000)
    reader.read(0.0)
    net(tmp_path, 10, 10)
    assert {sample.value for sample in reader.read(2.0).samples} == {0.0}
