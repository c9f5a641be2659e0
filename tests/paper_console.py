"""A daemon made of paper: a console that holds one view, writes commands down and answers as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from ballastd.core.inputs import Answer, OperatorCommand
from ballastd.core.quantities import VmId
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.summary import Summary, summarize
from ballastd.core.views import ClusterView, NoView
from ballastd.errors import BallastdError
from ballastd.ports.keeping import JournalRecord, KeptDefinition
from ballastd.web.app import create_app
from ballastd.web.server import ApiServer


class PaperConsole:
    """Implements the Console port. ``refuse``: the reason given to every command. ``trouble``: raised instead.
    ``mute``: commands are never answered."""

    def __init__(self, view: ClusterView | None = None) -> None:
        self.shown = view
        self.commands: list[OperatorCommand] = []
        self.records: list[JournalRecord] = []
        self.refuse = ""
        self.trouble: BallastdError | None = None
        self.mute = False
        self.copied: ClusterCopy | None = None
        self.definitions: dict[VmId, KeptDefinition] = {}
        self.reloaded: tuple[bool, str] = (True, "7 policies govern")

    def view(self) -> ClusterView | None:
        return self.shown

    def noes(self) -> tuple[NoView, ...]:
        return self.shown.noes if self.shown else ()

    async def command(self, command: OperatorCommand) -> Answer:
        self.commands.append(command)
        if self.mute:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        if self.refuse:
            return Answer(command.token, False, self.refuse)
        return Answer(command.token, True, f"{command.verb.value} {command.subject}".strip())

    async def journal(self, count: int) -> tuple[JournalRecord, ...]:
        if self.trouble is not None:
            raise self.trouble
        return tuple(self.records[-count:])

    async def definition(self, vm: VmId) -> KeptDefinition | None:
        if self.trouble is not None:
            raise self.trouble
        return self.definitions.get(vm)

    async def summary(self) -> Summary:
        if self.trouble is not None:
            raise self.trouble
        return summarize((), 0.0, 86400.0, {}, {"memory (alder db)": 12})

    async def reload(self) -> tuple[bool, str]:
        return self.reloaded

    def copy(self) -> ClusterCopy | None:
        return self.copied

    def counters(self) -> dict[str, float]:
        return {"malformed.alder": 3.0, "abandoned": 0.0, "odd": float("nan")}


@asynccontextmanager
async def asking(console: PaperConsole, path: Path, **choices: object) -> AsyncIterator[httpx.AsyncClient]:
    """Serve ``console`` on the socket ``path`` in this loop; yield a client of it."""
    server = ApiServer(create_app(console, **choices), path)  # type: ignore[arg-type]
    server.bind()
    task = asyncio.create_task(server.serve())
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path), verify=False),
                                     base_url="http://ballastd", timeout=10) as client:
            yield client
    finally:
        await server.stop()
        await task


@contextmanager
def served(console: PaperConsole, path: Path) -> Iterator[Path]:
    """Serve ``console`` on the socket ``path`` on a thread of its own, for callers that block."""
    server = ApiServer(create_app(console), path)
    server.bind()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),))
    thread.start()
    try:
        yield path
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop)
        thread.join()
        loop.close()
