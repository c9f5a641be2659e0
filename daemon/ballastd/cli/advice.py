"""``ballastctl place`` and ``ballastctl capacity``: advice about VMs that do not exist yet."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ballastd.cli.client import Daemon
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import printable, share, size
from ballastd.cli.offline import as_it_is
from ballastd.cli.options import socket_of, with_output
from ballastd.cli.output import Column, Table, emit, emit_document, warn_if_old
from ballastd.cli.policies.places import EXIT_FAILED, EXIT_PROBLEMS, placed, settings_option
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.core.advice import Shape
    from ballastd.core.policies import PolicySet
    from ballastd.core.views import ClusterView

Verb = TypeVar("Verb", bound=Callable[..., Any])
EXISTING = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

OFFERS = Table((
    Column("HOST", lambda o: o["host"]),
    Column("OFFERED", lambda o: "no" if o["why_not"] else "yes"),
    Column("PROCESSORS", lambda o: share(o["cpu_after"]), right=True),
    Column("MEMORY", lambda o: share(o["memory_after"]), right=True),
    Column("BECAUSE", lambda o: "; ".join([f"{kind}: {detail}" for kind, detail in o["why_not"]] + list(o["but"])) or "-"),
), lambda o: str(o["host"]), "there is no host")


class _Size(click.ParamType[int]):
    """Bytes, with a unit."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from ballastd.documents.scalars import size as bytes_of

        try:
            found = value if isinstance(value, int) else bytes_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if found <= 0:
            self.fail("a VM has some memory; write for example 8GiB", param, ctx)
        return found


