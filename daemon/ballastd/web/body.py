"""A limit on what a request may carry and on how long it may take to arrive."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ballastd.web.problems import Problem

BODY_BYTES_MAX = 64 << 10
ARRIVAL_SECONDS_MAX = 10.0


class _Gone(Exception):
    """The caller hung up before the body was complete."""


class BodyLimit:
    """Lets a request through once its body has arrived whole: at most ``bytes_max``, within ``seconds_max``."""

    def __init__(self, app: ASGIApp, bytes_max: int = BODY_BYTES_MAX,
                 seconds_max: float = ARRIVAL_SECONDS_MAX) -> None:
        self._app = app
        self._bytes_max = bytes_max
        self._seconds_max = seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event of ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check_declared(scope)
            async with asyncio.timeout(self._seconds_max):
                body = await self._collect(receive)
        except _Gone:
            return
        except TimeoutError:
            problem = Problem(HTTPStatus.REQUEST_TIMEOUT, "too-slow", "The request came too slowly",
                              f"its body was not complete within {self._seconds_max:g} s")
            await _refuse(problem, scope, receive, send)
        except Problem as problem:
            await _refuse(problem, scope, receive, send)
        else:
            await self._app(scope, _replay(body, receive), send)

    def _check_declared(self, scope: Scope) -> None:
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 18 or int(declared) > self._bytes_max:
            raise self._too_large()

    async def _collect(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > self._bytes_max:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> Problem:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", "The request is too large",
                       f"a body may have {self._bytes_max} bytes at most")


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    response = problem.response()
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
