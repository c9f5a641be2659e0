"""``ballastctl``: the operator's command. Heavy imports wait until a verb needs them, so that help is instant."""

from __future__ import annotations

import os

import click

from ballastd import __version__
from ballastd.cli.advice import capacity_command, place_command
from ballastd.cli.client import DEFAULT_SOCKET
from ballastd.cli.cluster import pause_command, reload_command, resume_command, status_command, summary_command
from ballastd.cli.clusters import cluster_group
from ballastd.cli.doctor import doctor_command
from ballastd.cli.hosts import host_group
from ballastd.cli.journal import journal_group
from ballastd.cli.migrations import migration_group
from ballastd.cli.plan import explain_command, plan_command
from ballastd.cli.policy import policy_group
from ballastd.cli.promotions import promote_command
from ballastd.cli.replay import replay_command
from ballastd.cli.simulate import simulate_command
from ballastd.cli.top import top_command
from ballastd.cli.vms import vm_group
from ballastd.cli.windows import window_group


@click.group("ballastctl", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--socket", "socket_path", type=click.Path(), envvar="BALLASTD_SOCKET", show_envvar=True,
              help=f"The daemon's socket.  [default: {DEFAULT_SOCKET}]")
@click.version_option(__version__, prog_name="ballastctl")
@click.pass_context
def main(ctx: click.Context, socket_path: str | None) -> None:  # noqa: ARG001  verbs find it in the context
    """Ask ballastd what it does and why, and tell it what to do.

    \b
    A first look:
      ballastctl top                       everything at a glance, live
      ballastctl status                    is it acting, and if not, what holds it back?
      ballastctl host list                 every host, its health and load
      ballastctl plan                      what it is about to do
      ballastctl explain alder             why a host or VM is as it is
      ballastctl doctor                    is the cluster fit to be trusted to it?
    \b
    Every day:
      ballastctl host drain alder --deadline 2h
      ballastctl migration list --watch 1
      ballastctl pause --reason "storage maintenance"
      ballastctl policy check policies && ballastctl reload
      ballastctl simulate --policies policies --for 24h      what would they do?
    \b
    Completion of verbs and host names, for bash (zsh and fish likewise):
      eval "$(_BALLASTCTL_COMPLETE=bash_source ballastctl)"
    \b
    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon cannot be reached, 4 a check found problems.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


policy_group.add_command(promote_command)
for _command in (top_command, status_command, summary_command, host_group, vm_group, plan_command, explain_command,
                 migration_group, journal_group, pause_command, resume_command, reload_command, policy_group,
                 window_group, cluster_group, simulate_command, replay_command, place_command, capacity_command,
                 doctor_command):
    main.add_command(_command)
