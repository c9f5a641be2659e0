"""pydantic's complaints in an operator's words: ``file:line:column: key: what is wrong; did you mean``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from ballastd.documents import examples
from ballastd.documents.positions import Document, Path_, dotted
from ballastd.documents.scalars import shown

M = TypeVar("M", bound=BaseModel)

PROBLEMS_MAX = 50
_NOTHING = "nothing stands here; write a value, or take the key out"


class Strict(BaseModel):
    """A key that nobody knows is a typo, and a typo must not pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class Clash(ValueError):
    """A key that is wrong only beside another; ``path`` leads from the model to the one that had better change."""

    def __init__(self, path: Path_, what: str) -> None:
        super().__init__(what)
        self.path = path


def validate(model: type[M], document: Document, problems: list[str]) -> M | None:
    """Return the document as ``model``, or None after adding its problems, one line per mistake.

    A section whose every key is commented out stands for its defaults. Any other key without a value is a mistake:
    an emptied ``scope:`` must not come to mean every host, nor an emptied ``tls:`` none.
    """
    if not isinstance(document.value, dict):
        problems.append(f"{document.where(())}: expected keys and values, found {_kind(document.value)}")
        return None
    value = {key: part for key, part in document.value.items() if part is not None or not _is_section(model, key)}
    blank = tuple(_blanks(value, ()))
    lines: dict[str, None] = {f"{document.where(path)}: {dotted(path)}: {_NOTHING}": None for path in blank[:PROBLEMS_MAX]}
    found, more = None, 0
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        misspelt = _misspelt(model, document, error)
        for one in error.errors(include_url=False)[:PROBLEMS_MAX]:
            path = _standing(document, dict(one))
            clash = one.get("ctx", {}).get("error")
            path = (*path, *clash.path) if isinstance(clash, Clash) else path
            if one["type"] == "missing" and path in misspelt.values():
                continue
            if not any(path[:len(empty)] == empty for empty in blank):
                lines[f"{document.where(path)}: {dotted(path)}: {_words(model, dict(one), misspelt.get(path))}"] = None
        more = error.error_count() - PROBLEMS_MAX
    problems.extend(sorted(lines, key=_place_in(document)))
    if more > 0:
        problems.append(f"{document.where(())}: and {more} problems more in this document")
    return None if lines else found


def _place_in(document: Document) -> Callable[[str], tuple[int, ...]]:
    """Return by what the problems of a document are sorted: where they stand in the text."""
    ahead = len(document.file) + 1
    return lambda problem: tuple(int(part) for part in problem[ahead:].split(":", 2)[:2])


def _misspelt(model: type[BaseModel], document: Document, error: ValidationError) -> dict[Path_, Path_]:
    """Return, by the paths of unknown keys, those of the keys that they resemble, one that is missing before others: a
    misspelt key is not also a missing one."""
    found: dict[Path_, Path_] = {}
    errors = error.errors(include_url=False)
    missing = {_standing(document, dict(one)) for one in errors if one["type"] == "missing"}
    for one in [one for one in errors if one["type"] == "extra_forbidden"][:PROBLEMS_MAX]:
        known = _keys_beside(model, tuple(one["loc"]))
        path = _standing(document, dict(one))
        near = [(*path[:-1], key) for key in examples.meant(str(one["loc"][-1]), known)]
        if near:
            found[path] = next((key for key in near if key in missing), near[0])
    return found


def _is_section(model: type[BaseModel], key: str) -> bool:
    return any(key == (field.alias or name) and isinstance(field.default, BaseModel)
               for name, field in model.model_fields.items())


