"""Recordings on disk: a file of JSON lines a day, written beside the control loop and never in its way."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
from collections import deque
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from ballastd.errors import Unreachable
from ballastd.ports.running import Blocking, Clock

log = structlog.get_logger(__name__)

WAITING_MAX = 50_000
WRITE_SECONDS, LANE, DEADLINE_SECONDS = 5.0, "recording", 30.0
SUFFIX, PACKED = ".jsonl", ".jsonl.gz"
BLOCK_BYTES = 64 * 1024
_OURS = re.compile(r"\d{4}-\d\d-\d\d\.jsonl(\.gz)?")


class FileRecording:
    """Writes entries to ``directory``, a file for each day of UTC, and keeps files for ``keep`` seconds.

    What cannot be written is counted and dropped: a recording is worth nothing beside the cluster itself. Trouble is
    logged once until it is over. ``dropped``: how many entries were lost.
    """

    def __init__(self, directory: Path, keep: float, blocking: Blocking, clock: Clock) -> None:
        self.dropped = 0
        self._directory, self._keep = directory, keep
        self._blocking, self._clock = blocking, clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._day = ""
        self._is_failing = False

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Take entries to be written soon."""
        self._waiting.extend(entries)
        while len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self.flush()
            await asyncio.sleep(WRITE_SECONDS)

    async def flush(self) -> None:
        """Write what waits, as far as that is possible."""
        if not self._waiting:
            return
        entries = list(self._waiting)
        self._waiting.clear()
        try:
            await self._blocking.run(LANE, lambda: self._write(entries), deadline=DEADLINE_SECONDS)
        except (OSError, ValueError, Unreachable) as error:  # a name may hold what no file can
            self.dropped += len(entries)
            if not self._is_failing:
                log.warning("the recording cannot be written; it goes on without", reason=str(error))
            self._is_failing = True
        else:
            if self._is_failing:
                log.info("the recording is written again", dropped=self.dropped)
            self._is_failing = False

    def _write(self, entries: list[dict[str, Any]]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        for day, of_day in groupby(entries, lambda entry: _day(float(entry["at"]))):
            if day != self._day:
                self._day = day
                self._tidy(day)
            text = "".join(f"{json.dumps(entry, ensure_ascii=False, separators=(',', ':'))}\n" for entry in of_day).encode()
            with (self._directory / f"{day}{SUFFIX}").open("a+b") as file:
                _drop_half_a_line(file)
                file.write(text)

    def _tidy(self, today: str) -> None:
        """Pack the files of days before, and drop those that are too old. What somebody called otherwise is his to keep."""
        oldest = _day(self._clock.now().wall - self._keep)
        for path in sorted(path for path in self._directory.glob(f"*{SUFFIX}*") if _OURS.fullmatch(path.name)):
            day = path.name.partition(".")[0]
            if day < oldest:
                path.unlink()
            elif day < today and path.suffix != ".gz":
                packed = path.with_name(f"{day}{PACKED}")
                with path.open("rb") as plain, gzip.open(packed, "ab") as small:
                    shutil.copyfileobj(plain, small)
                path.unlink()


def _drop_half_a_line(file: BinaryIO) -> None:
    """Take out what stands after the last whole line: whoever wrote it was killed, or the disk was full."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - BLOCK_BYTES)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        end = begin if found < 0 else begin + found + 1
        if found >= 0:
            break
    file.truncate(end)


def _day(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d")
