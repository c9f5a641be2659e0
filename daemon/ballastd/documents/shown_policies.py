"""Policies as they came to be: every key with its value, whether it was written, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ballastd.documents.loading import ReadPolicies
from ballastd.documents.positions import Document, Path_
from ballastd.documents.reference import shown_value

UNSHOWN = ("kind", "name", "examples")


@dataclass(frozen=True, slots=True)
class ShownKey:
    """One key: its value as it would be written, and where it stands as ``file:line:column``; empty for a default."""

    key: str
    value: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class ShownPolicy:
    """One policy with all of its keys, those that were not written as well. ``written``: the document as a value."""

    kind: str
    name: str
    place: str
    keys: tuple[ShownKey, ...]
    written: Any

    def value(self, key: str) -> str:
        """Return the value of a key, empty where it has none."""
        return next((one.value for one in self.keys if one.key == key), "")


def shown(read: ReadPolicies) -> tuple[ShownPolicy, ...]:
    """Return every policy of a set, by kind in the order of the documents' kinds, then by name."""
    found = []
    for document, model in read.taken.models:
        kind = str(document.value["kind"])
        keys = tuple(_keys(document, model, ()))
        place = read.taken.modes.get(document.where(()))
        if place is not None:
            mode = ShownKey("mode", next(shown_value(field, getattr(model, key)) for key, field in
                                         type(model).model_fields.items() if key == "mode"), place)
            keys = tuple(mode if one.key == "mode" else one for one in keys)
        found.append(ShownPolicy(kind, model.name, document.where(("name",)), keys, document.value))
    return tuple(sorted(found, key=lambda one: (one.kind, one.name)))


def _keys(document: Document, model: BaseModel, path: Path_) -> Iterator[ShownKey]:
    for name, field in type(model).model_fields.items():
        here = (*path, field.alias or name)
        if here[-1] in UNSHOWN:
            continue
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _keys(document, value, here)
            continue
        is_written = here in document.marks
        if is_written or value not in (None, "", [], {}, ()):
            text = written_value(document, here) if is_written else shown_value(field, value)
            yield ShownKey(".".join(map(str, here)), text, document.where(here) if is_written else "")


def written_value(document: Document, path: Path_) -> str:
    """Return what stands in a document, on one line."""
    value = document.value
    for part in path:
        value = value[part]
    return _line(value)


def _line(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_line, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_line(one)}' for key, one in value.items())}}}"
    return str(value)
