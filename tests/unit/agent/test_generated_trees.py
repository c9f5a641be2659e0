"""Fourteen generated hosts: healthy and sick, bogus and renumbered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sysfs_trees import TREES, build, write
from tests.unit.agent.looking import Readings, look, readings


def readings_of(root: Path, name: str) -> Readings:
    return readings(look(build(root / name, TREES[name])))


def ecc(found: Readings, dimm: str) -> tuple[float, float]:
    return found["ecc.corrected", dimm].value, found["ecc.uncorrected", dimm].value


def fan(found: Readings, name: str) -> tuple[float, bool]:
    return found["fan.speed", f"nct6775:{name}"].value, found["fan.alarm", f"nct6775:{name}"].value == 1.0


@pytest.mark.parametrize(("tree", "dimm", "counts"), [
    ("healthy", "CPU1_DIMM_A1", (3, 0)), ("uncorrected", "CPU0_DIMM_B1", (12, 1)),
    ("corrected-before", "CPU1_DIMM_B1", (40, 0)), ("corrected-after", "CPU1_DIMM_B1", (161, 0)),
    ("counters-reset", "CPU1_DIMM_A1", (0, 0)), ("old-kernel", "CPU1_DIMM_A1", (3, 0)),
])
def test_memory_errors_are_counted_per_dimm(tree: str, dimm: str, counts: tuple[int, int], tmp_path: Path) -> None:
    assert ecc(readings_of(tmp_path, tree), dimm) == counts


@pytest.mark.parametrize(("tree", "sensor", "value", "critical"), [
    ("hot", "coretemp:Package id 1", 96.0, 100.0), ("over-critical", "coretemp:Package id 1", 101.0, 100.0),
    ("hot-room", "nct6775:SYSTIN", 47.0, None), ("healthy", "jc42:temp1", 38.25, 95.0),
])
def test_temperatures_come_with_their_own_limits(tree: str, sensor: str, value: float, critical: float | None,
                                                 tmp_path: Path) -> None:
    sample = readings_of(tmp_path, tree)["temperature", sensor]
    assert (sample.value, sample.critical) == (value, critical)


@pytest.mark.parametrize(("tree", "name", "state"), [
    ("healthy", "FAN1", (4200, False)), ("fan-failed", "FAN3", (0, True)), ("fan-failed", "FAN1", (4900, False)),
    ("fan-fault-flag", "FAN2", (4180, True)),
])
def test_a_fan_alarms_by_its_alarm_or_its_fault(tree: str, name: str, state: tuple[float, bool],
                                                tmp_path: Path) -> None:
    assert fan(readings_of(tmp_path, tree), name) == state


def test_two_processors_have_cores_of_the_same_name_and_are_told_apart(tmp_path: Path) -> None:
    found = readings_of(tmp_path, "healthy")
    assert found["temperature", "coretemp@hwmon0:Core 0"].value == 46.0
    assert found["temperature", "coretemp@hwmon1:Core 0"].value == 50.0
    assert ("temperature", "coretemp:Core 0") not in found


def test_where_a_chip_has_a_device_it_is_known_by_that_whatever_its_number(tmp_path: Path) -> None:
    for number, device in ((0, "coretemp.0"), (1, "coretemp.1")):
        root = build(tmp_path / str(number), TREES["healthy"])
        for one in (0, 1):
            name = f"coretemp.{one if number == 0 else 1 - one}"
            (root / "sys/devices/platform" / name).mkdir(parents=True)
            (root / f"sys/class/hwmon/hwmon{one}/device").symlink_to(Path("../../../devices/platform") / name)
        found = readings(look(root))
        assert found["temperature", f"coretemp@{device}:Core 0"].value == 46.0


def test_unconnected_sensors_and_garbage_cost_only_themselves(tmp_path: Path) -> None:
    findings = look(build(tmp_path, TREES["bogus"]))
    found = readings(findings)
    assert {one.where for one in findings.refused} == {
        "hwmon2/temp7_input", "hwmon2/temp8_input", "hwmon2/temp9_input", "hwmon2/temp10_input",
        "hwmon2/temp11_input", "hwmon2/fan7_input", "hwmon2/fan8_input", "mc0/dimm0/dimm_ce_count"}
    assert found["temperature", "hwmon9:temp1"].value == 45.0
    assert found["fan.speed", "nct6775:fan9"].value == 0.0
    assert found["ecc.uncorrected", "CPU0_DIMM_A1"].value == 0.0
    assert ecc(found, "mc1:dimm1") == (0, 0)
    assert ecc(found, "CPU1_DIMM_A1") == (3, 0)


def test_a_dimm_that_cannot_be_read_does_not_hide_an_error_its_controller_counted(tmp_path: Path) -> None:
    root = build(tmp_path, TREES["uncorrected"])
    write(root, "sys/devices/system/edac/mc/mc0/dimm1/dimm_ue_count", "?")
    assert readings(look(root))["ecc.uncorrected", "mc0"].value == 1.0


@pytest.mark.parametrize("file", ["dimm_ue_count", "dimm_ce_count"])
def test_what_a_dimm_has_no_counter_for_is_in_its_controllers_sum(file: str, tmp_path: Path) -> None:
    """Kernels before 4.10 know DIMMs and count for their controllers alone."""
    root = build(tmp_path, TREES["uncorrected"])
    for known in (root / "sys/devices/system/edac/mc/mc0").glob(f"dimm*/{file}"):
        known.unlink()
    assert ecc(readings(look(root)), "mc0") == (12.0, 1.0)


def test_sensors_keep_their_names_when_chips_are_renumbered(tmp_path: Path) -> None:
    before, after = readings_of(tmp_path, "healthy"), readings_of(tmp_path, "renumbered")
    by_number = {key for key in before if "@hwmon" in key[1]}
    assert {key: before[key] for key in before.keys() - by_number} == {
        key: sample for key, sample in after.items() if "@hwmon" not in key[1]}


def test_no_memory_controller_means_unknown_and_not_zero(tmp_path: Path) -> None:
    assert not [metric for metric, _ in readings_of(tmp_path, "no-edac") if metric.startswith("ecc.")]


def test_no_pressure_on_an_old_kernel_means_unknown_and_not_zero(tmp_path: Path) -> None:
    found = readings_of(tmp_path, "old-kernel")
    assert not [metric for metric, _ in found if "pressure" in metric]
    assert found["cpu.load1", ""].value == 0.4