class _Processors(click.FloatRange):
    """How many processors; not a number is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value!r} is no number of processors; write for example 1.5", param, ctx)
        return found


PROCESSORS = _Processors(0.0, 100_000.0)


def _with_shape(verb: Verb) -> Verb:
    for option in (
            click.option("--cpu", "processors", type=PROCESSORS, required=True, metavar="PROCESSORS",
                         help="What it will use at its busier times, not how many it is given: 1.5."),
            click.option("--memory", type=_Size(), required=True, metavar="SIZE", help="Its maximum: 8GiB."),
            click.option("--name", default="", help="What it will be called, for policies that go by names."),
            click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag it will have; repeatable."),
            click.option("--group", default="", help="The group it will be of."),
            click.option("--cluster", "cluster_file", type=FILE, help="A saved cluster, instead of the daemon's."),
            click.option("--policies", "directory", type=EXISTING, metavar="DIRECTORY|FILE",
                         help="Policies to go by, instead of those that the settings name."),
            settings_option,
            click.option("--socket", "socket_path", type=click.Path(), help="The daemon's socket."),
            with_output):
        verb = option(verb)
    return verb


@click.command("place")
@_with_shape
@click.pass_context
def place_command(ctx: click.Context, processors: float, memory: int, name: str, tags: tuple[str, ...], group: str,
                  cluster_file: Path | None, directory: Path | None, settings: Path | None, socket_path: str | None,
                  output: str) -> None:
    """Rank the hosts for a new VM, with reasons. Nothing is created.

    A host is offered when it may receive, has the memory, would not be hot with the VM (by your Balance policies), is not
    hot by its network already (what the VM itself will carry is not asked), breaks no must-rule of a Placement, and leaves
    room for the failure of a host or of a whole domain (by Limits). Of those offered the one that stays the emptiest comes
    first. PROCESSORS and MEMORY say how full it would be. Exit code 1 where no host is offered.

    \b
    Examples:
      ballastctl place --cpu 2 --memory 8GiB
      ballastctl place --cpu 2 --memory 8GiB --tag web -o json
      ballastctl place --cpu 0.5 --memory 2GiB --cluster site.yaml --policies policies
    """
    from ballastd.core.advice import Shape, rank
    from ballastd.core.plain import to_plain

    view, policies = _picture(ctx, cluster_file, directory, settings, socket_path, output)
    offers = rank(view, policies, Shape(processors, memory, name, tags, group))
    # who pipes names wants hosts that may be used
    emit([to_plain(offer) for offer in offers if offer.is_offered or output != "name"], OFFERS, output)
    if not any(offer.is_offered for offer in offers):
        ctx.exit(EXIT_FAILED)


@click.command("capacity")
@_with_shape
@click.pass_context
def capacity_command(ctx: click.Context, processors: float, memory: int, name: str, tags: tuple[str, ...], group: str,
                     cluster_file: Path | None, directory: Path | None, settings: Path | None, socket_path: str | None,
                     output: str) -> None:
    """Say how many more VMs of a shape fit, with and without room for a failure (by Limits), and what stops the next.

    They are put where `ballastctl place` would put them, one after the other. Nothing is created, and nobody is moved to
    make room: a balanced cluster may take more.

    \b
    Examples:
      ballastctl capacity --cpu 2 --memory 8GiB
      ballastctl capacity --cpu 0.5 --memory 2GiB --tag web --cluster site.yaml --policies policies -o json
    """
    from ballastd.core.advice import Shape, capacity
    from ballastd.core.plain import to_plain

    view, policies = _picture(ctx, cluster_file, directory, settings, socket_path, output)
    shape = Shape(processors, memory, name, tags, group)
    found = capacity(view, policies, shape)
    if output in ("json", "yaml"):
        emit_document(to_plain(found), output)
        return
    if output == "name":
        click.echo(str(found.fits_with_reserve))
        return
    click.echo(f"{_counted(found.fits) or f'{found.fits} more'} of {_words(shape)} fit on the hosts as they are")
    if found.failover_hosts:
        kept = _counted(found.fits_with_reserve) or str(found.fits_with_reserve)
        if found.fits_with_reserve < found.fits and not found.reserve_stops:
            kept = f"at least {kept}"
        click.echo(f"{kept} with room kept for the failure of any one {printable(found.failover_domain)}")
    if found.reserve_stops:
        click.echo("while room is kept the next is stopped by:")
        _lines(found.reserve_stops)
    click.echo("the next is stopped by:" if found.stops else "nothing stops the next")
    for kind, hosts in found.stops:
        click.echo(f"  {kind} on {hosts} {'host' if hosts == 1 else 'hosts'}")
    _lines(found.examples)
    if more := sum(hosts for _, hosts in found.stops) - len(found.examples):
        click.echo(f"    and {more} {'host' if more == 1 else 'hosts'} more")


def _counted(vms: int) -> str:
    """Return a number that was not counted to its end, empty where it was."""
    from ballastd.core.advice import COUNTED_MAX

    return f"{vms} or more" if vms >= COUNTED_MAX else ""


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"    {printable(line)}")


def _words(shape: Shape) -> str:
    marks = "".join(f", {printable(mark)}" for mark in (*shape.tags, *filter(None, (shape.group,))))
    return f"{shape.processors:g} processors and {size(shape.memory)}{marks}"


def _picture(ctx: click.Context, cluster_file: Path | None, directory: Path | None, settings: Path | None,
             socket_path: str | None, output: str) -> tuple[ClusterView, PolicySet]:
    """Return the cluster to give advice on, and the policies to go by."""
    from ballastd.core.plain import from_plain
    from ballastd.core.views import ClusterView
    from ballastd.documents.loading import read_policies
    from ballastd.documents.saved_clusters import load_cluster

    try:
        where, declared = placed(directory, settings)
        read = read_policies(where, declared if cluster_file is None else None)
        if cluster_file is not None:
            return as_it_is(load_cluster(cluster_file), read.compiled)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(EXIT_PROBLEMS)
    document = Daemon(socket_path or socket_of(ctx)).get("view")
    warn_if_old(document, output)
    try:
        view: ClusterView = from_plain(ClusterView, document)
    except (TypeError, ValueError) as error:
        raise click.ClickException(f"the daemon is of another release than this ballastctl: {error}") from None
    if view.policies_digest != read.digest:
        click.echo("warning: the daemon goes by other policies than these; ballastctl reload would load them", err=True)
    return view, read.compiled(time.time())
