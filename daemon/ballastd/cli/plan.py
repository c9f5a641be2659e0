"""``ballastctl plan`` and ``ballastctl explain``: what the daemon is about to do, and why or why not."""

from __future__ import annotations

import time

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import age, printable, size
from ballastd.cli.options import subject_argument, with_daemon, with_output, with_watch
from ballastd.cli.output import Column, Row, Table, emit, emit_document, heading, repeat, warn_if_old

INTENTS = Table((
    Column("WANTED", lambda i: i["kind"]),
    Column("HOST", lambda i: i["host"]),
    Column("STATE", lambda i: i["state"]),
    Column("MODE", lambda i: i["mode"]),
    Column("VMS LEFT", lambda i: str(i["vms_left"]), right=True),
    Column("SINCE", lambda i: age(time.time() - i["since_wall"]), right=True),
    Column("DUE IN", lambda i: age(None if i["deadline_wall"] is None else i["deadline_wall"] - time.time()),
           right=True),
    Column("POLICY", lambda i: i["policy"]),
    Column("BECAUSE", lambda i: i["because"]),
), lambda i: str(i["host"]), "nothing ought to change")

MOVES = Table((
    Column("VM", lambda m: m["vm_name"]),
    Column("FROM", lambda m: m["source"]),
    Column("TO", lambda m: m["target"]),
    Column("MEMORY", lambda m: size(m["memory"]), right=True),
    Column("ABOUT", lambda m: age(m["predicted"]), right=True),
    Column("STATE", lambda m: m["state"]),
    Column("POLICY", lambda m: m["policy"]),
    Column("BECAUSE", lambda m: m["because"], wide=True),
    Column("NEXT BEST", lambda m: ", ".join(m["runners_up"]) or "-", wide=True),
), lambda m: str(m["vm"]), "no move is planned")

NOES = Table((
    Column("SORT", lambda n: n["sort"]),
    Column("KIND", lambda n: n["kind"]),
    Column("VM", lambda n: n["vm_name"] or n["vm"] or "-"),
    Column("HOST", lambda n: n["host"] or "-"),
    Column("FOR", lambda n: age(None if n["until_wall"] is None else n["until_wall"] - time.time()), right=True),
    Column("DETAIL", lambda n: n["detail"]),
), lambda n: str(n["kind"]), "nothing is refused or put off")


@click.command("plan")
@with_watch
@with_output
@with_daemon
def plan_command(daemon: Daemon, output: str, watch: float | None) -> None:
    """Show what is wanted, planned, refused and put off.

    \b
    Examples:
      ballastctl plan
      ballastctl plan -o wide            with reasons and the next best targets
      ballastctl explain db              everything about one VM
    """
    def show() -> None:
        document = daemon.get("plan")
        warn_if_old(document, output)
        _show_plan(document, output)

    repeat(watch, show)


def _show_plan(document: Row, output: str) -> None:
    if output in ("json", "yaml"):
        emit_document(document, output)
        return
    if output == "name":
        emit(document["moves"], MOVES, output)
        return
    for gate in document["gates"]:
        click.echo(f"{click.style('gate', fg='yellow')} {printable(gate['kind'])}: {printable(gate['reason'])}")
    for title, key, table in (("Wanted", "intents", INTENTS), ("Planned", "moves", MOVES), ("Not", "noes", NOES)):
        click.echo(heading(f"{title}:"))
        emit(document[key], table, output)


@click.command("explain")
@subject_argument
@with_output
@with_daemon
def explain_command(daemon: Daemon, subject: str, output: str) -> None:
    """Explain why a host, a VM or a migration is as it is.

    Its state and health, why it is or is not a target, why it does or does not move, and when that may change. Of a
    migration: why this VM, why this target, what was predicted and what came out.

    \b
    Examples:
      ballastctl explain alder
      ballastctl explain db
      ballastctl explain 42-1            one migration
      ballastctl explain vm/alder        where a VM is called like a host
      ballastctl explain 0d5bf5f4-2f3a-4a53-9d2f-1a7f6a8f3c01
    """
    kind, slash, name = subject.partition("/")
    told = (daemon.get("explain", name, kind=kind) if slash and kind in ("host", "vm", "migration")
            else daemon.get("explain", subject))
    if output in ("json", "yaml"):
        emit_document(told, output)
    elif output == "name":
        click.echo(printable(told["id"]))
    else:
        warn_if_old(told, output)
        for line in told["lines"]:
            said = printable(line)
            click.echo(said if not said or said.startswith(" ") else heading(said))
