"""What the daemon told people while a round lasted, read off its log: it writes there whatever it publishes as a notice."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.lab.guest import LabGuest

UNREACHABLE = "host does not answer"


@dataclass(frozen=True, slots=True)
class Told:
    """``alarms``: their texts, oldest first; ``unreachable``: hosts that it said do not answer."""

    alarms: tuple[str, ...] = ()
    unreachable: frozenset[str] = frozenset()

    def of(self, guest: LabGuest) -> list[str]:
        """Return the alarms that name a guest: by its name, whole, or by its UUID."""
        word = re.compile(rf"(?<![\w.-]){re.escape(guest.name)}(?![\w-]|\.\w)")
        return [alarm for alarm in self.alarms if word.search(alarm) or guest.uuid in alarm]


def told_in(log: str) -> Told:
    """Return what is told in a daemon's log; lines that are none of its own are passed over."""
    alarms: list[str] = []
    unreachable: set[str] = set()
    for line in log.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record.get("level_of_notice") == "alarm":
            alarms.append(str(record["event"]))
        if record.get("event") == UNREACHABLE:
            unreachable.add(str(record["host"]))
    return Told(tuple(alarms), frozenset(unreachable))
