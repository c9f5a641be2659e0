"""Pictures of a daemon, one after the other: the last one stays while the daemon does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

import click

from ballastd.cli.client import DaemonUnreachable, Refused
from ballastd.cli.live.header import Picture
from ballastd.core.views import ClusterView
from ballastd.web.models import picture_of


class Source:
    """Asks by ``read`` for the picture as the daemon writes it. ``clock``: monotonic seconds."""

    def __init__(self, read: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._view: ClusterView | None = None
        self._heard = clock()

    def view(self) -> ClusterView:
        """Return the view as it is now.

        Raises:
            Refused: the daemon has none, or none that can be read.
            DaemonUnreachable: it did not answer.
        """
        try:
            return picture_of(self._read())
        except ValueError as error:
            raise Refused(f"the daemon's picture cannot be read: {error}") from None
        except Refused as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise Refused("this daemon shows no such picture: it is older than this command; restart it "
                              "(systemctl restart ballastd)", error.status) from None
            raise

    def picture(self) -> Picture:
        """Return the view as it is now, or the last one and what is the matter."""
        try:
            self._view = self.view()
        except click.ClickException as error:
            silent = self._clock() - self._heard
            return Picture(self._view, error.message, silent, answers=not isinstance(error, DaemonUnreachable))
        self._heard = self._clock()
        return Picture(self._view)
