"""``ballastctl simulate``: what policies would do on a cluster, hours in seconds, before they are let loose on one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import duration
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.rehearsed import Rehearsed
    from ballastd.core.saved_cluster import SavedCluster
    from ballastd.core.scripts import Script
    from ballastd.rehearsal.stage import Setting

# what stands in a file, and so cannot be said on the command line too
EXCLUSIVE = {"cluster_file": ("--cluster", ("hosts", "vms")), "script_file": ("--script", ("lasts", "begins"))}
OPTIONS = {"hosts": "--hosts", "vms": "--vms", "lasts": "--for", "begins": "--begins"}
FORMATS = ("txt", "json", "html", "svg", "png")
EXIT_PROBLEMS = 4
WARM_UP_SECONDS = 900.0
DEFAULT_BEGIN = "2026-01-05T12:00:00Z"


def instant(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Return the wall seconds of an option that names a time."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no date and time; write for example {DEFAULT_BEGIN}") from error
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


@click.command("simulate")
@click.option("--cluster", "cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A saved cluster; see ballastctl cluster save.")
@click.option("--hosts", type=click.IntRange(2, 1000), default=8, show_default=True,
              help="Hosts of a made-up cluster, where no saved one is given.")
@click.option("--vms", type=click.IntRange(1, 20000), default=60, show_default=True, help="VMs of a made-up cluster.")
@click.option("--policies", type=click.Path(path_type=Path), default=Path("policies"), show_default=True,
              help="A directory of policies, or one file.")
@click.option("--auto", "are_auto", is_flag=True,
              help="Take every policy to be in mode auto: what would they do, once they may?")
@click.option("--script", "script_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="What happens meanwhile; it also says when it begins and how long it lasts (docs/scripts.md).")
@click.option("--faults", default="none", show_default=True, metavar="none|random|NAME,...",
              help="Trouble by chance: none, a third of all kinds as the seed has it, or these kinds "
                   "(docs/rehearsals.md lists them).")
@click.option("--for", "lasts", type=duration, default="24h", show_default=True, metavar="DURATION", help="Virtual time.")
@click.option("--begins", default=DEFAULT_BEGIN, show_default=True, callback=instant, metavar="TIME",
              help="When it begins: windows open by this clock.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same run, byte for byte.")
@click.option("--report", type=click.Path(path_type=Path), metavar="DIRECTORY|FILE",
              help="Write a report: a directory, or a file that ends in .html, .json or .txt.")
@click.option("--format", "formats", default="html", show_default=True, metavar="FORMAT,...",
              help=f"What a directory gets: {', '.join(FORMATS)}. Pictures need the extra pictures.")
@click.option("--moves", is_flag=True, help="List every move.")
@click.option("--trace", is_flag=True, help="Print what happened, line by line, in virtual seconds.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.pass_context
def simulate_command(ctx: click.Context, cluster_file: Path | None, hosts: int, vms: int, policies: Path, are_auto: bool,
                     script_file: Path | None, faults: str, lasts: float, begins: float, seed: int, report: Path | None,
                     formats: str, moves: bool, trace: bool, output: str) -> None:
    """Rehearse policies: the daemon as it is, on a pretend cluster and on virtual time.

    Nothing real is touched, and no daemon is asked. Policies in mode observe or recommend move nothing, here as there:
    with --auto they do. Independent checkers watch every act; a rule that is broken is shown first, in red, and the exit
    code is 4. It is a fault of ours: report it with the seed.

    \b
    Examples:
      ballastctl simulate                                       a made-up cluster, the policies here, one day
      ballastctl simulate --cluster site.yaml --for 7d          your cluster, a week
      ballastctl simulate --faults sick-memory,heat --auto      hosts fail: who is emptied, how fast, and where to?
      ballastctl simulate --cluster site.yaml --policies new/ --report out/ --format html,png
      ballastctl simulate --hosts 20 --vms 200 --faults random --seed 7
      ballastctl simulate --cluster site.yaml --script outage.yaml --trace
    """
    quieten()
    _refuse_both(ctx)
    try:
        make_ready(report, formats)
        cluster = _cluster(cluster_file, hosts, vms, seed)
        script = _script(script_file, cluster, begins, lasts, seed)
        found = rehearse_shown(_setting(cluster, script, policies, faults, are_auto=are_auto), script.lasts)
        _show(found, output, moves=moves, trace=trace)
        if report is not None:
            report_files(lambda to: write_report_of(found, to, formats), report)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    if found.violations:
        ctx.exit(EXIT_PROBLEMS)


def _refuse_both(ctx: click.Context) -> None:
    """Refuse an option that a file has the last word on, instead of letting it go unheeded."""
    for file, (named, others) in EXCLUSIVE.items():
        said = [OPTIONS[one] for one in others if ctx.get_parameter_source(one) is ParameterSource.COMMANDLINE]
        if ctx.params[file] is not None and said:
            raise click.UsageError(f"{' and '.join(said)}: {named} says that already; leave one of them out")


def quieten() -> None:
    """Keep the rehearsed daemon's log off the terminal."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _cluster(file: Path | None, hosts: int, vms: int, seed: int) -> SavedCluster:
    if file is not None:
        from ballastd.documents.saved_clusters import load_cluster

        return load_cluster(file)
    from ballastd.sim.generating import generate

    return generate(hosts, vms, seed)


