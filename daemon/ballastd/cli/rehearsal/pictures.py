"""The pictures of a rehearsal, drawn: SVG to be looked at alone or inside a page, PNG, and what they show in words."""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ballastd.cli.formats import printable
from ballastd.cli.rehearsal import canvas, hosts_picture, load_picture, moves_picture
from ballastd.core.rehearsed import Rehearsed

if TYPE_CHECKING:
    from ballastd.cli.rehearsal.canvas import Figure

_INKS = {canvas.INK: "ink", canvas.FAINT: "faint", canvas.GRID: "line", canvas.PAPER: "paper",
         canvas.BLUE: "blue", canvas.GREEN: "green", canvas.RED: "red"}
_INK = re.compile("|".join(_INKS))
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture. ``name``: a file's, without suffix; ``inline``: SVG for a page, whose colours for ink and paper are
    the page's (``--ink``, ``--paper`` and the others of ``_INKS``)."""

    name: str
    title: str
    description: str
    svg: str
    inline: str
    png: bytes


def pictures(rehearsed: Rehearsed) -> tuple[Picture, ...]:
    """Return all pictures.

    Raises:
        ConfigurationError: what draws them is not installed.
    """
    return (
        _picture("load", load_picture.TITLE, load_picture.describe(rehearsed), load_picture.height(rehearsed),
                 functools.partial(load_picture.draw, rehearsed)),
        _picture("hosts", hosts_picture.TITLE, hosts_picture.describe(rehearsed), hosts_picture.HEIGHT,
                 functools.partial(hosts_picture.draw, rehearsed)),
        _picture("moves", moves_picture.TITLE, moves_picture.describe(rehearsed), moves_picture.HEIGHT,
                 functools.partial(moves_picture.draw, rehearsed)),
    )


def _picture(name: str, title: str, description: str, height: float, draw: Callable[[Figure], None]) -> Picture:
    svg, png = canvas.drawn(load_picture.WIDTH, height, draw)
    words = printable(description)
    root = _told(_plain(svg, name), name, title, words)
    inline = ET.tostring(root, encoding="unicode")
    root.set("xmlns", "http://www.w3.org/2000/svg")
    alone = '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"
    return Picture(name, title, words, alone, _INK.sub(lambda found: f"var(--{_INKS[found[0]]})", inline), png)


def _plain(svg: str, name: str) -> ET.Element:
    """Return the drawing without name spaces, document type and metadata, so that it may stand inside a page; ids are
    made its own."""
    root = ET.fromstring(svg)  # noqa: S314  drawn a moment ago, by ourselves
    for metadata in [one for one in root if one.tag.endswith("metadata")]:
        root.remove(metadata)
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = [(_local(key), value) for key, value in element.attrib.items()]
        element.attrib.clear()
        element.attrib.update((key, _own(key, value, name)) for key, value in attributes)
    return root


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _own(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    return _REFERENCE.sub(rf"url(#{name}-\1)", value)


def _told(root: ET.Element, name: str, title: str, description: str) -> ET.Element:
    """Return the drawing with its title and description, which are read out to those who cannot see it."""
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    return root
