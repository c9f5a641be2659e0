"""The API on a unix socket: bound by us, so that nobody outside its group can open it even for a moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from ballastd.errors import ConfigurationError
from ballastd.web.app import group_id
from ballastd.web.peers import Peer, peer_of

PATH_BYTES_MAX = 107
"""sun_path of unix(7), less its closing zero."""
CONNECTIONS_MAX = 128
CONNECTIONS_PER_USER_MAX = 16
"""Nobody but root can fill the server up and keep the others from pausing the daemon."""
FIRST_REQUEST_SECONDS = 10.0
BACKLOG = 64
LAST_WORDS_SECONDS = 3


class _PeerProtocol(H11Protocol):
    """HTTP/1.1 that tells each request who opened its connection, in ``request.state.peer``, and that closes
    connections on which nothing is asked and those that are one too many for their user."""

    peer: Peer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        self.peer = None if sock is None else peer_of(sock)
        self.app_state = {**self.app_state, "peer": self.peer}
        if self._one_too_many():
            transport.close()
        else:
            self.loop.call_later(FIRST_REQUEST_SECONDS, self._ask_or_go)

    def _one_too_many(self) -> bool:
        if self.peer is None or self.peer.uid == 0:
            return False
        theirs = [other for other in self.connections
                  if isinstance(other, _PeerProtocol) and other.peer and other.peer.uid == self.peer.uid]
        return len(theirs) > CONNECTIONS_PER_USER_MAX

    def _ask_or_go(self) -> None:
        if not self.cycle:
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that leaves signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves ``app`` on a unix socket at ``socket_path``, open to its owner and, at most, to ``group``."""

    def __init__(self, app: FastAPI, socket_path: str | Path, mode: int = 0o660, group: str | None = None) -> None:
        self._path = Path(socket_path)
        self._mode = mode
        self._group = group
        self._socket: socket.socket | None = None
        self._inode = -1
        self._serving = False
        self._ended = asyncio.Event()
        config = uvicorn.Config(
            app, http=_PeerProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS_MAX, backlog=BACKLOG,
            timeout_graceful_shutdown=LAST_WORDS_SECONDS)
        self._server = _Server(config)

    def bind(self) -> None:
        """Take the socket; ``serve`` does it if nobody did before.

        The socket file of a daemon that died is removed, nothing else is.

        Raises:
            ConfigurationError: another daemon answers there, or the path or group cannot be used.
        """
        if self._socket is not None:
            return
        if len(os.fsencode(self._path)) > PATH_BYTES_MAX:
            raise ConfigurationError((f"{self._path}: longer than the {PATH_BYTES_MAX} bytes a unix socket may have",))
        gid = -1 if self._group is None else group_id(self._group)
        _clear_stale(self._path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            # the file takes its mode from the socket: nobody else can open it before the group is right
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(os.fspath(self._path))
            if gid >= 0:
                os.chown(self._path, -1, gid)
            self._path.chmod(self._mode)
            self._inode = self._path.lstat().st_ino
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            raise ConfigurationError((_cannot_bind(self._path, error),)) from error
        self._socket = sock

    async def serve(self) -> None:
        """Serve until ``stop`` is called or the task is cancelled; then the socket file is gone.

        Raises:
            ConfigurationError: see ``bind``.
        """
        self.bind()
        assert self._socket is not None
        self._serving = True
        try:
            await self._server.serve(sockets=[self._socket])
        except asyncio.CancelledError:
            if self._server.started:
                await self._server.shutdown(sockets=[self._socket])
            raise
        finally:
            self.release()

    async def stop(self) -> None:
        """Take no more connections, let those that are answered end (for a few seconds), and return when
        ``serve`` is about to."""
        self._server.should_exit = True
        if self._serving:
            await self._ended.wait()
        else:
            self.release()

    def release(self) -> None:
        """Give the socket back without serving on it: for a daemon that fails between ``bind`` and ``serve``."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):
                if self._path.lstat().st_ino == self._inode:
                    self._path.unlink()
        self._ended.set()


def _clear_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError((_cannot_bind(path, error),)) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ConfigurationError((f"{path}: exists and is not a socket; it is left alone, choose another path",))
    if _answers(path):
        raise ConfigurationError((
            f"{path}: another daemon answers there; stop it first, or give this one a socket of its own",))
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _answers(path: Path) -> bool:
    probe: Any
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            # no permission, or a queue that is full: somebody is there
            return True
    return True


def _cannot_bind(path: Path, error: OSError) -> str:
    cures = {FileNotFoundError: f"create {path.parent} first (the unit's RuntimeDirectory= does)",
             PermissionError: f"run as a user who may write {path.parent} and who is in the socket's group"}
    cure = cures.get(type(error), "choose another path")
    return f"{path}: cannot serve there: {error.strerror or error}; {cure}"
