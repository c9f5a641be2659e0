"""``ballastctl policy show`` and ``explain``: what policies come to, key by key and in words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ballastd.cli.client import Daemon
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import printable
from ballastd.cli.options import socket_of
from ballastd.cli.output import emit_document, heading
from ballastd.cli.policies.places import EXIT_FAILED, EXIT_PROBLEMS, placed, policies_argument, settings_option
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.policies import ClusterDeclaration
    from ballastd.core.saved_cluster import ClusterCopy, SavedCluster
    from ballastd.documents.shown_policies import ShownPolicy


@click.command("show")
@policies_argument
@settings_option
@click.option("-k", "wanted", metavar="WORDS", default="", help="Only policies in whose kind or name these words stand.")
@click.option("--written", is_flag=True, help="Only what is written, no defaults.")
@click.option("-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True)
@click.option("--socket", "socket_path", type=click.Path(), help="The daemon to compare with.")
@click.pass_context
def show_command(ctx: click.Context, directory: Path | None, settings: Path | None, wanted: str, written: bool, output: str,
                 socket_path: str | None) -> None:
    """Show every key of every policy as it counts: its value, and where it stands, or that it is a default.

    Where the daemon can be asked, it is said whether these are the policies that govern.

    \b
    Examples:
      ballastctl policy show
      ballastctl policy show policies -k even-load --written
      ballastctl policy show policies/profiles/standard.yaml -k Evacuation -o yaml
    """
    from ballastd.documents.loading import read_policies
    from ballastd.documents.shown_policies import shown

    try:
        where, cluster = placed(directory, settings)
        read = read_policies(where, cluster)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    found = [one for one in shown(read) if all(word.lower() in f"{one.kind} {one.name}".lower() for word in wanted.split())]
    governs = _governs(ctx, socket_path, read.digest)
    if output == "table":
        for policy in found:
            _show(policy, written_only=written)
        click.echo(f"{len(found)} policies, digest {read.digest[:12]}{_told(governs)}")
    else:
        policies = [_document(one, written_only=written) for one in found]
        emit_document({"digest": read.digest, "governs": governs, "policies": policies}, output)
    if not found:
        ctx.exit(EXIT_FAILED)


def _governs(ctx: click.Context, socket_path: str | None, digest: str) -> bool | None:
    """Return whether the daemon governs by these texts; None where it does not answer."""
    try:
        return bool(Daemon(socket_path or socket_of(ctx)).get("status")["policies_digest"] == digest)
    except click.ClickException:
        return None


def _told(governs: bool | None) -> str:
    if governs is None:
        return "; the daemon does not answer, so nobody knows whether they govern"
    return "; they govern" if governs else "; they do NOT govern: the daemon has others. ballastctl reload would load these"


def _show(policy: ShownPolicy, *, written_only: bool) -> None:
    click.echo(f"{heading(printable(f'{policy.kind} {policy.name}'))}  {printable(policy.place)}")
    keys = [one for one in policy.keys if one.place or not written_only]
    width = max((len(one.key) for one in keys), default=0)
    values = max((min(len(one.value), 40) for one in keys), default=0)
    for one in keys:
        place = click.style("default", dim=True) if not one.place else printable(_short(one.place, policy.place))
        click.echo(f"  {one.key:<{width}}  {printable(one.value):<{values}}  {place}")
    click.echo()


def _short(place: str, beside: str) -> str:
    """Return a place without its file where that is the policy's own."""
    file, line, column = place.rsplit(":", 2)
    return f":{line}:{column}" if file == beside.rsplit(":", 2)[0] else place


def _document(policy: ShownPolicy, *, written_only: bool) -> dict[str, Any]:
    return {"kind": policy.kind, "name": policy.name, "place": policy.place, "keys": [
        {"key": one.key, "value": one.value, "default": not one.place, "place": one.place or None}
        for one in policy.keys if one.place or not written_only]}


@click.command("explain")
@click.argument("name", metavar="POLICY")
@policies_argument
@settings_option
@click.option("--cluster", "cluster_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A saved cluster in which to look for hosts and VMs; otherwise the daemon's, or the settings' hosts.")
@click.option("--socket", "socket_path", type=click.Path(), help="The daemon whose cluster to look in.")
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table", show_default=True)
@click.pass_context
def explain_command(ctx: click.Context, name: str, directory: Path | None, settings: Path | None, cluster_file: Path | None,
                    socket_path: str | None, output: str) -> None:
    """Say in words what POLICY does, when, how much at most, and which hosts and VMs it covers.

    \b
    Examples:
      ballastctl policy explain failing-hosts
      ballastctl policy explain even-load policies --cluster site.yaml
    """
    from ballastd.documents.loading import read_policies
    from ballastd.documents.policies_in_words import in_words
    from ballastd.documents.shown_policies import shown

    try:
        where, declared = placed(directory, settings)
        read = read_policies(where, declared)
        cluster = cluster_for(ctx, cluster_file, socket_path, declared)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    policies = read.compiled(time.time())
    found = [one for one in shown(read) if one.name == name]
    if not found:
        known = ", ".join(sorted({one.name for one in shown(read)}))
        raise click.ClickException(f"no policy is called {name}; there are {known}")
    told = [(one, in_words(one, policies, cluster)) for one in found]
    if output == "json":
        emit_document([{"kind": one.kind, "name": one.name, "place": one.place, "does": list(words.does),
                        "at_most": list(words.bounds), "covers": list(words.covers)} for one, words in told], "json")
        return
    for one, words in told:
        click.echo(f"{heading(printable(f'{one.kind} {one.name}'))}  {printable(one.place)}")
        for line in (one.value("description"), *words.does):
            if line:
                click.echo(f"  {printable(line)}")
        for title, lines in (("At most", words.bounds), ("Covers", words.covers)):
            if lines:
                click.echo(f"  {title}:")
                for line in lines:
                    click.echo(f"    {printable(line)}")


def cluster_for(ctx: click.Context, file: Path | None, socket_path: str | None, declared: ClusterDeclaration | None
                ) -> SavedCluster | None:
    """Return the cluster of ``copy_for``."""
    copy = copy_for(ctx, file, socket_path, declared)
    return None if copy is None else copy.cluster


def copy_for(ctx: click.Context, file: Path | None, socket_path: str | None, declared: ClusterDeclaration | None
             ) -> ClusterCopy | None:
    """Return what a verb looks in: a saved cluster, the daemon's, or the declared hosts without VMs.

    Raises:
        ConfigurationError: the file is no saved cluster.
    """
    from ballastd.core.plain import from_plain
    from ballastd.core.quantities import Bytes
    from ballastd.core.saved_cluster import ClusterCopy, SavedCluster, SavedHost
    from ballastd.documents.saved_clusters import load_cluster

    if file is not None:
        return ClusterCopy(load_cluster(file))
    try:
        copy: ClusterCopy = from_plain(ClusterCopy, Daemon(socket_path or socket_of(ctx)).get("cluster"))
        return copy
    except click.ClickException:
        if socket_path is not None:
            raise
    if declared is None:
        return None
    return ClusterCopy(SavedCluster(tuple(SavedHost(host, Bytes(0), 0) for host in declared.hosts), ()))
