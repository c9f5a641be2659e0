"""Has a release write the story into a journal by its own code.

``PYTHONPATH=RELEASE/daemon python -m tests.data.journals.write DIR``, from the root of this tree. What the release does not
know of the story is left out: kinds, and fields of kinds. Beside the journal it leaves what its books held at the end,
``books.json``; a release that archives has put away what was before the second run's checkpoint.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import typing
from collections import deque
from pathlib import Path
from typing import Any

from ballastd.adapters.journal import SqliteJournal
from ballastd.core import events as ev
from ballastd.core.ledger import Ledger
from tests.data.journals.story import STORY

CHECKPOINT_WALL = 1399.0


def known(plain: dict[str, Any]) -> dict[str, Any] | None:
    """Return what of a record this release knows, as it would write it, or None."""
    kind = {one.__name__: one for one in typing.get_args(ev.Event)}.get(plain["kind"])
    if kind is None:
        return None
    names = {spec.name for spec in dataclasses.fields(kind)}
    said = json.loads(json.dumps({name: value for name, value in plain.items() if name in names}))
    return ev.to_record(ev.from_record({"v": ev.RECORD_VERSION, "kind": plain["kind"], **said}))


def books(value: Any) -> Any:
    """Return what a ledger of any release holds, as JSON can say it; where an enum's word is all there is to say, that."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {spec.name: books(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    if isinstance(value, dict):
        return [[books(key), books(one)] for key, one in value.items()]
    return [books(one) for one in value] if isinstance(value, tuple | list | deque) else value


def write(path: Path) -> Ledger:
    """Write the story into a new journal at ``path``; return the books at its end."""
    ledger, journal = Ledger(), SqliteJournal(path)
    assert journal.open().damage is None
    for revision, batch in enumerate(STORY, 1):
        records = [record for plain in batch if (record := known(plain)) is not None]
        if batch[0]["wall"] > CHECKPOINT_WALL and hasattr(ledger, "checkpoint") and not ledger.running:
            before = journal.append(revision, [ev.to_record(ledger.checkpoint(CHECKPOINT_WALL))])
            journal.archive(before)
            journal.cut(before)
        for record in records:
            ledger.apply(ev.from_record(record))
        journal.append(revision, records)
    journal.close()
    return ledger


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True)
    ended = write(place / "journal.db")
    (place / "journal.db.lock").unlink()
    (place / "books.json").write_text(json.dumps(books(ended), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
