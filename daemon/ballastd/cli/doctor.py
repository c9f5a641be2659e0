"""``ballastctl doctor``: a check-up of the cluster before it is put into the daemon's hands. Needs no daemon."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ballastd.cli.checkup import document, show, show_leg
from ballastd.cli.diagnostics import show_problems
from ballastd.cli.formats import printable
from ballastd.cli.output import emit_document
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from ballastd.doctor import Progress
    from ballastd.documents import Settings

EXIT_PROBLEMS = 4
DEFAULT_SETTINGS = Path("/etc/ballastd/ballastd.yaml")


@click.command("doctor")
@click.argument("uris", nargs=-1, metavar="[URI]...")
@click.option("--config", "-c", type=click.Path(dir_okay=False, path_type=Path), envvar="BALLASTD_CONFIG", show_envvar=True,
              help=f"The settings.  [default: {DEFAULT_SETTINGS}, unless URIs are given]")
@click.option("--listen", type=click.FloatRange(0, 600), default=35.0, show_default=True, metavar="SECONDS",
              help="How long to wait for every host's telemetry; 0: the broker is not asked.")
@click.option("--rehearse", "vm", metavar="VM", help="Instead: move this VM (name or UUID) to another host and back.")
@click.option("--to", default="", metavar="HOST",
              help="With --rehearse: to this host.  [default: the one with most memory free]")
@click.option("--bandwidth", type=click.IntRange(1), metavar="MIB/S",
              help="With --rehearse.  [default: 60% of the slower link]")
@click.option("--yes", is_flag=True, help="With --rehearse: do not ask before the VM is moved.")
@click.option("-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True)
@click.pass_context
def doctor_command(ctx: click.Context, uris: tuple[str, ...], config: Path | None, listen: float, vm: str | None, to: str,
                   bandwidth: int | None, yes: bool, output: str) -> None:
    """Check a whole cluster before it is trusted: what works, what does not, and the cure.

    Every host's libvirt is asked, and for each VM whether each other host could have it; then the broker, for telemetry,
    clocks and agents, and the power controllers. Certificates are looked at for whether they are believed and when they end,
    and declared links beside what hosts' interfaces do. Nothing is changed and nothing moved, no daemon is needed, and one
    that runs is not disturbed. A cluster that was never seen can be looked at by its hosts' URIs alone.

    What can only be known by trying is tried with --rehearse: one VM goes to another host and comes back, each way looked at
    beforehand as the daemon does, and what was predicted is shown beside what it took. Not while a daemon is at work.

    \b
    Examples:
      ballastctl doctor                                      the cluster of /etc/ballastd/ballastd.yaml
      ballastctl doctor -c config/ballastd.yaml --listen 60
      ballastctl doctor qemu+ssh://root@kvm-01/system qemu+ssh://root@kvm-02/system
      ballastctl doctor --rehearse test-vm --to kvm-02

    Exit code 4 where something has to be put right first (a fault), or a VM is not back where it was.
    """
    from ballastd.core.checkup import judge
    from ballastd.doctor import examine, quieten, settings_for
    from ballastd.documents import load_settings

    if uris and config is not None:
        raise click.UsageError("either URIs or --config: the settings name the hosts already")
    try:
        settings = settings_for(uris) if uris else load_settings(config or DEFAULT_SETTINGS)
        quieten()
        if vm is not None:
            _rehearse(ctx, settings, _Trial(vm, to, bandwidth or 0, yes or output != "table"), output)
            return
        with _progress() as progress:
            site = examine(settings, seconds=0.0 if uris else listen, progress=progress)
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        ctx.exit(1)
    readiness = judge(site)
    if output == "table":
        show(settings.cluster_name, site, readiness)
    else:
        emit_document(document(settings.cluster_name, site, readiness), output)
    if readiness.worst.name == "FAULT":
        ctx.exit(EXIT_PROBLEMS)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A VM that is to go there and back. ``to``: empty for any host; ``bandwidth_mib_s``: 0 for the default; ``is_agreed``:
    nobody need be asked."""

    vm: str
    to: str
    bandwidth_mib_s: int
    is_agreed: bool


def _rehearse(ctx: click.Context, settings: Settings, trial: _Trial, output: str) -> None:
    from ballastd.doctor import who_claims
    from ballastd.roundtrip import NotMoved, go_there_and_back

    holder = who_claims(settings)
    if holder:
        raise click.ClickException(f"a daemon is at work on this cluster ({printable(holder)}): it would take the move for "
                                   "a stranger's; stop it first")
    if holder is None:
        click.echo(f"warning: whether a daemon is at work is not known, for the broker at {printable(settings.mqtt.host)} "
                   "is not reached; one would take the move for a stranger's", err=True)
    if not trial.is_agreed:
        where = printable(trial.to) or "another host"
        click.confirm(f"Move {printable(trial.vm)} to {where} and back?", abort=True, err=True)
    try:
        with _progress() as progress:
            result = go_there_and_back(settings, trial.vm, trial.to, bandwidth_mib_s=trial.bandwidth_mib_s,
                                       progress=progress)
    except NotMoved as no:
        raise click.ClickException(f"nothing was done: {printable(str(no))}") from no
    if output == "table":
        for leg in result.legs:
            show_leg(result.vm_name, leg)
        click.echo("it is back where it was" if result.is_well else "IT IS NOT BACK WHERE IT WAS")
    else:
        from ballastd.core.plain import to_plain

        emit_document(to_plain(result), output)
    if not result.is_well:
        ctx.exit(EXIT_PROBLEMS)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Yield who is told how far it is: one line on a terminal, written over and wiped at the end; nothing elsewhere."""
    is_shown, counts = sys.stderr.isatty(), dict[str, str]()

    def show_so_far(what: str, done: int, of: int) -> None:
        counts[what] = f"{what} {done}/{of}"
        if is_shown:
            click.echo(f"\r\x1b[K{', '.join(counts.values())}", nl=False, err=True)

    try:
        yield show_so_far
    finally:
        if is_shown and counts:
            click.echo("\r\x1b[K", nl=False, err=True)
