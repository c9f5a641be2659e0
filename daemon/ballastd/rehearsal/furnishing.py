"""What some made-up clusters have beside processors and memory: networks whose speed is known, huge pages, last resorts, VMs
that are asked whether they answer, links that others use.
By a chance of its own, so that a seed without them stands for what it always stood for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network
from random import Random

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import AGENT, AllowedChecks, Check, check_of
from ballastd.core.conditions import Condition, Holding, Silence
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.policies import EvacuationPolicy, Health, HealthPolicy, LastResort, Mode, PolicySet, Response
from ballastd.core.quantities import GIB, MIB, Bytes, Seconds
from ballastd.core.saved_cluster import SavedCluster, SavedHost, SavedVm
from ballastd.rehearsal.stage import Setting

NETWORKED, PAGED, DESPERATE, LAST_OF_ALL = 0.35, 0.3, 0.35, 0.3
"""The shares of clusters that have networks of a known speed, VMs on huge pages, policies that allow post-copy, and such
that allow the shutdown of guests."""
ASKED, NAMED = 0.3, 0.6
"""The share of clusters whose VMs are asked whether they answer, and of VMs in them whose owners want that."""
BOUNDED = 0.2
"""The share of clusters with a bound to virtual processors, which many moves come up against: none of the seeds that are
kept."""
WARY = 0.25
"""The share of clusters in which a silent host is suspect and closed: none of the seeds that are kept."""
BUSY = 0.25
"""The share of clusters in which migrations give way to others on their links: none of the seeds that are kept."""
INTERFACES = (("eno1",), ("eno1", "eno2"), ())
NETWORKS_MIB_S = (1192.0, 1192.0, 2980.0)
CARRIED = 0.3
"""The share of all networks that VMs carry together."""
ALLOWED = AllowedChecks(agent=True, networks=(ip_network("10.0.0.0/8"),))
ON_PAGES = 0.15
PAGE = Bytes(2 * MIB)


def furnished(cluster: SavedCluster, seed: int) -> SavedCluster:
    """Return a cluster with what its seed gives it."""
    luck = Random(f"{seed} furniture")
    has_networks, has_pages = luck.random() < NETWORKED, luck.random() < PAGED
    cluster = _with_networks(cluster, luck) if has_networks else cluster
    return _with_pages(cluster, luck) if has_pages else cluster


def desperate(policies: PolicySet, seed: int) -> PolicySet:
    """Return policies that may put VMs into post-copy off failing hosts, or shut guests down there, if the seed wants."""
    chances = ((LastResort.POST_COPY, "despair", DESPERATE), (LastResort.SHUTDOWN, "last of all", LAST_OF_ALL))
    resorts = tuple(resort for resort, luck, share in chances if Random(f"{seed} {luck}").random() < share)
    return replace(policies, evacuation=tuple(
        replace(one, last_resorts=tuple(r for r in resorts if r is not LastResort.SHUTDOWN or one.deadline is not None))
        if resorts and one.severity is Health.FAILING else one for one in policies.evacuation))


def bounded(policies: PolicySet, cluster: SavedCluster, seed: int) -> PolicySet:
    """Return policies that bound virtual processors for each of a host, near what the fullest has, if the seed wants."""
    luck = Random(f"{seed} bounded")
    if luck.random() < 1.0 - BOUNDED:
        return policies
    given = {host.declared.name: sum(vm.record.vcpus for vm in cluster.vms if vm.host == host.declared.name) / host.cpus
             for host in cluster.hosts}
    most = max(0.1, round(luck.uniform(0.9, 1.4) * max(given.values(), default=1.0), 2))
    return replace(policies, limits=replace(policies.limits, vcpus_per_processor=most))


def wary(policies: PolicySet, seed: int) -> PolicySet:
    """Return policies that call a host suspect whose agent is silent, until it has spoken for a while, if the seed wants."""
    luck = Random(f"{seed} ears")
    if luck.random() >= WARY:
        return policies
    silence = HealthPolicy("silence", Condition(Silence(Seconds(luck.choice((120.0, 300.0)))),
                                                Holding(clear_hold=Seconds(luck.choice((0.0, 300.0))))), Health.SUSPECT)
    closing = EvacuationPolicy("suspect", Health.SUSPECT, Response.QUARANTINE, mode=Mode.AUTO)
    return replace(policies, health=(*policies.health, silence), evacuation=(*policies.evacuation, closing))


def with_checks(setting: Setting, seed: int, lasts: float) -> Setting:
    """Return a setting whose VMs are asked whether they answer, and now and then do not, if the seed wants that."""
    luck = Random(f"{seed} answers")
    if luck.random() >= ASKED:
        return setting
    vms = tuple(replace(vm, record=replace(vm.record, check=_check(luck, number))) if luck.random() < NAMED else vm
                for number, vm in enumerate(setting.cluster.vms))
    acts = [Act(round(luck.uniform(0.0, lasts), 1), "mute", vm=luck.choice(vms).record.name,
                seconds=round(luck.uniform(30.0, 7200.0), 1)) for _ in range(luck.randint(0, 8))]
    acts += [Act(round(luck.uniform(0.0, lasts), 1), "isolate", host=luck.choice(setting.cluster.hosts).name,
                 seconds=round(luck.uniform(30.0, 7200.0), 1)) for _ in range(luck.randint(0, 3))]
    return replace(setting, cluster=replace(setting.cluster, vms=vms), arrival_checks=ALLOWED,
                   acts=tuple(sorted((*setting.acts, *acts), key=lambda act: act.at)))


def with_busy_links(cluster: SavedCluster, policies: PolicySet, acts: Iterable[Act], seed: int, lasts: float
                    ) -> tuple[SavedCluster, PolicySet, tuple[Act, ...]]:
    """Return what it is given so that others use links now and then, of some more than there is, and migrations give way to
    them where interfaces are known, if the seed wants that."""
    luck = Random(f"{seed} who else is there")
    if luck.random() >= BUSY:
        return cluster, policies, tuple(acts)
    hosts = tuple(replace(host, declared=replace(host.declared, link_interfaces=luck.choice(INTERFACES)))
                  for host in cluster.hosts)
    busy = list(acts)
    for _ in range(luck.randint(1, 12)):
        at, seconds, host = luck.uniform(0.0, lasts), luck.uniform(30.0, 7200.0), luck.choice(hosts)
        busy.append(Act(round(at, 1), "use-link", host=host.name, seconds=round(max(1.0, min(seconds, lasts - at)), 1),
                        value=round(luck.uniform(0.1, 1.5) * host.declared.link_mib_s, 1)))
    limits = replace(policies.limits, give_way=luck.choice((0.6, 0.9, 0.9, 1.0)))
    return replace(cluster, hosts=hosts), replace(policies, limits=limits), tuple(sorted(busy, key=lambda act: act.at))


def _check(luck: Random, number: int) -> Check:
    """Return a check, some of them at an address that is not allowed."""
    return luck.choice((AGENT, check_of(f"tcp://10.0.{number // 250}.{number % 250 + 1}:22"), check_of("tcp://192.0.2.7:22")))


def _with_networks(cluster: SavedCluster, luck: Random) -> SavedCluster:
    hosts = tuple(replace(host, declared=replace(host.declared, network_mib_s=luck.choice(NETWORKS_MIB_S)))
                  for host in cluster.hosts)
    total = sum(host.declared.network_mib_s or 0.0 for host in hosts) * CARRIED
    weights = [luck.expovariate(1.0) for _ in cluster.vms]
    vms = tuple(replace(vm, network_mib_s=round(total * weight / sum(weights), 1))
                for vm, weight in zip(cluster.vms, weights, strict=True))
    return replace(cluster, hosts=hosts, vms=vms)


def _with_pages(cluster: SavedCluster, luck: Random) -> SavedCluster:
    """Give some VMs huge pages, and hosts what theirs hold and up to a quarter of what is left; some have none, and of some
    nobody knows."""
    vms = tuple(_on_pages(vm) if luck.random() < ON_PAGES else vm for vm in cluster.vms)
    return replace(cluster, vms=vms, hosts=tuple(_host_with_pages(host, vms, luck) for host in cluster.hosts))


def _on_pages(vm: SavedVm) -> SavedVm:
    return replace(vm, record=replace(vm.record, needs=Needs((Backing(PAGE, vm.record.memory_max),))))


def _host_with_pages(host: SavedHost, vms: tuple[SavedVm, ...], luck: Random) -> SavedHost:
    here = [vm.record for vm in vms if vm.host == host.name]
    held = sum(record.memory_max for record in here if record.needs.backing)
    rest = host.memory_total - host.declared.memory_reserve - sum(record.memory_max for record in here)
    spare, is_known = max(0, int(rest * luck.choice((0.0, 0.25, 0.25)))) // GIB * GIB, luck.random() < 0.8
    if not (held or is_known):
        return host
    return replace(host, hardware=Hardware(pools=(PagePool(PAGE, (held + spare) // PAGE),)))
