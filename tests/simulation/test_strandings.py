"""What people are told about a host that ought to be empty and cannot be."""

from __future__ import annotations

from ballastd.core.acts import Act
from ballastd.core.policies import Timing
from ballastd.core.quantities import Seconds
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.builders import POLICIES
from tests.simulation.clusters import Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
ERROR = (Act(80.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
         Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))


def alarms(*acts: Act, until: float = 400.0) -> list[str]:
    """Return what is said of h1 being stuck, when its memory fails and ``acts`` happen."""
    setting = Setting(four(), Fixed(POLICIES), QUICK, tuple(sorted((*ERROR, *acts), key=lambda act: act.at)))

    async def story(stage: Stage) -> list[str]:
        await stage.play(until)
        return [line for line in stage.world.trace.lines if "not being emptied" in line]

    return perform(setting, story)[0]


def test_a_host_that_empties_itself_is_no_news() -> None:
    assert alarms() == []


def test_a_source_that_goes_dark_half_way_is_told_once_after_a_minute() -> None:
    told = alarms(Act(103.0, "cut", host="h1", seconds=250.0))
    assert len(told) == 1
    assert "! alarm: h1 is not being emptied" in told[0]
    assert "its hypervisor does not answer" in told[0]
    assert 165.0 < float(told[0].split()[0]) < 175.0


def test_a_dark_minute_is_not_told() -> None:
    assert alarms(Act(103.0, "cut", host="h1", seconds=50.0)) == []


def test_what_freezes_the_cluster_is_told_too() -> None:
    told = alarms(*(Act(103.0, "lose-power", host=host, seconds=900.0) for host in ("h2", "h4")))
    assert len(told) == 1
    assert "2 of 4 hosts are unknown (h2, h4)" in told[0]


def test_a_vm_that_has_nowhere_to_go_is_told() -> None:
    told = alarms(*(Act(90.0, "operator", host=host, word="cordon") for host in ("h2", "h3", "h4")))
    assert len(told) == 1
    assert "h1v0: 3 host-cordoned" in told[0]
    assert "h1v1: 3 host-cordoned" in told[0]
