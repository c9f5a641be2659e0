"""Certificates on paper: how bad it is depends on whether who is spoken to answered all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.certificates import DAY_SECONDS, Certificate, Flaw, Role, Service, Shown
from ballastd.core.checkup_certificates import certificates
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Finding, Grade, Heard, HostSurvey, PowerAnswer, Site

HOST = HostName("alder")
WALL = 1_750_000_000.0  # 2025-06-15
CLUSTER = ClusterDeclaration((DeclaredHost(HOST, "qemu+tls://alder/system"),))
WELL = Site(CLUSTER, {HOST: HostSurvey(HOST)}, heard=Heard(1.0), power={HOST: PowerAnswer("", PowerState.ON)}, wall=WALL)
SILENT = Site(CLUSTER, {HOST: HostSurvey(HOST, trouble="no")}, heard=Heard(1.0, "no"), power={HOST: PowerAnswer("no")},
              wall=WALL)


def lasting(days: float, since: float = -100.0) -> Certificate:
    return Certificate("alder", "the authority", ("alder",), WALL + since * DAY_SECONDS, WALL + days * DAY_SECONDS)


def found(site: Site, shown: Shown) -> list[Finding]:
    return list(certificates(Site(site.declared, site.surveys, (), site.heard, site.power, (shown,), site.wall)))


def shown(service: Service, flaw: Flaw | None = None, role: Role = Role.SERVER,
          certificate: Certificate | None = None) -> Shown:
    hosts = () if service is Service.BROKER else (HOST,)
    return Shown(service, role, "alder:1", hosts, certificate, flaw, "so it says", "alder")


@pytest.mark.parametrize("service", Service)
@pytest.mark.parametrize("flaw", [Flaw.NAME, Flaw.ISSUER, Flaw.CHAIN])
def test_what_is_not_believed_is_a_fault_unless_it_was_let_through(service: Service, flaw: Flaw) -> None:
    for certificate in (None, lasting(100)):
        [well], [silent] = (found(site, shown(service, flaw, certificate=certificate)) for site in (WELL, SILENT))
        assert (well.grade, silent.grade) == (Grade.WARNING, Grade.FAULT)
        assert "alder" in silent.words + "".join(silent.hosts)
        assert silent.cure


@pytest.mark.parametrize("service", Service)
def test_that_a_silent_one_shows_nothing_is_no_second_fault(service: Service) -> None:
    assert [one.grade for one in found(SILENT, shown(service, Flaw.SILENT))] == [Grade.NOTE]
    assert [one.grade for one in found(WELL, shown(service, Flaw.SILENT))] == [Grade.WARNING]


def test_a_file_of_ours_that_is_of_no_use_is_a_fault_unless_nobody_asked_for_it() -> None:
    grades = {(service, role): tuple(found(site, shown(service, Flaw.UNREAD, role))[0].grade for site in (WELL, SILENT))
              for service in Service for role in (Role.CLIENT, Role.AUTHORITY)}
    assert grades.pop((Service.LIBVIRT, Role.CLIENT)) == (Grade.NOTE, Grade.FAULT)
    assert set(grades.values()) == {(Grade.WARNING, Grade.FAULT)}


@pytest.mark.parametrize(("days", "grade", "words"), [
    (31.0, None, ""), (30.0, None, ""), (29.5, Grade.WARNING, "29 days more, until 2025-07-15"),
    (7.0, Grade.WARNING, "7 days more"), (6.9, Grade.FAULT, "6 days more"), (1.5, Grade.FAULT, "1 day more"),
    (0.5, Grade.FAULT, "less than a day more"), (0.0, Grade.FAULT, "expired on 2025-06-15"),
    (-400.0, Grade.FAULT, "expired on 2024-05-11")])
@pytest.mark.parametrize("role", Role)
def test_an_end_is_told_in_time(days: float, grade: Grade | None, words: str, role: Role) -> None:
    findings = found(WELL, shown(Service.LIBVIRT, role=role, certificate=lasting(days)))
    assert [one.grade for one in findings] == ([] if grade is None else [grade])
    assert all(words in one.words and "issued by the authority" in one.words and one.cure for one in findings)


def test_an_old_authority_of_libvirt_has_to_leave_its_file() -> None:
    cures = {service: found(WELL, shown(service, role=Role.AUTHORITY, certificate=lasting(5)))[0].cure
             for service in Service}
    assert {service for service, cure in cures.items() if "take the old one out before it ends" in cure} == {Service.LIBVIRT}
    [early] = found(WELL, shown(Service.LIBVIRT, role=Role.AUTHORITY, certificate=lasting(400, 2.0)))
    assert "take it out of alder:1 until then" in early.cure
    [ended] = found(WELL, shown(Service.LIBVIRT, role=Role.AUTHORITY, certificate=lasting(-1)))
    assert ended.cure.startswith("take it out of alder:1, ")


def test_what_begins_later_may_be_our_own_clock() -> None:
    [finding] = found(WELL, shown(Service.LIBVIRT, certificate=lasting(400, 2.0)))
    assert (finding.grade, "not good before 2025-06-17" in finding.words) == (Grade.FAULT, True)
    assert "chronyc" in finding.cure


def test_two_things_against_one_are_both_told() -> None:
    findings = found(SILENT, shown(Service.BROKER, Flaw.NAME, certificate=lasting(-1)))
    assert ["expired" in one.words for one in findings] == [True, False]
    assert all("the broker shows at alder:1" in one.words for one in findings)


def test_where_anybody_is_believed_dates_mean_nothing() -> None:
    [finding] = found(WELL, shown(Service.CONTROLLER, Flaw.UNCHECKED, certificate=lasting(-1)))
    assert (finding.grade, "whoever answers there is believed" in finding.words) == (Grade.WARNING, True)
    assert "insecure_tls" in finding.cure


def test_a_cure_fits_what_it_is_for() -> None:
    [own], [believed], [hidden] = (found(SILENT, shown(Service.LIBVIRT, flaw, role)) for flaw, role in (
        (Flaw.UNREAD, Role.CLIENT), (Flaw.UNREAD, Role.AUTHORITY), (Flaw.HIDDEN, Role.CLIENT)))
    assert ("with its key" in own.cure, "key" in believed.cure, "vouches" in believed.cure) == (True, False, True)
    assert (hidden.grade, "pkipath" in hidden.cure) == (Grade.FAULT, True)
    assert [one.grade for one in found(WELL, shown(Service.LIBVIRT, Flaw.HIDDEN, Role.CLIENT))] == [Grade.NOTE]


def test_a_name_that_peers_do_not_find_is_a_fault_whatever_we_find() -> None:
    certificate = replace(lasting(100), names=("birch",))
    one = replace(shown(Service.LIBVIRT, Flaw.NAME, certificate=certificate), is_to_peers=True)
    [finding] = found(WELL, one)
    assert (finding.grade, "shows its peers" in finding.words, "peer_uri" in finding.cure) == (Grade.FAULT, True, True)
    [unchecked] = found(WELL, replace(one, flaw=Flaw.UNCHECKED))
    assert (unchecked.grade, "peer_uri" in unchecked.cure) == (Grade.WARNING, True)


def test_one_certificate_that_peers_see_too_ends_once() -> None:
    ours = shown(Service.LIBVIRT, certificate=lasting(5))
    peers = replace(ours, is_to_peers=True)
    for those, findings in (((ours, peers), 1), ((peers,), 1), ((ours, replace(peers, certificate=lasting(6))), 2),
                            ((replace(ours, flaw=Flaw.UNCHECKED), peers), 2)):
        assert len(list(certificates(replace(WELL, shown=those)))) == findings


def test_what_one_host_shows_us_is_not_what_another_shows_its_peers() -> None:
    """A wildcard's certificate may be on all of them, and an equal one in a file of ours is no libvirt's."""
    ours, birch = shown(Service.LIBVIRT, certificate=lasting(5)), HostName("birch")
    for told in (ours, replace(ours, role=Role.CLIENT), replace(ours, service=Service.CONTROLLER)):
        peers = replace(ours, hosts=(HOST, birch), is_to_peers=True)
        _, second = certificates(replace(WELL, shown=(told, peers)))
        assert second.hosts == ((birch,) if told is ours else (HOST, birch))


@pytest.mark.parametrize(("days", "site", "grade"), [
    (40.0, WELL, None), (29.0, WELL, Grade.WARNING), (3.0, WELL, Grade.FAULT), (-1.0, WELL, Grade.WARNING),
    (-1.0, SILENT, Grade.FAULT)])
def test_what_vouches_for_one_takes_it_along(days: float, site: Site, grade: Grade | None) -> None:
    one = shown(Service.BROKER, role=Role.CLIENT, certificate=lasting(100))
    findings = found(site, replace(one, vouchers=(replace(lasting(days), subject="middle"),)))
    assert [finding.grade for finding in findings] == ([] if grade is None else [grade])
    assert all(finding.words.startswith("middle, which goes along with our certificate") for finding in findings)


def test_a_controller_or_broker_that_asks_for_ours_needs_it() -> None:
    assert found(WELL, shown(Service.BROKER, Flaw.UNREAD, Role.CLIENT))[0].grade is Grade.WARNING


def test_what_vouches_from_our_own_file_is_renewed_there() -> None:
    middle = replace(lasting(5), subject="middle")
    one = replace(shown(Service.BROKER, certificate=lasting(100)), vouchers=(middle,), trusted_by="/etc/ca.pem")
    [along], [held] = found(WELL, one), found(WELL, replace(one, held=(middle,)))
    assert ("behind the certificate" in along.cure, "in /etc/ca.pem" in along.cure) == (True, False)
    assert ("behind the certificate" in held.cure, "in /etc/ca.pem" in held.cure) == (False, True)
    assert held.words.startswith("middle, by way of which the certificate that the broker shows at alder:1 is believed")
    [wrong] = found(SILENT, replace(one, vouchers=(), flaw=Flaw.CHAIN))
    assert ("-CAfile /etc/ca.pem" in wrong.cure, "or in /etc/ca.pem" in wrong.cure) == (True, True)


def test_a_name_that_nobody_looked_at_is_said_to_be_unknown() -> None:
    one = replace(shown(Service.LIBVIRT, certificate=lasting(5)), is_to_peers=True)
    for flaw, words in ((Flaw.UNFIT, "good for alder could not be seen: so it says"),
                        (Flaw.SILENT, "not seen a second time, for its name alder: so it says")):
        ends, unknown = found(WELL, replace(one, flaw=flaw))
        assert ("5 days more" in ends.words, unknown.grade, words in unknown.words) == (True, Grade.WARNING, True)
        assert unknown.cure


@pytest.mark.parametrize(("name", "subject", "names", "words", "cure"), [
    ("10.0.0.1", "alder", ("10.0.0.1",), "10.0.0.1: that is a DNS name in it, and an address is an IP entry",
     "has IP:10.0.0.1"),
    ("fd00::1", "fd00::1", (), "fd00::1: that is its common name in it, and an address is an IP entry", "has IP:fd00::1"),
    ("10.0.0.1", "alder", ("birch",), "good for 10.0.0.1, only for birch", "has IP:10.0.0.1"),
    ("alder", "alder", (), "good for alder: it has no names at all", "has DNS:alder"),
    ("alder", "birch", ("birch",), "good for alder, only for birch", "has DNS:alder")])
def test_what_a_certificate_is_not_good_for_says_how_it_would_be(
        name: str, subject: str, names: tuple[str, ...], words: str, cure: str) -> None:
    certificate = replace(lasting(100), subject=subject, names=names)
    [finding] = found(SILENT, replace(shown(Service.CONTROLLER, Flaw.NAME, certificate=certificate), name=name))
    assert (words in finding.words, cure in finding.cure) == (True, True), finding
    assert ("call it by one of those" in finding.cure) == (names == ("birch",))
