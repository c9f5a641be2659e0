"""``ballastd``: the services. Settings that cannot be used end it with exit code 78, which systemd does not retry."""

from __future__ import annotations

import importlib
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ballastd import __version__
from ballastd.cli.diagnostics import show_problems
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h."""
DEFAULT_SETTINGS = Path("/etc/ballastd/ballastd.yaml")
_LATER = {"agent": ("ballastd.cli.agent", "agent_command"), "demo": ("ballastd.cli.demo.command", "demo_command"),
          "init": ("ballastd.cli.init", "init_command")}


class _Services(click.Group):
    """A group whose heavier members are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_LATER})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LATER:
            return super().get_command(ctx, cmd_name)
        module, name = _LATER[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group("ballastd", cls=_Services, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ballastd")
def services() -> None:
    """Keep a cluster of libvirt/KVM hosts on an even keel.

    \b
      ballastd run      the daemon: telemetry in, live migrations out
      ballastd agent    the telemetry agent, on each host
      ballastd demo     a pretend cluster and a story, to watch it at work
      ballastd init     a first settings file, from what hosts say of themselves
    The operator's side is `ballastctl`.
    """


@services.command("run")
@click.option("--config", "-c", type=click.Path(path_type=Path), default=DEFAULT_SETTINGS, show_default=True,
              envvar="BALLASTD_CONFIG", show_envvar=True, help="The settings: hosts, broker, paths, durations.")
@click.option("--policies", type=click.Path(path_type=Path), help="Policies from here, whatever the settings say.")
@click.option("--check", is_flag=True, help="Check settings and policies and exit; connects to nothing.")
@click.option("--log-format", type=click.Choice(("json", "console")),
              help="How to log.  [default: console on a terminal, else json]")
def run_command(config: Path, policies: Path | None, check: bool, log_format: str | None) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP loads the policies again.

    Exit code 78 when settings or policies cannot be used: each problem with its file, line and column.

    \b
    Examples:
      ballastd run --check
      ballastd run --config config/ballastd.yaml --policies policies --log-format console
    """
    if check:
        click.echo(_checked(config, policies))
        return
    from ballastd.bootstrap import run

    sys.exit(run(config, policies=policies, log_format=log_format))


def _checked(config: Path, policies: Path | None) -> str:
    from ballastd.documents import load_policies, load_settings

    settings = load_settings(config)
    place = settings.policies if policies is None else policies
    loaded = load_policies(place, settings.cluster, time.time())
    show_problems(loaded.warnings, "warning", "yellow")
    found = loaded.policies
    count = sum(map(len, (found.health, found.evacuation, found.balance, found.consolidation, found.placement)))
    hosts = len(settings.cluster.hosts)
    return (f"sound: {config} ({hosts} host{'' if hosts == 1 else 's'}), {place} ({count} "
            f"polic{'y' if count == 1 else 'ies'})")


@services.command("version")
def version_command() -> None:
    """Print the versions of ballastd and of what it stands on."""
    click.echo(f"ballastd {__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; settings that cannot be used are told on stderr, one by one."""
    try:
        services.main(args=None if arguments is None else list(arguments), prog_name="ballastd")
    except ConfigurationError as error:
        show_problems(error.problems, "error", "red")
        sys.exit(EXIT_CONFIGURATION)
