"""YAML with positions: one reader for every document, strict, bounded, and able to say where each key stands.

Values are built straight from the parser's events: what is too deep, too much, or no plain value is refused
before anything has been expanded, and the YAML library's own ideas about values are never asked for.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from ballastd.errors import ConfigurationError

BYTES_MAX = 256 * 1024
VALUES_MAX = 20_000
DEPTH_MAX = 20
INT_DIGITS_MAX = 18
FLOAT_SIGNS_MAX = 25
"""As many as Python writes for any double."""

Path_ = tuple[str | int, ...]
Marks = dict[Path_, tuple[int, int]]

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"unacceptable character #x([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain value, the file it is from, and where each key path stands (line, column)."""

    file: str
    value: Any
    marks: Marks

    def where(self, path: Path_) -> str:
        """Return ``file:line:column`` of ``path``, or of its nearest parent that stands in the text."""
        while path not in self.marks and path:
            path = path[:-1]
        line, column = self.marks.get(path, (1, 1))
        return f"{self.file}:{line}:{column}"


@dataclass(slots=True)
class Budget:
    """How many values may be read. One for a whole directory keeps many files from adding up."""

    values: int = VALUES_MAX
    spent: int = 0


def read(path: Path, bytes_max: int = BYTES_MAX) -> str:
    """Return the text of a file, which is never waited for: a pipe or a device is refused.

    Raises:
        ConfigurationError: it cannot be read, is no plain file, is too large, or is not UTF-8.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError((f"{path}: is no plain file",))
        with path.open("rb") as file:
            raw = file.read(bytes_max + 1)
    except OSError as error:
        raise ConfigurationError((f"{path}: cannot be read: {error.strerror or error}",)) from error
    if len(raw) > bytes_max:
        raise ConfigurationError((f"{path}: {found.st_size} bytes, at most {bytes_max} are read; split it",))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[:error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigurationError((f"{path}:{line}:{column}: not UTF-8 at byte {error.start}; save it as UTF-8",)) from error


def parse(file: str, text: str, budget: Budget | None = None) -> tuple[Document, ...]:
    """Return the documents of a YAML 1.2 text; empty ones are left out.

    Raises:
        ConfigurationError: not YAML, a key twice, a tag, an anchor, too deep, or more values than ``budget`` allows.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    try:
        return tuple(_documents(file, yaml.parse(text), budget or Budget()))
    except MarkedYAMLError as error:
        raise ConfigurationError((_marked(file, error),)) from error
    except ReaderError as error:
        raise ConfigurationError((_unreadable(file, text, error),)) from error
    except (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError, AssertionError) as error:
        # the parser stumbles over some malformed texts instead of refusing them
        raise ConfigurationError((f"{file}:1:1: not YAML: {str(error).split(chr(10), 1)[0]}",)) from error


def _documents(file: str, events: Iterator[Event], budget: Budget) -> Iterator[Document]:
    for event in events:
        if isinstance(event, DocumentStartEvent):
            if event.version is not None and tuple(event.version) != (1, 2):
                raise _refused(file, event, "this is read as YAML 1.2; take the %YAML line out")
            builder = _Builder(file, events, budget)
            first = next(events)
            value = builder.build(first, (), 0)
            if value is not None:
                yield Document(file, value, builder.marks)


@dataclass(slots=True)
class _Builder:
    """One document's value, from its events."""

    file: str
    events: Iterator[Event]
    budget: Budget
    marks: Marks = field(default_factory=dict)

    def build(self, event: Event, path: Path_, depth: int) -> Any:
        self.budget.spent += 1
        if self.budget.spent > self.budget.values:
            raise _refused(self.file, event, f"more than {self.budget.values} values; nobody can have meant that")
        if depth > DEPTH_MAX:
            raise _refused(self.file, event, f"nested deeper than {DEPTH_MAX} levels; take some brackets out")
        self._plain(event)
        self.marks.setdefault(path, _place(event))
        if isinstance(event, MappingStartEvent):
            return self._mapping(path, depth)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path, depth)
        return self._scalar(event)

    def _plain(self, event: Event) -> None:
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(self.file, event, "anchors and aliases are not used here; write the value out")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(self.file, event, f"the tag {str(tag)[:60]!r} is not used here; write a plain value")
        if isinstance(event, ScalarEvent) and _SURROGATE.search(str(event.value)):
            raise _refused(self.file, event, "half of a character (a surrogate); write the character itself")

    def _mapping(self, path: Path_, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise _refused(self.file, event, "a key must be a word")
            self._plain(event)
            key = str(event.value)
            if key == "<<" and event.style is None:
                raise _refused(self.file, event, "keys are not merged here (<<); write them out")
            if key in found:
                first = self.marks[*path, key][0]
                raise _refused(self.file, event, f"stands here twice (first in line {first}); keep one", key)
            self.marks[*path, key] = _place(event)
            found[key] = self.build(next(self.events), (*path, key), depth + 1)
        return found

    def _sequence(self, path: Path_, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            found.append(self.build(event, (*path, len(found)), depth + 1))
        return found

    def _scalar(self, event: Event) -> Any:
        assert isinstance(event, ScalarEvent)
        text = str(event.value)
        return text if event.style is not None else _core(text)


def dotted(path: Path_) -> str:
    """Return a key path as messages show it: short, and on one line."""
    parts = ("".join(sign if sign.isprintable() else "?" for sign in str(part)[:60]) for part in path)
    return ".".join(parts) or "document"


def _core(text: str) -> Any:
    """Return a plain scalar by YAML 1.2's core rules: ``no``, ``on``, ``22:30`` and dates are words.

    So are hexadecimal, octal, infinite and absurdly long numbers, which nothing here takes.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if len(text) <= INT_DIGITS_MAX and _INT.fullmatch(text):
        return int(text)
    if len(text) <= FLOAT_SIGNS_MAX and _FLOAT.fullmatch(text) and not _INT.fullmatch(text):
        return float(text)
    return text


def _place(event: Event) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _refused(file: str, event: Event, what: str, key: str = "") -> ConfigurationError:
    line, column = _place(event)
    return ConfigurationError((f"{file}:{line}:{column}: {f'{dotted((key,))}: ' if key else ''}{what}",))


def _marked(file: str, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    what = str(error.problem or error.context or "malformed").splitlines()[0]
    opened = error.context_mark.line + 1 if error.context_mark else line
    return f"{file}:{line}:{column}: not YAML: {what}{_hint(what, opened)}"


def _hint(what: str, opened: int) -> str:
    if "'\\t'" in what:
        return "; indent with spaces, not tabs"
    if "cannot start any token" in what:
        return '; put the value in quotes: "..."'
    if "mapping values are not allowed" in what:
        return '; check the indentation, and put a value that has a colon in quotes: "a: b"'
    if "end of stream" in what:
        return f"; close the quote or bracket that was opened in line {opened}"
    if what.startswith("expected ','"):
        return f"; close the brace or bracket that was opened in line {opened}, or put a comma between"
    if "expected the node content" in what:
        return "; a comma is too many, or a value is missing before it"
    return ""


def _unreadable(file: str, text: str, error: ReaderError) -> str:
    position = error.position if isinstance(error.position, int) else 0
    before = text[:position]
    line, column = before.count("\n") + 1, position - before.rfind("\n")
    code = _UNPRINTABLE.search(str(error))
    shown = f"the character U+{int(code[1], 16):04X}" if code else "a character"
    return f"{file}:{line}:{column}: not YAML: {shown} that no text has; take it out"
