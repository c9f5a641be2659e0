"""Every key of every policy: its type, default, ceiling and meaning, read off the models. What editors and readers get."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from ballastd.documents import written
from ballastd.documents.cluster_models import HostKeys, VmModel
from ballastd.documents.condition_models import Part
from ballastd.documents.example_models import ExampleModel
from ballastd.documents.loading import KINDS
from ballastd.documents.meanings import ceiling_of, meaning_of
from ballastd.documents.profiles import PROFILE, ProfileModel

ALL_KINDS: dict[str, type[BaseModel]] = {**KINDS, PROFILE: ProfileModel}
ELSEWHERE = (HostKeys, VmModel, ExampleModel)
"""Models whose keys are listed elsewhere: those of saved clusters, and those of examples, once."""
_TYPES = {
    "duration": "duration", "lasting": "duration above 0", "percent": "share", "share": "share above 0",
    "_edge": "share above 0, or `off`", "_samples": "as in `3 of 5`",
    "size": "size", "bandwidth": "bandwidth", "clock_time": "time of day",
    "days": "weekdays", "zone": "IANA zone", "_local": "local date and time", "_patterns": "`all`, or names and patterns",
    "parse_metric": "metric", "_strength": "`must`, `should` or `should(1)` to `should(100)`",
    "_same_sensor": "as in `3 in 5m`", "_celsius": "temperature, or `none`", "_policy_name": "name",
    "_begins": "local date, time and zone", "_include": "list of paths", "_moves": "`none`, number or list"}
"""What may be written, by the function that reads it."""
ANYTHING = "value"
_WORDS: dict[Any, str] = {bool: "`true` \\| `false`", int: "whole number", float: "number", str: "words"}
_SHOWN: dict[str, Callable[[Any], str]] = {
    "duration": written.duration, "lasting": written.duration, "percent": written.share, "share": written.share,
    "_edge": written.share, "bandwidth": written.traffic,
    "_same_sensor": lambda value: f"{value[0]} in {written.duration(value[1])}", "_celsius": lambda value: f"{value:g}C"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: where it stands (``when.metric``), the model and field behind it."""

    path: str
    model: type[BaseModel]
    name: str
    field: FieldInfo

    @property
    def meaning(self) -> str:
        """What it means."""
        return meaning_of(self.model, self.name)

    @property
    def ceiling(self) -> str:
        """The largest value it may ever take, empty where it has no ceiling."""
        return ceiling_of(self.model, self.name)

    @property
    def type(self) -> str:
        """What may be written, in words."""
        return _type(self.field)

    def shown(self, value: Any) -> str:
        """Return a value of it as an operator writes it."""
        return shown_value(self.field, value)

    @property
    def default(self) -> str:
        """What it is where it is left out; ``needed`` where it must be written."""
        if self.field.is_required():
            return "needed"
        value = self.field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            return ""
        return "none" if value in (None, "", [], {}, ()) else f"`{self.shown(value)}`"


def keys_of(model: type[BaseModel], before: str = "", within: tuple[type[BaseModel], ...] = (),
            told: set[type[BaseModel]] | None = None) -> Iterator[Key]:
    """Yield every key of a document, those of its sections after each; a model within itself, and a part of conditions
    wherever it may stand, are listed once."""
    told = set() if told is None else told
    for name, spec in model.model_fields.items():
        key = Key(f"{before}{spec.alias or name}", model, spec.alias or name, spec)
        yield key
        for inner in dict.fromkeys(_models(spec.annotation)):
            is_nested = issubclass(inner, Part) and issubclass(model, Part)
            if issubclass(inner, ELSEWHERE) or inner in (*within, model) or inner in told or is_nested:
                continue
            if issubclass(inner, Part):
                told.add(inner)
            yield from keys_of(inner, f"{key.path}.", (*within, model), told)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _models(inner)]


def _checks(field: FieldInfo) -> list[str]:
    """Return the names of the functions that read a field's value, wherever in its annotation they stand."""
    found = [getattr(mark, "func", None) for mark in (*field.metadata, *_marks(field.annotation))]
    return [check.__name__ for check in found if check is not None and hasattr(check, "__name__")]


def _marks(annotation: Any) -> Iterator[Any]:
    yield from getattr(annotation, "__metadata__", ())
    for inner in getattr(annotation, "__args__", ()):
        yield from _marks(inner)


def _type(field: FieldInfo) -> str:
    known = next((_TYPES[check] for check in _checks(field) if check in _TYPES), None)
    return known or _plain(field.annotation)


def _plain(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{one}`" for one in args)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " \\| ".join(f"`{one.value}`" for one in annotation)
    if origin in (list, tuple):
        return f"list of {_plain(args[0])}" if args else "list"
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "section"
    # of an Annotated only what is annotated, of a union each branch
    branches = [_plain(one) for one in getattr(annotation, "__args__", ()) if one is not type(None)]
    said = [one for one in dict.fromkeys(branches) if one != ANYTHING]
    return " or ".join(said) or _WORDS.get(annotation, ANYTHING)


def shown_value(field: FieldInfo, value: Any) -> str:
    """Return a value of a field as an operator writes it."""
    show = next((_SHOWN[check] for check in _checks(field) if check in _SHOWN), None)
    if show is not None and value is not None and not isinstance(value, str):
        return str(show(value))
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_shown(one) for one in value)}]"
    return str(value)


def as_page() -> str:
    """Return the reference as a page."""
    lines = ["# Every key of every policy", "",
             "Made from the models by `ballastctl policy reference`, not by hand. How to use them: "
             "[policies](policies.md).", "",
             "A *section* holds the keys below it. A *ceiling* is compiled in: a policy above it is refused, whatever its "
             "mode.", ""]
    for kind, model in ALL_KINDS.items():
        lines += [f"## {kind}", "", _first_line(model), "", *_table(model), ""]
    lines += ["## Examples", "", "Under `examples:` of any document but a Profile, as a list.", "", *_table(ExampleModel)]
    return "\n".join((*lines, ""))


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(model: type[BaseModel]) -> list[str]:
    keys = [key for key in keys_of(model) if key.path != "kind"]
    has_ceilings = any(key.ceiling for key in keys)
    head = ["key", "type", "default", *(["ceiling"] if has_ceilings else []), "meaning"]
    rows = [[f"`{key.path}`", key.type, key.default, *([key.ceiling] if has_ceilings else []), key.meaning] for key in keys]
    return [_row(head), _row(["---"] * len(head)), *dict.fromkeys(_row(row) for row in rows)]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of one policy document, for editors: every key with its meaning."""
    _, found = models_json_schema([(model, "validation") for model in ALL_KINDS.values()], by_alias=True)
    parts = found["$defs"]
    for kind, model in ALL_KINDS.items():
        for one in _all_models(model):
            for key, spec in parts.get(one.__name__, {}).get("properties", {}).items():
                meaning = meaning_of(one, key)
                if meaning:
                    spec["description"] = meaning.replace("`", "")
        parts[kind] = parts.pop(model.__name__)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ballastd policy",
            "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in ALL_KINDS], "$defs": dict(sorted(parts.items()))}


def _all_models(model: type[BaseModel], seen: tuple[type[BaseModel], ...] = ()) -> tuple[type[BaseModel], ...]:
    if model in seen:
        return seen
    seen = (*seen, model)
    for spec in model.model_fields.values():
        for inner in _models(spec.annotation):
            seen = _all_models(inner, seen)
    return seen
