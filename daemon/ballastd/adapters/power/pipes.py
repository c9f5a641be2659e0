"""Pipes to listen to: the first words are kept, the rest is read and dropped, so that nobody ever waits for us.

They are ours and not the subprocess transport's, which is done only when the last holder of a pipe is: a command that
leaves a child behind, as ssh does with a master connection, would never be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

KEPT_BYTES = 4096


class Words(asyncio.Protocol):
    """What is written into one pipe. ``writing``: the end to write to, until ``hang_up``; ``ended``: done when nobody
    holds that end any more; ``is_cut``: more was said than is kept."""

    def __init__(self, writing: int) -> None:
        self.writing = writing
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_cut = False
        self._kept = bytearray()

    @property
    def text(self) -> str:
        """What was said, without blanks around it."""
        return self._kept.decode(errors="replace").strip()

    def hang_up(self) -> None:
        """Close our own copy of the writing end."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def data_received(self, data: bytes) -> None:
        """Keep what there is room for."""
        room = KEPT_BYTES - len(self._kept)
        self._kept += data[:room]
        self.is_cut |= len(data) > room

    def connection_lost(self, _: Exception | None) -> None:
        """Nobody holds the other end any more, or we let go."""
        if not self.ended.done():
            self.ended.set_result(None)


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Words]:
    """Yield a pipe that is listened to, and let go of it afterwards.

    Raises:
        OSError: no more descriptors.
    """
    reading, writing = os.pipe()
    words = Words(writing)
    source = os.fdopen(reading, "rb", buffering=0)
    try:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: words, source)
        try:
            yield words
        finally:
            transport.close()
    finally:
        words.hang_up()
        source.close()
