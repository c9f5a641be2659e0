"""Reading XML that somebody else wrote: bounded in size and depth, without a DTD, an entity or a fetch.

Expat itself, not ElementTree's parser, because only expat lets us refuse a document type before it matters.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from xml.parsers import expat

from ballastd.core.hardware import numbers_from_words
from ballastd.core.quantities import KIB

XML_BYTES_MAX = 1 << 20
XML_DEPTH_MAX = 100
SHOWN_MAX = 128
BYTES_MAX = 1 << 50
"""No machine has more memory, and thousands of such sizes still add up in the 64 bits of a column."""
_UNITS = {"b": 1, "bytes": 1, "KB": 1000, "k": KIB, "KiB": KIB, "MB": 10**6, "M": KIB**2, "MiB": KIB**2,
          "GB": 10**9, "G": KIB**3, "GiB": KIB**3, "TB": 10**12, "T": KIB**4, "TiB": KIB**4}


class XmlError(ValueError):
    """This text is not read, for the reason given."""


def read_xml(text: str) -> ET.Element:
    """Return the root element of ``text``.

    Namespaced names read ``{namespace}name``. Comments and processing instructions are left out.

    Raises:
        XmlError: too large, too deep, not well-formed, or with a document type or an entity of its own.
    """
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise XmlError("not valid Unicode") from error
    if len(raw) > XML_BYTES_MAX:
        raise XmlError(f"larger than {XML_BYTES_MAX} bytes")
    return _Reader().read(raw)


class _Reader:
    """Expat with our handlers, building a plain element tree."""

    def __init__(self) -> None:
        self._tree = ET.TreeBuilder()
        self._depth = 0
        self._parser = expat.ParserCreate("utf-8", "}")
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._tree.data
        self._parser.buffer_text = True

    def read(self, raw: bytes) -> ET.Element:
        try:
            self._parser.Parse(raw, True)
        except expat.ExpatError as error:
            raise XmlError(f"not well-formed: {expat.ErrorString(error.code)}") from error
        return self._tree.close()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > XML_DEPTH_MAX:
            raise XmlError(f"nested deeper than {XML_DEPTH_MAX}")
        self._tree.start(_clark(name), {_clark(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(_clark(name))

    @staticmethod
    def _refuse_doctype(*_: object) -> None:
        raise XmlError("has a document type declaration")

    @staticmethod
    def _refuse_entity(*_: object) -> None:
        raise XmlError("declares an entity")


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def shown(text: str) -> str:
    """Return ``text`` fit for a log line or a topic: printable, at most ``SHOWN_MAX`` characters."""
    clean = "".join(c if c.isprintable() else "�" for c in text[:SHOWN_MAX])
    return clean if len(text) <= SHOWN_MAX else clean[:-1] + "…"


def is_whole_number(text: str) -> bool:
    """Return whether ``text`` is a number of decimal digits, and of no absurd length."""
    return text.isascii() and text.isdecimal() and len(text) < 20


def bytes_of(text: str | None, unit: str) -> int | None:
    """Return a size with libvirt's unit for it in bytes, or None where it is none, or of no machine."""
    number, one = (text or "").strip(), _UNITS.get(unit)
    found = int(number) * one if one is not None and is_whole_number(number) else None
    return found if found is not None and found <= BYTES_MAX else None


def numbers_of(text: str) -> tuple[int, ...]:
    """Return a set of whole numbers as libvirt writes it, sorted.

    Raises:
        XmlError: it is none.
    """
    try:
        return numbers_from_words(text)
    except ValueError:
        raise XmlError(f"{shown(text)} is no set of numbers") from None
