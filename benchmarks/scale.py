"""What large clusters cost the mind: steps and plans at 100, 300 and 1,000 hosts with 20 VMs each, every kind of policy.

    .venv/bin/python -m benchmarks.scale                        the table, and benchmarks/results/scale.json (3 min)
    .venv/bin/python -m benchmarks.scale --hosts 1000           one size alone
    .venv/bin/python -m benchmarks.scale --racks-of 20          room is kept for the death of whole racks, not of hosts
    .venv/bin/python -m benchmarks.scale --known                with a day of every VM, networks and huge pages known

The policies are the shipped ones, all of them in auto. Times are medians in milliseconds of processor time. quiet: a step
in which nothing changed, judging included, in a cluster that has nothing to do. told: a step that is told of every host's
inventory and report. plan: all that is to be done when a twentieth of the hosts is hot, one fails and one is drained;
anew: the first plan after VMs moved, for which the places of every host's VMs if it died are found anew. evacuation: the
plan for one failing host with 100 VMs of 2 GiB, nothing else; makespan: how long that is reckoned to take, times the time
that its bytes take over the share of the link that migrations may use; of bound: times the least that it can take with as
many at a time as limits allow, each with its fair share and its hand-shake. memory: the most that making the plan anew held
at a time, MiB. Without --known nobody's hours, network or huge pages are known, so that what asks for them answers at once.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ballastd.core import controller
from ballastd.core.consumption import PROFILE_POINTS, PROFILE_SECONDS
from ballastd.core.draft import Course
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.inputs import Input, OperatorCommand, Verb
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.planning import plan
from ballastd.core.plans import Move, Plan
from ballastd.core.policies import Limits, PolicySet
from ballastd.core.prediction import HANDSHAKE_SECONDS, fair_share
from ballastd.core.quantities import GIB, MIB, Bytes, HostName
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.schedules import schedule
from ballastd.core.snapshot import Snapshot
from ballastd.rehearsal.machines import Machine
from ballastd.sim.generating import generate
from benchmarks.driving import Driver, shipped

VMS_PER_HOST, CROWD = 20, 100
SEED = 8101
WARM_UP_STEPS, HOT_STEPS = 40, 30
HOT_SHARE, HOT_LOAD, EVEN_LOAD = 0.05, 0.97, 0.35
CARRIED, ON_PAGES_EVERY, PAGE = 0.3, 8, Bytes(2 * MIB)
"""Where all is known: the share of each network that is used, and one VM in so many is on huge pages."""
TARGETS = {"quiet": 20.0, "plan": 1000.0, "anew": 1000.0, "evacuation": 50.0, "makespan": 1.10, "memory": 300.0}
"""At 1,000 hosts."""


@dataclass(frozen=True)
class Asked:
    """What a plan was made from."""

    snapshot: Snapshot
    ledger: Ledger
    intents: tuple[Intent, ...]
    policies: PolicySet
    course: Course

    def plan(self) -> Plan:
        """Make the plan again."""
        return plan(self.snapshot, self.ledger, self.intents, self.policies, self.course)


def step_ms(driver: Driver, *told: Input) -> float:
    """Take a step whose orders nobody carries out; return its processor time, milliseconds."""
    begun = time.process_time()
    decision = driver.step(*told)
    spent = time.process_time() - begun
    if decision.orders:
        driver.mind.reject(decision.revision, "the orders of a benchmark")
    else:
        driver.mind.advance(decision.revision)
    return 1000.0 * spent


def noting(asked: list[Asked]) -> Callable[..., Plan]:
    """Return a planner that notes what it is asked."""
    def noted(snapshot: Snapshot, ledger: Ledger, intents: tuple[Intent, ...], policies: PolicySet, course: Course) -> Plan:
        asked.append(Asked(snapshot, ledger, intents, policies, course))
        return plan(snapshot, ledger, intents, policies, course)

    return noted


def median_ms(rounds: int, work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Return the median processor time of some work, milliseconds. ``before``: done before each round, not counted."""
    times = []
    for _ in range(rounds):
        before()
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return 1000.0 * statistics.median(times)


