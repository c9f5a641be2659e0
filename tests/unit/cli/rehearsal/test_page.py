"""The page: everything of the terminal's report and more, of itself alone, and harmless whatever anything is called."""

from __future__ import annotations

import functools
import re
from html.parser import HTMLParser

import pytest

from ballastd.cli.rehearsal import compare
from ballastd.cli.rehearsal.markup import Markup, element, joined
from ballastd.cli.rehearsal.page import TRACE_LINES_MAX, comparison_page, report_page
from ballastd.cli.rehearsal.parts import MANY, parts
from ballastd.cli.rehearsal.pictures import pictures
from ballastd.core.quantities import HostName
from ballastd.core.rehearsed import Rehearsed, RehearsedSwitch, Violation
from tests.rehearsals import a_day, a_rehearsal, a_rehearsed_move, a_sample

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> \"'>&amp; ]]> \x1b\u202e"
VOID = {"meta", "br", "hr", "link", "img"}


class Read(HTMLParser):
    """What a browser would make of a page: tags, attributes, and the text that is shown."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.shown: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data):
        if self.open[-1:] not in (["style"],):
            self.shown.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.shown).split())


def an_evil_one() -> Rehearsed:
    move = a_rehearsed_move(vm_name=EVIL, source=EVIL, target=EVIL, policy=EVIL, because=EVIL, ending=EVIL, id=EVIL)
    return a_rehearsal(cluster=EVIL, hosts=(HostName(EVIL), HostName("b")), overload_seconds=(60.0, 0.0), moves=(move,),
                       switches=(RehearsedSwitch(1.0, EVIL, False, EVIL),), violations=(Violation(1.0, EVIL, EVIL),),
                       notices=((1.0, EVIL, EVIL),), withheld=((EVIL, 3),), samples=(a_sample(),), trace=(EVIL, EVIL),
                       faults=(EVIL,))


@functools.cache
def page_of_a_day() -> str:
    return report_page(a_day(5, 40), pictures(a_day(5, 40)))


def assert_harmless(page: str) -> None:
    read = Read(page)
    assert read.open == []
    assert {"script", "iframe", "object", "embed", "link", "base", "form"}.isdisjoint(read.tags)
    assert [name for name, _ in read.attributes if name.startswith("on")] == []
    links = [value for name, value in read.attributes if name in ("src", "href", "action", "xlink:href")]
    assert [link for link in links if not link.startswith(("#", "data:image/png;base64,"))] == []
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_nothing_that_anything_is_called_gets_through():
    evil = an_evil_one()
    page = report_page(evil, pictures(evil))
    assert_harmless(page)
    assert Read(page).text.count("<script>alert(1)</script>") > 15
    assert "img" not in Read(page).tags
    assert_harmless(comparison_page(compare(evil, evil, EVIL, EVIL)))


def test_a_page_needs_nothing_from_elsewhere_and_forbids_scripts():
    page = page_of_a_day()
    assert_harmless(page)
    assert "http://" not in page
    assert "https://" not in page
    assert re.search(r'Content-Security-Policy" content="default-src &#x27;none&#x27;', page)
    assert "prefers-color-scheme:dark" in page


def test_a_page_says_all_that_the_terminal_says_and_every_move():
    day = a_day(5, 40)
    text = Read(page_of_a_day()).text.lower()
    for part in parts(day, MANY):
        for cell in [*part.below, *(cell for row in part.rows for cell in row)]:
            assert " ".join(cell.text.lower().split()) in text
    for move in day.moves:
        assert move.vm_name in text
        assert move.because.lower() in text


def test_all_colours_that_pictures_ask_the_page_for_are_there():
    page = page_of_a_day()
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(re.findall(r"--(\w+):", page))


def test_the_trace_is_folded_and_not_endless():
    page = report_page(a_rehearsal(trace=tuple(f"line {n}" for n in range(TRACE_LINES_MAX + 5))), None)
    assert f"line {TRACE_LINES_MAX - 1}" in page
    assert f"line {TRACE_LINES_MAX}\n" not in page
    assert "and 5 more lines: the JSON has them all" in page
    assert Read(page).tags.index("details") < Read(page).tags.index("pre")


def test_without_pictures_a_page_says_how_to_get_them():
    text = Read(report_page(a_rehearsal(), None)).text
    assert "pip install 'ballastd[pictures]'" in text


@pytest.mark.parametrize("text", [EVIL, "<b>", "&lt;", '"', "\n"])
def test_an_element_escapes_text_and_attributes_and_nothing_twice(text: str):
    made = element("p", text, element("b", text), title=text)
    read = Read(made.text)
    assert read.tags == ["p", "b"]
    plain = text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e").replace("\n", "\\n")
    assert read.shown == [plain, plain]
    assert read.attributes == [("title", plain)]


def test_only_markup_is_taken_as_markup():
    assert joined(["<i>", Markup("<i>")], "<").text == "&lt;i&gt;&lt;<i>"
    assert element("meta", charset="utf-8").text == '<meta charset="utf-8">'
    assert element("td", class_="right", http_equiv="x").text == '<td class="right" http-equiv="x"></td>'
