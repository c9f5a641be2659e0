"""Many small results become one, with everything that each of them has, in order."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ballastd.core.gathering import together
from ballastd.core.last_resorts import Resorts
from ballastd.core.shutdowns import Shutting


@dataclass(frozen=True)
class _Found:
    first: tuple[int, ...] = ()
    second: tuple[str, ...] = ()
    third: frozenset[str] = frozenset()


def test_each_field_is_joined_in_order_and_keeps_its_kind() -> None:
    found = together(_Found(), [_Found((1, 2), ("a",), frozenset("x")), _Found(), _Found((1,), ("b",), frozenset("xy"))])
    assert found == _Found((1, 2, 1), ("a", "b"), frozenset("xy"))
    assert together(_Found(), []) == _Found()


def test_what_is_joined_so_has_nothing_but_collections() -> None:
    for nothing in (Resorts(), Shutting()):
        assert all(isinstance(getattr(nothing, one.name), tuple | frozenset) for one in fields(nothing))
