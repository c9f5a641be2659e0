"""One frame: a picture as lines that fit a terminal, the most important first, and something of everything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from ballastd.cli.live import acts, machines, rules
from ballastd.cli.live.grid import DIM, Line, cut, fit, text_of
from ballastd.cli.live.header import Picture, header
from ballastd.cli.live.section import Section
from ballastd.cli.live.signs import Signs, shown
from ballastd.core.views import ClusterView

HEADER_SHARE = 4
"""A header takes at most this part of the height (and three lines where that is less)."""
TWO_COLUMNS = 160
"""From this width on two columns stand side by side, where one is too long."""
BETWEEN = "   "
_EMPTY = {"host": "no hosts are declared", "vm": "no VMs were seen"}


def sections(view: ClusterView, rows_max: int) -> tuple[Section, ...]:
    """Return what there is to show of ``view``, with ``rows_max`` rows each at most, in the order of a frame; what there
    is nothing of is left out, but for hosts and VMs."""
    made = (machines.hosts(view, rows_max), acts.migrations(view, rows_max), rules.conditions(view, rows_max),
            acts.intents(view, rows_max), machines.vms(view, rows_max), acts.decisions(view, rows_max),
            rules.noes(view, rows_max), acts.moves(view, rows_max), rules.budgets(view, rows_max),
            rules.windows(view, rows_max))
    return tuple(section for section in made if section.rows or section.key in _EMPTY)


def frame(picture: Picture, now: float, width: int, height: int, signs: Signs) -> list[Line]:
    """Return at most ``height`` lines of at most ``width`` cells. ``now``: wall seconds here."""
    head = header(picture, now, width, max(3, height // HEADER_SHARE), signs)[:height]
    if picture.view is None:
        return head
    made = sections(picture.view, height)
    room = height - len(head)
    if width < TWO_COLUMNS or all(grant == _wanted(part) for part, grant in zip(made, grants(made, room), strict=True)):
        return [*head, *_column(made, room, width, signs)]
    # too much for the height, and wide enough: machines on the left, everything else on the right
    left_width = (width - len(BETWEEN)) // 2
    left = _column([part for part in made if part.key in _EMPTY], room, left_width, signs)
    right = _column([part for part in made if part.key not in _EMPTY], room, width - left_width - len(BETWEEN), signs)
    return [*head, *(_beside(one, other, left_width) for one, other in zip_longest(left, right, fillvalue=()))]


def _column(made: Sequence[Section], room: int, width: int, signs: Signs) -> list[Line]:
    """Return sections one below the other, with blank lines between where that costs nothing."""
    granted = grants(made, room)
    airy = sum(granted) + sum(1 for rows in granted if rows) <= room
    lines: list[Line] = []
    for section, rows in zip(made, granted, strict=True):
        if rows and airy:
            lines.append(())
        lines.extend(_lines(section, rows, width, signs))
    return lines


def _beside(left: Line, right: Line, left_width: int) -> Line:
    return (*left, (" " * (left_width - cell_len(text_of(left))) + BETWEEN, ""), *right) if right else left


def _wanted(section: Section) -> int:
    """Return how many lines would show all of a section that is worth showing, its titles included."""
    if not section.rows:
        return 2
    return 1 + len(section.rows) + (section.count > len(section.rows) and section.rest is not None)


def grants(made: Sequence[Section], room: int) -> list[int]:
    """Return how many lines each section gets, its titles included; 0: it is left out.

    First each, in order, gets what matters most of it, then all get a row in turn until room or rows run out.
    """
    wanted = [_wanted(section) for section in made]
    granted = [0] * len(made)
    for place, section in enumerate(made):
        if room >= 2:  # titles without a row tell nothing
            granted[place] = min(wanted[place], 1 + section.least, room)
            room -= granted[place]
    while room > 0:
        hungry = [place for place in range(len(made)) if 0 < granted[place] < wanted[place]]
        if not hungry:
            break
        for place in hungry[:room]:
            granted[place] += 1
        room -= min(room, len(hungry))
    return granted


def _lines(section: Section, granted: int, width: int, signs: Signs) -> list[Line]:
    """Return a section in ``granted`` lines at most: titles, rows, and how much is not shown."""
    if not granted:
        return []
    if not section.rows:
        return [*fit(section.columns, (), width, signs), cut(((_EMPTY[section.key], DIM),), width, signs)]
    if section.rest is not None and section.count > granted - 1:
        listed = section.rows[:granted - 2]
        rest = shown(section.rest(len(listed)), signs.encoding)
        return [*fit(section.columns, listed, width, signs), cut(((rest, DIM),), width, signs)]
    listed = section.rows[:granted - 1]
    titles, *lines = fit(section.columns, listed, width, signs)
    return [_counted(titles, f"{len(listed)} of {section.count}") if section.count > len(listed) else titles, *lines]


def _counted(titles: Line, count: str) -> Line:
    """Return titles with ``count`` at their end, where nothing stands there."""
    text, style = titles[0]
    kept = text.rstrip()
    return ((text[:-len(count)] + count, style),) if len(kept) + len(count) + 2 <= len(text) else titles
