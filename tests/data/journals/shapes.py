"""The form of every record and of all books, and what another release may change about it: add, with a default.

``python -m tests.data.journals.shapes`` notes today's form in ``shapes.json``, unless it breaks what was noted.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ballastd.core import events as ev
from ballastd.core.ledger import Ledger
from ballastd.core.plain import to_plain

NOTED = Path(__file__).with_name("shapes.json")
Shapes = dict[str, dict[str, str]]


def shapes() -> Shapes:
    """Return every class that a record or a checkpoint is made of, with its fields: ``type = default``; an enum's words."""
    found: Shapes = {}
    waiting: list[Any] = [Ledger, *typing.get_args(ev.Event)]
    while waiting:
        hint = waiting.pop()
        waiting += typing.get_args(hint)
        if not isinstance(hint, type) or isinstance(hint, types.GenericAlias) or hint.__name__ in found:
            continue
        if issubclass(hint, enum.Enum):
            found[hint.__name__] = {str(one.value): "" for one in hint}
        elif dataclasses.is_dataclass(hint):
            hints = typing.get_type_hints(hint)
            found[hint.__name__] = {spec.name: f"{spec.type}{_default(spec)}" for spec in dataclasses.fields(hint)}
            waiting += [hints[spec.name] for spec in dataclasses.fields(hint)]
    return dict(sorted(found.items()))


def _default(spec: dataclasses.Field[Any]) -> str:
    if spec.default_factory is not dataclasses.MISSING:
        return f" = {json.dumps(to_plain(spec.default_factory(), sparse=True))}"
    return "" if spec.default is dataclasses.MISSING else f" = {json.dumps(to_plain(spec.default))}"


def broken(noted: Shapes, now: Shapes) -> Iterator[str]:
    """Yield what journals of before, or releases of before, would trip over."""
    for name, fields in noted.items():
        if name not in now:
            yield f"{name} is gone"
            continue
        for field, form in fields.items():
            if now[name].get(field) != form:
                yield f"{name}.{field} was {form!r}, is {now[name].get(field)!r}"
        for field, form in now[name].items():
            if field not in fields and "=" not in form and any(fields.values()):
                yield f"{name}.{field} is new and has no default"


if __name__ == "__main__":
    trips = list(broken(json.loads(NOTED.read_text()), shapes())) if NOTED.exists() else []
    if not trips:
        NOTED.write_text(json.dumps(shapes(), indent=1) + "\n")
    sys.exit("\n".join(trips))
