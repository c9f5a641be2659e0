"""Many small results become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")


def together(nothing: R, found: Sequence[R]) -> R:
    """Return one result that has everything that ``found`` have, each field in their order. ``nothing``: one of their kind
    with nothing in it, whose fields are all collections (tuples, frozensets) that can be made of what is in them."""
    return type(nothing)(**{
        one.name: type(getattr(nothing, one.name))(chain.from_iterable(getattr(part, one.name) for part in found))
        for one in fields(nothing)})
