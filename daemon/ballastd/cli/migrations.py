"""``ballastctl migration``: what is under way, how it went, and how to stop it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import age, clock, printable, share, size, takes, time_left, yes
from ballastd.cli.options import migration_argument, with_daemon, with_output, with_reason, with_watch
from ballastd.cli.output import Column, Row, Table, emit, emit_document, emit_fields, repeat, warn_if_old

BAR_CELLS = 20


def _bar(migration: Row) -> str:
    """Return how much is copied as a bar."""
    from ballastd.cli.live.signs import bar, signs_for

    return "".join(bar((migration["progress"] or 0.0,), BAR_CELLS, signs_for(sys.stdout.encoding or "ascii")))


def _standstill(migration: Row) -> str:
    """Return how long the VM stood still at the end; while it is on its way, how long it would have to now, of how long it
    may."""
    if migration.get("post_copy_because"):
        return "post-copy"
    if (took := migration.get("downtime_took_ms")) is not None:
        return f"{took:.0f} ms"
    needed, allowed = migration.get("downtime_needed_ms"), migration.get("downtime_ms")
    return f"{'-' if needed is None else format(needed, '.0f')}/{allowed or '-'} ms" if allowed or needed else "-"


def _predicted(migration: Row) -> str:
    return takes(migration["predicted"], ends=migration["ends"])


def _ms(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:.0f} ms"


MIGRATIONS = Table((
    Column("ID", lambda m: m["id"]),
    Column("VM", lambda m: m["vm_name"]),
    Column("FROM", lambda m: m["source"]),
    Column("TO", lambda m: m["target"]),
    Column("PHASE", lambda m: m["ending"] or ("post-copy" if m.get("post_copy_because") else m["phase"])),
    Column("COPIED", lambda m: share(m["progress"]), right=True),
    Column("ROUND", lambda m: "-" if m.get("rounds") is None else str(m.get("rounds")), wide=True, right=True),
    Column("ELAPSED", lambda m: age(m["elapsed"]), right=True),
    Column("LEFT", time_left, right=True),
    Column("PREDICTED", _predicted, wide=True, right=True),
    Column("MIB/S", lambda m: "-" if m["rate_mib_s"] is None else f"{m['rate_mib_s']:.0f}", right=True),
    Column("AT MOST", lambda m: str(m["bandwidth_mib_s"]), wide=True, right=True),
    Column("STANDSTILL", _standstill, wide=True, right=True),
    Column("FORETOLD", lambda m: _ms(m.get("downtime_predicted_ms")), wide=True, right=True),
    Column("ANSWERS", lambda m: m.get("arrival") or "-", wide=True),
    Column("POLICY", lambda m: m["policy"]),
    Column("ORDERED", lambda m: clock(m["ordered_wall"]), wide=True),
    Column("DETAIL", lambda m: m["detail"] or "-", wide=True),
), lambda m: str(m["id"]), "no migration is open, and none ended lately")


_SHOWN, _ASIDE = ("ROUND", "STANDSTILL"), ("POLICY",)


def _watched() -> Iterator[Column]:
    for column in MIGRATIONS.columns:
        if column.title == "COPIED":
            yield Column("", _bar)
        yield replace(column, wide=(column.wide and column.title not in _SHOWN) or column.title in _ASIDE)


WATCHED = Table(tuple(_watched()), MIGRATIONS.name, MIGRATIONS.empty)
"""With a bar for each, and how it converges: what people look at."""


PAIRS = Table((
    Column("FROM", lambda p: p["source"] or "(all)"),
    Column("TO", lambda p: p["target"] or "(all)"),
    Column("MOVES", lambda p: str(p["moves"]), right=True),
    Column("TOOK", lambda p: f"{p['took']:.2f} x" if p["moves"] else "-", right=True),
    Column("FORETOLD", lambda p: f"{p['factor']:.2f} x", right=True),
    Column("STANDSTILL", lambda p: "-" if p.get("downtime") is None else f"{p['downtime']:.2f} x", right=True),
    Column("FAILED", lambda p: f"{p['failed']}/{p['tried']}" if p.get("tried") else "-", right=True),
    Column("RISK", lambda p: f"{p.get('risk', 1.0):.1f} x", right=True),
), lambda p: f"{p['source']}:{p['target']}", "no move was completed under this daemon's eyes yet")


@click.group("migration")
def migration_group() -> None:
    """Look at migrations; abort one."""


@migration_group.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those whose books are open.")
@with_watch
@with_output
@with_daemon
def list_migrations(daemon: Daemon, output: str, watch: float | None, only_open: bool) -> None:
    """List open and lately settled migrations; with --watch with a bar for each, and how it converges.

    LEFT is reckoned anew from what each round of copying has shown. STANDSTILL, in a wide table or under --watch, says for
    how long the VM would have to stand still if it were handed over now, and for how long it may, or for how long it did;
    FORETOLD says for how long it was expected to. ANSWERS says what came of asking a VM after its move whether it answers.

    \b
    Examples:
      ballastctl migration list --open --watch 1
      ballastctl migration list -o wide
    """
    def show() -> None:
        document = daemon.get("migrations")
        warn_if_old(document, output)
        emit([m for m in document["migrations"] if not only_open or m["settled_wall"] is None],
             MIGRATIONS if watch is None else WATCHED, output)

    repeat(watch, show)


@migration_group.command("show")
@migration_argument
@with_output
@with_daemon
def show_migration(daemon: Daemon, migration: str, output: str) -> None:
    """Show one migration.

    \b
    Example:
      ballastctl migration show 42-1
    """
    found = daemon.get("migrations", migration)
    if output in ("json", "yaml"):
        emit_document(found, output)
    elif output == "name":
        click.echo(printable(found["id"]))
    else:
        emit_fields(_fields(found))


def _rounds(migration: Row) -> str:
    rounds, left, rate = migration.get("rounds"), migration.get("memory_remaining"), migration.get("dirty_mib_s")
    if rounds is None:
        return "-"
    dirtied = "" if rate is None else f", its VM dirties {rate:.0f} MiB/s"
    return f"{rounds}{'' if left is None else f', {size(left)} of this one to go'}{dirtied}"


def _answers(migration: Row) -> str:
    before = {None: "not known", True: "yes", False: "no"}[migration.get("answered_before")]
    seconds, detail = migration.get("arrival_seconds"), migration.get("arrival_detail")
    after = migration.get("arrival") or "-"
    return (f"{after}{f' after {seconds:.0f} s' if seconds else ''}{f', {detail}' if detail else ''} (before: {before}; "
            f"{migration['check']})")


def _gives_way(migration: Row) -> str:
    less = migration.get("less_mib_s")
    return f"{f'by {less} MiB/s: ' if less else ''}{migration['gives_way']}"


def _fields(migration: Row) -> list[tuple[str, str]]:
    settled = migration["settled_wall"]
    return [
        ("id", migration["id"]),
        ("phase", migration["phase"]),
        *([] if settled is None else [("ending", migration["ending"])]),
        ("VM", f"{migration['vm_name']} ({migration['vm']})"),
        ("way", f"{migration['source']} -> {migration['target']}"),
        ("why", f"{migration['policy']}: {migration['because']}"),
        ("ordered", clock(migration["ordered_wall"])),
        ("settled", clock(settled)) if settled is not None else ("deadline", clock(migration["deadline_wall"])),
        ("elapsed", f"{age(migration['elapsed'])} (predicted {_predicted(migration)})"),
        ("copied", share(migration["progress"])),
        ("bandwidth", f"{'-' if migration['rate_mib_s'] is None else format(migration['rate_mib_s'], '.0f')} of "
                      f"{migration['bandwidth_mib_s']} MiB/s"),
        *([("why so much", migration["bandwidth_because"])] if migration.get("bandwidth_because") else []),
        *([("gives way", _gives_way(migration))] if migration.get("gives_way") else []),
        ("left", time_left(migration)),
        ("rounds", _rounds(migration)),
        ("standstill", _standstill(migration) + (", may be slowed down" if migration.get("auto_converge") else "")
         + f" (foretold {_ms(migration.get('downtime_predicted_ms'))})"),
        *([("answers", _answers(migration))] if migration.get("check") else []),
        ("adopted", yes(migration["adopted"])),
        ("detail", migration["detail"] or "-"),
    ]


@migration_group.command("pairs")
@with_output
@with_daemon
def list_pairs(daemon: Daemon, output: str) -> None:
    """Show how moves went between hosts, by how they were reckoned to go.

    What is reckoned knows memory, bandwidth and, of some VMs, what they dirty. TOOK is the median of the newest twenty moves
    of a pair; FORETOLD is what later ones of that pair are multiplied by: their own where there are three, else that of all
    hosts. STANDSTILL is the median of how long VMs stood still at the end. FAILED are moves of the last day. A routine move
    costs RISK times as much there: for moves that failed, or whose VM answered before and not after (they are among FAILED),
    and where all take half as long again as reckoned or more.

    \b
    Example:
      ballastctl migration pairs
    """
    document = daemon.get("migrations")
    warn_if_old(document, output)
    emit(document.get("pairs", []), PAIRS, output)


@migration_group.command("abort")
@migration_argument
@with_reason
@with_daemon
def abort(daemon: Daemon, migration: str, reason: str) -> None:
    """Cancel a running migration; its VM stays at the source.

    It is over when the hypervisor shows that it is over, not when this command returns. One that is in post-copy is
    refused: its VM runs at the target already, and there is no way back.

    \b
    Example:
      ballastctl migration abort 42-1 --reason "wrong rack"
    """
    click.echo(printable(daemon.post("migrations", migration, "abort", reason=reason)["message"]))
