"""Hosts and VMs as sections: health, loads, what moves."""

from __future__ import annotations

from ballastd.cli.formats import NOTHING, age, cores, size, yes
from ballastd.cli.live import choosing
from ballastd.cli.live.grid import Cell, Column, Row
from ballastd.cli.live.section import Section, load, words
from ballastd.core.views import ClusterView, HostView, VmView

HOSTS = (
    Column("HOST", 12, least=8),
    Column("HEALTH", 8),
    Column("MARKS", 10, least=8, rank=4),
    Column("POWER", 5, rank=6),
    Column("CPU", 4, right=True, bar=16),
    Column("VMS' CPU", 12, rank=8, right=True),
    Column("MEMORY", 4, right=True, bar=16),
    Column("OF", 9, rank=5, right=True),
    Column("VMS", 3, rank=3, right=True),
    Column("OUT/IN", 6, rank=1, right=True),
    Column("TARGET", 6, rank=9),
    Column("HEARD", 5, rank=2, right=True),
    Column("SEEN", 4, rank=7, right=True),
)


def hosts(view: ClusterView, rows_max: int) -> Section:
    """Return the hosts with their loads, their marks and when they were heard."""
    listed = choosing.hosts(view, rows_max)
    many = len(view.hosts) > choosing.HOSTS_LISTED_MAX
    return Section("host", HOSTS, tuple(_host(host) for host in listed), len(view.hosts), least=4,
                   rest=(lambda shown: _spread(view, listed[:shown])) if many else None)


def _host(host: HostView) -> Row:
    used, reserved = ((host.memory_used / host.memory_limit, host.memory_reserved / host.memory_limit)
                      if host.memory_limit > 0 else (None, 0.0))
    lost = not (host.reachable or choosing.stands_by(host))
    marks = [*(("unreachable",) if lost else ()), *host.marks]
    return (
        Cell(host.name, "bold"), words(host.health),
        Cell(", ".join(marks) or NOTHING, "bold red" if lost else "yellow" if marks else ""),
        Cell(NOTHING if host.power == "unmanaged" else host.power),
        load(host.cpu_utilization), Cell(cores(host.cpu_by_vms, host.cpu_limit)),
        load(used, None, reserved), Cell(size(host.memory_limit)),
        Cell(str(host.vms_running)),
        Cell(f"{host.migrations_out}/{host.migrations_in}", "cyan" if host.migrations_out + host.migrations_in else ""),
        words(yes(host.target)), Cell(age(host.telemetry_age)), Cell(age(host.inventory_age)),
    )


def _spread(view: ClusterView, listed: list[HostView]) -> str:
    names = {host.name for host in listed}
    others = [host for host in view.hosts if host.name not in names]
    said = [f"and {len(others)} more: {choosing.tally(host.health for host in others)}"]
    for word, found in (("CPU", choosing.spread((h.cpu_utilization, h.name) for h in others)),
                        ("memory", choosing.spread((choosing.memory_share(h), h.name) for h in others))):
        if found is not None:
            said.append(f"{word} median {found.median:.0%}, most {found.most:.0%} ({found.where})")
    return "; ".join(said)


VMS = (
    Column("BUSIEST VM", 12, least=8),
    Column("HOST", 12, least=6),
    Column("STATE", 8, least=7, rank=3),
    Column("CPU", 9, right=True, bar=12),
    Column("MEMORY", 15, rank=1, right=True, bar=12),
    Column("PRIORITY", 8, rank=6, right=True),
    Column("GROUP", 8, least=5, rank=5),
    Column("MIGRATION", 9, rank=2),
    Column("PINS", 4, rank=4, right=True),
)


def vms(view: ClusterView, rows_max: int) -> Section:
    """Return the busiest VMs."""
    return Section("vm", VMS, tuple(_vm(vm) for vm in choosing.busiest(view.vms, rows_max)), len(view.vms), least=3)


def _vm(vm: VmView) -> Row:
    cpu = None if vm.cpu is None or vm.vcpus <= 0 else vm.cpu / vm.vcpus
    memory = None if vm.memory_used is None or vm.memory <= 0 else vm.memory_used / vm.memory
    return (
        Cell(vm.name, "bold"), Cell(vm.host), words(vm.state),
        load(cpu, cores(vm.cpu, vm.vcpus)),
        # a VM that fills what it was given is no news: QEMU gives little back
        Cell(_of(vm.memory_used, vm.memory), "cyan", () if memory is None else (memory,)),
        Cell(str(vm.priority)), Cell(vm.group or NOTHING), Cell(vm.migration or NOTHING, "cyan" if vm.migration else ""),
        Cell(str(len(vm.pins)) if vm.pins else NOTHING),
    )


def _of(used: int | None, whole: int) -> str:
    """Return two sizes with their unit once where it is the same: ``3.0 of 8.0 GiB``."""
    number, _, unit = size(used).partition(" ")
    return f"{number if unit and size(whole).endswith(unit) else size(used)} of {size(whole)}"
