"""``ballastctl cluster``: clusters in files: saved from a live daemon, made up, looked at, checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ballastd.cli.client import Daemon
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import cores, printable, share, size
from ballastd.cli.options import with_daemon
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.saved_cluster import SavedCluster

EXIT_PROBLEMS = 4
FILE = click.Path(dir_okay=False, path_type=Path)
_anonymous = click.option("--anonymous", "is_anonymous", is_flag=True,
                          help="Number all names, addresses, tags and labels: to be shown to others.")


@click.group("cluster")
def cluster_group() -> None:
    """Save a cluster to a file, make one up, look at one.

    A saved cluster is a text file of hosts and VMs with what they do. Rehearsals run on it:

    \b
      ballastctl cluster save site.yaml
      ballastctl simulate --cluster site.yaml --policies new-policies --for 7d
    """


@cluster_group.command("save")
@click.argument("file", type=FILE, required=False)
@click.option("--partial", is_flag=True, help="Do without hosts that were never seen, instead of refusing.")
@click.option("--name", default="", metavar="NAME", help="What to call it.")
@_anonymous
@with_daemon
@click.pass_context
def save_command(ctx: click.Context, daemon: Daemon, file: Path | None, partial: bool, name: str,
                 is_anonymous: bool) -> None:
    """Save the live cluster to FILE, or print it.

    Hosts as they are declared and as they were seen last; VMs where they are, each with the processors that it used over the
    load window as a steady demand. Watts, boot times and daily rhythms are for you to add: see docs/clusters.md.

    \b
    Examples:
      ballastctl cluster save site.yaml
      ballastctl cluster save --anonymous report.yaml    to send to somebody else
    """
    from ballastd.core.plain import from_plain
    from ballastd.core.saved_cluster import ClusterCopy, SavedCluster

    found: ClusterCopy = from_plain(ClusterCopy, daemon.get("cluster"))
    missing = ", ".join(found.missing)
    if missing and not partial:
        click.echo(f"error: never seen since the daemon started: {missing}\n"
                   "       wait until they are, or save the others with --partial", err=True)
        ctx.exit(EXIT_PROBLEMS)
    if missing:
        click.echo(f"left out, for they were never seen: {missing}", err=True)
    saved = found.cluster
    if name:
        saved = SavedCluster(saved.hosts, saved.vms, name, saved.saved_wall)
    saved = _without_names(saved) if is_anonymous else saved
    _write(saved, file)
    _warn_of_what_is_odd(ctx, saved, file)


def _warn_of_what_is_odd(ctx: click.Context, saved: SavedCluster, file: Path | None) -> None:
    """A live cluster may have what a rehearsal cannot begin with: say so at once."""
    from ballastd.documents.saved_clusters import load_cluster, read_cluster

    try:
        _ = read_cluster(_text(saved, is_json=False)) if file is None else load_cluster(file)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        click.echo("a rehearsal cannot begin with this as it is: put that right in the file first", err=True)
        ctx.exit(EXIT_PROBLEMS)


@cluster_group.command("generate")
@click.argument("file", type=FILE, required=False)
@click.option("--hosts", type=click.IntRange(1, 1000), default=8, show_default=True)
@click.option("--vms", type=click.IntRange(1, 20000), default=60, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same cluster.")
@click.option("--fill", type=click.FloatRange(0.05, 0.8), default=0.4, show_default=True,
              help="Share of all memory that VMs have.")
@click.option("--load", type=click.FloatRange(0.0, 1.0), default=0.3, show_default=True,
              help="Share of all processors that VMs ask for on average.")
@click.pass_context
def generate_command(ctx: click.Context, file: Path | None, hosts: int, vms: int, seed: int, fill: float,
                     load: float) -> None:
    """Make up a cluster, and write it to FILE or print it.

    \b
    Example:
      ballastctl cluster generate --hosts 20 --vms 200 --seed 7 big.yaml
    """
    from ballastd.sim.generating import generate

    try:
        made = generate(hosts, vms, seed, fill=fill, load=load)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    _write(made, file)


@cluster_group.command("show")
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=click.Choice(("table", "yaml", "json")), default="table", show_default=True)
@_anonymous
@click.pass_context
def show_command(ctx: click.Context, file: Path, output: str, is_anonymous: bool) -> None:
    """Show what a saved cluster holds; with -o, write it in the other spelling.

    \b
    Examples:
      ballastctl cluster show site.yaml
      ballastctl cluster show site.yaml -o json | jq '.hosts[].name'
    """
    found = _load(ctx, file)
    found = _without_names(found) if is_anonymous else found
    if output != "table":
        click.echo(_text(found, is_json=output == "json"), nl=False)
        return
    click.echo(f"{printable(found.name)}: {len(found.hosts)} hosts, {len(found.vms)} VMs")
    rows = [("HOST", "ON", "VMS", "MEMORY", "", "ASKED AT MOST", "LABELS")]
    for host in found.hosts:
        vms = found.on(host.name)
        held = sum(vm.record.memory_max for vm in vms if vm.record.state.holds_memory)
        asked = sum(vm.demand.high for vm in vms if vm.record.state.runs)
        labels = ",".join(f"{key}={value}" for key, value in host.declared.labels) or "-"
        rows.append((host.name, "yes" if host.is_on else "no", str(len(vms)), f"{size(held)} of {size(host.memory_total)}",
                     share(held / host.memory_total), cores(asked, float(host.cpus)), printable(labels)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@cluster_group.command("check")
@click.argument("file", type=FILE)
@click.pass_context
def check_command(ctx: click.Context, file: Path) -> None:
    """Check a saved cluster; exit code 4 and every problem with its line if it is none.

    \b
    Example:
      ballastctl cluster check site.yaml
    """
    found = _load(ctx, file)
    click.echo(f"{file}: {len(found.hosts)} hosts, {len(found.vms)} VMs, nothing wrong with it")


def _load(ctx: click.Context, file: Path) -> SavedCluster:
    from ballastd.documents.saved_clusters import load_cluster

    try:
        return load_cluster(file)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)


def _without_names(cluster: SavedCluster) -> SavedCluster:
    from ballastd.documents.anonymous import anonymous

    return anonymous(cluster)


def _text(cluster: SavedCluster, *, is_json: bool) -> str:
    from ballastd.documents.written_clusters import dump_cluster, dump_json

    return dump_json(cluster) if is_json else dump_cluster(cluster)


def _write(cluster: SavedCluster, file: Path | None) -> None:
    text = _text(cluster, is_json=file is not None and file.suffix == ".json")
    if file is None:
        click.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from error
    click.echo(f"written: {file}: {len(cluster.hosts)} hosts, {len(cluster.vms)} VMs", err=True)
