"""``ballastctl journal``: what was decided and done, and whether the record of it is whole."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

import click

from ballastd.cli.client import Daemon, Refused
from ballastd.cli.formats import clock, printable
from ballastd.cli.options import with_daemon, with_output, with_watch
from ballastd.cli.output import Column, Row, Table, emit, emit_document, repeat
from ballastd.errors import JournalError

SHOWN_MAX = 400
_HIDDEN = frozenset({"v", "kind", "wall"})
RECORDS = Table((
    Column("SEQUENCE", lambda r: str(r["sequence"]), right=True),
    Column("STEP", lambda r: str(r["revision"]), right=True),
    Column("WHEN", lambda r: clock(r["content"].get("wall"))),
    Column("WHAT", lambda r: str(r["content"].get("kind", "-"))),
    Column("DETAIL", lambda r: _detail(r["content"])),
), lambda r: str(r["sequence"]), "the journal is empty")


def _detail(content: Row) -> str:
    return " ".join(f"{key}={_short(value)}" for key, value in content.items()
                    if key not in _HIDDEN and value not in (None, "", False)) or "-"


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}… ({len(text)} characters; -o json shows all)"
    return f'"{text}"' if " " in text else text


@click.group("journal", invoke_without_command=True)
@click.pass_context
def journal_group(ctx: click.Context) -> None:
    """Show what was decided; verify a journal file; set a damaged one aside.

    Without a verb it shows the last records.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show_journal)


@journal_group.command("show")
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many records.")
@with_watch
@with_output
@with_daemon
def show_journal(daemon: Daemon, count: int, output: str, watch: float | None) -> None:
    """Show the last records, oldest first.

    \b
    Examples:
      ballastctl journal
      ballastctl journal show -n 500 -o json | jq '.[].content | select(.kind=="MigrationSettled")'
    """
    repeat(watch, lambda: emit(daemon.get("journal", count=count)["records"], RECORDS, output))


@journal_group.command("verify")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@with_output
@click.pass_context
def verify_journal(ctx: click.Context, path: Path, output: str) -> None:
    """Check a journal file row by row: checksums, the chain of hashes, and the high-water mark beside it.

    So are the archives of older records, where they are beside it. Works without the daemon, best on a copy. Exit
    code 4 when something is missing or altered.

    \b
    Example:
      ballastctl journal verify /var/lib/ballastd/journal.db
    """
    from ballastd.adapters.journal import verify

    try:
        health = verify(path)
    except JournalError as error:
        raise Refused(str(error)) from error
    if output in ("json", "yaml"):
        emit_document({"records": health.records, "head": health.head, "damage": health.damage}, output)
    elif health.damage is None:
        click.echo(f"{path}: whole: {health.records} records up to {health.head}")
    else:
        click.echo(f"{path}: DAMAGED: {health.damage} ({health.records} records are sound)", err=True)
    if health.damage is not None:
        ctx.exit(4)


@journal_group.command("quarantine")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Set a journal aside that nothing is wrong with.")
def quarantine_journal(path: Path, yes: bool, force: bool) -> None:
    """Set a damaged journal aside and begin a new one in its place. Deletes nothing; the daemon must be stopped.

    The new journal names the old one and begins paused: cordons, drains, latched verdicts, open migrations, hosts that
    were switched off and guests that were shut down are not in it. What can be read of them is listed. Look at the
    cluster, set them again, then resume.

    \b
    Example:
      ballastctl journal quarantine /var/lib/ballastd/journal.db
    """
    from ballastd.adapters.journal import quarantine

    if not yes:
        click.confirm(f"Set {path} aside and begin a new journal, which knows of nothing?", abort=True, err=True)
    try:
        done = quarantine(path, by=os.environ.get("SUDO_USER") or getpass.getuser(), force=force)
    except JournalError as error:
        raise Refused(str(error)) from error
    click.echo(f"{done.place}: the old journal ({done.damage}; good up to record {done.last_good})")
    if done.in_force:
        click.echo("In force as far as the old journal can be read, and unknown to the new one:")
        for line in done.in_force:
            click.echo(f"  {printable(line)}")
    click.echo(f"{path}: a new one, paused; look at the cluster, then start the daemon and `ballastctl resume`")
