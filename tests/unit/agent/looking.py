"""Looking at a tree as the agent does, for its tests."""

from __future__ import annotations

from pathlib import Path

from ballastd.agent.edac import read_edac
from ballastd.agent.files import Findings
from ballastd.agent.hwmon import chips, named, read_chip
from ballastd.agent.load import LoadReader
from ballastd.core.telemetry import Sample

Readings = dict[tuple[str, str], Sample]


def look(root: Path) -> Findings:
    """Return everything below ``root``, except what needs a second look."""
    findings = LoadReader(root, window=10.0).read(0.0)
    findings.extend(read_edac(root))
    findings.extend(named(read_chip(chip) for chip in chips(root)))
    return findings


def readings(findings: Findings) -> Readings:
    """Return the samples by metric and subject; two of one subject are a mistake."""
    found = {(sample.metric, sample.subject): sample for sample in findings.samples}
    assert len(found) == len(findings.samples)
    return found
