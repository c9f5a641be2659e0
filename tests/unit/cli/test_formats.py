"""Numbers as people say them, and words of strangers as a terminal may see them."""

from __future__ import annotations

import click
import pytest

from ballastd.cli.formats import age, clock, duration, printable, share, size
from ballastd.web.text import one_line, shown


@pytest.mark.parametrize(("seconds", "said"), [(None, "-"), (0, "0s"), (59.4, "59s"), (60, "1m"), (3600, "1h"),
                                               (86400 * 3, "3d"), (-120, "-2m")])
def test_ages(seconds, said):
    assert age(seconds) == said


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("1h30m", 5400.0), ("0.5h", 1800.0), ("1d", 86400.0)])
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5m!", "0s", "٣m", "1e9s", "99999999s"])
def test_what_is_no_duration(text):
    with pytest.raises(click.BadParameter):
        duration(text)


def test_moments_no_calendar_has_are_left_open():
    assert clock(1795000000.0) == "2026-11-18 11:06:40Z"
    assert [clock(wall) for wall in (None, 1e300, float("nan"), float("inf"), -1e18)] == ["-"] * 5


def test_sizes_and_shares():
    assert (size(None), size(1536), share(None), share(0.256)) == ("-", "1.5 KiB", "-", "26%")


def test_what_is_not_printable_is_spelled_out():
    assert printable("a\x1b[0m\nb\u202e\udc80ü") == r"a\x1b[0m\nb\u202e\udc80ü"


def test_one_line_keeps_words_apart():
    assert one_line(" a\tb\r\n\u2029c ") == "a b c"
    assert shown("x" * 10, 4) == "xxxx…"
