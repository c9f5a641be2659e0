"""The local API: what the daemon shows of itself, and what an operator may ask of it."""

from __future__ import annotations

import grp

from fastapi import FastAPI

from ballastd import __version__
from ballastd.errors import ConfigurationError
from ballastd.ports.running import Blocking, Console
from ballastd.web import commanding, problems, reading
from ballastd.web.access import Desk
from ballastd.web.body import BodyLimit
from ballastd.web.models import Pictures
from ballastd.web.peers import Names

ANSWER_SECONDS = 30.0


def create_app(console: Console, *, blocking: Blocking | None = None, operators: str | None = None,
               answer_seconds: float = ANSWER_SECONDS) -> FastAPI:
    """Return the application over ``console``.

    ``blocking`` keeps look-ups of user names off the event loop. ``operators``: a group whose members may
    command while others only look; None lets everybody command who may open the socket.

    Raises:
        ConfigurationError: there is no group ``operators``.
    """
    app = FastAPI(title="ballastd", version=__version__, docs_url=None, redoc_url=None,
                  description="What the daemon shows of itself, and what an operator may ask of it.")
    app.state.desk = Desk(console, Names(blocking), None if operators is None else group_id(operators),
                          answer_seconds)
    app.state.pictures = Pictures()
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.include_router(reading.router)
    app.include_router(commanding.router)
    return app


def group_id(name: str) -> int:
    """Return the id of the group ``name``.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError((
            f"there is no group {name!r} on this machine; `groupadd --system {name}`, or name another",)) from None
