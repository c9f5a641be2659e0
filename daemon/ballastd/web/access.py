"""What a route needs before it answers: the console, a view, and the right to command."""

from __future__ import annotations

import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from ballastd.core.views import ClusterView
from ballastd.ports.running import Console
from ballastd.web.peers import Names, Peer, asking
from ballastd.web.problems import Problem
from ballastd.web.text import one_line


@dataclass(frozen=True, slots=True)
class Desk:
    """What all routes share. ``operators``: a group id whose members may command, or None when whoever may
    open the socket may also command. ``answer_seconds``: how long a command may take to be answered."""

    console: Console
    names: Names
    operators: int | None = None
    answer_seconds: float = 30.0


def the_desk(request: Request) -> Desk:
    """Return what all routes share."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


async def _desk(request: Request) -> Desk:
    return the_desk(request)


async def _view(request: Request) -> ClusterView:
    view = the_desk(request).console.view()
    if view is None:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "starting", "The daemon is still starting",
                      "it has not finished its first look at the cluster, so there is nothing to show or command yet",
                      "ask again in a few seconds; its log tells which hosts it waits for")
    return view


async def _commander(request: Request) -> Peer:
    if request.url.query:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid",
                      "commands take their words in a JSON body, not in the query", "see /openapi.json")
    peer = asking(request)
    if peer is None:
        raise Problem(HTTPStatus.FORBIDDEN, "nobody", "Nobody vouches for who asks",
                      "commands need a caller that the kernel can name",
                      "ask over the daemon's own unix socket, not through a relay")
    operators = the_desk(request).operators
    if operators is not None and peer.uid not in (0, os.geteuid()) and operators not in peer.gids:
        raise Problem(HTTPStatus.FORBIDDEN, "not-an-operator", "Not an operator",
                      f"uid {peer.uid} may look, but is not in the operators' group (gid {operators})",
                      "ask an operator, or be added to the group and log in again")
    return peer


async def on_record(desk: Desk, peer: Peer, claimed: str) -> str:
    """Return who goes on record: the user whom the kernel names, and for whom they say they act."""
    name = await desk.names.of(peer.uid)
    words = one_line(claimed)
    return f"{name} (for {words})" if words and words != name else name


DeskNeeded = Annotated[Desk, Depends(_desk)]
ViewNeeded = Annotated[ClusterView, Depends(_view)]
Commander = Annotated[Peer, Depends(_commander)]
