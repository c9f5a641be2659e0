"""Temperatures, fans and power supplies of one hwmon chip (Documentation/hwmon/sysfs-interface.rst)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ballastd.agent.files import Findings, Unreadable, children, printable, read_flag, read_integer, read_text
from ballastd.core.plausibility import implausible, is_subject, usable_limit
from ballastd.core.telemetry import METRICS, Sample

_FEATURE = re.compile(r"((?:temp|fan)[0-9]+)_[a-z_]+")
_SUPPLY_ALARM = re.compile(r"(?:in|curr|power)[0-9]+(?!_cap_)(?:_[a-z]+)*_alarm")
"""What ails a supply: its input, its output. That it keeps to a cap somebody set is no fault; its fans are fans."""
_SUPPLIES = re.compile(r"(?:pmbus|psu|dps[0-9]|pfe[0-9]|ibm-cffps|cffps|inspur|ipsps|acbel|fsp|ym2151|crps|bp[ad][-_]rs"
                       r"|corsair-?psu|bel-pfe).*")
"""Chips that are power supplies, by the names of their drivers; other pmbus chips are voltage regulators."""


@dataclass(frozen=True, slots=True)
class ChipReading:
    """What one chip shows. ``device`` tells chips of one name apart and survives a reboot, where there is one.

    Subjects of the samples are still labels; ``named`` gives them their chip's name. ``labels``: those of all
    its sensors, readable at the moment or not.
    """

    directory: str
    name: str
    device: str
    labels: frozenset[str] = frozenset()
    findings: Findings = field(default_factory=Findings)


def chips(root: Path) -> list[Path]:
    """Return the directories of all chips below ``root``. Listing them asks no hardware."""
    return children(root / "sys/class/hwmon", r"hwmon[0-9]+")


def read_chip(directory: Path) -> ChipReading:
    """Return what the chip in ``directory`` shows. Slow buses may take seconds, broken ones for ever."""
    names = [path.name for path in children(directory, r"[a-z]+[0-9]+_[a-z_]+")]
    labels = _labels(directory, sorted({match[1] for name in names if (match := _FEATURE.fullmatch(name))}))
    reading = ChipReading(directory.name, _chip_name(directory), _device_name(directory),
                          frozenset(labels.values()) | {""})
    for feature, label in labels.items():
        if feature.startswith("temp"):
            _temperature(reading.findings, directory, feature, label)
        else:
            _fan(reading.findings, directory, feature, label)
    if _SUPPLIES.fullmatch(reading.name):
        _supply(reading.findings, directory, [name for name in names if _SUPPLY_ALARM.fullmatch(name)])
    return reading


def named(readings: Iterable[ChipReading], silent: Iterable[ChipReading] = ()) -> Findings:
    """Return all findings with subjects that tell them apart: ``chip:label``, or ``chip@device:label`` where
    two chips of one name have the same label. The numbers of hwmon directories change from boot to boot, so
    they serve only where a chip has no device.

    ``silent``: what chips showed that do not answer now; a sensor keeps its name while its namesake hangs.
    """
    readings = tuple(readings)
    holders = Counter((one.name, label) for one in (*readings, *silent) for label in one.labels)
    everything = Findings()
    for one in readings:
        for sample in one.findings.samples:
            label = sample.subject
            chip = one.name if holders[one.name, label] == 1 else f"{one.name}@{one.device or one.directory}"
            subject = f"{chip}:{label}" if label else chip
            everything.samples.append(replace(sample, subject=subject[:128]))
        everything.refused += one.findings.refused
    return everything


def _chip_name(directory: Path) -> str:
    try:
        return printable(read_text(directory / "name") or directory.name)[:48]
    except Unreadable:
        return directory.name


def _device_name(directory: Path) -> str:
    device = directory / "device"
    return printable(device.resolve().name)[:48] if device.is_symlink() else ""


def _labels(directory: Path, features: list[str]) -> dict[str, str]:
    """Return each feature's label: its own where it has a usable and unique one, else the feature's name."""
    labels = {}
    for feature in features:
        try:
            text = read_text(directory / f"{feature}_label")
        except Unreadable:
            text = None
        labels[feature] = text if text and is_subject(text) and len(text) <= 48 else feature
    kinds = Counter((re.sub("[0-9]", "", feature), label) for feature, label in labels.items())
    return {feature: label if kinds[re.sub("[0-9]", "", feature), label] == 1 else feature
            for feature, label in labels.items()}


def _temperature(findings: Findings, directory: Path, feature: str, label: str) -> None:
    path, metric = directory / f"{feature}_input", METRICS["temperature"]
    critical = _celsius_limit(directory / f"{feature}_crit")
    try:
        if _fault(directory / f"{feature}_fault"):
            findings.refuse(path, "the sensor says it is broken")
            return
        value = read_integer(path)
    except Unreadable as error:
        findings.refuse(path, str(error))
        return
    if value is None:
        findings.refuse(path, "missing")
        return
    celsius = value / 1000.0
    reason = implausible(metric, celsius)
    if value == 0 and critical == 0.0:
        reason = "what an unset register reads"
    if reason is not None:
        findings.refuse(path, f"{celsius:g}: {reason}")
        return
    findings.samples.append(Sample("temperature", celsius, label,
                                   usable_limit(metric, _celsius_limit(directory / f"{feature}_max")),
                                   usable_limit(metric, critical)))


def _celsius_limit(path: Path) -> float | None:
    try:
        limit = read_integer(path)
    except Unreadable:
        return None
    return None if limit is None else limit / 1000.0


def _fault(path: Path) -> bool:
    try:
        return read_flag(path) is True
    except Unreadable:
        return False


def _fan(findings: Findings, directory: Path, feature: str, label: str) -> None:
    path = directory / f"{feature}_input"
    try:
        speed = read_integer(path)
        reason = None if speed is None else implausible(METRICS["fan.speed"], float(speed))
        if reason is not None:
            findings.refuse(path, f"{speed}: {reason}")
        elif speed is not None:
            findings.samples.append(Sample("fan.speed", float(speed), label))
    except Unreadable as error:
        findings.refuse(path, str(error))
    # a stopped fan may still have a plausible last speed, a broken sensor none: either flag is an alarm; some drivers have
    # one for each limit instead, and that a fan turns faster than it should is no fault
    _alarm(findings, directory, "fan.alarm", label, (f"{feature}_alarm", f"{feature}_min_alarm", f"{feature}_fault"))


def _supply(findings: Findings, directory: Path, alarms: list[str]) -> None:
    _alarm(findings, directory, "psu.alarm", "", alarms)


def _alarm(findings: Findings, directory: Path, metric: str, label: str, names: Iterable[str]) -> None:
    """Add an alarm that stands if any of the files says so; nothing if none of them can be read."""
    states: list[bool] = []
    for name in names:
        try:
            state = read_flag(directory / name)
        except Unreadable as error:
            findings.refuse(directory / name, str(error))
            continue
        if state is not None:
            states.append(state)
    if states:
        findings.samples.append(Sample(metric, float(any(states)), label))
