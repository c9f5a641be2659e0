"""A rehearsal of a cluster in which hosts are off as it begins."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core.policies import Timing
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Seconds
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.builders import POLICIES
from tests.simulation.clusters import Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))


def test_hosts_that_are_off_as_it_begins_are_standing_by_and_freeze_nobody() -> None:
    whole = four()
    off = {HostName("h3"), HostName("h4")}
    cluster = replace(whole, hosts=tuple(replace(host, is_on=host.name not in off) for host in whole.hosts),
                      vms=tuple(vm for vm in whole.vms if vm.host not in off))

    async def story(stage: Stage) -> None:
        await stage.play(120.0)
        view = stage.daemon.view() if stage.daemon is not None else None
        assert view is not None
        assert (view.posture, view.gates) == ("acting", ())
        assert {host.name: host.power for host in view.hosts if host.name in off} == dict.fromkeys(off, PowerPhase.OFF.value)

    stage = perform(Setting(cluster, Fixed(POLICIES), QUICK), story)[1]
    assert stage.violations == ()