def _blanks(value: Any, path: Path_) -> Iterator[Path_]:
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _blanks(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _blanks(inner, (*path, i))


def _standing(document: Document, error: dict[str, Any]) -> Path_:
    """Return the key path of an error without the names that pydantic gives to the branches of a union."""
    loc: Path_ = tuple(error["loc"])
    path: Path_ = ()
    for i, part in enumerate(loc):
        longer = (*path, part)
        if longer in document.marks or (error["type"] == "missing" and i == len(loc) - 1):
            path = longer
    return path


def _words(model: type[BaseModel], error: dict[str, Any], meant: Path_ | None) -> str:
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_beside(model, tuple(error["loc"]))
        hint = f"; did you mean {meant[-1]}?" if meant else f"; known here: {', '.join(known)}" if known else ""
        return f"unknown key{hint}"
    if kind in ("enum", "literal_error"):
        names = [name.strip(" '") for name in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        near = difflib.get_close_matches(str(given)[:60], names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        if not isinstance(given, str) and str(given) in names:
            hint = "; put it in quotes"
        return f"{shown(given)} is not one of {', '.join(names)}{hint}"
    quote = "; put it in quotes" if isinstance(given, int | float) else ""
    right = _right(model, tuple(error["loc"]), kind)
    whole = "take the quotes off" if _digits(given) else "write for example 2"
    plain = {
        "missing": f"is missing{right}",
        "string_type": f"expected a word, found {_kind(given)}{quote or right}",
        "int_type": f"expected a whole number, found {_kind(given)}; {whole}",
        "bool_type": f"expected true or false, found {_kind(given)}; write one of them, without quotes",
        "list_type": f"expected a list, found {_kind(given)}{right or '; write for example [a, b]'}",
        "dict_type": f"expected keys and values, found {_kind(given)}{right}",
        "model_type": f"expected keys and values, found {_kind(given)}{right}",
        "greater_than_equal": f"{shown(given)} is below {context.get('ge')}, the least",
        "less_than_equal": f"{shown(given)} is above {context.get('le')}, the most",
    }
    return plain.get(kind) or str(error["msg"]).removeprefix("Value error, ")


def _right(model: type[BaseModel], loc: Path_, kind: str) -> str:
    """Return an example of the key where ``loc`` ends, or nothing."""
    if kind in ("model_type", "dict_type") and len(loc) > 1 and _branch(_at(model, loc[:-1]), str(loc[-1])) is not None:
        # what is wrong is the whole of what stands there: the branch that was tried is no key
        loc = loc[:-1]
    found = _model_at(model, loc)
    example = "" if found is None or not loc else examples.for_key(found, str(loc[-1]))
    return f"; write for example {example}" if example else ""


def _keys_beside(model: type[BaseModel], loc: Path_) -> list[str]:
    """Return the keys that would be known where ``loc`` ends; where it names a branch of a union, those of that branch."""
    found = _model_at(model, loc)
    return [] if found is None else [field.alias or name for name, field in found.model_fields.items()]


def _model_at(model: type[BaseModel], loc: Path_) -> Any:
    return _model_of(_at(model, loc[:-1]))


def _at(model: type[BaseModel], loc: Path_) -> Any:
    """Return the annotation of what stands at ``loc``."""
    here: Any = model
    for part in loc:
        if not isinstance(part, int):
            here = _inside(here, part)
    return here


def _inside(annotation: Any, part: str) -> Any:
    branch = _branch(annotation, part)
    if branch is not None:
        return branch
    by_name = _values_of(annotation)
    if by_name is not None:
        # pydantic names the branch of a union by its type before it names the key
        return annotation if part.startswith("dict[") else by_name
    model = _model_of(annotation)
    fields = {} if model is None else {field.alias or name: field for name, field in model.model_fields.items()}
    return fields[part].annotation if part in fields else None


def _branch(annotation: Any, tag: str) -> Any:
    if any(isinstance(mark, Tag) and mark.tag == tag for mark in getattr(annotation, "__metadata__", ())):
        return annotation
    branches = (_branch(inner, tag) for inner in getattr(annotation, "__args__", ()))
    return next((branch for branch in branches if branch is not None), None)


def _values_of(annotation: Any) -> Any:
    """Return what stands under each key of a mapping whose keys are names, None where it is no such mapping."""
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    found = (_values_of(inner) for inner in getattr(annotation, "__args__", ()))
    return next((values for values in found if values is not None), None)


def _model_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_of(inner)
        if found is not None:
            return found
    return None


def _digits(value: Any) -> bool:
    return isinstance(value, str) and value.isdecimal()


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else shown(value)
