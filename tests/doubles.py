"""Small classes that stand behind ports in tests: no patching, no magic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ballastd.core.quantities import HostName
from ballastd.errors import JournalError
from ballastd.ports import JournalHealth, JournalRecord

T = TypeVar("T")


class StraightThrough:
    """A ``Blocking`` that runs calls in place, for virtual time."""

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        return call()

    def abandoned(self) -> int:
        return 0

    async def close(self) -> None:
        return None


class PlainJournal:
    """A ``Journal`` in a list, which can be full."""

    def __init__(self) -> None:
        self.records: list[JournalRecord] = []
        self.full = False
        self.damage: str | None = None

    def open(self) -> JournalHealth:
        return JournalHealth(len(self.records), len(self.records), self.damage)

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        if self.full or self.damage:
            raise JournalError(self.damage or "database or disk is full")
        for content in contents:
            self.records.append(JournalRecord(len(self.records) + 1, revision, dict(content)))
        return len(self.records)

    def replay(self) -> Iterator[JournalRecord]:
        yield from tuple(self.records)

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        return tuple(self.records[-count:])

    def close(self) -> None:
        return None


class SilentNotices:
    """A ``Notices`` that keeps what it was given."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.cordons: dict[HostName, float] = {}
        self.rival: str | None = None

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def flush(self, seconds: float) -> bool:
        return True

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        self.published.append((topic, payload))

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        self.cordons[host] = until_wall

    def uncordon(self, host: HostName) -> None:
        self.cordons.pop(host, None)

    def claim(self, holder: str) -> None:
        return None

    def release(self) -> None:
        return None

    def rival_name(self) -> str | None:
        return self.rival