def _script(file: Path | None, cluster: SavedCluster, begins: float, lasts: float, seed: int) -> Script:
    if file is None:
        from ballastd.core.policies import Timing
        from ballastd.core.scripts import Script

        return Script(begins, lasts, seed=seed, timing=Timing())
    from ballastd.documents.scripts import load_script

    return load_script(file, cluster)


def _setting(cluster: SavedCluster, script: Script, policies: Path, faults: str, *, are_auto: bool) -> Setting:
    from ballastd.documents.policy_files import PolicyFiles
    from ballastd.rehearsal.stage import Setting
    from ballastd.sim.chances import FAULTS, chosen, draw

    names: tuple[str, ...] = ()
    if faults != "none":
        names = chosen(script.seed) if faults == "random" else tuple(part.strip() for part in faults.split(","))
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        raise ConfigurationError((f"--faults: {', '.join(unknown)}: unknown; known: none, random, {', '.join(FAULTS)}",))
    acts = draw(script.seed, cluster, names, min(WARM_UP_SECONDS, script.lasts), script.lasts)
    source = PolicyFiles(existing(policies), cluster.declaration(script.timing), are_auto)
    return Setting(cluster, source, script.timing, tuple(sorted((*script.acts, *acts), key=lambda act: act.at)), script.seed,
                   script.begins_wall, script.wakeable)


def rehearse_shown(setting: Setting, seconds: float) -> Rehearsed:
    """Rehearse, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from ballastd.rehearsal.rehearsing import rehearse

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("rehearsing", total=seconds)
        return rehearse(setting, seconds, lambda passed, moves: bar.update(
            task, completed=passed, description=f"{passed / 3600:.1f} h, {moves} moves"))


def _show(found: Rehearsed, output: str, *, moves: bool, trace: bool) -> None:
    from rich.console import Console

    from ballastd.cli.rehearsal import render_terminal, to_json

    if trace:
        click.echo("\n".join(found.trace), err=output == "json")
    if output == "json":
        click.echo(to_json(found))
    else:
        render_terminal(found, Console(highlight=False, markup=False, emoji=False), moves=moves)


def existing(policies: Path) -> Path:
    """Return where policies are, for it is there.

    Raises:
        ConfigurationError: nothing is there.
    """
    if not policies.exists():
        raise ConfigurationError((f"{policies} does not exist; name a directory of policies, or one file. To "
                                  "begin with: the example in the README, or the directory policies of the source",))
    return policies


def _formats(destination: Path, formats: str) -> tuple[str, ...]:
    suffix = destination.suffix.lstrip(".").lower()
    return (suffix,) if suffix in FORMATS else tuple(part.strip() for part in formats.split(","))


def make_ready(destination: Path | None, formats: str) -> None:
    """Make sure that a report can be written before hours are rehearsed for it.

    Raises:
        ConfigurationError: it cannot.
    """
    if destination is not None:
        from ballastd.cli.rehearsal import ready_to_write

        report_files(lambda to: ready_to_write(to, _formats(to, formats)), destination)


def write_report_of(found: Rehearsed, destination: Path, formats: str) -> tuple[Path, ...]:
    """Write a report in ``formats``, or in the one that the destination's suffix names; return the files."""
    from ballastd.cli.rehearsal import write_report

    return write_report(found, destination, _formats(destination, formats))


def report_files(write: Callable[[Path], Iterable[Path] | None], destination: Path) -> None:
    """Have files written, and name them.

    Raises:
        ConfigurationError: they cannot be written.
    """
    try:
        for path in write(destination) or ():
            click.echo(f"written: {path}", err=True)
    except OSError as error:
        raise ConfigurationError((f"--report: {error.filename or destination} cannot be written: {error.strerror}; name a "
                                  "directory that you may write to",)) from error
