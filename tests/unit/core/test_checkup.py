"""A check-up of clusters on paper: each trouble is found, with its host, grade and cure; a sound cluster has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from ballastd.core.arrival_checks import AllowedChecks, check_of
from ballastd.core.certificates import Certificate, Flaw, Role, Service, Shown
from ballastd.core.checkup import judge
from ballastd.core.inventory import DeclaredHost, Pin, PinKind, VmRecord, VmState
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import PowerState
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, VmId
from ballastd.core.readiness import (
    Area,
    Fit,
    Grade,
    Heard,
    HostSurvey,
    Interface,
    Pool,
    PowerAnswer,
    Readiness,
    Site,
)
from ballastd.core.telemetry import AgentState, Report

NOW = Instant(100.0, 1_750_000_100.0, "test")
NAMES = tuple(HostName(name) for name in ("alder", "birch", "cedar"))
ALDER, BIRCH, CEDAR = NAMES
MACHINE = {name: f"00000000-0000-0000-0000-00000000000{number}" for number, name in enumerate(NAMES)}


def declared(name: HostName) -> DeclaredHost:
    return DeclaredHost(name, f"qemu+tls://{name}/system", f"qemu+tls://{name}/system", power="redfish",
                        vouched_storage=("/srv/vms",))


def guest(name: str, *pins: Pin, state: VmState = VmState.RUNNING) -> VmRecord:
    return VmRecord(VmId(f"uuid-{name}"), name, state, Bytes(2 * GIB), pins=pins)


def surveyed(name: HostName) -> HostSurvey:
    return HostSurvey(name, machine=MACHINE[name], name=name, libvirt=(9, 0, 0), emulator=(7, 2, 22),
                      cpu=("EPYC", "AMD", "1"), processors=16, memory_total=64 * GIB,
                      pools=(Pool("vms", "netfs", "/srv/vms", True),),
                      interfaces=(Interface("eth0", mbit_s=10_000),),
                      guests=(guest(f"{name}-web"), guest(f"{name}-off", state=VmState.SHUTOFF)))


def sound() -> Site:
    """Return a cluster of three hosts, a VM each, of which there is nothing to say but what cannot be known from afar."""
    fits = tuple(Fit(f"{source}-web", source, target) for source in NAMES for target in NAMES if source != target)
    heard = Heard(
        12.0, reports={name: Report(name, "boot", 1, NOW.wall, 10.0, (), NOW) for name in NAMES},
        agents={name: AgentState(name, True, NOW, hook=True, keepalive=(5, 24)) for name in NAMES})
    power = {name: PowerAnswer("", PowerState.ON, MACHINE[name]) for name in NAMES}
    surveys = {name: surveyed(name) for name in NAMES}
    shown = (*(shows(name) for name in NAMES), Shown(Service.BROKER, Role.SERVER, "mq:8883", (), lasting(400.0), name="mq"))
    return Site(ClusterDeclaration(tuple(map(declared, NAMES))), surveys, fits, heard, power, shown, NOW.wall)


def lasting(until: float, since: float = -100.0) -> Certificate:
    """Return a certificate that lasts from one day to another, counted from now."""
    return Certificate("it", "an authority", ("it", "10.0.0.1"), NOW.wall + since * 86400, NOW.wall + until * 86400)


def shows(name: HostName, **changes: Any) -> Shown:
    return replace(Shown(Service.LIBVIRT, Role.SERVER, f"{name}:16514", (name,), lasting(400.0), name=name), **changes)


def with_shown(*more: Shown) -> Callable[[Site], Site]:
    """Replace what the same ones showed."""
    return lambda site: replace(site, shown=tuple(
        one for one in site.shown if one.place not in {other.place for other in more}) + more)


def with_survey(name: HostName, **changes: object) -> Callable[[Site], Site]:
    return lambda site: replace(site, surveys={**site.surveys, name: replace(site.surveys[name], **changes)})  # type: ignore[arg-type]


def with_interfaces(name: HostName, *interfaces: Interface) -> Callable[[Site], Site]:
    return with_survey(name, interfaces=interfaces)


def with_host(name: HostName, **changes: object) -> Callable[[Site], Site]:
    return lambda site: replace(site, declared=ClusterDeclaration(tuple(
        replace(host, **changes) if host.name == name else host for host in site.declared.hosts)))  # type: ignore[arg-type]


def with_heard(**changes: object) -> Callable[[Site], Site]:
    return lambda site: replace(site, heard=replace(site.heard, **changes))  # type: ignore[arg-type, type-var]


def without_report(name: HostName) -> Callable[[Site], Site]:
    return lambda site: with_heard(reports={one: report for one, report in (site.heard or Heard(0)).reports.items()
                                            if one != name})(site)


def with_clock(name: HostName, ahead: float) -> Callable[[Site], Site]:
    return lambda site: with_heard(reports={**(site.heard or Heard(0)).reports, name: Report(
        name, "boot", 1, NOW.wall + ahead, 10.0, (), NOW)})(site)


def with_agent(name: HostName, **changes: object) -> Callable[[Site], Site]:
    return lambda site: with_heard(agents={**(site.heard or Heard(0)).agents, name: replace(
        (site.heard or Heard(0)).agents[name], **changes)})(site)  # type: ignore[arg-type]


def with_power(name: HostName, answer: PowerAnswer) -> Callable[[Site], Site]:
    return lambda site: replace(site, power={**site.power, name: answer})


def with_fit(source: HostName, target: HostName, **changes: object) -> Callable[[Site], Site]:
    return lambda site: replace(site, fits=tuple(
        replace(fit, **changes) if (fit.source, fit.target) == (source, target) else fit for fit in site.fits))  # type: ignore[arg-type]


def refused(kind: RefusalKind) -> tuple[Refusal, ...]:
    return (Refusal(kind, "the very reason"),)


def found(readiness: Readiness) -> set[tuple[Area, Grade, tuple[HostName, ...]]]:
    return {(one.area, one.grade, one.hosts) for one in readiness.findings}


SOUND = found(judge(sound()))
F, W, N = Grade.FAULT, Grade.WARNING, Grade.NOTE

TROUBLES: dict[str, tuple[Callable[[Site], Site], Area, Grade, tuple[HostName, ...]]] = {
    "a host does not answer": (with_survey(BIRCH, trouble="no answer"), Area.REACH, F, (BIRCH,)),
    "a host may only be looked at": (with_survey(BIRCH, steering="denied"), Area.REACH, F, (BIRCH,)),
    "a certificate that ends": (with_shown(shows(BIRCH, certificate=lasting(29.9))), Area.CERTIFICATE, W, (BIRCH,)),
    "a certificate that ends at once": (with_shown(shows(BIRCH, certificate=lasting(6.9))), Area.CERTIFICATE, F, (BIRCH,)),
    "a certificate that ended": (with_shown(shows(BIRCH, certificate=lasting(-1.0))), Area.CERTIFICATE, F, (BIRCH,)),
    "a certificate of tomorrow": (with_shown(shows(BIRCH, certificate=lasting(400.0, 1.0))), Area.CERTIFICATE, F, (BIRCH,)),
    "a certificate of another name": (with_shown(shows(BIRCH, flaw=Flaw.NAME)), Area.CERTIFICATE, W, (BIRCH,)),
    "a certificate of strangers": (with_shown(shows(BIRCH, flaw=Flaw.ISSUER)), Area.CERTIFICATE, W, (BIRCH,)),
    "a certificate that leads nowhere": (with_shown(shows(BIRCH, flaw=Flaw.CHAIN)), Area.CERTIFICATE, W, (BIRCH,)),
    "a certificate that is not checked": (with_shown(shows(BIRCH, flaw=Flaw.UNCHECKED)), Area.CERTIFICATE, W, (BIRCH,)),
    "a certificate that nobody shows": (with_shown(shows(BIRCH, certificate=None, flaw=Flaw.SILENT)), Area.CERTIFICATE, W,
                                        (BIRCH,)),
    "our certificate that a host does not ask for": (with_shown(shows(
        BIRCH, role=Role.CLIENT, certificate=None, flaw=Flaw.UNREAD)), Area.CERTIFICATE, N, (BIRCH,)),
    "an authority that ends": (with_shown(shows(BIRCH, role=Role.AUTHORITY, certificate=lasting(20.0))), Area.CERTIFICATE, W,
                               (BIRCH,)),
    "a broker's certificate that ends": (with_shown(Shown(Service.BROKER, Role.SERVER, "mq:8883", (), lasting(3.0))),
                                         Area.CERTIFICATE, F, ()),
    "a controller's certificate of strangers": (with_shown(Shown(
        Service.CONTROLLER, Role.SERVER, "bmc", (BIRCH,), lasting(99.0), Flaw.ISSUER)), Area.CERTIFICATE, W, (BIRCH,)),
    "a link that is slower than declared": (with_interfaces(BIRCH, Interface("eth0", mbit_s=9_000)), Area.LINK, W, (BIRCH,)),
    "a link of two that are slower": (with_interfaces(BIRCH, Interface("eth0", mbit_s=5_000), Interface(
        "eth1", mbit_s=5_000)), Area.LINK, N, (BIRCH,)),
    "an interface without a speed": (with_interfaces(BIRCH, Interface("eth0")), Area.LINK, N, (BIRCH,)),
    "an interface that is made up": (with_interfaces(BIRCH, Interface("veth0", mbit_s=10_000, is_real=False)), Area.LINK, N,
                                     (BIRCH,)),
    "a host shows not all": (with_survey(BIRCH, is_complete=False), Area.REACH, W, (BIRCH,)),
    "libvirt is reached in the clear": (with_host(BIRCH, uri="qemu+tcp://birch/system"), Area.TRANSPORT, W, (BIRCH,)),
    "peers reach it in the clear": (with_host(BIRCH, peer_uri="qemu+tcp://birch/system"), Area.TRANSPORT, W, (BIRCH,)),
    **{f"peers look for it at {own}": (with_host(BIRCH, peer_uri=f"qemu+tls://{own}/system"), Area.TRANSPORT, W, (BIRCH,))
       for own in ("localhost", "127.0.0.1", "[::1]:16514", "localhost.localdomain")},
    "an old libvirt": (with_survey(BIRCH, libvirt=(5, 5, 0)), Area.VERSION, F, (BIRCH,)),
    "a newer emulator": (with_survey(BIRCH, emulator=(8, 2, 0)), Area.VERSION, W, (ALDER, CEDAR)),
    "another processor": (with_survey(BIRCH, cpu=("Xeon", "Intel", "1")), Area.CPU, N, ()),
    "huge pages that another host has": (with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.HUGE_PAGES)), Area.DEVICES, N,
                                         (BIRCH,)),
    "NUMA nodes that no other host has": (lambda site: with_fit(ALDER, CEDAR, refusals=refused(RefusalKind.NUMA))(
        with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.NUMA))(site)), Area.DEVICES, F, (BIRCH, CEDAR)),
    "a processor that lacks something": (with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.CPU)), Area.CPU, F, (BIRCH,)),
    "a machine type that is missing": (with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.MACHINE)), Area.VERSION, F,
                                       (BIRCH,)),
    "a network that is missing": (with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.NETWORK)), Area.NETWORK, F, (BIRCH,)),
    "a name that is taken": (with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.IDENTITY)), Area.REACH, F, (BIRCH,)),
    "nobody knows whether it fits": (with_fit(ALDER, BIRCH, trouble="no answer"), Area.REACH, W, (BIRCH,)),
    "a pool that does not show a disk": (with_fit(ALDER, BIRCH, unseen=("/srv/vms/a.qcow2",)), Area.STORAGE, W, (BIRCH,)),
    "a disk that no pool covers": (with_fit(ALDER, BIRCH, unseen=("/srv/other/a.qcow2",)), Area.STORAGE, N, (BIRCH,)),
    "a disk in a folder of a pool's, which lists none": (with_fit(ALDER, BIRCH, unseen=("/srv/vms/deep/a.qcow2",)),
                                                         Area.STORAGE, N, (BIRCH,)),
    "storage nobody vouches for here": (with_host(BIRCH, vouched_storage=()), Area.LOCKS, W, (BIRCH,)),
    "storage others vouch for": (with_host(BIRCH, vouched_storage=("/srv/fast",)), Area.LOCKS, W, (ALDER, CEDAR)),
    "more storage than others vouch for": (with_host(BIRCH, vouched_storage=("/srv",)), Area.LOCKS, W, (ALDER, CEDAR)),
    "a disk without a lock": (with_survey(BIRCH, guests=(guest("db", Pin(PinKind.DISK_UNLOCKED, "vda", "lock it")),)),
                              Area.LOCKS, W, (BIRCH,)),
    "a device that stays": (with_survey(BIRCH, guests=(guest("gpu", Pin(PinKind.PASSTHROUGH, "hostdev", "detach")),)),
                            Area.DEVICES, W, (BIRCH,)),
    "an owner who pins": (with_survey(BIRCH, guests=(guest("mine", Pin(PinKind.OPERATOR, "pinned", "unpin")),)),
                          Area.DEVICES, N, (BIRCH,)),
    "no broker": (with_heard(trouble="refused"), Area.TELEMETRY, F, ()),
    "a silent agent": (without_report(BIRCH), Area.TELEMETRY, F, (BIRCH,)),
    "reports that cannot be used": (lambda site: with_heard(unread={BIRCH: "schema", ALDER: "number"})(
        without_report(BIRCH)(site)), Area.TELEMETRY, F, (BIRCH,)),
    "strange names": (with_heard(strangers=3), Area.TELEMETRY, N, ()),
    "no hook": (with_agent(BIRCH, hook=False), Area.TELEMETRY, W, (BIRCH,)),
    "a short keepalive": (with_agent(BIRCH, keepalive=(1, 3)), Area.LINK, W, (BIRCH,)),
    "libvirt's own keepalive": (with_agent(BIRCH, keepalive=(5, 5)), Area.LINK, N, (BIRCH,)),
    "a clock far off": (with_clock(BIRCH, 31.0), Area.CLOCK, F, (BIRCH,)),
    "a clock far behind": (with_clock(BIRCH, -31.0), Area.CLOCK, F, (BIRCH,)),
    "a clock a little off": (with_clock(BIRCH, 6.0), Area.CLOCK, W, (BIRCH,)),
    "no power control": (with_host(BIRCH, power=""), Area.POWER, N, (BIRCH,)),
    "a controller that is silent": (with_power(BIRCH, PowerAnswer("no answer")), Area.POWER, W, (BIRCH,)),
    "a controller that says off": (with_power(BIRCH, PowerAnswer("", PowerState.OFF, MACHINE[BIRCH])), Area.POWER, F,
                                   (BIRCH,)),
    "a controller that does not say": (with_power(BIRCH, PowerAnswer("", PowerState.UNKNOWN, MACHINE[BIRCH])), Area.POWER, W,
                                       (BIRCH,)),
    "reports without an agent's word": (with_heard(agents={name: AgentState(name, True, NOW, hook=True, keepalive=(5, 24))
                                                           for name in (ALDER, CEDAR)}), Area.TELEMETRY, N, (BIRCH,)),
    "reports of an agent that went": (with_agent(BIRCH, online=False), Area.TELEMETRY, N, (BIRCH,)),
    "a controller of another machine": (with_power(BIRCH, PowerAnswer("", PowerState.ON, MACHINE[CEDAR])), Area.POWER, F,
                                        (BIRCH,)),
    "a controller that knows no machine": (with_power(BIRCH, PowerAnswer("", PowerState.ON, None)), Area.POWER, W, (BIRCH,)),
}


def test_of_a_sound_cluster_only_what_cannot_be_known_is_said() -> None:
    readiness = judge(sound())
    assert readiness.worst is N
    assert found(readiness) == {(Area.TRANSPORT, N, ()), (Area.LINK, N, ())}
    assert {(pair.could, pair.of) for pair in readiness.pairs} == {(1, 1)}
    assert len(readiness.pairs) == 6
    assert set(readiness.grid[ALDER]) == set(Area)


@pytest.mark.parametrize("name", TROUBLES)
def test_each_trouble_is_found_where_it_is_and_nowhere_else(name: str) -> None:
    change, area, grade, hosts = TROUBLES[name]
    readiness = judge(change(sound()))
    new = found(readiness) - SOUND
    assert (area, grade, hosts) in new, readiness.findings
    assert len(new) == 1 or name in ("a host does not answer", "storage others vouch for", "no broker"), readiness.findings
    assert all(one.words and one.cure for one in readiness.findings)
    for host in hosts:
        assert readiness.grid[host][area] >= grade
    if hosts and len(new) == 1:
        assert {host: readiness.grid[host] for host in NAMES if host not in hosts} == {
            host: judge(sound()).grid[host] for host in NAMES if host not in hosts}


def test_faults_come_first_and_what_is_alike_is_said_once() -> None:
    site = sound()
    for name in NAMES:
        site = with_agent(name, hook=False)(site)
    readiness = judge(without_report(CEDAR)(site))
    assert [one.grade for one in readiness.findings] == sorted((one.grade for one in readiness.findings), reverse=True)
    assert [one.hosts for one in readiness.findings if "hook" in one.words] == [NAMES]


def test_what_a_host_has_against_a_guest_counts_in_the_pair_alone() -> None:
    readiness = judge(with_fit(ALDER, BIRCH, refusals=refused(RefusalKind.CPU))(sound()))
    pairs = {(pair.source, pair.target): pair for pair in readiness.pairs}
    assert (pairs[ALDER, BIRCH].could, pairs[ALDER, BIRCH].obstacle) == (0, "alder-web: the very reason")
    assert all(pair.could == 1 for key, pair in pairs.items() if key != (ALDER, BIRCH))


def test_nothing_is_said_to_be_well_of_a_host_that_says_nothing() -> None:
    readiness = judge(with_survey(BIRCH, trouble="no answer")(sound()))
    assert Area.CPU not in readiness.grid[BIRCH]
    assert Area.STORAGE not in readiness.grid[BIRCH]
    into = [pair for pair in readiness.pairs if pair.target == BIRCH]
    assert [(pair.could, pair.obstacle) for pair in into] == [(0, "birch does not answer")] * 2
    assert not [pair for pair in readiness.pairs if pair.source == BIRCH], "which VMs it has is not known"


@pytest.mark.parametrize("fits", [(), tuple(Fit("alder-web", ALDER, name, trouble="no answer") for name in (BIRCH, CEDAR))])
def test_what_no_vm_was_looked_at_for_is_not_said_to_be_well(fits: tuple[Fit, ...]) -> None:
    grid = judge(replace(sound(), fits=fits)).grid
    assert all(area not in grid[name] for name in NAMES for area in (Area.NETWORK, Area.STORAGE))
    one = judge(replace(sound(), fits=(Fit("alder-web", ALDER, BIRCH),))).grid
    assert [name for name in NAMES if one[name].get(Area.STORAGE) is Grade.GOOD] == [BIRCH]


def test_a_controller_that_nobody_asked_is_not_said_to_be_well() -> None:
    readiness = judge(replace(sound(), power={}))
    assert all(Area.POWER not in readiness.grid[name] for name in NAMES)


def test_nothing_could_go_where_nothing_may_be_steered() -> None:
    readiness = judge(with_survey(BIRCH, steering="denied")(replace(sound(), fits=())))
    assert {pair.obstacle for pair in readiness.pairs if pair.target == BIRCH} == {"birch may not be steered"}


def test_a_link_is_nothing_that_was_looked_at() -> None:
    alone = replace(sound(), declared=ClusterDeclaration((declared(ALDER),)))
    assert Area.LINK not in judge(alone).grid[ALDER]


def test_of_disks_on_several_storages_each_is_told_with_its_own_pool() -> None:
    readiness = judge(with_fit(ALDER, BIRCH, unseen=("/srv/other/b.qcow2", "/srv/vms/a.qcow2", "rbd:vms/c"))(sound()))
    told = {(one.grade, one.words.partition(" of 1 VM")[0]) for one in readiness.findings if one.area is Area.STORAGE}
    assert told == {(W, "pool vms does not show /srv/vms/a.qcow2"),
                    (N, "no active storage pool covers /srv/other/b.qcow2, rbd:vms/c")}


def test_where_no_broker_was_asked_nothing_is_said_of_telemetry() -> None:
    readiness = judge(replace(sound(), heard=None))
    assert Area.TELEMETRY not in readiness.grid[ALDER]
    assert not [one for one in readiness.findings if one.area is Area.TELEMETRY]


def test_who_cannot_leave_is_not_counted_among_those_that_could() -> None:
    """Storage can be vouched for any day, and what a VM could do then is worth knowing; a device stays where it is."""
    stays, new = Pin(PinKind.PASSTHROUGH, "hostdev", "detach"), Pin(PinKind.DISK_UNLOCKED, "vda", "vouch for it")
    survey = replace(surveyed(ALDER), guests=(guest("gpu", stays), guest("new", new)))
    assert [one.name for one in survey.movable] == ["new"]


def test_a_vm_that_would_not_be_asked_as_its_owner_wants_is_noted() -> None:
    check = check_of("tcp://10.0.0.7:22")
    guests = tuple(replace(one, **wish) for one, wish in (  # type: ignore[arg-type]
        (guest("a"), {"check": check}), (guest("b"), {"check_flaw": "check=ping: it is no check; write agent"}),
        (guest("c"), {})))
    site = with_survey(ALDER, guests=guests)(sound())
    found = [one for one in judge(site).findings if "would not be asked" in one.words]
    assert [(one.grade, one.hosts) for one in found] == [(Grade.NOTE, (ALDER,))] * 2
    assert {(one.words.partition(": ")[2], one.cure) for one in found} == {
        ("10.0.0.7 is in no network that the settings allow", "arrival_checks: {networks: [...]} names those of guests"),
        ("check=ping: it is no check", "write agent")}
    guests_network = AllowedChecks(networks=(ip_network("10.0.0.0/8"),))
    allowed = replace(site, declared=replace(site.declared, arrival_checks=guests_network))
    assert len([one for one in judge(allowed).findings if "would not be asked" in one.words]) == 1
