"""ballastctl window: what is open, what opens next, and the days to come as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from ballastd.cli import fortnight
from ballastd.cli.ctl import main
from ballastd.cli.windows import operators_zone
from ballastd.core.views import WindowView
from tests.paper_console import PaperConsole, served
from tests.pictures import a_view

BERLIN = ZoneInfo("Europe/Berlin")
WINDOW = 'kind: Window\nname: nights\nallow: {days: [mon-sun], at: "22:00", for: 7h, timezone: Europe/Berlin}\n'


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = wall("2026-10-24 12:10")
WINDOWS = (
    WindowView("freeze", False, False, wall("2026-11-01 00:00"), ((wall("2026-11-01 00:00"), wall("2026-11-02 00:00")),),
               wall("2026-11-07 12:10")),
    WindowView("nights", True, False, wall("2026-10-24 20:00"),
               ((wall("2026-10-24 20:00"), wall("2026-10-25 03:00")), (wall("2026-10-25 21:15"), wall("2026-10-26 04:00"))),
               wall("2026-11-07 12:10")),
    WindowView("never", True, False, None, (), wall("2026-11-07 12:10")))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with served(PaperConsole(replace(a_view(), wall=NOW, windows=WINDOWS)), tmp_path / "api.sock"):
        yield tmp_path / "api.sock"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def test_the_next_to_change_is_first_in_local_time_and_in_utc(path: Path) -> None:
    result = run("--socket", path, "window", "list", "--timezone", "Europe/Berlin")
    assert result.exit_code == 0, result.output
    assert [" ".join(line.split()) for line in result.stdout.splitlines()[1:]] == [
        "nights allows closed opens in 8h Sat 2026-10-24 22:00 Sat 2026-10-24 20:00",
        "freeze denies closed opens in 7d Sun 2026-11-01 01:00 Sun 2026-11-01 00:00",
        "never allows closed - - -"]


def test_programs_get_the_intervals(path: Path) -> None:
    rows = json.loads(run("--socket", path, "window", "next", "-o", "json", "--name", "nights").stdout)
    assert [row["name"] for row in rows] == ["nights"]
    assert rows[0]["intervals"][0] == [wall("2026-10-24 20:00"), wall("2026-10-25 03:00")]


def test_the_days_to_come_are_a_picture(path: Path) -> None:
    result = run("--socket", path, "window", "next", "--timezone", "Europe/Berlin", "--days", "3", "--name", "nights")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Europe/Berlin; each sign half an hour: \u2588 within, \u2592 partly, \u00b7 not"
    assert lines[2] == "nights: allows; closed, opens in 8h: Sat 2026-10-24 22:00 Europe/Berlin (Sat 2026-10-24 20:00 UTC)"
    assert lines[4] == "Sat 24 Oct  " + " " * 28 + "\u00b7" * 16 + "\u2588" * 4
    # from 22:00 to 04:00 by the clock, with an hour in it that comes twice
    assert lines[5] == "Sun 25 Oct  " + "\u2588" * 8 + "\u00b7" * 36 + "\u2592" + "\u2588" * 3
    assert len(lines) == 7


def test_a_window_that_is_not_there_is_wrong_usage(path: Path) -> None:
    result = run("--socket", path, "window", "next", "--name", "night")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no window night; known: nights, freeze, never" in result.stderr


def test_policies_in_files_need_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WINDOW)
    for what in (tmp_path, tmp_path / "w.yaml"):
        result = run("--socket", "/nowhere", "window", "next", what, "--timezone", "Europe/Berlin")
        assert result.exit_code == 0, result.output
        assert len(result.stdout.splitlines()) == 2 + 2 + 14
        assert result.stdout.count("\u2588" * 4) >= 13
    (tmp_path / "w.yaml").write_text(WINDOW.replace("22:00", "25:00"))
    result = run("window", "list", tmp_path)
    assert result.exit_code == 4
    assert "w.yaml:3:" in result.stderr


def test_no_window_is_said(tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("kind: Limits\nname: l\n")
    for verb in ("list", "next"):
        assert "no policy set has a window" in run("window", verb, tmp_path).output


def test_a_zone_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    result = run("window", "list", tmp_path, "--timezone", "Europe/Berln")
    assert result.exit_code == 2
    assert "did you mean Europe/Berlin?" in result.stderr


def test_an_hour_that_the_clocks_leap_over_is_blank() -> None:
    now = wall("2027-03-27 23:00")
    ((_, line), *_) = fortnight.days([(now, now + 3 * 3600.0)], now, now + 86400.0, 1, BERLIN, fortnight.PLAIN)
    assert line == "####  ##" + "." * 40


def test_beyond_what_is_known_nothing_is_drawn() -> None:
    now = wall("2026-06-01 00:00")
    found = list(fortnight.days([], now, now + 3600.0, 2, ZoneInfo("UTC"), fortnight.PLAIN))
    assert found == [("Mon 01 Jun", ".."), ("Tue 02 Jun", "")]


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", fortnight.BLOCKS), ("ascii", fortnight.PLAIN),
                                                 (None, fortnight.PLAIN), ("no-such", fortnight.PLAIN)])
def test_a_terminal_gets_signs_that_it_can_show(encoding: str | None, signs: fortnight.Signs) -> None:
    assert fortnight.signs_for(encoding) == signs


@pytest.mark.parametrize(("given", "zone"), [("Asia/Tokyo", "Asia/Tokyo"), (":Asia/Tokyo", "Asia/Tokyo")])
def test_the_operators_zone_is_what_tz_says(monkeypatch: pytest.MonkeyPatch, given: str, zone: str) -> None:
    monkeypatch.setenv("TZ", given)
    assert operators_zone().key == zone


def test_without_a_word_the_operators_zone_is_the_machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", "nonsense")
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Europe/Paris")
    monkeypatch.setattr("ballastd.cli.windows.LOCALTIME", link)
    assert operators_zone().key == "Europe/Paris"
    monkeypatch.setattr("ballastd.cli.windows.LOCALTIME", tmp_path / "none")
    assert operators_zone().key == "UTC"
