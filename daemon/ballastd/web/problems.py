"""Errors as RFC 9457 problem details: what is wrong, about what, and what the caller can do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ballastd.errors import BallastdError, JournalError
from ballastd.web.text import shown

MEDIA_TYPE = "application/problem+json"
ECHO_MAX = 80
SPOTS_MAX = 20


class Problem(Exception):
    """An answer that is not the one hoped for. ``slug`` names its kind for programs and never changes."""

    def __init__(self, status: HTTPStatus, slug: str, title: str, detail: str, cure: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title
        self.detail = detail
        self.cure = cure
        self.extra = extra

    def content(self) -> dict[str, Any]:
        """Return the problem document."""
        document = {"type": f"urn:ballastd:problem:{self.slug}", "title": self.title, "status": int(self.status),
                    "detail": self.detail, **self.extra}
        return {**document, "cure": self.cure} if self.cure else document

    def response(self) -> JSONResponse:
        """Return the problem as a response; one that may pass says when to ask again."""
        headers = {"Retry-After": "1"} if self.status is HTTPStatus.SERVICE_UNAVAILABLE else None
        return JSONResponse(self.content(), self.status, headers, MEDIA_TYPE)


def unknown(what: str, asked: str, known: Iterable[str]) -> Problem:
    """Return the problem of a name that stands for nothing, with the names that come close."""
    near = difflib.get_close_matches(asked[:ECHO_MAX], sorted(set(known)), n=3)
    cure = f"did you mean {' or '.join(shown(name) for name in near)}?" if near else ""
    return Problem(HTTPStatus.NOT_FOUND, f"no-such-{what}", f"No such {what}",
                   f"there is no {what} {shown(asked, ECHO_MAX)!r}", cure)


def install(app: FastAPI) -> None:
    """Make every error that leaves ``app`` a problem document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(JournalError, _on_journal)
    app.add_exception_handler(BallastdError, _on_trouble)
    app.add_exception_handler(Exception, _on_mistake)


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    spots = [f"{'.'.join(shown(str(part), ECHO_MAX) for part in spot['loc'])}: {shown(spot['msg'])}"
             for spot in error.errors()[:SPOTS_MAX]]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid", "; ".join(spots),
                   "see /openapi.json for what is accepted", errors=spots).response()


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    response = Problem(status, status.phrase.lower().replace(" ", "-"), status.phrase, shown(str(error.detail)),
                       "see /openapi.json for what there is").response()
    response.headers.update(error.headers or {})
    return response


async def _on_journal(_request: Request, error: Exception) -> JSONResponse:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "journal", "The journal cannot be used", shown(str(error)),
                   "free or repair its disk; nothing is done that the journal does not hold").response()


async def _on_trouble(_request: Request, error: Exception) -> JSONResponse:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "trouble", "The daemon is in trouble", shown(str(error)),
                   "see its log").response()


async def _on_mistake(_request: Request, _error: Exception) -> JSONResponse:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "mistake", "A mistake of the daemon's own",
                   "the request ran into a fault that its authors did not foresee", "see its log, and report it",
                   ).response()
