"""``ballastd demo``: a pretend site in this process, the daemon as it is, and a story with claims."""

from __future__ import annotations

import logging
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click
import structlog
from rich.console import Console, RenderableType

from ballastd.cli.client import Daemon
from ballastd.cli.demo.chapters import Cast, play
from ballastd.cli.demo.telling import Narrator, wait_for
from ballastd.cli.live.screen import is_live, painted
from ballastd.cli.live.source import Source
from ballastd.demo import site as site_module
from ballastd.demo.policies import TIMING, by_day
from ballastd.demo.site import Site
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.settings import TimingSettings

READY_SECONDS = 40.0
PICTURE_SECONDS = 2.0
STORY_LINES = 14
"""Lines of a terminal that are left to the story above the picture."""
LINES_MIN = 8
EXIT_INTERRUPTED = 130


@click.command("demo")
@click.option("--stay", is_flag=True, help="When the story is over, go on until Ctrl-C: to try ballastctl on it.")
@click.option("--no-story", is_flag=True, help="No story, only the site, until Ctrl-C.")
def demo_command(stay: bool, no_story: bool) -> None:
    """Watch ballastd at work on a pretend cluster: no root, no libvirt, no broker on this machine, nothing left behind.

    The daemon is the one of production, with its own journal and API, and a broker in this process that it hears its hosts
    over. Only the hosts are pretended, in real time. In six chapters a hot host is relieved, a failing one evacuated, one
    switched off for the night and woken, a move by hand respected, and a hot room recognized; each claim is checked against
    the truth of the simulator. It takes about three minutes and needs the extra: pip install 'ballastd[demo]'.

    \b
    Examples:
      ballastd demo
      ballastd demo --stay          then, in another terminal, ballastctl --socket ... as it says
      ballastd demo | tee demo.txt  plain lines, no picture
    """
    teller, home = Narrator(), Path(tempfile.mkdtemp(prefix="ballastd-demo-"))
    _log_to(home / "ballastd.log")
    site = Site(home, load_cluster(Path(site_module.__file__).with_name("site.yaml")),
                TimingSettings.model_validate(TIMING).compiled(), by_day())
    before = signal.signal(signal.SIGTERM, _end)
    is_whole = False
    try:
        is_whole = _perform(teller, site, stay=stay, story=not no_story)
    except KeyboardInterrupt:
        teller.close()
        teller.say("Interrupted; everything is being taken down")
        is_whole = True
        sys.exit(EXIT_INTERRUPTED)
    finally:
        teller.close()
        site.stop()
        signal.signal(signal.SIGTERM, before)
        if is_whole:
            shutil.rmtree(home, ignore_errors=True)
        else:
            teller.say(f"The daemon's log and journal are kept in {home}")
    sys.exit(0 if is_whole else 1)


def _perform(teller: Narrator, site: Site, *, stay: bool, story: bool) -> bool:
    teller.say("Raising six pretend hosts, a broker on loopback, and ballastd, the unmodified daemon")
    site.start()
    daemon = Daemon(str(site.socket))
    source = Source(lambda: daemon.read("view", seconds_max=PICTURE_SECONDS))
    teller.say(f"Ask it yourself: ballastctl --socket {site.socket} top    (broker: mqtt://127.0.0.1:{site.port})")
    if is_live():
        teller.watch(lambda: _picture(source, teller.console))
    if not wait_for(lambda: is_acting(daemon), READY_SECONDS):
        teller.say("[red]the daemon does not get ready[/red]")
        return False
    if story:
        play(Cast(teller, site, daemon))
        teller.close()
        teller.sum_up("Claims, each checked against the truth of the pretend hosts")
    if stay or not story:
        teller.say("It goes on until Ctrl-C")
        if story and is_live():
            teller.watch(lambda: _picture(source, teller.console))
        signal.pause()
    return teller.all_hold()


def is_acting(daemon: Daemon) -> bool:
    """Return whether the daemon is up and acts."""
    try:
        return bool(daemon.get("status")["posture"] == "acting")
    except click.ClickException:  # it has not looked at everybody yet
        return False


def _picture(source: Source, console: Console) -> RenderableType:
    height = max(LINES_MIN, console.height - STORY_LINES)
    return painted(source.picture(), console, height)


def _log_to(file: Path) -> None:
    """The daemon's log goes beside its journal: the terminal belongs to the story."""
    handler = logging.FileHandler(file, encoding="utf-8")
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file.open("a", encoding="utf-8", buffering=1)))


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
