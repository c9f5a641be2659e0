"""Who is at the other end of a unix socket, by the kernel's word and not by its own."""

from __future__ import annotations

import pwd
import socket
import struct
from dataclasses import dataclass

from fastapi import Request

from ballastd.errors import Unreachable
from ballastd.ports.running import Blocking
from ballastd.web.text import one_line

_UCRED = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""Linux 4.13, include/uapi/asm-generic/socket.h; the standard library does not name it."""
_GROUPS_BYTES = 1024
_NAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that opened the connection, as it was at that moment."""

    pid: int
    uid: int
    gids: frozenset[int]


def peer_of(sock: socket.socket) -> Peer | None:
    """Return who opened ``sock``, or None where the kernel cannot say (not a unix socket)."""
    if sock.family != socket.AF_UNIX:
        return None
    try:
        pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except OSError:
        return None
    return Peer(pid, uid, _groups_of(sock) | {gid}) if uid >= 0 else None


def _groups_of(sock: socket.socket) -> frozenset[int]:
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError:
        # more groups than fit, or an old kernel: the primary group is what remains
        return frozenset()
    return frozenset(struct.unpack(f"{len(raw) // 4}I", raw[:len(raw) // 4 * 4]))


def asking(request: Request) -> Peer | None:
    """Return the peer behind ``request``, or None where nobody vouches for it."""
    peer = getattr(request.state, "peer", None)
    return peer if isinstance(peer, Peer) else None


class Names:
    """User names by uid. The system's name service may sit behind a network: with ``blocking`` it is asked on
    a lane of its own and given a second; without, it is asked in place."""

    def __init__(self, blocking: Blocking | None = None) -> None:
        self._blocking = blocking

    async def of(self, uid: int) -> str:
        """Return the name of ``uid``, or ``uid 1000`` where it has none or none was found in time."""
        try:
            if self._blocking is None:
                return _name(uid)
            return await self._blocking.run("user-names", lambda: _name(uid), deadline=_NAME_SECONDS)
        except Unreachable:
            return f"uid {uid}"


def _name(uid: int) -> str:
    try:
        return one_line(pwd.getpwuid(uid).pw_name) or f"uid {uid}"
    except KeyError:
        return f"uid {uid}"
