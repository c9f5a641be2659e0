"""Metrics over plain HTTP on one TCP address, for Prometheus: one path, nothing else, nobody is asked who they are."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

import uvicorn

from ballastd.errors import ConfigurationError
from ballastd.web.metrics import Meter

CONNECTIONS_MAX = 16
BACKLOG = 16
LAST_WORDS_SECONDS = 2

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Serving(Protocol):
    """Something that serves until it is stopped."""

    async def serve(self) -> None:
        """Serve until ``stop``."""
        ...

    async def stop(self) -> None:
        """Stop serving."""
        ...


class Together:
    """Several servers as one."""

    def __init__(self, servers: Sequence[Serving]) -> None:
        self._servers = tuple(servers)

    async def serve(self) -> None:
        """Serve until ``stop``; where one fails, all end."""
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(server.serve())

    async def stop(self) -> None:
        """Stop them all."""
        await asyncio.gather(*(server.stop() for server in self._servers))


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class MetricsServer:
    """Serves ``/metrics`` on ``listen`` (address, port)."""

    def __init__(self, meter: Meter, listen: tuple[str, int]) -> None:
        self._listen = listen
        self._socket: socket.socket | None = None
        self._ended = asyncio.Event()
        self._serving = False
        self._server = _Server(uvicorn.Config(
            metrics_app(meter), ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, limit_concurrency=CONNECTIONS_MAX, backlog=BACKLOG,
            timeout_graceful_shutdown=LAST_WORDS_SECONDS))

    def bind(self) -> None:
        """Take the address.

        Raises:
            ConfigurationError: it cannot be taken.
        """
        address, port = self._listen
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((address, port))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise ConfigurationError((f"metrics.listen: {address}:{port} cannot be taken: {error.strerror}",)) from error
        self._socket = sock

    @property
    def port(self) -> int:
        """The port that was taken."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    async def serve(self) -> None:
        """Serve until ``stop``."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        self._serving = True
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ended.set()

    async def stop(self) -> None:
        """Take no more scrapes."""
        self._server.should_exit = True
        if self._serving:
            await self._ended.wait()
        elif self._socket is not None:
            self._socket.close()


def metrics_app(meter: Meter) -> Callable[[dict[str, Any], Receive, Send], Awaitable[None]]:
    """Return an ASGI application with one path."""
    async def app(scope: dict[str, Any], _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] != "/metrics":
            await _answer(send, 404, b"only /metrics is here\n", "text/plain")
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"GET it\n", "text/plain")
        else:
            accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
            body, content_type = meter.exposition(accept)
            await _answer(send, 200, b"" if scope["method"] == "HEAD" else body, content_type)

    return app


async def _answer(send: Send, status: int, body: bytes, content_type: str) -> None:
    headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
