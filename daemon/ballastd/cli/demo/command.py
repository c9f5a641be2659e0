"""``ballastd demo``: a pretend site in this process, the daemon as it is, and a story with claims."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click
import structlog
from rich.console import Console, RenderableType

from ballastd.cli.client import Daemon
from ballastd.cli.demo.chapters import Cast, hand_over, play
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
STORY_LINES = 11
"""Lines of a terminal that are left to the story above the picture."""
LINES_MIN = 8
EXIT_INTERRUPTED = 130
ENDING = (signal.SIGTERM, signal.SIGHUP)


@click.command("demo")
@click.option("--stay", is_flag=True, help="When the story is over, go on until Ctrl-C: to try ballastctl on it.")
@click.option("--no-story", is_flag=True, help="No story, only the site, until Ctrl-C.")
@click.option("--record", type=click.Path(file_okay=False, path_type=Path), metavar="DIRECTORY",
              help="Keep what the daemon sees there, for ballastctl replay.")
def demo_command(stay: bool, no_story: bool, record: Path | None) -> None:
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
      ballastd demo --record seen   then: ballastctl replay seen --policies yours

    Exit status: 0 every claim held, 1 one did not (the daemon's log and journal are kept and named), 130 interrupted.
    """
    if record is not None:
        _make(record)
    teller, home = Narrator(), Path(tempfile.mkdtemp(prefix="ballastd-demo-"))
    _log_to(home / "ballastd.log")
    site = Site(home, load_cluster(Path(site_module.__file__).with_name("site.yaml")),
                TimingSettings.model_validate(TIMING).compiled(), by_day(), record)
    has_failed = False
    with _signals():
        try:
            has_failed = not _perform(teller, site, stay=stay, story=not no_story)
        except KeyboardInterrupt:
            teller.close()
            teller.say("Interrupted; everything is being taken down")
            sys.exit(EXIT_INTERRUPTED)
        except Exception:
            has_failed = True
            raise
        finally:
            _take_down(teller, site, home, is_kept=has_failed)
    sys.exit(1 if has_failed else 0)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--record: {directory} cannot be made: {error.strerror}") from error


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """End in order at what would end us at once: a terminal that closes, or whoever stops us."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    for number in ENDING:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_down(teller: Narrator, site: Site, home: Path, *, is_kept: bool) -> None:
    # whoever presses Ctrl-C again would leave half of it behind
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)
    teller.close()
    site.stop()
    if is_kept:
        teller.say(f"The daemon's log and journal are kept in {home}")
    else:
        shutil.rmtree(home, ignore_errors=True)


def _perform(teller: Narrator, site: Site, *, stay: bool, story: bool) -> bool:
    teller.say("Raising six pretend hosts, a broker on loopback, and ballastd, the unmodified daemon")
    site.start()
    daemon = Daemon(str(site.socket))
    source = Source(lambda: daemon.read("view", seconds_max=PICTURE_SECONDS))
    teller.say(f"Its broker is mqtt://127.0.0.1:{site.port}. Ask it yourself, in another terminal:")
    teller.say(f"ballastctl --socket {site.socket} top")
    if is_live():
        teller.watch(lambda: _picture(source, teller.console))
    if not wait_for(lambda: is_acting(daemon), READY_SECONDS):
        teller.say("[red]the daemon does not get ready[/red]")
        return False
    cast = Cast(teller, site, daemon)
    if story:
        play(cast)
        teller.close()
        teller.sum_up("Claims, each checked against the truth of the pretend hosts")
    if stay or not story:
        hand_over(cast)
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
