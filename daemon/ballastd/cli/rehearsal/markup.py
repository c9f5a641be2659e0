"""Markup whose text is escaped unless somebody says that it is markup already: nothing a stranger is called gets through."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

from ballastd.cli.formats import printable

_VOID = frozenset({"meta", "br", "hr", "link"})


@dataclass(frozen=True, slots=True)
class Markup:
    """Markup that is fit to be shown as it is: made by ``element``, or vouched for by whoever makes one."""

    text: str


def element(tag: str, *children: str | Markup, **attributes: str) -> Markup:
    """Return an element. Text among ``children`` is escaped, as are the values of ``attributes`` (``class_`` is
    ``class``, and any other ``_`` is ``-``)."""
    names = ((name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    head = "".join(f' {name}="{html.escape(printable(value))}"' for name, value in names)
    inside = joined(children).text
    return Markup(f"<{tag}{head}>" if tag in _VOID else f"<{tag}{head}>{inside}</{tag}>")


def joined(children: Iterable[str | Markup], between: str = "") -> Markup:
    """Return ``children`` one after the other, text escaped; ``between`` too."""
    return Markup(html.escape(between).join(child.text if isinstance(child, Markup) else html.escape(printable(child))
                                            for child in children))
