"""``ballastctl vm``: the VMs that hosts report."""

from __future__ import annotations

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import size
from ballastd.cli.options import with_daemon, with_output, with_watch
from ballastd.cli.output import Column, Table, emit, repeat, warn_if_old

VMS = Table((
    Column("NAME", lambda v: v["name"]),
    Column("HOST", lambda v: v["host"]),
    Column("STATE", lambda v: v["state"]),
    Column("MEMORY", lambda v: size(v["memory"]), right=True),
    Column("VCPUS", lambda v: str(v["vcpus"]), right=True),
    Column("PRIORITY", lambda v: str(v["priority"]), wide=True, right=True),
    Column("MIGRATION", lambda v: v["migration"] or "-"),
    Column("PINS", lambda v: str(len(v["pins"])) if v["pins"] else "-", right=True),
    Column("ID", lambda v: v["id"], wide=True),
    Column("WHY PINNED", lambda v: "; ".join(v["pins"]) or "-", wide=True),
), lambda v: str(v["id"]), "no VMs were seen")


@click.group("vm")
def vm_group() -> None:
    """Look at VMs."""


@vm_group.command("list")
@click.option("--host", help="Only those on this host.")
@with_watch
@with_output
@with_daemon
def list_vms(daemon: Daemon, output: str, watch: float | None, host: str | None) -> None:
    """List the VMs that hosts report.

    \b
    Examples:
      ballastctl vm list --host alder
      ballastctl vm list -o wide             with ids and what pins each
      ballastctl explain db                  one VM in full
    """
    def show() -> None:
        document = daemon.get("vms")
        warn_if_old(document, output)
        emit([vm for vm in document["vms"] if host is None or vm["host"] == host], VMS, output)

    repeat(watch, show)
