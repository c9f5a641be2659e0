"""Blocks for logs: plain, complete, searchable, and in the same columns every time."""

from __future__ import annotations

from dataclasses import replace

from ballastd.cli.live.header import Picture
from ballastd.cli.live.plain import block
from ballastd.cli.live.signs import BLOCKS
from ballastd.core.views import RecentView
from tests.pictures import NOW, a_full_view, a_host, a_view, a_vm
from tests.unit.cli.live.test_frame import VIEWS, huge


def lines_of(view, told=None, *, titles=True):
    return block(Picture(view), NOW + 1, BLOCKS, told, titles=titles)


def test_every_line_begins_with_what_it_is_about():
    keys = [line.split()[0] for line in lines_of(a_full_view(), titles=False)]
    assert list(dict.fromkeys(keys)) == ["at", "host", "migration", "condition", "wanted", "vm", "decided", "not", "planned",
                                         "budget", "window"]


def test_columns_stay_where_they_are_when_numbers_change():
    before = lines_of(a_view(hosts=(a_host(cpu_utilization=0.01, cpu_by_vms=0.5, telemetry_age=1.0),)))
    after = lines_of(a_view(hosts=(a_host(cpu_utilization=1.0, cpu_by_vms=31.5, telemetry_age=3600.0),)))
    titles, one = (line for line in before if line.startswith("host"))
    _, other = (line for line in after if line.startswith("host"))
    for word in ("CPU ", "MEMORY", "VMS ", "HEARD"):
        end = titles.index(word) + len(word.rstrip())
        assert one[:end].rstrip() == one[:end], word
        assert other[:end].rstrip() == other[:end], word


def test_nothing_steers_a_terminal_and_nothing_draws():
    for make in VIEWS.values():
        for line in lines_of(make()):
            assert line.isprintable()
        assert not set("█▒▏") & set("".join(lines_of(make())))


def test_names_are_not_cut():
    name = "a-very-long-name-" * 8
    assert any(name in line for line in lines_of(a_view(vms=(a_vm(name),))))


def test_a_block_of_a_huge_cluster_is_compact():
    lines = lines_of(huge())
    assert len(lines) < 130
    assert any(line.startswith("host      and 970 more: ") for line in lines)
    assert "vm        and 9990 more" in lines


def test_decisions_are_told_once_even_where_the_clock_steps_back():
    view = a_full_view()
    newer = replace(view, recent=(RecentView(NOW - 9000, "info", "something new"), *view.recent))
    assert len([line for line in lines_of(view, titles=False) if line.startswith("decided")]) == 5
    (fresh,) = (line for line in lines_of(newer, view.recent, titles=False) if line.startswith("decided"))
    assert fresh.endswith("info     something new")
    assert not any(line.startswith("decided") for line in lines_of(view, view.recent))


def test_a_daemon_without_a_picture_is_one_line():
    (line,) = block(Picture(None, "no such socket", 3.0), NOW, BLOCKS)
    assert line == "at        2026-11-18 11:06:40Z  NO ANSWER for 3s  no picture yet: no such socket"
