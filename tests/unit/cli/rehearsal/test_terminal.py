"""A rehearsal on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from ballastd.cli.rehearsal import render_terminal
from ballastd.core.quantities import HostName
from ballastd.core.rehearsed import Rehearsed, Violation
from tests.rehearsals import a_day, a_rehearsal, a_rehearsed_move

CODES = re.compile(r"\x1b\[[\d;]*m")
HOSTILE = "\x1b[2J[red]db\u202e\n<script>"


def printed(rehearsed: Rehearsed, *, terminal: bool = False, width: int = 120, moves: bool = False,
            encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    render_terminal(rehearsed, Console(file=file, width=width, force_terminal=terminal, color_system="standard" if terminal
                                       else None, legacy_windows=False), moves=moves)
    file.flush()
    return raw.getvalue().decode(encoding)


def words(text: str) -> str:
    return " ".join(CODES.sub("", text).split())


@pytest.mark.parametrize("terminal", [False, True])
def test_the_report_answers_what_an_operator_asks(terminal: bool):
    text = words(printed(a_day(), terminal=terminal))
    for said in ("grove", "20 hosts, 240 VMs", "24 h 0 min from 2026-11-24 00:00:00.000Z", "14 s (6,085 times as fast)",
                 "host-lost", "+14:14:03.250 2026-11-24 14:14:03.250Z reserve host-019 could not take",
                 "even-out 30 27 completed, 2 failed, 1 aborted", "30 even-out host-000 is hot", "31.7 host-hours off",
                 "95.1 kWh", "5.7 kWh (5.7%)", "host-004 225.0", "470.0 host-minutes in all", "1,841 cooldown",
                 "alarm 1 +14:14:03.250 fewer hosts", "with seed 7"):
        assert said in text


def test_violations_come_first_and_in_red_and_none_is_said_in_green():
    text = printed(a_day(), terminal=True)
    assert "\x1b[1;31m+14:14:03.250\x1b[0m" in text
    assert text.index("violations") < text.index("moves by policy")
    calm = printed(a_rehearsal(), terminal=True)
    assert re.search(r"violations\x1b\[0m\n\x1b\[32m  none", calm)


def test_what_is_unknown_or_did_not_happen_is_said_so():
    text = words(printed(a_rehearsal()))
    for said in ("faults none", "violations none", "no VM was moved", "all hosts stayed on",
                 "energy unknown: the draw of at least one host is not declared", "overload none", "withheld nothing"):
        assert said in text


def test_energy_that_was_wasted_is_not_shown_as_saved():
    assert "saved -1.0 kWh (-100.0%)" in words(printed(a_rehearsal(joules=7.2e6, joules_unmanaged=3.6e6)))


def test_a_pipe_gets_no_codes_and_lines_that_are_not_broken():
    because = "alder is hot " * 30
    text = printed(a_rehearsal(moves=(a_rehearsed_move(because=because),)), width=40)
    assert "\x1b" not in text
    assert any(because.strip() in line for line in text.splitlines())


def test_moves_are_listed_only_when_asked_for_and_then_all_of_them():
    assert "vm-0059" not in printed(a_day())
    text = printed(a_day(), moves=True)
    assert all(f"vm-{number:04}" in text for number in range(60))


def test_what_is_left_out_is_counted():
    many = tuple(Violation(float(n), "reserve", f"number {n};") for n in range(25))
    text = printed(a_rehearsal(violations=many))
    assert "number 9;" in text
    assert "number 10;" not in text
    assert "and 15 more violations" in text


@pytest.mark.parametrize("terminal", [False, True])
def test_names_steer_no_terminal_and_are_no_markup(terminal: bool):
    hostile = a_rehearsal(cluster=HOSTILE, hosts=(HostName(HOSTILE), HostName("b")), overload_seconds=(60.0, 0.0),
                          moves=(a_rehearsed_move(vm_name=HOSTILE, policy=HOSTILE, because=HOSTILE),))
    text = printed(hostile, terminal=terminal, moves=True, width=200)
    bare = CODES.sub("", text)
    assert "\x1b" not in bare
    assert "\u202e" not in bare
    assert bare.count("\\x1b[2J[red]db\\u202e\\n<script>") >= 5


@pytest.mark.parametrize("terminal", [False, True])
def test_a_narrow_terminal_without_utf8_still_gets_every_sign(terminal: bool):
    named = a_rehearsal(cluster="größer", violations=(Violation(1.0, "reserve", "wald 林"),))
    text = CODES.sub("", printed(named, terminal=terminal, width=60, encoding="ascii"))
    assert "gr\\xf6\\xdfer" in text
    assert "\\u6797" in text
    if terminal:
        assert max(map(len, text.splitlines())) <= 60
