"""Power supplies among the hwmon chips: which are ones, and which of their alarms count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sysfs_trees import write
from tests.unit.agent.looking import look, readings

CHIP = "sys/class/hwmon/hwmon4"
WELL = {
    "in1_label": "vin", "in1_input": 230_000, "in1_alarm": 0, "in1_lcrit_alarm": 0, "in1_crit_alarm": 0,
    "curr1_label": "iin", "curr1_input": 800, "curr1_max_alarm": 0, "curr2_crit_alarm": 0,
    "power1_label": "pin", "power1_input": 184_000_000, "power1_alarm": 0, "power1_cap_alarm": 0,
    "fan1_input": 6100, "fan1_alarm": 0, "fan1_fault": 0, "temp1_input": 31_000, "temp1_crit_alarm": 0,
}


def alarms(root: Path, name: str, **changes: object) -> dict[tuple[str, str], bool]:
    for file, value in {"name": name, **WELL, **changes}.items():
        write(root, f"{CHIP}/{file}", value)
    return {key: sample.value == 1.0 for key, sample in readings(look(root)).items() if key[0].endswith(".alarm")}


@pytest.mark.parametrize("driver", [
    "pmbus", "dps460", "dps800", "pfe1100", "cffps1", "ipsps1", "acbel_fsg032", "ym2151e", "crps185", "corsairpsu",
    "bpa_rs600",
])
def test_a_supply_is_known_by_its_driver(tmp_path: Path, driver: str) -> None:
    assert alarms(tmp_path, driver) == {("psu.alarm", driver): False, ("fan.alarm", f"{driver}:fan1"): False}


@pytest.mark.parametrize("driver", ["nct6775", "tps53679", "xdpe12284", "lm25066", "ina219", "power_meter", "ucd9000"])
def test_a_regulator_or_a_board_is_no_supply(tmp_path: Path, driver: str) -> None:
    assert ("psu.alarm", driver) not in alarms(tmp_path, driver, in1_alarm=1)


@pytest.mark.parametrize("file", [
    "in1_alarm", "in1_lcrit_alarm", "in1_crit_alarm", "in2_min_alarm", "curr1_max_alarm", "curr2_crit_alarm", "power1_alarm",
    "power2_max_alarm",
])
def test_any_alarm_of_input_or_output_is_the_supplys(tmp_path: Path, file: str) -> None:
    assert alarms(tmp_path, "pmbus", **{file: 1}) == {("psu.alarm", "pmbus"): True, ("fan.alarm", "pmbus:fan1"): False}


@pytest.mark.parametrize(("file", "fan"), [
    ("power1_cap_alarm", False), ("fan1_alarm", True), ("fan1_min_alarm", True), ("fan1_max_alarm", False),
    ("fan1_fault", True)])
def test_a_cap_is_no_fault_and_a_fan_is_a_fan(tmp_path: Path, file: str, fan: bool) -> None:
    assert alarms(tmp_path, "pmbus", **{file: 1}) == {("psu.alarm", "pmbus"): False, ("fan.alarm", "pmbus:fan1"): fan}


def test_an_alarm_that_cannot_be_read_does_not_hide_another(tmp_path: Path) -> None:
    assert alarms(tmp_path, "pmbus", in1_alarm="garbage", power1_alarm=1)["psu.alarm", "pmbus"]
    assert {one.where: one.reason for one in look(tmp_path).refused} == {
        "hwmon4/in1_alarm": "not a whole number: garbage"}
