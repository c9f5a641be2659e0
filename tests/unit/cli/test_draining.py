"""A host that is emptied, as it is watched: how much is safe, what moves, what stays, and when there is no more to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest

from ballastd.cli.client import Daemon, DaemonUnreachable
from ballastd.cli.draining import Course, Picture, follow, lines, look
from ballastd.cli.live.signs import BLOCKS, PLAIN
from ballastd.core.views import CoverageView, LeavingView
from tests.pictures import GIB, NOW, a_host, a_migration, a_no, an_intent


class PaperDaemon(Daemon):
    """Says one thing after the other of alder: so many VMs, what moves, whether it is wanted empty; the last for ever."""

    def __init__(self, *said: tuple[int, int, bool] | Exception) -> None:
        super().__init__("nowhere")
        self._said: Iterator[Any] = iter(said)
        self._now: Any = None

    def get(self, *parts: str, **query: str | int) -> Any:
        if parts[0] == "hosts":
            self._now = next(self._said, self._now)
        if isinstance(self._now, Exception):
            raise self._now
        running, moving, is_wanted = self._now
        if parts[0] == "hosts":
            return asdict(a_host(vms_running=running, memory_used=running * GIB, marks=("draining",) if is_wanted else ()))
        if parts[0] == "migrations":
            return {"migrations": [asdict(a_migration(id=f"1-{n}")) for n in range(moving)] + [
                asdict(a_migration(source="beech")), asdict(a_migration(settled_wall=NOW))]}
        curve = (CoverageView(10.0, 1, GIB), CoverageView(20.0, 2, 2 * GIB), CoverageView(40.0, 4, 4 * GIB))
        leave = tuple(LeavingView(f"id-{n}", f"vm{n}", "beech", 5.0 * n, 10.0 * n, 30.0 if n > 2 else None)
                      for n in range(1, running + 1))
        schedule = (LeavingView(a_migration().vm, "web", "beech", 0.0, 9.0), *leave)
        intent = an_intent(kind="drain", vms_left=running, forecast="about 40 s", coverage=curve, schedule=schedule)
        return {"wall": NOW, "intents": [asdict(intent)] if is_wanted else [],
                "noes": [asdict(a_no(sort="refusal", detail="vda is not locked")), asdict(a_no())]}


def test_what_is_said_of_the_host_alone_is_shown() -> None:
    picture = look(PaperDaemon((3, 1, True)), "alder")
    assert (picture.running, picture.is_wanted, picture.is_empty) == (3, True, False)
    assert [move["id"] for move in picture.moves] == ["1-0"]
    assert picture.stuck == ("db: vda is not locked",), "what only waits does not stay"


def test_the_picture_says_how_far_it_is() -> None:
    picture = look(PaperDaemon((3, 1, True)), "alder")
    text = lines(picture, Course(4, 4 * GIB, NOW), BLOCKS, NOW)
    assert text[0].startswith("alder: 1 of 4 VMs safe, 1.0 GiB of 4.0 GiB")
    assert text[0].endswith(" 25%")
    assert text[1].startswith("about 40 s; due ")
    assert text[2].startswith("ahead: ")
    assert text[2].count("█") > 0
    assert text[3].startswith("  web -> beech")
    assert text[3].endswith("62%, running, about 7s left")
    assert text[4:7] == ["  vm1 -> beech  begins in 5s, safe in 10s", "  vm2 -> beech  begins in 10s, safe in 20s",
                         "  vm3 -> beech  begins in 15s, safe in 30s, 30s after the deadline"]
    assert text[7] == "stays: db: vda is not locked"
    assert "  2 more after these: ballastctl plan" in lines(look(PaperDaemon((6, 1, True)), "alder"), Course(6, GIB, NOW),
                                                            PLAIN, NOW)


def test_plain_terminals_get_plain_signs_and_an_old_picture_says_so() -> None:
    picture = look(PaperDaemon((3, 1, True)), "alder")
    text = lines(picture, Course(4, 4 * GIB, NOW), PLAIN, NOW + 30.0)
    assert all(line.isascii() for line in text)
    assert text[-1] == "this is 30s old: the daemon has not finished a step since"


def test_names_cannot_steer_the_terminal() -> None:
    picture = Picture("alder", NOW, 1, GIB, True, "", None, (), (), ("  \x1b[2Jdb -> x",), ("\x1b[2Jdb: no",))
    assert "\x1b" not in "".join(lines(picture, Course(1, GIB, NOW), PLAIN, NOW))


def test_it_ends_when_the_host_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    waited: list[float] = []
    daemon = PaperDaemon((2, 0, False), (2, 1, True), (1, 1, True), DaemonUnreachable("gone"), (0, 1, True), (0, 0, True))
    assert follow(daemon, "alder", 1.0, waited.append) == 0
    shown = capsys.readouterr()
    assert "alder is empty: 2 VMs in" in shown.out
    assert "does not answer" in shown.err
    assert waited, "it looks again and again"
    assert "alder: 1 of 2 VMs safe" in shown.out


def test_it_ends_when_nobody_wants_it_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    daemon = PaperDaemon((2, 0, False), (2, 0, False), (2, 1, True), (1, 0, False))
    assert follow(daemon, "alder", 1.0, lambda _: None) == 1
    assert "nobody wants alder empty any more: 1 VM is still there" in capsys.readouterr().err


def test_an_interrupt_ends_the_view_and_says_how_to_end_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    assert follow(PaperDaemon((2, 1, True)), "alder", 1.0, interrupted) == 0
    assert "ballastctl host undrain alder" in capsys.readouterr().err
