"""Pictures: the same value gives the same bytes, everything odd can be drawn, and fast enough."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from ballastd.cli.rehearsal import canvas, load_picture
from ballastd.cli.rehearsal.pictures import Picture, pictures
from ballastd.core.quantities import HostName
from ballastd.core.rehearsed import Rehearsed
from tests.rehearsals import a_day, a_rehearsal, a_rehearsed_move, a_sample

SVG = "{http://www.w3.org/2000/svg}"
SECONDS_MAX = 5.0
AGAIN = """
import hashlib, sys
from ballastd.cli.rehearsal.pictures import pictures
from tests.rehearsals import a_day
for one in pictures(a_day(5, 40)):
    print(hashlib.sha256(one.svg.encode() + one.png).hexdigest())
"""


@functools.cache
def of_a_day() -> tuple[Picture, ...]:
    return pictures(a_day(5, 40))


def texts(picture: Picture) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def all_text(drawn: tuple[Picture, ...]) -> str:
    return "\n".join(line for picture in drawn for line in texts(picture))


def test_the_same_value_gives_the_same_bytes_in_any_process():
    ran = [subprocess.run([sys.executable, "-c", AGAIN], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                          capture_output=True, text=True, check=True).stdout for seed in ("1", "2")]
    assert len(ran[0].split()) == 3
    assert ran[0] == ran[1]


def test_a_picture_says_neither_when_it_was_made_nor_by_what():
    for picture in of_a_day():
        assert not re.search(r"metadata|dc:|rdf:|<!--|\d{4}-\d\d-\d\dT", picture.svg)
        assert b"tEXt" not in picture.png


def test_drawing_neither_takes_the_settings_of_others_nor_changes_them():
    import matplotlib

    with matplotlib.rc_context({"xtick.major.size": 20.0, "font.size": 30.0}):
        before = matplotlib.rcParams.copy()  # a copy asks for no backend, which would load pyplot
        drawn = pictures(a_day(5, 40))
        assert matplotlib.rcParams.copy() == before
    assert drawn == of_a_day()
    assert "matplotlib.pyplot" not in sys.modules


def test_two_hundred_hosts_and_two_thousand_samples_are_drawn_within_seconds():
    day = a_day(200, 2000)
    pictures(a_rehearsal())  # fonts are looked for once
    began = time.process_time()
    drawn = pictures(day)
    assert time.process_time() - began < SECONDS_MAX * len(drawn)
    load = drawn[0]
    labels = [text for text in texts(load) if text.startswith("host-")]
    assert 10 < len(labels) <= 26
    assert all(len(picture.svg) < 1_000_000 and len(picture.png) < 600_000 for picture in drawn)


def test_what_was_not_sampled_or_did_not_happen_is_said():
    drawn = pictures(a_rehearsal())
    text = all_text(drawn)
    assert "nothing was sampled" in text
    assert "no VM was moved" in text
    assert "energy is unknown: the draw of at least one host is not declared" in text
    assert drawn[0].description == "Nothing was sampled."


@pytest.mark.parametrize("odd", [
    a_rehearsal(hosts=(), overload_seconds=(), vms=0, seconds=0.0),
    a_rehearsal(samples=(a_sample(),), joules=0.0, joules_unmanaged=0.0),
    a_rehearsal(samples=(a_sample(0.0, (0.5, 0.5), (False, False)),), joules=9.0e6, joules_unmanaged=4.0e6, began_wall=1e18),
    a_rehearsal(seconds=30 * 86400.0, samples=tuple(a_sample(day * 86400.0) for day in range(30)),
                moves=(a_rehearsed_move(ended_at=None, ending=""), a_rehearsed_move(2, ended_at=60.0))),
    a_rehearsal(began_wall=-5.0, seconds=400 * 86400.0,
                moves=tuple(a_rehearsed_move(n, policy=f"p{n}", ended_at=61.0 + n ** 4) for n in range(12))),
    a_day(1, 1),
], ids=lambda odd: f"{len(odd.hosts)} hosts, {len(odd.samples)} samples, {len(odd.moves)} moves, {odd.seconds:g} s")
def test_everything_odd_can_be_drawn(odd: Rehearsed):
    for picture in pictures(odd):
        assert picture.png.startswith(b"\x89PNG")
        assert ET.fromstring(picture.svg).find(f"{SVG}desc") is not None
        assert picture.description


def test_a_picture_can_be_read_out_and_its_ids_are_its_own():
    drawn = of_a_day()
    ids = [element.get("id") for picture in drawn for element in ET.fromstring(picture.inline).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for picture in drawn:
        root = ET.fromstring(picture.svg)
        assert root.get("role") == "img"
        named = {element.get("id"): element for element in root.iter()}
        title, description = (named[one] for one in str(root.get("aria-labelledby")).split())
        assert title.text == picture.title
        assert description.text == picture.description
        used = {one.get("href", "#")[1:] for one in root.iter() if one.tag == f"{SVG}use"}
        assert used <= set(named)


def test_a_picture_for_a_page_takes_the_colours_of_the_page():
    load = of_a_day()[0]
    assert "var(--ink)" in load.inline
    assert canvas.INK not in load.inline
    assert "var(" not in load.svg
    assert canvas.INK in load.svg


def test_names_of_strangers_are_no_markup_no_formula_and_not_too_long():
    hosts = tuple(map(HostName, ("<script>alert(1)</script>", "$\\frac{1}$", "größer-主机", "x" * 80)))
    odd = a_rehearsal(hosts=hosts, overload_seconds=(0.0,) * 4, cluster="$a$ & \x1b[2J",
                      samples=(a_sample(0.0, (0.1,) * 4, (True,) * 4),),
                      moves=(a_rehearsed_move(policy="_private <b>"), a_rehearsed_move(policy="")))
    drawn = pictures(odd)
    assert "<script" not in "".join(picture.svg + picture.inline for picture in drawn)
    text = all_text(drawn)
    for name in ("<script>alert(1)</script>", "$\\frac{1}$", "größer-主机", "x" * 27 + "…", "1 _private <b>", "1 -",
                 "$a$ & \\x1b[2J: load per host"):
        assert name in text


def test_the_time_of_day_is_shown_only_where_it_is_known():
    known, unknown = all_text(of_a_day()), all_text(pictures(a_rehearsal(began_wall=0.0)))
    assert "UTC, from 2026-11-24 00:00" in known
    assert "UTC" not in unknown
    assert "hours since the beginning" in unknown


def test_more_than_there_is_has_a_colour_of_its_own():
    red, _, blue, alpha = canvas.heat(np.array([0.0, 1.0, 1.0001, 3.0, np.nan])).T
    assert (red > blue).tolist() == [False, False, True, True, False]
    assert alpha.tolist() == [255, 255, 255, 255, 0]


def test_violations_are_marked_and_named():
    calm = pictures(replace(a_day(5, 40), violations=()))
    assert "violation" in all_text(of_a_day())
    assert "violation" not in all_text(calm)


def test_the_description_tells_what_the_picture_does():
    told = load_picture.describe(a_day(20, 288))
    assert "Hottest: 123%" in told
    assert "5 hosts, for 470.0 host-minutes" in told
