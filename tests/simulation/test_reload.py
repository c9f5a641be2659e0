"""Policies are swapped whole while the daemon works, or not at all, and then loudly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from ballastd.core.policies import Timing
from ballastd.core.quantities import HostName, Seconds
from ballastd.documents.policy_files import PolicyFiles
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.simulation.clusters import four

MEMORY = """\
kind: Health
name: memory
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
"""
EVACUATION = """\
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
ignore_windows: true
mode: auto
"""
TIMING = Timing(startup_quiet=Seconds(40.0))


def on_files(folder: Path, story: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a story with a daemon that loads its policies from files."""
    (folder / "memory.yaml").write_text(MEMORY, encoding="utf-8")
    (folder / "evacuation.yaml").write_text(EVACUATION, encoding="utf-8")
    cluster = four()

    async def tell(stage: Stage) -> None:
        await stage.play(60.0)
        stage.world.agents.set(HostName("h1"), "ecc.uncorrected", 0.0, "A")
        await stage.play(120.0)
        await story(stage)
        assert stage.violations == ()

    perform(Setting(cluster, PolicyFiles(folder, cluster.declaration(TIMING)), TIMING), tell)


def fail(stage: Stage) -> None:
    stage.world.agents.set(HostName("h1"), "ecc.uncorrected", 1.0, "A")


def governs(stage: Stage) -> str:
    assert stage.daemon is not None
    view = stage.daemon.view()
    assert view is not None
    return view.policies_digest


def alarms(stage: Stage) -> list[str]:
    return [text for _, level, text in stage.world.notices_told if level == "alarm"]


def ordered(stage: Stage) -> int:
    assert stage.daemon is not None
    return int(stage.daemon.counters()["migrations.begun"])


def left_on_h1(stage: Stage) -> int:
    return sum(1 for record in stage.world.host(HostName("h1")).vms.values() if record.state.runs)


def test_a_swap_in_the_middle_of_migrations_lets_them_end_and_starts_no_more(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        fail(stage)
        await stage.play(122.0)
        assert stage.daemon is not None
        assert ordered(stage) == 2
        before = governs(stage)
        (tmp_path / "evacuation.yaml").write_text(EVACUATION.replace("mode: auto", "mode: recommend"), encoding="utf-8")
        sound, told = await stage.daemon.reload()
        assert sound, told
        await stage.play(600.0)
        assert governs(stage) != before
        assert ordered(stage) == 2
        assert left_on_h1(stage) == 1
        (tmp_path / "evacuation.yaml").write_text(EVACUATION, encoding="utf-8")
        assert (await stage.daemon.reload())[0]
        await stage.play(1200.0)
        assert (ordered(stage), left_on_h1(stage)) == (3, 0)
        assert governs(stage) == before

    on_files(tmp_path, story)


def test_a_bad_file_changes_nothing_and_is_told_loudly(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        fail(stage)
        await stage.play(122.0)
        assert stage.daemon is not None
        before = governs(stage)
        misspelt = EVACUATION.replace("respond: evacuate", "respond: evacuat")
        (tmp_path / "evacuation.yaml").write_text(misspelt, encoding="utf-8")
        sound, told = await stage.daemon.reload()
        assert not sound
        where = (f"{tmp_path}/evacuation.yaml:4:1: respond: 'evacuat' is not one of quarantine, drain, evacuate; did you "
                 "mean evacuate?")
        assert told == f"the old policies go on governing:\n{where}"
        assert alarms(stage) == [f"new policies are refused, the old ones go on governing: {where}"]
        await stage.play(600.0)
        assert governs(stage) == before
        assert left_on_h1(stage) == 0

    on_files(tmp_path, story)


def test_a_file_that_is_gone_takes_nothing_away(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        assert stage.daemon is not None
        before = governs(stage)
        for path in tmp_path.glob("*.yaml"):
            path.unlink()
        sound, told = await stage.daemon.reload()
        assert not sound
        assert "no policy in it" in told
        fail(stage)
        await stage.play(600.0)
        assert governs(stage) == before
        assert left_on_h1(stage) == 0

    on_files(tmp_path, story)
