"""``ballastctl window``: what is open now, and what opens next; of a running daemon, or of policies in files."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from ballastd.cli.client import Daemon
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import NOTHING, age, printable
from ballastd.cli.options import with_daemon, with_output
from ballastd.cli.output import Column, Row, Table, emit, heading
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.policies import Window

DAYS = 14
INDENT = " " * 12
LOCALTIME = Path("/etc/localtime")
TABLE = Table((
    Column("WINDOW", lambda w: w["name"]),
    Column("SORT", lambda w: "allows" if w["allows"] else "denies"),
    Column("NOW", lambda w: "open" if w["open"] else "closed"),
    Column("CHANGES", lambda w: w["change"]),
    Column("LOCAL", lambda w: w["local"]),
    Column("UTC", lambda w: w["utc"]),
), lambda w: str(w["name"]), "no policy set has a window")


def an_iana_zone(text: str) -> ZoneInfo:
    """Return a zone by its name.

    Raises:
        click.BadParameter: there is none of this name.
    """
    from ballastd.documents.scalars import zone

    try:
        return zone(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def operators_zone() -> ZoneInfo:
    """Return the zone of whoever looks: TZ, else this machine's, else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":")
    here = str(LOCALTIME.resolve()).partition("zoneinfo/")[2] if LOCALTIME.is_symlink() else ""
    for name in (named, here):
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            continue
    return ZoneInfo("UTC")


_DIRECTORY = click.argument("directory", required=False, type=click.Path(exists=True, path_type=Path))
_ZONE = click.option("--timezone", "zone", type=an_iana_zone, metavar="ZONE", default=lambda: operators_zone().key,
                     help="Whose clock to show.  [default: TZ, or this machine's]")


@click.group("window")
def window_group() -> None:
    """See when windows are open; of the daemon, or of the policies in DIRECTORY."""


@window_group.command("list")
@_DIRECTORY
@_ZONE
@with_output
@with_daemon
def list_windows(daemon: Daemon, directory: Path | None, zone: ZoneInfo, output: str) -> None:
    """List windows, the next to change first. With DIRECTORY (or one file) the daemon is not asked.

    \b
    Examples:
      ballastctl window list
      ballastctl window list policies --timezone America/New_York
    """
    emit(_rows(daemon, directory, zone), TABLE, output)


@window_group.command("next")
@_DIRECTORY
@click.option("--name", "names", multiple=True, help="Only this window; may be said more than once.")
@click.option("--days", type=click.IntRange(1, DAYS), default=DAYS, show_default=True, help="How many days to show.")
@_ZONE
@with_output
@with_daemon
def next_windows(daemon: Daemon, directory: Path | None, names: tuple[str, ...], days: int, zone: ZoneInfo,
                 output: str) -> None:
    """Show the days to come as a picture: a line for each day, a sign for each half hour.

    \b
    Examples:
      ballastctl window next
      ballastctl window next policies --name nights --days 7
    """
    rows = _rows(daemon, directory, zone)
    missing = sorted(set(names) - {row["name"] for row in rows})
    if missing:
        known = ", ".join(row["name"] for row in rows) or "none"
        raise click.UsageError(f"there is no window {printable(missing[0])}; known: {known}")
    meant = [row for row in rows if not names or row["name"] in names]
    if output in ("table", "wide") and meant:
        _draw(meant, days, zone)
    else:
        emit(meant, TABLE, output)


def _rows(daemon: Daemon, directory: Path | None, zone: ZoneInfo) -> list[dict[str, Any]]:
    rows = _told(daemon) if directory is None else _read(directory)
    for row in rows:
        opens_or_closes, wall = "closes" if row["open"] else "opens", row["changes_wall"]
        row["change"] = NOTHING if wall is None else f"{opens_or_closes} in {age(max(0.0, wall - row['wall']))}"
        row["local"], row["utc"] = _moment(wall, zone), _moment(wall, ZoneInfo("UTC"))
    return sorted(rows, key=lambda row: (row["changes_wall"] is None, row["changes_wall"] or 0.0, row["name"]))


def _told(daemon: Daemon) -> list[dict[str, Any]]:
    """Return the windows of the daemon's picture."""
    from ballastd.cli.live.source import Source
    from ballastd.cli.top import PICTURE_SECONDS

    view = Source(lambda: daemon.read("view", seconds_max=PICTURE_SECONDS)).view()
    return [{"name": w.name, "allows": w.allows, "open": w.open, "changes_wall": w.changes_wall, "wall": view.wall,
             "horizon": w.horizon, "intervals": [list(one) for one in w.intervals]} for w in view.windows]


def _read(directory: Path) -> list[dict[str, Any]]:
    from ballastd.documents import load_policies

    now = time.time()
    try:
        loaded = load_policies(directory, None, now)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        click.get_current_context().exit(4)
    return [_row(window, now) for window in loaded.policies.windows.values()]


def _row(window: Window, now: float) -> dict[str, Any]:
    closes = window.open_until(now)
    return {"name": window.name, "allows": window.allows, "open": closes is not None,
            "changes_wall": closes if closes is not None else window.next_open(now), "wall": now,
            "horizon": window.horizon, "intervals": [list(one) for one in window.intervals]}


def _moment(wall: float | None, zone: ZoneInfo) -> str:
    from ballastd.documents.windows import local

    return NOTHING if wall is None else f"{local(wall, zone):%a %Y-%m-%d %H:%M}"


def _draw(rows: list[dict[str, Any]], days: int, zone: ZoneInfo) -> None:
    from ballastd.cli import fortnight

    signs = fortnight.signs_for(sys.stdout.encoding)
    click.echo(f"{zone.key}; each sign half an hour: {signs.whole} within, {signs.part} partly, {signs.none} not")
    for row in rows:
        click.echo()
        click.echo(heading(printable(row["name"])) + _sentence(row, zone))
        click.echo(fortnight.heading(INDENT))
        colour = "green" if row["allows"] else "red"
        for day, line in fortnight.days(row["intervals"], row["wall"], row["horizon"], days, zone, signs):
            click.echo(f"{day:<{len(INDENT)}}{click.style(line, fg=colour)}")


def _sentence(row: Row, zone: ZoneInfo) -> str:
    sort, now = "allows" if row["allows"] else "denies", "open" if row["open"] else "closed"
    if row["changes_wall"] is None:
        return f": {sort}; {now}, and it does not change within what is known"
    local = f"{row['local']} {zone.key}"
    return f": {sort}; {now}, {row['change']}: {local}" + ("" if zone.key == "UTC" else f" ({row['utc']} UTC)")
