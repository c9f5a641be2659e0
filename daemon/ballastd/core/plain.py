"""Values as plain data that JSON can say, and back, by their types alone: dataclasses, enums, tuples, mappings.

A mapping becomes a list of pairs: keys need not be text, and their order is kept. Strict: a field nobody knows is an
error, never a guess; one that is missing takes its default, where it has one. What is kept for other releases leaves
defaults out: an older release reads it as long as nothing is said that it does not know.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections import deque
from typing import Any

_FIELD_TYPES: dict[type[Any], dict[str, Any]] = {}
_PLAIN = (str, int, float, bool, types.NoneType)


def to_plain(value: Any, *, sparse: bool = False) -> Any:
    """Return ``value`` as data that JSON can say. ``sparse``: without the fields that are what they are by default.

    Raises:
        TypeError: it holds something that has no plain form.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, _PLAIN):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.name: to_plain(one, sparse=sparse) for spec in dataclasses.fields(value)
                for one in (getattr(value, spec.name),) if not (sparse and _is_default(spec, one))}
    if isinstance(value, dict):
        return [[to_plain(key, sparse=sparse), to_plain(one, sparse=sparse)] for key, one in value.items()]
    if isinstance(value, tuple | list | deque):
        return [to_plain(one, sparse=sparse) for one in value]
    raise TypeError(f"{type(value).__name__} has no plain form")


def _is_default(spec: dataclasses.Field[Any], value: Any) -> bool:
    default = spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()
    return type(value) is type(default) and bool(value == default)


def from_plain(hint: Any, value: Any) -> Any:
    """Return the value of type ``hint`` that ``to_plain`` made ``value`` of.

    Raises:
        ValueError, TypeError: it is not of that type.
    """
    hint = getattr(hint, "__supertype__", hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _one_of(typing.get_args(hint), value)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _dataclass(hint, value)
    if typing.get_origin(hint) in (tuple, deque, dict):
        return _many(hint, value)
    return _scalar(hint, value)


def _scalar(hint: Any, value: Any) -> Any:
    wanted = (int, float) if hint is float else hint
    if hint is Any or (isinstance(value, wanted) and (hint is bool or not isinstance(value, bool))):
        return value
    raise TypeError(f"{value!r} is not of type {getattr(hint, '__name__', hint)}")


def _one_of(hints: tuple[Any, ...], value: Any) -> Any:
    if value is None and types.NoneType in hints:
        return None
    [hint] = [one for one in hints if one is not types.NoneType]
    return from_plain(hint, value)


def _many(hint: Any, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is dict:
        return {from_plain(inner[0], key): from_plain(inner[1], one) for key, one in value}
    if origin is deque or inner[-1] is Ellipsis:
        return origin(from_plain(inner[0], one) for one in value)
    return tuple(from_plain(kind, one) for kind, one in zip(inner, value, strict=True))


def _dataclass(cls: type[Any], value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object with fields")
    hints = _field_types(cls)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise ValueError(f"{cls.__name__} has unknown fields {unknown}")
    return cls(**{name: from_plain(hints[name], one) for name, one in value.items()})


def _field_types(cls: type[Any]) -> dict[str, Any]:
    if cls not in _FIELD_TYPES:
        hints = typing.get_type_hints(cls)
        _FIELD_TYPES[cls] = {spec.name: hints[spec.name] for spec in dataclasses.fields(cls)}
    return _FIELD_TYPES[cls]
