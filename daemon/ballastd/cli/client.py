"""The daemon as the command line sees it: JSON over its unix socket, and trouble as one helpful sentence."""

from __future__ import annotations

import errno
import json
import os
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from ballastd.cli.formats import printable

if TYPE_CHECKING:
    import httpx

DEFAULT_SOCKET = "/run/ballastd/api.sock"
ANSWER_SECONDS = 40.0
"""Longer than the daemon itself waits for an answer, so that it is the one to say so."""


class Refused(click.ClickException):
    """The daemon answered, and the answer was no (exit code 1). ``status``: of HTTP, 0 where there was none."""

    exit_code = 1

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class DaemonUnreachable(click.ClickException):
    """Nobody answered (exit code 3)."""

    exit_code = 3


class Daemon:
    """A daemon behind the unix socket ``path``."""

    def __init__(self, path: str, seconds_max: float = ANSWER_SECONDS) -> None:
        self._path = path
        self._seconds_max = seconds_max

    def get(self, *parts: str, **query: str | int) -> Any:
        """Return what is at ``/v1/<parts>``.

        Raises:
            Refused: the daemon said no.
            DaemonUnreachable: it did not answer.
        """
        return self._ask("GET", parts, query, None)

    def read(self, *parts: str, seconds_max: float) -> bytes:
        """Return what is at ``/v1/<parts>`` as it is written, if it comes within ``seconds_max``.

        Raises:
            Refused: the daemon said no.
            DaemonUnreachable: it did not answer.
        """
        response = self._response("GET", parts, {}, None, seconds_max)
        if not response.is_success:
            _content(response)
        return response.content

    def post(self, *parts: str, **body: object) -> Any:
        """Send a command to ``/v1/<parts>``; what is None is left out. Root through sudo says for whom.

        Raises:
            Refused: the daemon said no.
            DaemonUnreachable: it did not answer; the command may still be carried out.
        """
        given = {key: value for key, value in body.items() if value is not None}
        return self._ask("POST", parts, {}, {**given, "by": os.environ.get("SUDO_USER", "")[:100]})

    def _ask(self, method: str, parts: tuple[str, ...], query: dict[str, str | int],
             body: dict[str, object] | None) -> Any:
        return _content(self._response(method, parts, query, body, self._seconds_max))

    def _response(self, method: str, parts: tuple[str, ...], query: dict[str, str | int],
                  body: dict[str, object] | None, seconds_max: float) -> httpx.Response:
        import httpx

        self._knock(seconds_max)
        url = "/v1/" + "/".join(quote(part, safe="") for part in parts)
        transport = httpx.HTTPTransport(uds=self._path, verify=False)  # there is no TLS on it
        try:
            with httpx.Client(transport=transport, base_url="http://ballastd", timeout=seconds_max) as client:
                return client.request(method, url, params=query, json=body)
        except httpx.TimeoutException as error:
            raise DaemonUnreachable(
                f"ballastd at {self._path} has not answered for {seconds_max:g} s"
                + ("" if body is None else "; the command may still be carried out: look at `ballastctl journal`"),
            ) from error
        except httpx.TransportError as error:
            raise DaemonUnreachable(f"ballastd at {self._path} hung up before it had answered: {error}") from error

    def _knock(self, seconds_max: float) -> None:
        """Connect once and leave again: the system's own error tells best what is wrong."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.settimeout(seconds_max)
            try:
                door.connect(self._path)
            except OSError as error:
                raise DaemonUnreachable(_unreachable(self._path, error)) from error


def _content(response: httpx.Response) -> Any:
    try:
        content = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Refused("the daemon has too many callers at the moment; try again", response.status_code) from None
        raise Refused(f"the daemon answered {response.status_code} with something that is no JSON; "
                      "is it ballastd that listens there?", response.status_code) from None
    if response.is_success:
        return content
    raise Refused(_told(content, response.status_code), response.status_code)


def _told(problem: Any, status: int) -> str:
    if not isinstance(problem, dict):
        return f"the daemon answered {status}"
    detail = printable(str(problem.get("detail", f"the daemon answered {status}")))
    cure = printable(str(problem.get("cure", "")))
    return f"{detail}\n  {cure}" if cure else detail


def _unreachable(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return (f"no ballastd at {path}: there is no such socket. Is it running (systemctl status ballastd)? "
                "If its socket is elsewhere, name it with --socket or in BALLASTD_SOCKET.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return (f"you may not open {path}. Use sudo, or be added to the group that owns it "
                f"(ls -l {path}) and log in again.")
    if error.errno == errno.ECONNREFUSED:
        return (f"nobody listens at {path}: its daemon has ended. See why with `journalctl -u ballastd -e`, then "
                "start it (systemctl start ballastd).")
    return f"no answer from ballastd at {path}: {error}"
