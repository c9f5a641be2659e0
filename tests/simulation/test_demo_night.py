"""The night of `ballastd demo` on virtual time: on its site, by its policies, a host is switched off and load wakes it."""

from __future__ import annotations

from pathlib import Path

from ballastd.core.acts import Act
from ballastd.demo import site as site_module
from ballastd.demo.policies import TIMING, by_night
from ballastd.documents.policy_files import PolicyFiles
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.settings import TimingSettings
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL

SITE = load_cluster(Path(site_module.__file__).with_name("site.yaml"))
TIMES = TimingSettings.model_validate(TIMING).compiled()
EVENING_SECONDS, NIGHT_SECONDS = 300.0, 600.0


def test_a_host_is_switched_off_and_load_wakes_it(tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text(by_night(DEFAULT_EPOCH_WALL - 60.0), encoding="utf-8")
    busy = [Act(EVENING_SECONDS, "burn", vm=vm.record.name, value=4.4) for vm in SITE.vms]
    policies = PolicyFiles(tmp_path, SITE.declaration(TIMES))

    async def story(stage: Stage) -> list[str]:
        await stage.play(EVENING_SECONDS + NIGHT_SECONDS)
        return [str(record.content["kind"]) for record in stage.world.journal.records]

    kinds, stage = perform(Setting(SITE, policies, TIMES, acts=tuple(busy)), story)
    order = [kind for kind in kinds if kind in ("HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff", "HostAwake")]
    assert order[:4] == ["HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff"]
    assert "HostAwake" in order
    assert stage.violations == ()
