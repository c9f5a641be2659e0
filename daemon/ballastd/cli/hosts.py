"""``ballastctl host``: look at hosts, and say what may become of them."""

from __future__ import annotations

import time
from typing import Any

import click

from ballastd.cli.client import Daemon
from ballastd.cli.formats import age, clock, cores, printable, share, size, yes
from ballastd.cli.options import (
    host_argument,
    with_daemon,
    with_deadline,
    with_output,
    with_reason,
    with_watch,
)
from ballastd.cli.output import Column, Row, Table, emit, emit_document, emit_fields, repeat, warn_if_old

WATCH_SECONDS = 1.0


def _labels(host: Row) -> str:
    return ",".join(f"{key}={value}" for key, value in host["labels"]) or "-"


def _network_share(host: Row) -> float | None:
    used, limit = host["network_by_vms"], host["network_limit"]
    return None if used is None or not limit else float(used) / float(limit)


def _network(host: Row) -> str:
    if host["network_limit"] is None:
        return "not declared what it carries (network_speed)"
    if host["network_by_vms"] is None:
        least = f", at least {host['network_least']:.1f}" if host["network_least"] else ""
        return f"what all of its VMs use of {host['network_limit']:.0f} MiB/s is unknown{least}"
    return f"its VMs use {host['network_by_vms']:.1f} of {host['network_limit']:.0f} MiB/s ({share(_network_share(host))})"


HOSTS = Table((
    Column("NAME", lambda h: h["name"]),
    Column("HEALTH", lambda h: h["health"]),
    Column("MARKS", lambda h: ",".join(h["marks"]) or "-"),
    Column("TARGET", lambda h: yes(h["target"])),
    Column("VMS", lambda h: str(h["vms_running"]), right=True),
    Column("MEMORY", lambda h: f"{size(h['memory_used'])} of {size(h['memory_limit'])}", right=True),
    Column("RESERVED", lambda h: size(h["memory_reserved"]), wide=True, right=True),
    Column("CPU", lambda h: share(h["cpu_utilization"]), right=True),
    Column("VMS' CPU", lambda h: cores(h["cpu_by_vms"], h["cpu_limit"]), wide=True, right=True),
    Column("VMS' NETWORK", lambda h: share(_network_share(h)), wide=True, right=True),
    Column("OUT/IN", lambda h: f"{h['migrations_out']}/{h['migrations_in']}", right=True),
    Column("SEEN", lambda h: age(h["inventory_age"]) if h["reachable"] else "unreachable", right=True),
    Column("HEARD", lambda h: age(h["telemetry_age"]), right=True),
    Column("AGENT", lambda h: h["agent"] or "-", wide=True),
    Column("HOOK", lambda h: yes(h["hook"]), wide=True),
    Column("POWER", lambda h: h["power"], wide=True),
    Column("LABELS", _labels, wide=True),
    Column("WHY NOT A TARGET", lambda h: "; ".join(h["why_not"]) or "-", wide=True),
), lambda h: str(h["name"]), "no hosts are declared")


@click.group("host")
def host_group() -> None:
    """Look at hosts; say what may become of them."""


@host_group.command("list")
@with_watch
@with_output
@with_daemon
def list_hosts(daemon: Daemon, output: str, watch: float | None) -> None:
    """List all declared hosts.

    \b
    Examples:
      ballastctl host list -o wide
      ballastctl host list --watch 2
      ballastctl host list -o json | jq -r '.[] | select(.target | not) | .name'
    """
    def show() -> None:
        document = daemon.get("hosts")
        warn_if_old(document, output)
        emit(document["hosts"], HOSTS, output)

    repeat(watch, show)


@host_group.command("show")
@host_argument
@with_output
@with_daemon
def show_host(daemon: Daemon, host: str, output: str) -> None:
    """Show one host with its verdicts; `ballastctl explain HOST` says more.

    \b
    Example:
      ballastctl host show alder
    """
    found = daemon.get("hosts", host)
    if output in ("json", "yaml"):
        emit_document(found, output)
    elif output == "name":
        click.echo(printable(found["name"]))
    else:
        emit_fields(_fields(found))


def _fields(host: Row) -> list[tuple[str, str]]:
    seen = f"{age(host['inventory_age'])} ago" if host["reachable"] else f"unreachable: {host['unreachable_reason']}"
    return [
        ("name", host["name"]),
        ("health", ", ".join((host["health"], *host["marks"]))),
        ("target", yes(host["target"])),
        *(("", reason) for reason in host["why_not"]),
        ("seen", seen),
        ("heard", f"{age(host['telemetry_age'])} ago, {host['reports_heard']} reports"),
        ("agent", f"{host['agent'] or 'unknown'}, cordon hook {'confirmed' if host['hook'] else 'not confirmed'}"),
        ("CPU", f"{share(host['cpu_utilization'])} by telemetry; "
                f"its VMs use {cores(host['cpu_by_vms'], host['cpu_limit'])} processors"),
        ("memory", (f"{size(host['memory_used'])} used, {size(host['memory_reserved'])} reserved, of "
                    f"{size(host['memory_limit'])} for VMs ({size(host['memory_total'])} in all)")),
        ("network", _network(host)),
        ("VMs running", str(host["vms_running"])),
        ("migrations", f"{host['migrations_out']} out, {host['migrations_in']} in"),
        ("power", f"{host['power']}: {host['power_detail']}" if host["power_detail"] else host["power"]),
        ("labels", _labels(host)),
        *(("verdict", _verdict(verdict)) for verdict in host["verdicts"]),
    ]


