"""A cluster in sentences, and a table to drive the mind on: boring defaults, immutable steps, no event loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ballastd.core.conditions import Aggregate, Condition, Holding, RelativeTo, Threshold
from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.hardware import NO_NEEDS, Hardware, Needs
from ballastd.core.inputs import CallReturned, HostUnreachable, Input, OperatorCommand, Verb
from ballastd.core.inventory import DeclaredHost, HostInventory, JobKind, Pin, VmRecord, VmState, VmUsage
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Move, Order
from ballastd.core.policies import (
    ClusterDeclaration,
    EvacuationPolicy,
    Health,
    HealthPolicy,
    Limits,
    Mode,
    PolicySet,
    Response,
    Timing,
)
from ballastd.core.prediction import predict
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds, VmId
from ballastd.core.recommendations import ordered
from ballastd.core.reconciliation import told_again
from ballastd.core.telemetry import Report, Sample
from ballastd.sim.pages import free_pages

WALL = 1_795_400_000.0

UNCORRECTED = HealthPolicy(
    "uncorrected-memory-errors",
    Condition(Threshold("ecc.uncorrected", 0.0, Aggregate.INCREASE, Seconds(3600.0)), Holding(latched=True)), Health.FAILING)
HOT = HealthPolicy(
    "hot", Condition(Threshold("temperature", -5.0, relative_to=RelativeTo.CRITICAL, clear_threshold=-10.0),
                     Holding(Seconds(60.0), Seconds(300.0))), Health.DEGRADED)
FAN = HealthPolicy("fan", Condition(Threshold("fan.alarm", 0.5), Holding(clear_hold=Seconds(60.0))), Health.SUSPECT)
FAILING_HOSTS = EvacuationPolicy("failing-hosts", Health.FAILING, Response.EVACUATE, mode=Mode.AUTO,
                                 deadline=Seconds(1800.0), ignore_windows=True)
POLICIES = PolicySet((UNCORRECTED, HOT, FAN), (FAILING_HOSTS,), {}, Limits(migration_minimum_mib_s=1.0), "digest")
QUICK = Timing(startup_quiet=Seconds(0.0), inventory_interval=Seconds(1.0), second_look=Seconds(5.0))


PROCESSORS = 16


def machine_of(host: str) -> str:
    """Return the SMBIOS UUID of a host."""
    return f"{host:0>8}-0001-4000-8000-000000000000"


def vm_id(name: str) -> VmId:
    """Return a UUID-shaped id that sorts like ``name``."""
    return VmId(f"{name:0>8}-0000-4000-8000-000000000000")


@dataclass(frozen=True)
class ClusterBuilder:
    """Hosts and what runs on them; every method returns a new builder. The last host receives ``running``."""

    hosts: tuple[DeclaredHost, ...] = ()
    vms: tuple[tuple[str, tuple[VmRecord, ...]], ...] = ()
    timing: Timing = QUICK
    hardware: tuple[tuple[str, Hardware], ...] = ()

    def described(self, hardware: Hardware) -> ClusterBuilder:
        """Have the host added last say what it is."""
        return replace(self, hardware=(*self.hardware, (self.vms[-1][0], hardware)))

    def host(self, name: str, gib: int = 64, *, link_mib_s: float = 1000.0, network_mib_s: float | None = None,
             link_interfaces: tuple[str, ...] = (), power: str = "", **labels: str) -> ClusterBuilder:
        """Add a host with 16 processors and ``gib`` GiB for VMs."""
        declared = DeclaredHost(HostName(name), f"test://{name}", link_mib_s=link_mib_s, network_mib_s=network_mib_s,
                                link_interfaces=link_interfaces, power=power, memory_limit=Bytes(gib * GIB),
                                labels=tuple(sorted(labels.items())))
        return replace(self, hosts=(*self.hosts, declared), vms=(*self.vms, (name, ())))

    def running(self, name: str, gib: int = 8, *, state: VmState = VmState.RUNNING, priority: int = 0,
                pins: tuple[Pin, ...] = (), tags: tuple[str, ...] = (), group: str = "", ignored: bool = False,
                needs: Needs = NO_NEEDS) -> ClusterBuilder:
        """Add a VM to the host added last."""
        record = VmRecord(vm_id(name), name, state, Bytes(gib * GIB), priority=priority, pins=pins, tags=tags,
                          group=group, ignored=ignored, needs=needs)
        host, records = self.vms[-1]
        return replace(self, vms=(*self.vms[:-1], (host, (*records, record))))

    def crowd(self, name: str, count: int, gib: int = 8) -> ClusterBuilder:
        """Add so many VMs to the host added last: ``name0`` and so on."""
        builder = self
        for number in range(count):
            builder = builder.running(f"{name}{number}", gib)
        return builder

    def idlers(self, *numbers: int, gib: int = 8) -> ClusterBuilder:
        """Add hosts by their numbers, each with one VM: ``h2`` with ``i2`` and so on."""
        builder = self
        for number in numbers:
            builder = builder.host(f"h{number}").running(f"i{number}", gib)
        return builder

    def build(self) -> ClusterDeclaration:
        """Return the declaration."""
        return ClusterDeclaration(tuple(sorted(self.hosts, key=lambda h: h.name)), self.timing)


@dataclass
class Table:
    """The controller alone on a table: virtual time, a world of inventories that tests move by hand."""

    cluster: ClusterDeclaration
    world: dict[str, dict[VmId, VmRecord]]
    controller: Controller
    now: Instant
    boot: str = "boot-1"
    silent: set[str] = field(default_factory=set)
    dark: set[str] = field(default_factory=set)
    readings: dict[str, dict[tuple[str, str], Sample]] = field(default_factory=dict)
    sequence: int = 0
    events: list[object] = field(default_factory=list)
    free: int = 1024 * GIB
    burning: dict[str, float] = field(default_factory=dict)
    """Processors that each VM uses, by name; 0.05 where it is not said."""
    spent: dict[VmId, float] = field(default_factory=dict)
    carrying: dict[str, float | None] = field(default_factory=dict)
    """MiB/s that each VM carries over its network, by name; nothing where it is not said, None where no host can say."""
    carried: dict[VmId, float] = field(default_factory=dict)
    powered_off: set[str] = field(default_factory=set)
    dirtying: dict[str, float] = field(default_factory=dict)
    """How fast VMs dirty their memory as was measured, MiB/s, by name; not measured where it is not said."""
    hardware: dict[str, Hardware] = field(default_factory=dict)
    misfits: dict[str, dict[str, str]] = field(default_factory=dict)

    def burn(self, **processors: float) -> Table:
        """Have VMs use so many processors from now on."""
        self.burning.update(processors)
        return self

    def carry(self, **mib_s: float | None) -> Table:
        """Have VMs carry so much over their network from now on."""
        self.carrying.update(mib_s)
        return self

    def _moved(self, record: VmRecord) -> int | None:
        """Return the bytes that the host of a VM has counted; None where it cannot."""
        return None if self.carrying.get(record.name, 0.0) is None else int(self.carried.get(record.vm, 0.0))

    def _uses(self, record: VmRecord) -> float:
        return self.burning.get(record.name, 0.05) if record.state.runs else 0.0

    def utilization(self, host: str) -> float:
        """Return what a host's telemetry says of its processors: what its VMs use and a little."""
        return min(1.0, 0.01 + sum(map(self._uses, self.world[host].values())) / PROCESSORS)

    def quiet_for(self, seconds: float, step: float = 10.0) -> list[Decision]:
        """Let time pass in steps, carrying nothing out."""
        return self.settle(int(seconds / step), step)

    def burn_on(self, seconds: float, step: float = 10.0) -> list[Decision]:
        """Let time pass in steps, finishing every order at once."""
        decisions: list[Decision] = []
        returns: Iterable[Input] = ()
        for _ in range(int(seconds / step)):
            self.wait(step)
            decisions.append(self.step(*returns))
            returns = self.carry_out(decisions[-1])
        return decisions

    def wait(self, seconds: float) -> Table:
        """Let time pass, and VMs use their processors."""
        for records in self.world.values():
            for record in records.values():
                self.spent[record.vm] = self.spent.get(record.vm, 0.0) + self._uses(record) * seconds
                mib_s = self.carrying.get(record.name) or 0.0
                self.carried[record.vm] = self.carried.get(record.vm, 0.0) + mib_s * MIB * seconds
        self.now = self.now.later(seconds)
        return self

    def show(self, host: str, metric: str, value: float, subject: str = "", critical: float | None = None) -> Table:
        """Have a host's agent report ``value`` from its next report on."""
        sample = Sample(metric, value, subject, critical=critical)
        self.readings.setdefault(host, {})[metric, subject] = sample
        return self

    def reports(self) -> list[Input]:
        """Return one report of every host that is not silent."""
        self.sequence += 1
        return [Report(host.name, self.boot, self.sequence, self.now.wall, 10.0,
                       (Sample("cpu.utilization", self.utilization(host.name)),
                        *self.readings.get(host.name, {}).values()), self.now)
                for host in self.cluster.hosts if host.name not in self.silent | self.powered_off]

    def inventories(self) -> list[Input]:
        """Return an inventory of every host that is not dark, begun just now."""
        found: list[Input] = []
        for host in self.cluster.hosts:
            if host.name in self.dark | self.powered_off:
                found.append(HostUnreachable(host.name, self.now, "no answer"))
                continue
            records = tuple(sorted(self.world[host.name].values(), key=lambda r: r.vm))
            usage = {r.vm: VmUsage(self.spent.get(r.vm, 0.0), r.memory_max, network_bytes=self._moved(r),
                                   dirty_mib_s=self.dirtying.get(r.name)) for r in records}
            hardware = self.hardware.get(host.name)
            found.append(HostInventory(host.name, self.now, self.now, Bytes(2048 * GIB), Bytes(self.free), PROCESSORS,
                                       records, host_uuid=machine_of(host.name), usage=usage, hardware=hardware,
                                       pages_free=free_pages(hardware, records), misfits=self.misfits.get(host.name, {})))
        return found

    def step(self, *inputs: Input, look: bool = True, durable: bool = True) -> Decision:
        """Take a step with reports, inventories and ``inputs``; make it durable unless told otherwise."""
        seen = [*self.reports(), *self.inventories()] if look else []
        decision = self.controller.step((*seen, *inputs), self.now)
        if durable:
            self.controller.advance(decision.revision)
            self.events.extend(decision.events)
        else:
            self.controller.reject(decision.revision, "disk full")
        return decision

    def warm_up(self) -> Table:
        """Let every host be heard often enough to be believed."""
        for _ in range(4):
            self.step()
            self.wait(1.0)
        return self

    def settle(self, steps: int = 3, seconds: float = 1.0) -> list[Decision]:
        """Step several times, time passing in between."""
        return [(self.wait(seconds), self.step())[1] for _ in range(steps)]

    def begin(self, order: Order) -> Table:
        """Show the job of an order in the world, as after a migrate call."""
        move = order.move
        record = self.world[move.source][move.vm]
        self.world[move.source][move.vm] = replace(record, job=JobKind.OUTGOING)
        self.world[move.target][move.vm] = replace(record, state=VmState.INCOMING, job=JobKind.INCOMING, autostart=False)
        return self

    def fly(self, name: str, source: str, target: str, *, routine: bool = True, may_slow: bool = False) -> Order:
        """Have a VM be on its way as by an earlier order, at the bandwidth that it has alone, and show its job."""
        record, mib_s = self.world[source][vm_id(name)], 600
        takes = predict(record.memory_max, mib_s)
        move = Move(record.vm, name, HostName(source), HostName(target), record.memory_max, takes, "even-load", "it is hot",
                    routine=routine)
        order = Order("0-1", move, mib_s, Seconds(600.0), 0, 100, may_slow, reckoned=takes)
        self.controller.ledger.apply(ordered(order, self.controller.ledger, "", self.now.wall))
        self.begin(order)
        return order

    def finish(self, order: Order) -> CallReturned:
        """Move the VM in the world and return what its caller hears."""
        move = order.move
        record = self.world[move.source].pop(move.vm)
        self.spent[move.vm] = self.carried[move.vm] = 0.0  # the other hypervisor begins to count anew
        self.world[move.target][move.vm] = replace(record, state=VmState.RUNNING, job=JobKind.NONE, autostart=False)
        return CallReturned(order.id, CallResult.OK, "", self.now)

    def roll_back(self, order: Order, result: CallResult = CallResult.ERROR) -> CallReturned:
        """Put the VM back to its source and return what its caller hears."""
        move = order.move
        record = self.world[move.source][move.vm]
        self.world[move.source][move.vm] = replace(record, state=VmState.RUNNING, job=JobKind.NONE)
        self.world[move.target].pop(move.vm, None)
        return CallReturned(order.id, result, "told so", self.now)

    def carry_out(self, decision: Decision) -> tuple[CallReturned, ...]:
        """Finish every order of a decision at once."""
        return tuple(self.finish(order) for order in decision.orders)

    def run_to_rest(self, steps: int = 200) -> int:
        """Step, finishing every order at once, until nothing is ordered and nothing is open; return the moves."""
        moves = 0
        returns: Iterable[Input] = ()
        for _ in range(steps):
            decision = self.step(*returns)
            moves += len(decision.orders)
            returns = self.carry_out(decision)
            self.wait(1.0)
            if not decision.orders and not self.controller.ledger.migrations:
                return moves
        raise AssertionError("the table did not come to rest")

    def say(self, verb: Verb, subject: str = "", **more: float | None) -> Decision:
        """Step with an operator's word."""
        deadline = more.get("deadline_wall")
        return self.step(OperatorCommand(f"t{self.now.monotonic}", verb, subject, "ann", "", deadline))

    def restart(self, policies: PolicySet = POLICIES) -> Table:
        """Crash and start again from the events that were durable."""
        ledger = Ledger()
        ledger.replay(self.events)  # type: ignore[arg-type]
        revision = self.controller.revision
        again = told_again(self.events, ledger, self.now.wall)  # type: ignore[arg-type]
        self.controller = Controller(self.cluster, policies, ledger, self.now, revision, again=again)
        return self


def a_cluster() -> ClusterBuilder:
    """Return an empty cluster to build on."""
    return ClusterBuilder()


def table(builder: ClusterBuilder, policies: PolicySet = POLICIES) -> Table:
    """Return a table with the cluster on it, nothing heard yet."""
    cluster = builder.build()
    now = Instant(1000.0, WALL, "kernel-boot")
    world = {name: {record.vm: record for record in records} for name, records in builder.vms}
    return Table(cluster, world, Controller(cluster, policies, Ledger(), now), now, hardware=dict(builder.hardware))


def four_hosts(vms_each: int = 3, gib: int = 8) -> ClusterBuilder:
    """Return hosts h1 to h4 of 64 GiB with some VMs each, in two racks."""
    builder = a_cluster()
    for h in range(1, 5):
        builder = builder.host(f"h{h}", rack=f"r{(h + 1) // 2}", cooling=f"c{(h + 1) // 2}")
        for v in range(vms_each):
            builder = builder.running(f"h{h}v{v}", gib)
    return builder


__all__ = ["MIB", "ClusterBuilder", "Table", "a_cluster", "four_hosts", "table", "vm_id"]
