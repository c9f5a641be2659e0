"""``ballastctl vm``: the VMs that hosts report."""

from __future__ import annotations

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import cores, printable, size, yes
from ballastd.cli.options import vm_argument, with_daemon, with_output, with_watch
from ballastd.cli.output import Column, Row, Table, emit, emit_document, emit_fields, repeat, warn_if_old

VMS = Table((
    Column("NAME", lambda v: v["name"]),
    Column("HOST", lambda v: v["host"]),
    Column("STATE", lambda v: v["state"]),
    Column("CPU", lambda v: cores(v["cpu"], v["vcpus"]), right=True),
    Column("USED", lambda v: size(v["memory_used"]), right=True),
    Column("MEMORY", lambda v: size(v["memory"]), right=True),
    Column("PRIORITY", lambda v: str(v["priority"]), wide=True, right=True),
    Column("MIGRATION", lambda v: v["migration"] or "-"),
    Column("PINS", lambda v: str(len(v["pins"])) if v["pins"] else "-", right=True),
    Column("GROUP", lambda v: v["group"] or "-", wide=True),
    Column("TAGS", lambda v: ",".join(v["tags"]) or "-", wide=True),
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
      ballastctl vm list -o wide             with ids, tags and what pins each
      ballastctl vm list -o json | jq 'sort_by(-.cpu)[:5]'
      ballastctl explain db                  one VM in full
    """
    if host is not None:
        daemon.get("hosts", host)  # a name that no host has is refused, and who was meant is named

    def show() -> None:
        document = daemon.get("vms")
        warn_if_old(document, output)
        emit([vm for vm in document["vms"] if host is None or vm["host"] == host], VMS, output)

    repeat(watch, show)


@vm_group.command("show")
@vm_argument
@with_output
@with_daemon
def show_vm(daemon: Daemon, vm: str, output: str) -> None:
    """Show one VM, by its id or by a name that only one has; `ballastctl explain VM` says more.

    \b
    Example:
      ballastctl vm show db
    """
    found = daemon.get("vms", vm)
    if output in ("json", "yaml"):
        emit_document(found, output)
    elif output == "name":
        click.echo(printable(found["id"]))
    else:
        emit_fields(_fields(found))


def _fields(vm: Row) -> list[tuple[str, str]]:
    return [
        ("name", vm["name"]),
        ("id", vm["id"]),
        ("host", vm["host"]),
        ("state", vm["state"]),
        ("CPU", f"{cores(vm['cpu'], vm['vcpus'])} vCPUs, averaged"),
        ("memory", f"{size(vm['memory_used'])} used of {size(vm['memory'])} at most"),
        *([("huge pages", size(vm["huge_pages"]))] if vm["huge_pages"] else []),
        ("priority", str(vm["priority"])),
        ("group", vm["group"] or "-"),
        ("tags", ", ".join(vm["tags"]) or "-"),
        ("ignored", yes(vm["ignored"])),
        ("mobility", vm["mobility"]),
        ("downtime", "-" if vm["downtime_max_ms"] is None else f"at most {vm['downtime_max_ms']} ms"),
        ("post-copy", "as policies say" if vm["post_copy"] else "never"),
        ("shutdown", "as policies say" if vm["shutdown"] else "never"),
        *([("asked to shut down", vm["shutdown_state"])] if vm["shutdown_state"] else []),
        ("check", vm.get("check") or (f"not asked: {vm['check_flaw']}" if vm.get("check_flaw") else "-")),
        ("migration", vm["migration"] or "-"),
        *(("pinned", pin) for pin in vm["pins"]),
    ]


@vm_group.command("definition")
@vm_argument
@with_daemon
def show_definition(daemon: Daemon, vm: str) -> None:
    """Print what a VM was defined as when it was moved last, as virsh takes it.

    It is written down before each migration, for the case that a host dies with the VM and its definition in between. By its
    id, or by the name of a VM that is there or was moved lately. Passwords of its consoles are not in it. Have virsh define
    it only once you have seen that it runs nowhere: two copies of one VM write to one disk.

    \b
    Example:
      ballastctl vm definition web >web.xml
    """
    click.echo(daemon.get("vms", vm, "definition")["definition"], nl=False)
