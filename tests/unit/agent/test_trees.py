"""The readings of example trees: what is reported under which name, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ballastd.core.telemetry import Sample
from tests.unit.agent.looking import look, readings

TREES = Path(__file__).parents[2] / "data" / "hwmon-edac"
EXPECTED = json.loads((TREES / "expected.json").read_text())


def as_sample(expected: dict[str, Any]) -> Sample:
    (subject,) = expected["labels"].values()
    return Sample(expected["metric"], float(expected["value"]), subject, expected.get("high"), expected.get("critical"))


@pytest.mark.parametrize("tree", EXPECTED["readings"])
def test_a_tree_yields_the_expected_readings_and_no_others(tree: str) -> None:
    found = readings(look(TREES / tree))
    expected = [as_sample(one) for one in EXPECTED["readings"][tree]]
    for sample in expected:
        assert found.pop((sample.metric, sample.subject)) == sample
    # beyond what the trees list: counters at zero of errors without place, and the controller's own sum where
    # one of its DIMMs cannot be read
    assert {(key[1], sample.value) for key, sample in found.items()} <= {("mc0:noinfo", 0.0), ("mc0", 0.0)}


def test_everything_bogus_is_refused_one_by_one_with_its_reason() -> None:
    refused = {one.where: one.reason for one in look(TREES / "odd").refused}
    assert {where: reason for where, reason in refused.items() if "hwmon" in where} == {
        "hwmon0/temp1_input": "not a whole number: garbage",
        "hwmon0/temp2_input": "0: what an unset register reads",
        "hwmon0/temp3_input": "-128: outside -60 to 127 celsius",
        "hwmon0/temp4_input": "255: outside -60 to 127 celsius",
        "hwmon0/temp5_input": "missing",
        "hwmon1/temp1_input": "127.5: outside -60 to 127 celsius",
        "hwmon1/temp2_input": "-61: outside -60 to 127 celsius",
        "hwmon1/temp3_input": "the sensor says it is broken",
        "hwmon1/fan1_input": "65535: outside 0 to 60000 rpm",
        "hwmon1/fan2_input": "empty",
        "hwmon1/fan3_input": "1350000: outside 0 to 60000 rpm",
        "hwmon1/fan5_input": "-1: outside 0 to 60000 rpm",
        "hwmon1/fan5_alarm": "2 is neither 0 nor 1",
    }
    assert {where for where in refused if where.startswith(("mc", "dimm"))} == {
        "mc0/ce_count", "mc0/dimm0/dimm_ce_count", "mc0/dimm1/dimm_ce_count", "mc0/dimm1/dimm_ue_count"}
    assert len(refused) == sum(len(line.split(";")) + line.count(", ue") for line in EXPECTED["refused"]["odd"])


@pytest.mark.parametrize("tree", ["healthy", "fan-alarm", "ue"])
def test_an_independent_reader_sees_the_same_numbers(tree: str) -> None:
    """node_exporter has other names for the sensors, so the values are compared as a bag."""
    theirs: dict[str, list[float]] = {}
    for line in (TREES / "node_exporter" / f"{tree}.prom").read_text().splitlines():
        match = re.fullmatch(r"node_hwmon_(temp_celsius|fan_rpm|fan_alarm)\{.*\} (\S+)", line)
        if match:
            theirs.setdefault(match[1], []).append(float(match[2]))
    ours: dict[str, list[float]] = {}
    names = {"temperature": "temp_celsius", "fan.speed": "fan_rpm", "fan.alarm": "fan_alarm"}
    for sample in look(TREES / tree).samples:
        if sample.metric in names:
            ours.setdefault(names[sample.metric], []).append(sample.value)
    assert {name: sorted(values) for name, values in ours.items()} == {
        name: sorted(values) for name, values in theirs.items()}


def test_a_machine_without_sensors_is_no_error() -> None:
    findings = look(TREES / "vm-without-sensors")
    found = readings(findings)
    assert findings.refused == []
    assert {metric for metric, _ in found} == {
        "cpu.load1", "memory.utilization", "memory.available", "cpu.pressure.some", "cpu.pressure.full",
        "memory.pressure.some", "memory.pressure.full", "io.pressure.some", "io.pressure.full"}
    assert found["cpu.load1", ""].value == pytest.approx(0.31 / 2)
    assert found["cpu.pressure.some", ""].value == pytest.approx(0.04)


def test_nothing_at_all_is_no_error_either(tmp_path: Path) -> None:
    findings = look(tmp_path)
    assert (findings.samples, findings.refused) == ([], [])
