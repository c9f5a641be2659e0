"""Frames: whatever the view holds, they fit the terminal, and what matters most is on them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from rich.cells import cell_len

from ballastd.cli.live.frame import frame
from ballastd.cli.live.grid import text_of
from ballastd.cli.live.header import Picture
from ballastd.cli.live.signs import BLOCKS, PLAIN, Signs, signs_for
from ballastd.core.views import BudgetView, ClusterView, GateView, RecentView, VerdictView, WindowView
from tests.pictures import (
    GIB,
    NOW,
    a_busy_view,
    a_full_view,
    a_host,
    a_migration,
    a_move,
    a_no,
    a_verdict,
    a_view,
    a_vm,
    an_intent,
)

WIDTHS = (60, 80, 120, 200)
HEIGHTS = (15, 24, 60)
HOSTILE = "\x1b[2J\x07[bold red]\u202e\n{0}中文字名\u0301\u200b\udc80[/]"


def empty() -> ClusterView:
    return a_view(hosts=(), vms=(), budgets=(), policies_digest="")


def huge() -> ClusterView:
    hosts = tuple(a_host(f"kvm-{n:04}", cpu_utilization=n % 97 / 100, memory_used=n % 59 * GIB,
                         health="failing" if n % 333 == 7 else "healthy") for n in range(1000))
    vms = tuple(a_vm(f"vm-{n:05}", f"{n:032x}", f"kvm-{n % 1000:04}", cpu=n % 4001 / 1000) for n in range(10000))
    return a_view(
        hosts=hosts, vms=vms, noes=tuple(a_no(vm=vm.id, vm_name=vm.name) for vm in vms[:3000]),
        migrations=tuple(a_migration(id=f"{n}-1") for n in range(90)), moves=(a_move(),) * 500,
        intents=(an_intent(),) * 40, recent=(RecentView(NOW, "info", "something was decided"),) * 100,
        budgets=(BudgetView("migrations in flight", 3, 4),) * 30, windows=(WindowView("night", True, False, NOW + 9),) * 9)


def hostile() -> ClusterView:
    bad = HOSTILE
    host = a_host(bad, health=bad, marks=(bad,), power=bad, verdicts=(a_verdict(policy=bad, evidence=bad * 99),))
    return a_view(
        posture=bad, gates=(GateView(bad, bad * 50),), notes=(bad,), policies_digest=bad, hosts=(host,),
        vms=(a_vm(bad, host=bad, group=bad, migration=bad, state=bad),),
        migrations=(a_migration(vm_name=bad, source=bad, policy=bad, detail=bad, ending=bad),),
        intents=(an_intent(host=bad, because=bad, kind=bad),), moves=(a_move(vm_name=bad),),
        noes=(a_no(kind=bad, detail=bad, vm_name=bad),), budgets=(BudgetView(bad, 1, 2),),
        windows=(WindowView(bad, True, True, NOW + 5),), recent=(RecentView(NOW, bad, bad, bad),))


def odd() -> ClusterView:
    """Numbers from the edge of what a view can hold."""
    nan, inf = float("nan"), float("inf")
    hosts = (a_host(cpu_utilization=nan, memory_limit=0, telemetry_age=None, inventory_age=None, cpu_by_vms=None),
             a_host("beech", cpu_utilization=inf, memory_used=1 << 60, memory_reserved=1 << 60, cpu_by_vms=nan,
                    cpu_limit=nan),
             a_host("cedar", cpu_utilization=-3.0, memory_limit=-5, cpu_limit=0.0))
    return a_view(
        wall=1e300, hosts=hosts, vms=(a_vm(cpu=nan), a_vm(vcpus=0, memory=0, cpu=inf), a_vm(cpu=None, memory_used=None)),
        migrations=(a_migration(progress=7.0, rate_mib_s=inf, elapsed=nan, predicted=inf), a_migration(progress=None)),
        budgets=(BudgetView("none", 1, 0), BudgetView("odd", nan, inf)), windows=(WindowView("never", True, False, None),),
        recent=(RecentView(-1e300, "info", ""),), noes=(a_no(until_wall=inf, vm="", vm_name="", host=""),))


VIEWS = {"empty": empty, "quiet": a_view, "busy": a_busy_view, "full": a_full_view, "huge": huge, "hostile": hostile,
         "odd": odd}


def drawn(picture: Picture | ClusterView, width: int = 120, height: int = 60, signs: Signs = BLOCKS) -> list[str]:
    shown = picture if isinstance(picture, Picture) else Picture(picture)
    return [text_of(line) for line in frame(shown, NOW + 1, width, height, signs)]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("signs", [BLOCKS, PLAIN, signs_for("latin-1")], ids=lambda signs: signs.encoding)
def test_nothing_is_wider_or_higher_than_the_terminal(view, signs):
    made = VIEWS[view]()
    for width in (1, 2, 7, 20, *WIDTHS):
        for height in (1, 2, 3, 5, *HEIGHTS):
            lines = drawn(made, width, height, signs)
            assert len(lines) <= height
            assert max(map(cell_len, lines)) <= width
            assert all(line.isprintable() for line in lines)
            "\n".join(lines).encode(signs.encoding)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("height", HEIGHTS)
def test_a_frame_of_a_thousand_hosts_is_drawn_in_a_fraction_of_a_second(width, height):
    view = huge()
    drawn(view, width, height)
    began = time.process_time()
    lines = drawn(view, width, height)
    assert time.process_time() - began < 0.5
    assert len(lines) > height * 0.8


def test_many_hosts_are_folded_to_those_that_matter_and_a_summary():
    lines = drawn(huge(), 120, 40)
    listed = [line for line in lines if line.startswith("kvm-")][:4]
    assert [line.split()[:2] for line in listed] == [["kvm-0673", "failing"], ["kvm-0340", "failing"],
                                                     ["kvm-0007", "failing"], ["kvm-0058", "healthy"]]
    (fold,) = (line for line in lines if line.startswith("and "))
    assert "996 healthy; CPU median 46%, most 96% (kvm-0969); memory median 48%" in fold


def test_up_to_thirty_hosts_stand_in_the_order_of_their_names():
    view = a_view(hosts=tuple(a_host(f"h{n:02}", cpu_utilization=n / 30) for n in reversed(range(30))))
    names = [line.split()[0] for line in drawn(view, 120, 60) if line.startswith("h")]
    assert names == [f"h{n:02}" for n in range(30)]


def test_the_busiest_vms_come_first_and_those_nobody_knows_last():
    view = a_view(vms=(a_vm("idle", cpu=0.1), a_vm("unknown", cpu=None, memory_used=99 * GIB), a_vm("busy", cpu=3.9),
                       a_vm("big", cpu=0.1, memory_used=7 * GIB)))
    lines = drawn(view)
    begin = next(n for n, line in enumerate(lines) if line.startswith("BUSIEST VM"))
    assert [line.split()[0] for line in lines[begin + 1:begin + 5]] == ["busy", "big", "idle", "unknown"]


def test_every_section_of_a_night_s_work_is_on_a_large_frame():
    said = "\n".join(drawn(a_full_view()))
    for words in ("ballastd acting", "step 1402, 1s ago", "nightly opens in 2h", "evacuating", "27.9 of 32",
                  "15.0 of 16.0 GiB", "58%    344  21s of 36s", "temperature of inlet is 38.5", "h4 is off",
                  "2  build-1: nightly is closed (for 2h)", "3 of 4      1", "closed  opens in 8d", "relieve   h2"):
        assert words in said, words


def test_a_small_frame_still_has_posture_hosts_migrations_and_conditions():
    titles = [line.split("  ")[0] for line in drawn(a_full_view(), 60, 15)]
    assert titles[0].startswith("ballastd acting")
    assert [title for title in titles[2:] if title.isupper()] == ["HOST", "MIGRATION", "CONDITION OF"]


def test_where_there_is_little_room_the_more_important_section_has_it():
    titles = [line.split("  ")[0] for line in drawn(a_full_view(), 100, 14)]
    assert [title for title in titles if title in ("CONDITION OF", "NOT", "WINDOW")] == ["CONDITION OF"]


def test_what_is_not_shown_is_counted():
    assert any(line.startswith(" AGO") and line.endswith("2 of 5") for line in drawn(a_full_view(), 120, 24))


def test_two_columns_stand_side_by_side_where_one_is_too_long():
    wide, high = drawn(a_full_view(), 200, 24), drawn(a_full_view(), 200, 60)
    assert any("HOST" in line and "WINDOW" not in line for line in wide)
    assert any("BUSIEST VM" in line and "CONDITION OF" not in line for line in high)
    assert {line.split("  ")[0] for line in high} >= {"HOST", "BUSIEST VM", "WINDOW", "BUDGET"}
    assert all(any(word in line for line in wide) for word in ("BUSIEST VM", "WINDOW", "BUDGET", "PLANNED"))


def test_gates_are_told_with_their_reason_and_how_long():
    lines = drawn(a_view(posture="paused", gates=(GateView("paused", "storage work (by alice)"),
                                                  GateView("starting", "warming up", NOW + 60)), notes=("telemetry: down",)))
    assert lines[0].startswith("ballastd paused")
    assert "held by paused: storage work (by alice)" in lines
    assert "held by starting: warming up (for 1m)" in lines
    assert "note    telemetry: down" in lines


def test_many_gates_do_not_push_the_posture_off_a_small_screen():
    lines = drawn(replace(a_full_view(), gates=(GateView("frozen", "x"),) * 20), 60, 15)
    assert lines[0].startswith("ballastd acting")
    assert any(line.startswith("HOST") for line in lines)


def test_a_daemon_that_does_not_answer_is_the_first_thing_said_and_the_last_picture_stays():
    lines = drawn(Picture(a_full_view(), "nobody listens at /run/x.sock:\n its daemon has ended", 12.0), 160)
    assert lines[0] == " NO ANSWER for 12s  the picture is 1s old: nobody listens at /run/x.sock: its daemon has ended"
    assert any(line.startswith("h1 ") for line in lines)


def test_a_daemon_that_was_never_heard_leaves_an_honest_screen():
    assert drawn(Picture(None, "no such socket", 3.0)) == [" NO ANSWER for 3s  no picture yet: no such socket"]


def test_a_daemon_that_answers_without_a_picture_is_not_called_silent():
    (line,) = drawn(Picture(None, "it is still starting", 3.0, answers=True))
    assert line.startswith(" NO PICTURE for 3s ")


def test_a_picture_that_is_not_renewed_is_called_old():
    lines = drawn(replace(a_view(), wall=NOW - 600))
    assert lines[0].startswith(" OLD  this picture is 10m old; the daemon has not finished a step since")


def test_an_empty_cluster_says_so():
    lines = drawn(empty())
    assert "no hosts are declared" in lines
    assert "no VMs were seen" in lines


def test_a_host_that_stands_by_is_not_called_unreachable_and_one_that_is_lost_is():
    off, lost = a_host("off", reachable=False, power="off"), a_host("lost", reachable=False)
    lines = drawn(a_view(hosts=(off, lost)))
    assert [("unreachable" in line) for line in lines if line.startswith(("off", "lost"))] == [True, False]


def test_a_latched_verdict_stays_in_sight_after_it_is_clear():
    verdict: VerdictView = a_verdict(phase="clear", latched=True)
    assert any("latched" in line for line in drawn(a_view(hosts=(a_host(verdicts=(verdict,)),))))
    assert not any("CONDITION" in line for line in drawn(a_view(hosts=(a_host(verdicts=(a_verdict(
        phase="clear", latched=False),)),))))
