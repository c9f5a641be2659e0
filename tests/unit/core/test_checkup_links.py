"""Links on paper: what hosts' interfaces do, beside what is declared of them and what the others' do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.checkup import judge
from ballastd.core.checkup_links import Speed, speed_of
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Grade, HostSurvey, Interface, Site

NAMES = tuple(HostName(name) for name in ("alder", "birch", "cedar"))
GBIT = 1e9 / 8 / (1 << 20)
ETH0, ETH1 = Interface("eth0", mbit_s=1_000), Interface("eth1", mbit_s=10_000, addresses=("10.0.0.1",))
TAP = Interface("br0", mbit_s=10_000, is_real=False, addresses=("10.0.0.2",))


def declared(name: HostName = NAMES[0], gbit: float = 10.0, migration_uri: str | None = None) -> DeclaredHost:
    return DeclaredHost(name, f"qemu+tls://{name}/system", migration_uri=migration_uri, link_mib_s=gbit * GBIT)


@pytest.mark.parametrize(("interfaces", "migration_uri", "speed"), [
    ((ETH0, ETH1), None, Speed(10_000, 11_000, ("eth0", "eth1"))),
    ((ETH0, ETH1), "tcp://10.0.0.1", Speed(10_000, 10_000, ("eth1",), True)),
    ((ETH1, replace(ETH0, addresses=("10.0.0.9",))), "tcp://10.0.0.9", Speed(1_000, 1_000, ("eth0",), True)),
    ((ETH1, replace(ETH0, addresses=("fd00::9",))), "tcp://[fd00::0009]:49152", Speed(1_000, 1_000, ("eth0",), True)),
    ((ETH0, ETH1), "tcp://a-name", Speed(10_000, 11_000, ("eth0", "eth1"))),
    ((ETH0, replace(ETH1, mbit_s=None)), None, None),
    ((ETH0, replace(ETH1, mbit_s=None)), "tcp://10.0.0.1", None),
    ((ETH0, replace(ETH1, is_up=False)), None, Speed(1_000, 1_000, ("eth0",))),
    ((ETH0, TAP), None, Speed(1_000, 1_000, ("eth0",))),
    ((ETH0, TAP), "tcp://10.0.0.2", Speed(1_000, 1_000, ("eth0",))),
    ((TAP,), None, None),
    ((), None, None),
    (None, None, None),
])
def test_a_host_is_as_fast_as_its_own_interfaces(
        interfaces: tuple[Interface, ...] | None, migration_uri: str | None, speed: Speed | None) -> None:
    assert speed_of(declared(migration_uri=migration_uri), HostSurvey(NAMES[0], interfaces=interfaces)) == speed


def test_a_bond_is_as_fast_as_it_says() -> None:
    two = (replace(ETH0, mbit_s=10_000), ETH1)
    bond = Interface("bond0", mbit_s=20_000, is_real=False, is_bond=True)
    assert speed_of(declared(), HostSurvey(NAMES[0], interfaces=(*two, bond))) == Speed(20_000, 20_000, ("eth0", "eth1"))
    assert speed_of(declared(), HostSurvey(NAMES[0], interfaces=(*two, replace(bond, mbit_s=None)))) == Speed(
        10_000, 20_000, ("eth0", "eth1"))


def site(*hosts: tuple[DeclaredHost, tuple[Interface, ...] | None]) -> Site:
    return Site(ClusterDeclaration(tuple(host for host, _ in hosts)),
                {host.name: HostSurvey(host.name, interfaces=interfaces) for host, interfaces in hosts})


def of_links(one: Site) -> list[Finding]:
    return [finding for finding in judge(one).findings if finding.area is Area.LINK]


def test_a_link_that_is_declared_too_fast_is_told_with_what_to_write() -> None:
    slow = (replace(ETH0, addresses=("10.0.0.9",)), ETH1)
    one = site((declared(NAMES[0], migration_uri="tcp://10.0.0.9"), slow), (declared(NAMES[1]), (ETH1,)))
    [finding] = [finding for finding in of_links(one) if finding.grade is Grade.WARNING]
    assert finding.hosts == (NAMES[0],)
    assert "declared as 10 Gbit/s, and eth0, which carries it, does 1 Gbit/s" in finding.words
    assert finding.cure.startswith("link_speed: 1Gbit/s")


def test_one_interface_is_named_and_several_are_added_up() -> None:
    slow = site((declared(NAMES[0]), (ETH0,)), (declared(NAMES[1], 2_000.0), (ETH0, replace(ETH1, mbit_s=1_600_000))))
    words = [finding.words for finding in of_links(slow) if finding.grade is Grade.WARNING]
    assert words == ["its link is declared as 10 Gbit/s, and eth0, the only one that is up, does 1 Gbit/s",
                     "its link is declared as 2000 Gbit/s, and all its interfaces that are up (eth0, eth1) do 1600 Gbit/s "
                     "together"]


def test_what_is_as_fast_as_declared_or_faster_is_well() -> None:
    one = site((declared(NAMES[0], 10.0), (ETH1,)), (declared(NAMES[1], 1.0), (ETH1,)))
    assert [finding.words for finding in of_links(one)] == [
        "links are taken at the settings' word: 1 Gbit/s: birch; 10 Gbit/s: alder"]


def test_pairs_of_unequal_speed_are_shown_and_what_is_unknown_is_unknown() -> None:
    one = site((declared(NAMES[0]), (ETH1,)), (declared(NAMES[1], 1.0), (ETH0,)), (declared(NAMES[2]), None))
    findings = of_links(one)
    said = "1 pair of hosts of unequal speed: 1 Gbit/s: birch; 10 Gbit/s: alder"
    assert said in [finding.words for finding in findings]
    assert [finding.hosts for finding in findings if "is unknown" in finding.words] == [(NAMES[2],)]
    pairs = {(pair.source, pair.target): pair.mbit_s for pair in judge(one).pairs}
    assert pairs[NAMES[0], NAMES[1]] == (10_000, 1_000)
    assert pairs[NAMES[2], NAMES[0]] == (None, 10_000)
    assert not any("unequal" in finding.words for finding in of_links(site(
        (declared(NAMES[0]), (ETH1,)), (declared(NAMES[1]), (ETH1,)), (declared(NAMES[2]), None))))


def test_the_link_of_one_host_alone_is_nothing_to_speak_of() -> None:
    assert of_links(site((declared(NAMES[0]), (ETH0,)))) == []
