"""Memory errors per DIMM, from /sys/devices/system/edac (Documentation/ABI/testing/sysfs-devices-edac)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ballastd.agent.files import Findings, Unreadable, children, read_integer, read_text
from ballastd.core.plausibility import implausible, is_subject
from ballastd.core.telemetry import METRICS, Sample

_METRICS = (("ce", "ecc.corrected"), ("ue", "ecc.uncorrected"))


def read_edac(root: Path) -> Findings:
    """Return both counters of every DIMM (or rank, as the controller counts) below ``root``.

    A DIMM is known by its label, where it has a usable one of its own; else by ``mcN:dimmM``. Errors that
    the controller could not place count under ``mcN:noinfo``; where it has no DIMMs, or one of theirs is not there
    or cannot be read, its own sum under ``mcN``: an error must not vanish with the file that should have shown it.
    """
    controllers = children(root / "sys/devices/system/edac/mc", r"mc[0-9]+")
    dimms = {controller: children(controller, r"(dimm|rank)[0-9]+") for controller in controllers}
    labels = {dimm: _label(dimm) for ones in dimms.values() for dimm in ones}
    twice = {label for label, times in Counter(labels.values()).items() if times > 1}
    findings = Findings()
    for controller in controllers:
        complete = bool(dimms[controller])
        for dimm in dimms[controller]:
            label = labels[dimm]
            subject = label if label and label not in twice else f"{controller.name}:{dimm.name}"
            complete &= _counters(findings, dimm, "dimm_{}_count", subject)
        _counters(findings, controller, "{}_noinfo_count", f"{controller.name}:noinfo")
        if not complete and not _has_only_noinfo(controller, dimms[controller]):
            _counters(findings, controller, "{}_count", controller.name)
    return findings


def _has_only_noinfo(controller: Path, dimms: list[Path]) -> bool:
    """Without DIMMs everything a controller counts is without place: its sum would say the same twice."""
    return not dimms and (controller / "ue_noinfo_count").exists()


def _label(dimm: Path) -> str | None:
    try:
        text = read_text(dimm / "dimm_label")
    except Unreadable:
        return None
    return text if text and is_subject(text) else None


def _counters(findings: Findings, directory: Path, pattern: str, subject: str) -> bool:
    """Add both counters that are there; return False if one of them is not, or cannot be used."""
    usable = True
    for short, metric in _METRICS:
        path = directory / pattern.format(short)
        try:
            count = read_integer(path)
        except Unreadable as error:
            findings.refuse(path, str(error))
            usable = False
            continue
        if count is None:
            usable = False
            continue
        reason = implausible(METRICS[metric], float(count))
        if reason is None:
            findings.samples.append(Sample(metric, float(count), subject))
        else:
            findings.refuse(path, f"{count} is {reason}")
            usable = False
    return usable