def load(host: Machine, share: float) -> None:
    """Have a host's VMs ask for a share of its processors together, all for as much."""
    for vm in host.burn:
        host.burn[vm] = host.saved.cpus * share / len(host.burn)


def racked(cluster: SavedCluster, racks_of: int) -> SavedCluster:
    """Return the cluster in racks of so many hosts."""
    hosts = tuple(replace(host, declared=replace(host.declared, labels=(("rack", f"r{number // racks_of}"),)))
                  for number, host in enumerate(cluster.hosts))
    return replace(cluster, hosts=hosts)


def furnished(cluster: SavedCluster) -> SavedCluster:
    """Return the cluster with networks of a known speed, and huge pages for some VMs and as many more."""
    vms = tuple(replace(vm, network_mib_s=1.0, record=vm.record if number % ON_PAGES_EVERY else replace(
        vm.record, needs=Needs((Backing(PAGE, vm.record.memory_max),)))) for number, vm in enumerate(cluster.vms))
    on = {host.name: [vm.record for vm in vms if vm.host == host.name] for host in cluster.hosts}
    return replace(cluster, vms=vms, hosts=tuple(replace(
        host, declared=replace(host.declared, network_mib_s=max(1, len(on[host.name])) / CARRIED),
        hardware=Hardware(pools=(PagePool(PAGE, 2 * sum(r.memory_max for r in on[host.name] if r.needs.backing) // PAGE),)))
        for host in cluster.hosts))


def learn(driver: Driver, *, a_day: bool) -> None:
    """Let a mind see its cluster for as long as it takes to know it."""
    for _ in range(PROFILE_POINTS + 1 if a_day else 0):
        step_ms(driver, *driver.tell(PROFILE_SECONDS))
    for _ in range(WARM_UP_STEPS):
        step_ms(driver, *driver.tell())


def steps_ms(cluster: SavedCluster, policies: PolicySet, rounds: int, *, known: bool = False) -> dict[str, float]:
    """Measure steps in a cluster that has nothing to do: every host as busy as the others."""
    driver = Driver(cluster, policies)
    for host in driver.hosts.values():
        load(host, EVEN_LOAD)
    learn(driver, a_day=known)
    told, quiet = [], []
    for _ in range(rounds):
        told.append(step_ms(driver, *driver.tell()))
        driver.seconds += 1.0
        quiet.append(step_ms(driver))
    return {"told": statistics.median(told), "quiet": statistics.median(quiet)}


def in_trouble(cluster: SavedCluster, policies: PolicySet, *, known: bool = False) -> Asked:
    """Return what the plan is made from when a twentieth of the hosts is hot, one fails and one is drained."""
    driver = Driver(cluster, policies)
    learn(driver, a_day=known)
    names = sorted(driver.hosts)
    for name in names[5::int(1 / HOT_SHARE)]:
        load(driver.hosts[name], HOT_LOAD)
    driver.errors[names[0]] = 1.0
    step_ms(driver, OperatorCommand("drain", Verb.DRAIN, names[1], "benchmark"), *driver.tell())
    for _ in range(HOT_STEPS):
        step_ms(driver, *driver.tell())
    asked: list[Asked] = []
    real, controller.plan = controller.plan, noting(asked)
    try:
        step_ms(driver, *driver.tell())
    finally:
        controller.plan = real
    return asked[-1]


def crowded_host(cluster: SavedCluster) -> SavedCluster:
    """Return the cluster with 100 small VMs more on its largest host, the others of it being elsewhere."""
    largest = max(cluster.hosts, key=lambda host: (host.memory_total, host.name))
    others = [host.name for host in cluster.hosts if host is not largest]
    rest = [vm if vm.host != largest.name else replace(vm, host=others[number % len(others)])
            for number, vm in enumerate(cluster.vms)]
    crowd = [replace(vm, host=largest.name, record=replace(vm.record, vm=type(vm.record.vm)(f"crowd-{number:03}"),
                                                           name=f"crowd-{number:03}", memory_max=Bytes(2 * GIB),
                                                           needs=Needs()))
             for number, vm in enumerate(cluster.vms[:CROWD])]
    return replace(cluster, vms=tuple(sorted((*rest, *crowd), key=lambda vm: vm.record.vm)))


def least_makespan(moves: Iterable[Move], links: Mapping[HostName, float], limits: Limits) -> float:
    """Return the seconds below which no order of the moves off one host gets while as many as may be are under way."""
    at_once = limits.in_flight_host_out
    return sum(HANDSHAKE_SECONDS + move.memory / MIB / fair_share(links[move.source], at_once, links[move.target], 1,
                                                                  limits.link_share) for move in moves) / at_once


def measure(hosts: int, rounds: int, racks_of: int, *, known: bool) -> dict[str, float]:
    """Measure one size. ``racks_of``: how many hosts die together; 0: any one. ``known``: whether hours, networks and huge
    pages are."""
    cluster = generate(hosts, VMS_PER_HOST * hosts, SEED, fill=0.45, load=0.35)
    cluster = furnished(cluster) if known else cluster
    policies = shipped(cluster)
    if racks_of:
        cluster = racked(cluster, racks_of)
        policies = replace(policies, limits=replace(policies.limits, failover_domain="rack"))
    found = steps_ms(cluster, policies, rounds, known=known)
    asked = in_trouble(cluster, policies, known=known)
    made = asked.plan()
    reserves = asked.snapshot.cast.reserves
    found["plan"], found["anew"] = median_ms(rounds, asked.plan), median_ms(rounds, asked.plan, reserves.clear)
    reserves.clear()
    tracemalloc.start()
    asked.plan()
    found["memory"] = tracemalloc.get_traced_memory()[1] / (1 << 20)
    tracemalloc.stop()
    crowd = in_trouble(crowded_host(cluster), policies, known=known)
    largest = max(cluster.hosts, key=lambda host: (host.memory_total, host.name)).name
    failing = next(intent for intent in asked.intents if intent.kind is IntentKind.EVACUATE)
    alone = replace(crowd, intents=(replace(failing, host=largest),))
    found["evacuation"] = median_ms(rounds, alone.plan)
    moves = alone.plan().moves
    limits, links = alone.policies.limits, {host.name: host.declared.link_mib_s for host in cluster.hosts}
    bytes_alone = sum(move.memory for move in moves) / MIB / (links[largest] * limits.link_share)
    found["evacuated"] = float(len(moves))
    takes = schedule(moves, (), links, limits, 0.0)[-1].ends
    found["makespan"], found["of bound"] = takes / bytes_alone, takes / least_makespan(moves, links, limits)
    found["moves"], found["refusals"], found["intents"] = (
        float(len(made.moves)), float(len(made.refusals)), float(len(asked.intents)))
    return found


def main() -> int:
    """Measure; return 0 where every target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--racks-of", type=int, default=0, metavar="HOSTS")
    parser.add_argument("--known", action="store_true", help="hours of the day, networks and huge pages are known")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/scale.json"))
    options = parser.parse_args()
    columns = ("quiet", "told", "plan", "anew", "evacuation", "makespan", "of bound", "memory", "intents", "moves",
               "refusals", "evacuated")
    print(f"{'hosts':>6} " + " ".join(f"{name:>10}" for name in columns))
    rows: dict[int, dict[str, float]] = {}
    for hosts in options.hosts:
        row = rows[hosts] = measure(hosts, options.rounds, options.racks_of, known=options.known)
        print(f"{hosts:>6} " + " ".join(f"{row[name]:>10.2f}" for name in columns), flush=True)
    most = max(rows)
    least = min(rows)
    if most > least:
        growth = math.log(rows[most]["plan"] / rows[least]["plan"]) / math.log(most / least)
        linear = math.log(most * math.log(most) / (least * math.log(least))) / math.log(most / least)
        print(f"the plan grows as hosts to the power of {growth:.2f}; n log n would be {linear:.2f}")
    missed = [name for name, target in TARGETS.items() if most >= 1000 and rows[most][name] > target]
    print("targets missed: " + (", ".join(f"{name} ({rows[most][name]:.1f}, at most {TARGETS[name]:g})" for name in missed)
                                or "none" if most >= 1000 else "(they are of 1,000 hosts)"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({str(hosts): row for hosts, row in rows.items()}, indent=1) + "\n")
    print(f"written: {options.out}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
