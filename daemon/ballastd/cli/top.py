"""``ballastctl top``: the whole cluster at a glance, again and again."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from ballastd.cli.client import Daemon
from ballastd.cli.options import PAUSE, with_daemon

if TYPE_CHECKING:
    from ballastd.cli.live.source import Source
    from ballastd.core.views import RecentView

PICTURE_SECONDS = 3.0
"""How long a picture may take: a daemon that hangs should be shown as such."""


@click.command("top")
@click.option("--interval", type=PAUSE, default=1.0, show_default=True, metavar="SECONDS", help="How often to look.")
@click.option("--once", is_flag=True, help="Look once and end.")
@with_daemon
def top_command(daemon: Daemon, interval: float, once: bool) -> None:
    """Show hosts, busy VMs, migrations, conditions, decisions, limits: live, until Ctrl-C.

    A daemon that goes away is waited for; the last picture stays, with its age. Where the output is no terminal,
    a block of plain lines each time, with columns that stay where they are.

    \b
    Examples:
      ballastctl top
      ballastctl top --once
      ballastctl top --interval 60 >> top.log
    """
    from ballastd.cli.live.header import Picture
    from ballastd.cli.live.screen import is_live, print_frame, show_frames
    from ballastd.cli.live.source import Source

    source = Source(lambda: daemon.read("view", seconds_max=PICTURE_SECONDS))
    try:
        if not is_live():
            _write_blocks(source, interval, once)
        elif once:
            print_frame(Picture(source.view()))
        else:
            show_frames(source.picture, interval)
    except KeyboardInterrupt:
        return


def _write_blocks(source: Source, interval: float, once: bool) -> None:
    from ballastd.cli.live.header import Picture
    from ballastd.cli.live.plain import block
    from ballastd.cli.live.signs import signs_for

    signs = signs_for(sys.stdout.encoding or "ascii")
    told: tuple[RecentView, ...] | None = None
    titles = True
    while True:
        began = time.monotonic()
        picture = Picture(source.view()) if once else source.picture()
        click.echo("\n".join(block(picture, time.time(), signs, told, titles=titles)))
        if once:
            return
        if picture.view is not None:
            titles = False
            told = picture.view.recent
        time.sleep(max(0.0, began + interval - time.monotonic()))
