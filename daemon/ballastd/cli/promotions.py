"""``ballastctl policy promote``: a policy that was demoted may act by itself again."""

from __future__ import annotations

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import printable
from ballastd.cli.options import with_daemon, with_reason


@click.command("promote")
@click.argument("policy")
@with_reason
@with_daemon
def promote_command(daemon: Daemon, policy: str, reason: str) -> None:
    """Let a policy act by itself again that only recommends since its moves failed.

    Find out why they failed first: `ballastctl migration list`, `ballastctl explain VM`.

    \b
    Example:
      ballastctl policy promote even-load --reason "the switch was replaced"
    """
    click.echo(printable(daemon.post("policies", policy, "promote", reason=reason)["message"]))
