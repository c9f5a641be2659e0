"""``ballastctl status``, ``pause``, ``resume`` and ``reload``: the daemon as a whole."""

from __future__ import annotations

import time
from typing import Any

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import age, printable
from ballastd.cli.options import with_daemon, with_output, with_reason, with_watch
from ballastd.cli.output import Row, emit_document, emit_fields, repeat, warn_if_old


@click.command("status")
@with_watch
@with_output
@with_daemon
def status_command(daemon: Daemon, output: str, watch: float | None) -> None:
    """Show whether the daemon acts, and what holds it back.

    \b
    Examples:
      ballastctl status
      ballastctl status -o wide          with budgets and running counts
      ballastctl status -o json | jq -r .posture
    """
    def show() -> None:
        document = daemon.get("status")
        if output in ("json", "yaml"):
            emit_document(document, output)
        elif output == "name":
            click.echo(printable(document["posture"]))
        else:
            warn_if_old(document, output)
            more = _more(document, daemon.get("counters")) if output == "wide" else []
            emit_fields([*_fields(document), *more])

    repeat(watch, show)


def _fields(status: Row) -> list[tuple[str, str]]:
    now = time.time()
    return [
        ("posture", status["posture"]),
        *(("held by", _gate(gate, now)) for gate in status["gates"]),
        ("hosts", _tally(status["hosts"])),
        ("VMs", _tally(status["vms"])),
        ("migrations", f"{status['migrations_open']} open, {status['moves_planned']} moves planned"),
        *(("wanted", _intent(intent)) for intent in status["intents"]),
        *(("note", note) for note in status["notes"]),
        ("step", f"{status['revision']}, {age(max(0.0, now - status['wall']))} ago"),
        ("policies", status["policies_digest"][:12] or "none loaded"),
        ("version", status["version"]),
    ]


def _gate(gate: Row, now: float) -> str:
    until = gate["until_wall"]
    left = "" if until is None else f" (for {age(max(0.0, until - now))})"
    return f"{gate['kind']}: {gate['reason']}{left}"


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "none"


def _intent(intent: Row) -> str:
    return (f"{intent['state']} {intent['kind']} {intent['host']}, {intent['vms_left']} VMs left "
            f"({intent['policy']}: {intent['because']})")


def _more(status: Row, counters: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        *(("budget", f"{budget['name']}: {budget['used']:g} of {budget['limit']:g}") for budget in status["budgets"]),
        *(("count", f"{name}: {'-' if value is None else f'{value:g}'}") for name, value in counters.items()),
    ]


@click.command("pause")
@with_reason
@with_daemon
def pause_command(daemon: Daemon, reason: str) -> None:
    """Stop every new act until resumed.

    Running migrations go on; `ballastctl migration abort` stops one.

    \b
    Example:
      ballastctl pause --reason "storage maintenance"
    """
    click.echo(printable(daemon.post("pause", reason=reason)["message"]))


@click.command("resume")
@with_reason
@with_daemon
def resume_command(daemon: Daemon, reason: str) -> None:
    """Let acts start again.

    \b
    Example:
      ballastctl resume
    """
    click.echo(printable(daemon.post("resume", reason=reason)["message"]))


@click.command("reload")
@with_daemon
def reload_command(daemon: Daemon) -> None:
    """Load the policies again.

    Whole or not at all: a wrong file changes nothing.

    \b
    Examples:
      ballastctl policy check && ballastctl reload
    """
    for line in str(daemon.post("policies", "reload")["message"]).splitlines():
        click.echo(printable(line))


@click.command("summary")
@with_output
@with_daemon
def summary_command(daemon: Daemon, output: str) -> None:
    """Show what was done within the last day, what was not and why, and the energy it saved.

    \b
    Examples:
      ballastctl summary
      ballastctl summary -o json | jq .saved_kwh
    """
    found = daemon.get("summary")
    if output in ("json", "yaml"):
        emit_document(found, output)
    else:
        for line in found["lines"]:
            click.echo(printable(line))
