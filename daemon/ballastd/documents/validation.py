"""pydantic's complaints in an operator's words: ``file:line:column: key: what is wrong; did you mean``."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ballastd.documents.positions import Document, Path_

_PLAIN = {"model_type": "expected keys and values", "dict_type": "expected keys and values",
          "list_type": "expected a list", "string_type": "expected a word", "int_type": "expected a whole number",
          "int_parsing": "expected a whole number", "bool_type": "expected true or false",
          "bool_parsing": "expected true or false", "int_from_float": "expected a whole number"}

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A key that nobody knows is a typo, and a typo must not pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


def validate(model: type[M], document: Document, problems: list[str]) -> M | None:
    """Return the document as ``model``, or None after adding each of its problems, one line per mistake."""
    if not isinstance(document.value, dict):
        problems.append(f"{document.where(())}: expected keys and values, found {_kind(document.value)}")
        return None
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        seen = set()
        for one in error.errors(include_url=False):
            line = _line(model, document, dict(one))
            if line not in seen:
                seen.add(line)
                problems.append(line)
        return None


def _line(model: type[BaseModel], document: Document, error: dict[str, Any]) -> str:
    path: Path_ = tuple(error["loc"])
    key = ".".join(str(part) for part in path) or "document"
    return f"{document.where(path)}: {key}: {_words(model, path, error)}"


def _words(model: type[BaseModel], path: Path_, error: dict[str, Any]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        known = _keys_beside(model, path)
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}" if known else ""
        return f"unknown key{hint}"
    if kind == "missing":
        return "is missing"
    if kind in _PLAIN:
        return f"{_PLAIN[kind]}, found {_kind(error.get('input'))}"
    if kind == "string_pattern_mismatch":
        return f"{error.get('input')!r}: lower-case letters, digits and dashes, as in failing-hosts"
    if kind in ("enum", "literal_error"):
        expected = str(error.get("ctx", {}).get("expected", ""))
        names = [name.strip(" '") for name in expected.replace(" or ", ",").split(",")]
        near = difflib.get_close_matches(str(error.get("input")), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{error.get('input')!r} is not one of {', '.join(names)}{hint}"
    return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _keys_beside(model: type[BaseModel], path: Path_) -> list[str]:
    """Return the keys that would be known where ``path`` ends."""
    here: Any = model
    for part in path[:-1]:
        if isinstance(part, int):
            continue
        field = here.model_fields.get(part) if isinstance(here, type) and issubclass(here, BaseModel) else None
        here = _model_of(field.annotation) if field is not None else None
        if here is None:
            return []
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found is not None:
            return found
    return None


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "keys and values" if isinstance(value, dict) else f"{value!r}"
