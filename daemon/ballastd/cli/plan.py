"""``ballastctl plan`` and ``ballastctl explain``: what the daemon is about to do, and why or why not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ballastd.cli.client import Daemon
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import age, duration, printable, size, takes
from ballastd.cli.offline import plan_for, read_what_if, with_orders
from ballastd.cli.options import (
    recommendation_argument,
    socket_of,
    subject_argument,
    with_daemon,
    with_output,
    with_reason,
    with_watch,
)
from ballastd.cli.output import Column, Row, Table, emit, emit_document, heading, repeat, warn_if_old
from ballastd.cli.policies.places import EXIT_PROBLEMS, placed, settings_option
from ballastd.cli.policies.showing import copy_for
from ballastd.errors import ConfigurationError


def safe_in(leaves: Row | None) -> str:
    """Return when a VM that leaves a host which is emptied is safe there, and whether that is too late."""
    if leaves is None:
        return "-"
    return age(leaves["safe"]) + ("" if leaves["late"] is None else ", late")


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
    Column("ABOUT", lambda m: takes(m["predicted"], ends=m["ends"]), right=True),
    Column("SAFE IN", lambda m: safe_in(m["leaves"]), right=True),
    Column("STATE", lambda m: f"after {', '.join(m['after_names'])}" if m["after"] else m["state"]),
    Column("ID", lambda m: m["recommendation"] or "-", wide=True),
    Column("POLICY", lambda m: m["policy"]),
    Column("BECAUSE", lambda m: m["because"], wide=True),
    Column("NEXT BEST", lambda m: ", ".join(m["runners_up"]) or "-", wide=True),
), lambda m: str(m["vm"]), "no move is planned")

RECOMMENDATIONS = Table((
    Column("ID", lambda r: r["id"]),
    Column("WHAT", lambda r: r["what"]),
    Column("STATE", lambda r: r["state"] + (f" by {r['by']}" if r["by"] else "")),
    Column("EXPIRES IN", lambda r: age(r["until_wall"] - time.time()), right=True),
    Column("POLICY", lambda r: r["policy"]),
    Column("BECAUSE", lambda r: r["because"]),
), lambda r: str(r["id"]), "nothing is recommended")

REJECTIONS = Table((
    Column("REJECTED", lambda r: r["what"]),
    Column("BY", lambda r: r["by"]),
    Column("FOR", lambda r: age(r["until_wall"] - time.time()), right=True),
    Column("POLICY", lambda r: r["policy"]),
    Column("REASON", lambda r: r["reason"] or "-"),
), lambda r: str(r["what"]), "nothing was rejected")

NOES = Table((
    Column("SORT", lambda n: n["sort"]),
    Column("KIND", lambda n: n["kind"]),
    Column("VM", lambda n: n["vm_name"] or n["vm"] or "-"),
    Column("HOST", lambda n: n["host"] or "-"),
    Column("FOR", lambda n: age(None if n["until_wall"] is None else n["until_wall"] - time.time()), right=True),
    Column("DETAIL", lambda n: n["detail"]),
), lambda n: str(n["kind"]), "nothing is refused or put off")


@click.group("plan", invoke_without_command=True)
@click.option("--cluster", "cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Plan for a saved cluster; no daemon is asked.")
@click.option("--policies", "directory", type=click.Path(exists=True, path_type=Path), metavar="DIRECTORY|FILE",
              help="Policies to plan by, instead of those that the settings name.")
@settings_option
@click.option("--what-if", metavar="CHANGES", default="",
              help="Plan for the cluster as it would be: cordon=HOST, drain=HOST, off=HOST, add-vm=PROCESSORS:SIZE[@HOST], "
                   "with commas between them.")
@click.option("--after", type=duration, metavar="DURATION",
              help="How long the cluster has been as it is.  [default: as long as the longest hold]")
@with_watch
@with_output
@click.pass_context
@with_daemon
def plan_command(daemon: Daemon, ctx: click.Context, output: str, watch: float | None, cluster_file: Path | None,
                 directory: Path | None, settings: Path | None, what_if: str, after: float | None) -> None:
    """Show what is wanted, planned, recommended, refused and put off; approve or reject what is recommended.

    With --cluster or --what-if the plan is made here, by the same planner, for a saved cluster or for the daemon's as it is
    now: VMs use what they use, in a saved cluster the most that they ask for, for as long as it takes for every hold to be
    over. Nothing is carried out, and policies that act recommend instead.

    \b
    Examples:
      ballastctl plan
      ballastctl plan -o wide            with reasons and the next best targets
      ballastctl plan --what-if off=alder,add-vm=4:16GiB
      ballastctl plan --cluster site.yaml --policies new/ -o json
      ballastctl plan approve 3f1c09aa72
      ballastctl plan approve --all-of even-load
      ballastctl plan reject 3f1c09aa72 --reason "backup runs tonight"
      ballastctl explain db              everything about one VM
    """
    is_made_here = cluster_file is not None or directory is not None or settings is not None or after is not None or bool(
        what_if)
    if ctx.invoked_subcommand is not None:
        if is_made_here:
            raise click.UsageError(f"what is planned here is nothing that the daemon could {ctx.invoked_subcommand}")
        return

    def show_planned() -> None:
        planned = _planned(ctx, cluster_file, directory, settings, what_if, after)
        _show_plan(planned if output in ("json", "yaml") else later(planned, time.time() - planned["wall"]), output)

    if is_made_here:
        repeat(watch, show_planned)
        return

    def show() -> None:
        document = daemon.get("plan")
        warn_if_old(document, output)
        _show_plan(document, output)

    repeat(watch, show)


def _planned(ctx: click.Context, cluster_file: Path | None, directory: Path | None, settings: Path | None, changes: str,
             after: float | None) -> Row:
    """Return the plan that is made here."""
    from ballastd.documents.loading import read_policies
    from ballastd.web.models import PlanView, to_json

    try:
        where, declared = placed(directory, settings)
        read = read_policies(where, declared if cluster_file is None else None)
        copy = copy_for(ctx, cluster_file, socket_of(ctx), declared)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    assert copy is not None, "a file, or a socket that is asked, or an error"
    if cluster_file is None:
        unseen = f"; never seen, and left out: {', '.join(copy.missing)}" if copy.missing else ""
        click.echo(f"the daemon's cluster by what it uses, with its cordons and drains; verdicts of health, rests and "
                   f"migrations under way are not in it{printable(unseen)}", err=True)
    view = plan_for(copy.cluster, read.compiled, with_orders(read_what_if(changes, copy.cluster), copy), after)
    document: Row = to_json(PlanView(view.revision, view.wall, view.posture, view.gates, view.intents, view.moves, view.noes,
                                     view.recommendations, view.rejections, view.demotions))
    return document


def later(document: Any, seconds: float) -> Any:
    """Return the document with all its instants so many seconds later: tables say how long ago something was."""
    if isinstance(document, dict):
        return {key: value + seconds if key.endswith("wall") and isinstance(value, int | float) else later(value, seconds)
                for key, value in document.items()}
    return [later(one, seconds) for one in document] if isinstance(document, list) else document


def _show_plan(document: Row, output: str) -> None:
    if output in ("json", "yaml"):
        emit_document(document, output)
        return
    if output == "name":
        emit(document["moves"], MOVES, output)
        return
    for gate in document["gates"]:
        click.echo(f"{click.style('gate', fg='yellow')} {printable(gate['kind'])}: {printable(gate['reason'])}")
    for one in document["demotions"]:
        name = printable(one["policy"])
        click.echo(f"{click.style('demoted', fg='yellow')} {name}: {printable(one['because'])}; once its cause is known: "
                   f"ballastctl policy promote {name}")
    for title, key, table in (("Wanted", "intents", INTENTS), ("Planned", "moves", MOVES),
                              ("Recommended", "recommendations", RECOMMENDATIONS), ("Rejected", "rejections", REJECTIONS),
                              ("Not", "noes", NOES)):
        if document[key] or key in _ALWAYS_SHOWN:
            click.echo(heading(f"{title}:"))
            emit(document[key], table, output)
    for cure in dict.fromkeys(f"{printable(no['kind'])}: {printable(no['cure'])}" for no in document["noes"] if no["cure"]):
        click.echo(f"{click.style('cure', fg='green')} {cure}")


def _answer(daemon: Daemon, verb: str, key: str | None, policy: str | None, reason: str) -> None:
    if (key is None) == (policy is None):
        raise click.UsageError(f"say what to {verb}: the id of one recommendation, or --all-of POLICY")
    path = ("recommendations", key) if key is not None else ("policies", policy or "")
    click.echo(printable(daemon.post(*path, verb, reason=reason)["message"]))


@plan_command.command("approve")
@recommendation_argument
@click.option("--all-of", "policy", metavar="POLICY", help="Everything that this policy recommends now.")
@with_reason
@with_daemon
def approve_command(daemon: Daemon, key: str | None, policy: str | None, reason: str) -> None:
    """Have what is recommended begin: if the plan still wants the same, and within every limit that binds its policy.

    An approval is for what you saw: this VM, this target, for this reason. It is good for one attempt, and lapses when the
    plan changes or half an hour has passed (timing.recommendation); you are told why.

    \b
    Examples:
      ballastctl plan approve 3f1c09aa72
      ballastctl plan approve --all-of even-load
    """
    _answer(daemon, "approve", key, policy, reason)


@plan_command.command("reject")
@recommendation_argument
@click.option("--all-of", "policy", metavar="POLICY", help="Everything that this policy recommends now.")
@with_reason
@with_daemon
def reject_command(daemon: Daemon, key: str | None, policy: str | None, reason: str) -> None:
    """Say no to what is recommended.

    The VM is not recommended for moving again, whatever the target, for twelve hours (timing.rejection) or until the reason
    is another one.

    \b
    Examples:
      ballastctl plan reject 3f1c09aa72 --reason "backup runs tonight"
    """
    _answer(daemon, "reject", key, policy, reason)


_ALWAYS_SHOWN = ("intents", "moves", "noes")


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
