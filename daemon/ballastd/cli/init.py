"""``ballastd init``: a first settings file from what hosts say of themselves."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import printable
from ballastd.errors import ConfigurationError


@click.command("init")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write there, unless it exists.  [default: standard output]")
@click.option("--cluster", default="cluster", show_default=True, help="What the cluster is called.")
@click.pass_context
def init_command(ctx: click.Context, uris: tuple[str, ...], out: Path | None, cluster: str) -> None:
    """Write a first settings file from what hosts say of themselves; change nothing anywhere.

    Names, versions, processors, memory and storage pools are asked of each host's libvirt. What only you can know stands in
    the file as a comment: which storage has locks that work, racks and feeds, the speed of the network, the broker.

    \b
    Examples:
      ballastd init qemu+ssh://root@kvm-01/system qemu+ssh://root@kvm-02/system --out ballastd.yaml
      ballastctl doctor -c ballastd.yaml
    """
    from ballastd.doctor import examine, quieten, settings_for
    from ballastd.documents.first_settings import first_settings

    try:
        settings = settings_for(uris)
        quieten()
        site = examine(settings, seconds=0.0)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(1)
    silent = [survey for survey in site.surveys.values() if survey.trouble]
    for survey in silent:
        uri = next(host.uri for host in settings.cluster.hosts if host.name == survey.host)
        click.echo(f"error: {printable(uri)}: {printable(survey.trouble)}", err=True)
    if silent:
        ctx.exit(1)
    text = first_settings(cluster, settings.cluster.hosts, site.surveys)
    if out is None:
        sys.stdout.write(text)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise click.ClickException(f"{out} exists already; name another file, or move it away") from error
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from error
    click.echo(f"written: {out}; next: ballastctl doctor -c {out}", err=True)