def _verdict(verdict: Row) -> str:
    latched = ", latched" if verdict["latched"] else ""
    return (f"{verdict['phase']} {verdict['policy']} ({verdict['severity']}{latched}) since "
            f"{clock(verdict['since_wall'])} {verdict['evidence']}".rstrip())


def _ask(daemon: Daemon, host: str, verb: str, **body: Any) -> None:
    click.echo(printable(daemon.post("hosts", host, verb, **body)["message"]))


@host_group.command("cordon")
@host_argument
@with_reason
@with_daemon
def cordon(daemon: Daemon, host: str, reason: str) -> None:
    """Let nothing land on HOST; what runs there stays.

    \b
    Example:
      ballastctl host cordon alder --reason "fan replacement on Friday"
    """
    _ask(daemon, host, "cordon", reason=reason)


@host_group.command("uncordon")
@host_argument
@with_reason
@with_daemon
def uncordon(daemon: Daemon, host: str, reason: str) -> None:
    """Lift the cordon of HOST.

    \b
    Example:
      ballastctl host uncordon alder
    """
    _ask(daemon, host, "uncordon", reason=reason)


@host_group.command("drain")
@host_argument
@with_deadline
@with_reason
@click.option("--watch", is_flag=True, help="Watch it until the host is empty; Ctrl-C ends only that.")
@with_daemon
@click.pass_context
def drain(ctx: click.Context, daemon: Daemon, host: str, deadline: float | None, reason: str, watch: bool) -> None:
    """Empty HOST within the limits; windows do not apply, for you asked. Nothing new lands there meanwhile.

    With --watch: how many VMs are safe, how the rest will follow, each move with its rate and the time that it still takes,
    and why VMs stay. It ends when the host is empty (exit code 0), or when nobody wants that any more (1).

    \b
    Examples:
      ballastctl host drain alder --deadline 2h --reason "new memory" --watch
      ballastctl plan                  what it will do
      ballastctl host undrain alder    stop; what has moved stays where it is
    """
    due = None if deadline is None else time.time() + deadline
    _ask(daemon, host, "drain", reason=reason, deadline_wall=due)
    if watch:
        from ballastd.cli.draining import follow

        ctx.exit(follow(daemon, host, WATCH_SECONDS))


@host_group.command("undrain")
@host_argument
@with_reason
@with_daemon
def undrain(daemon: Daemon, host: str, reason: str) -> None:
    """Stop emptying HOST; what has moved stays where it is.

    \b
    Example:
      ballastctl host undrain alder
    """
    _ask(daemon, host, "undrain", reason=reason)


@host_group.command("acknowledge")
@host_argument
@with_reason
@with_daemon
def acknowledge(daemon: Daemon, host: str, reason: str) -> None:
    """Acknowledge the latched verdicts of HOST: only what comes later counts again.

    \b
    Example:
      ballastctl host acknowledge alder --reason "DIMM B2 replaced"
    """
    _ask(daemon, host, "acknowledge", reason=reason)


@host_group.command("confirm-dead")
@host_argument
@with_reason
@click.option("--yes", is_flag=True, help="Do not ask back.")
@with_daemon
def confirm_dead(daemon: Daemon, host: str, reason: str, yes: bool) -> None:
    """Vouch that HOST is off: what it held is released.

    Say this only of a machine whose power you have seen to be off. A host that only lost its network still
    runs its VMs, and what is released may then be started twice.

    \b
    Example:
      ballastctl host confirm-dead alder --reason "pulled from the rack"
    """
    if not yes:
        click.confirm(f"Have you seen for yourself that {printable(host)} is powered off?", abort=True, err=True)
    _ask(daemon, host, "confirm-dead", reason=reason)


@host_group.group("power")
def power_group() -> None:
    """Switch a host off or on, within the same limits as the policies.

    \b
    Examples:
      ballastctl host power off alder --reason "new power supply"
      ballastctl host power on alder
    """


@power_group.command("off")
@host_argument
@with_reason
@with_daemon
def power_off(daemon: Daemon, host: str, reason: str) -> None:
    """Empty HOST, close its hook, and have it shut down in order. It is never forced, and you wake it yourself.

    \b
    Examples:
      ballastctl host power off alder --reason "new power supply"
      ballastctl explain alder         where it is on its way
    """
    _ask(daemon, host, "power-off", reason=reason)


@power_group.command("on")
@host_argument
@with_reason
@with_daemon
def power_on(daemon: Daemon, host: str, reason: str) -> None:
    """Switch HOST on; one that was only about to go off stays on.

    \b
    Example:
      ballastctl host power on alder
    """
    _ask(daemon, host, "power-on", reason=reason)


@host_group.command("confirm-wakeable")
@host_argument
@with_reason
@with_daemon
def confirm_wakeable(daemon: Daemon, host: str, reason: str) -> None:
    """Vouch that HOST can be woken: no host is switched off that was not woken before, or vouched for.

    Say this of a machine whose power driver you have seen to work: switch it off and on again by hand, empty.

    \b
    Example:
      ballastctl host confirm-wakeable alder --reason "tried with ipmitool"
    """
    _ask(daemon, host, "confirm-wakeable", reason=reason)


@host_group.command("wake-test")
@host_argument
@with_reason
@with_daemon
def wake_test(daemon: Daemon, host: str, reason: str) -> None:
    """Prove that HOST can be woken: it is emptied, shut down in order, and switched on again.

    \b
    Examples:
      ballastctl host wake-test alder
      ballastctl explain alder         where it is on its way
    """
    _ask(daemon, host, "wake-test", reason=reason)
