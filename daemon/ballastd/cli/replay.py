"""``ballastctl replay``: what other policies would have done with what a daemon has seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import duration, printable
from ballastd.cli.simulate import (
    EXIT_PROBLEMS,
    existing,
    instant,
    make_ready,
    quieten,
    rehearse_shown,
    report_files,
    write_report_of,
)
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.recorded import Recorded
    from ballastd.core.rehearsed import Rehearsed
    from ballastd.rehearsal.stage import Setting

COMPARISON = "comparison.html"
PATH = click.Path(path_type=Path)


@click.command("replay")
@click.argument("recording", type=PATH)
@click.option("--policies", type=PATH, required=True, help="A directory of policies, or one file.")
@click.option("--against", type=PATH, help="Other policies, to be shown beside them: those that govern today.")
@click.option("--auto", "are_auto", is_flag=True,
              help="Take every policy to be in mode auto: what would they have done, had they been free to?")
@click.option("--from", "begins", callback=instant, metavar="TIME", help="Only what was seen from then on.")
@click.option("--until", "ends", callback=instant, metavar="TIME", help="Only what was seen until then.")
@click.option("--for", "lasts", type=duration, metavar="DURATION", help="Only for so long from the beginning.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--report", type=click.Path(path_type=Path), metavar="DIRECTORY|FILE",
              help="Write a report, as ballastctl simulate does; with --against, one page of both.")
@click.option("--format", "formats", default="html", show_default=True, metavar="FORMAT,...",
              help="What a directory gets; with --against html alone.")
@click.option("--moves", is_flag=True, help="List every move.")
@click.option("--trace", is_flag=True, help="Print what happened, line by line.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.pass_context
def replay_command(ctx: click.Context, recording: Path, policies: Path, against: Path | None, are_auto: bool,
                   begins: float | None, ends: float | None, lasts: float | None, seed: int, report: Path | None,
                   formats: str, moves: bool, trace: bool, output: str) -> None:
    """Rehearse policies on what a daemon has recorded.

    RECORDING is the directory of the setting recording.directory, or one of its files. The cluster begins as it was seen;
    its VMs ask for what they used, its sensors show what they showed, who was out of sight is so again. What is done about
    it is up to the policies: what the daemon did at the time is not repeated. With --against two sets are shown together.

    \b
    Examples:
      ballastctl replay /var/lib/ballastd/recording --policies new-policies --against /etc/ballastd/policies
      ballastctl replay 2026-11-23.jsonl.gz --policies new-policies --report out/ --format html,png
      ballastctl replay recording --policies new --from 2026-11-23T18:00:00Z --for 12h --moves
    """
    from ballastd.documents.recordings import load_recording

    quieten()
    try:
        _make_ready(report, formats, against)
        found = load_recording(recording, begins, ends)
        seconds = found.lasts if lasts is None else min(lasts, found.lasts)
        _introduce(found, seconds)
        first = rehearse_shown(_setting(found, policies, seed, are_auto=are_auto), seconds)
        other = None if against is None else rehearse_shown(_setting(found, against, seed, are_auto=are_auto), seconds)
        _show(first, other, (str(against), str(policies)), output, moves=moves, trace=trace)
        if report is not None:
            report_files(lambda to: _written(first, other, (str(against), str(policies)), to, formats), report)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    if first.violations or (other is not None and other.violations):
        ctx.exit(EXIT_PROBLEMS)


def _introduce(found: Recorded, seconds: float) -> None:
    cluster = found.cluster
    click.echo(f"recorded: {len(cluster.hosts)} hosts, {len(cluster.vms)} VMs at first, {seconds / 3600:.1f} h; VMs changed "
               f"their hosts {found.changes} times then", err=True)
    if found.missing:
        click.echo(f"never seen, so left out: {printable(', '.join(found.missing))}", err=True)


def _setting(found: Recorded, policies: Path, seed: int, *, are_auto: bool) -> Setting:
    from ballastd.core.policies import Timing
    from ballastd.documents.policy_files import PolicyFiles
    from ballastd.rehearsal.stage import Setting

    # whatever switched a host then, a pretended controller does it now
    hosts = tuple(replace(host, declared=replace(host.declared, power=host.declared.power and "simulated"))
                  for host in found.cluster.hosts)
    cluster, timing = replace(found.cluster, hosts=hosts), Timing()
    source = PolicyFiles(existing(policies), cluster.declaration(timing), are_auto)
    return Setting(cluster, source, timing, found.acts, seed, found.begins_wall)


def _show(first: Rehearsed, other: Rehearsed | None, names: tuple[str, str], output: str, *, moves: bool,
          trace: bool) -> None:
    from rich.console import Console

    from ballastd.cli.rehearsal import compare, render_comparison, render_terminal, to_json

    if trace:
        click.echo("\n".join(first.trace), err=output == "json")
    if output == "json":
        click.echo(to_json(first))
        return
    console = Console(highlight=False, markup=False, emoji=False)
    if other is None:
        render_terminal(first, console, moves=moves)
    else:
        render_comparison(compare(other, first, *names), console, moves=moves)


def _make_ready(report: Path | None, formats: str, against: Path | None) -> None:
    if against is not None and formats != "html":
        raise ConfigurationError((f"--format {formats}: with --against there is one page of both, html",))
    make_ready(report, formats)


def _written(first: Rehearsed, other: Rehearsed | None, names: tuple[str, str], destination: Path,
             formats: str) -> tuple[Path, ...]:
    from ballastd.cli.rehearsal import compare, write_comparison

    if other is None:
        return write_report_of(first, destination, formats)
    page = destination if destination.suffix == ".html" else destination / COMPARISON
    return (write_comparison(compare(other, first, *names), page),)
