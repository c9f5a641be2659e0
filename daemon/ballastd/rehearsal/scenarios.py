"""Scenario directories: a cluster, its policies, a script, and the trace that was reviewed and accepted."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from ballastd.core.rehearsed import Violation
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.scripts import Script
from ballastd.documents.policy_files import PolicyFiles
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.scripts import load_script
from ballastd.rehearsal.stage import Setting, Stage, perform

CLUSTER, POLICIES, SCRIPT, TRACE, README = "cluster.yaml", "policies.yaml", "script.yaml", "trace.expected", "README.md"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One directory, read."""

    directory: Path
    cluster: SavedCluster
    script: Script

    def setting(self, crash_at: tuple[int, ...] = ()) -> Setting:
        """Return what is to be rehearsed."""
        script = self.script
        source = PolicyFiles(self.directory / POLICIES, self.cluster.declaration(script.timing))
        return Setting(self.cluster, source, script.timing, script.acts, script.seed, script.begins_wall, script.wakeable,
                       crash_at, arrival_checks=script.arrival_checks)

    def expected(self) -> str | None:
        """Return the accepted trace, None where there is none yet."""
        path = self.directory / TRACE
        return path.read_text(encoding="utf-8") if path.exists() else None

    def accept(self, trace: str) -> None:
        """Make ``trace`` the expected one; its difference is reviewed like code."""
        (self.directory / TRACE).write_text(trace, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Played:
    """How a scenario went: its trace as a text, what was violated, and how many awaits it has."""

    trace: str
    violations: tuple[Violation, ...]
    awaits: int


def load_scenario(directory: Path) -> Scenario:
    """Return the scenario in a directory.

    Raises:
        ConfigurationError: with every problem of the file that cannot be used.
    """
    cluster = load_cluster(directory / CLUSTER)
    return Scenario(directory, cluster, load_script(directory / SCRIPT, cluster))


def play(scenario: Scenario, crash_at: tuple[int, ...] = ()) -> Played:
    """Rehearse a scenario whole, killing the daemon at those of its awaits."""
    async def story(stage: Stage) -> None:
        await stage.play(scenario.script.lasts)

    _, stage = perform(scenario.setting(crash_at), story)
    return Played("\n".join((*stage.world.trace.lines, *_ending(stage), "")), stage.violations, stage.points.passed)


def _ending(stage: Stage) -> list[str]:
    """Return where everything is in the end, and what did not hold."""
    lines = [""]
    for host in stage.world.hypervisor.hosts.values():
        running = sorted(record.name for record in host.vms.values() if record.state.runs)
        others = sorted(f"{record.name} ({record.state.value})" for record in host.vms.values() if not record.state.runs)
        state = "" if host.powered else " (off)"
        lines.append(f"{host.name}{state}: {' '.join((*running, *others)) or '-'}")
    lines.extend(f"VIOLATED {one.rule} at {one.at:.1f} s: {one.detail}" for one in stage.violations)
    return lines


def difference(scenario: Scenario, trace: str) -> str:
    """Return how ``trace`` differs from the expected one, as a unified diff; empty where it does not."""
    name = f"{scenario.directory.name}/{TRACE}"
    return "".join(difflib.unified_diff((scenario.expected() or "").splitlines(keepends=True),
                                        trace.splitlines(keepends=True), name, f"{name} now"))
