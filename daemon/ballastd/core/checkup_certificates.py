"""What a check-up finds about certificates: which end soon or have ended, and which are not believed, each with its cure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from ballastd.core.certificates import Certificate, Flaw, Role, Service, Shown
from ballastd.core.readiness import Area, Finding, Grade, Site, named

WARNED_DAYS = 30.0
ALARMED_DAYS = 7.0
_NAMES = {Service.LIBVIRT: "libvirt", Service.BROKER: "the broker", Service.CONTROLLER: "the power controller"}
_RENEWED = {
    Service.LIBVIRT: "issue a new one, put it where cert_file in its libvirtd.conf says, and have it read: virt-admin "
                     "server-update-tls libvirtd, or restart libvirtd",
    Service.BROKER: "issue a new one, put it where certfile in the broker's configuration says, and have it read that anew",
    Service.CONTROLLER: "issue a new one and install it in the controller, by its own web page or Redfish",
}


def certificates(site: Site) -> Iterator[Finding]:
    """Dates are judged of each that was seen, unless anybody is believed there, whatever they say. What a host's peers see
    as we do is told of that host once."""
    told = {(host, one.certificate) for one in site.shown for host in one.hosts if one.service is Service.LIBVIRT and
            one.role is Role.SERVER and not one.is_to_peers and one.flaw is not Flaw.UNCHECKED}
    for one in site.shown:
        rest = tuple(host for host in one.hosts if (host, one.certificate) not in told) if one.is_to_peers else one.hosts
        if one.certificate is not None and one.flaw is not Flaw.UNCHECKED and (rest or not one.is_to_peers):
            yield from _dates(replace(one, hosts=rest), one.certificate, site.wall)
            yield from _vouchers(replace(one, hosts=rest), site)
        if one.flaw is not None:
            grade, words, cure = _flaw(one, one.flaw, _works(one, site))
            yield Finding(Area.CERTIFICATE, grade, one.hosts, words, cure)


def _dates(one: Shown, certificate: Certificate, wall: float) -> Iterator[Finding]:
    left = certificate.days_left(wall)
    by, ends = f"issued by {certificate.issuer}", day(certificate.valid_until)
    if certificate.valid_from > wall:
        yield Finding(Area.CERTIFICATE, Grade.FAULT, one.hosts,
                      f"{_what(one)} is not good before {day(certificate.valid_from)}, {by}",
                      "see whether this machine's clock is right: chronyc tracking; if it is, " +
                      (f"take it out of {one.place} until then" if _takes_others_along(one) else _renewal(one)))
    elif left <= 0:
        yield Finding(Area.CERTIFICATE, Grade.FAULT, one.hosts,
                      f"{_what(one)} expired on {ends}, {by}",
                      f"take it out of {one.place}, while it is there libvirt reaches nobody; where it is the only one, put "
                      "the authority's next certificate there" if _takes_others_along(one) else _renewal(one))
    elif left < WARNED_DAYS:
        yield Finding(Area.CERTIFICATE, Grade.FAULT if left < ALARMED_DAYS else Grade.WARNING, one.hosts,
                      f"{_what(one)} is good for {days(left)} more, until {ends}, {by}", _renewal(one))


def _vouchers(one: Shown, site: Site) -> Iterator[Finding]:
    """What vouches for one takes it along when it ends, unless it was not needed."""
    for voucher in one.vouchers:
        left = voucher.days_left(site.wall)
        if left < WARNED_DAYS:
            is_fault = left < ALARMED_DAYS and not (left <= 0 and _works(one, site))
            ends = f"expired on {day(voucher.valid_until)}" if left <= 0 else (
                f"is good for {days(left)} more, until {day(voucher.valid_until)}")
            if voucher in one.held:
                how = f"by way of which {_what(one)} is believed"
                place = f"its place in {_believed(one)}: what is there counts before what is shown"
            else:
                how = f"which goes along with {_what(one)}"
                place = f"its place behind the certificate; or {_renewal(one)}"
            yield Finding(Area.CERTIFICATE, Grade.FAULT if is_fault else Grade.WARNING, one.hosts,
                          f"{voucher.subject}, {how}, {ends}, issued by {voucher.issuer}",
                          f"put the next one of that name in {place}")


def _renewal(one: Shown) -> str:
    match one.role:
        case Role.SERVER:
            return _RENEWED[one.service]
        case Role.CLIENT:
            return f"issue a new one and put it, with its key, in the place of {one.place}: it is read when next we connect"
        case Role.AUTHORITY:
            out = ", and take the old one out before it ends: libvirt reaches nobody while one in that file has ended"
            return (f"put the authority's next certificate beside it in {one.place}, and wherever else this one is "
                    f"believed, then have everybody's issued anew{out if _takes_others_along(one) else ''}")


def _takes_others_along(one: Shown) -> bool:
    """Return whether it is one of libvirt's authorities, of which none may have ended, nor begin later."""
    return one.service is Service.LIBVIRT and one.role is Role.AUTHORITY


def _flaw(one: Shown, flaw: Flaw, works: bool) -> tuple[Grade, str, str]:
    """What stands in the way of nothing yet is no fault; of what did not answer at all a fault is told elsewhere."""
    grade, said = Grade.WARNING if works else Grade.FAULT, f": {one.words}" if one.words else ""
    match flaw:
        case Flaw.UNREAD:
            # libvirt goes without one of ours where the host asks for none
            is_spare = works and one.role is Role.CLIENT and one.service is Service.LIBVIRT
            cure = ("put the certificate of who vouches there, so that whoever runs the daemon, and this, can read it"
                    if one.role is Role.AUTHORITY else
                    "put it there with its key, so that whoever runs the daemon, and this, can read both")
            return Grade.NOTE if is_spare else grade, f"{_what(one)} cannot be used{said}", cure
        case Flaw.HIDDEN:
            return (Grade.NOTE if works else grade, f"whether the user has certificates of their own cannot be seen{said}; "
                    "libvirt takes the machine's, in /etc/pki",
                    "run the daemon, and this, with a HOME that it may read, or name their place in the URI: pkipath=...")
        case Flaw.SILENT:
            cure = f"see that it answers, and speaks TLS there: openssl s_client -connect {one.place}"
            if one.certificate is not None:
                return Grade.WARNING, f"{_what(one)} was not seen a second time, for its name {one.name}{said}", cure
            return Grade.WARNING if works else Grade.NOTE, f"{_what(one)} was not seen{said}", cure
        case Flaw.NAME:
            return grade, f"{_what(one)} is not good for {one.name}{_good_for(one)}", _cure_of_name(one)
        case Flaw.ISSUER:
            issuer = one.certificate.issuer if one.certificate is not None else "unknown"
            return (grade, f"{_what(one)} is not believed, issued by {issuer}{said}",
                    f"have one issued by an authority in {_believed(one)}, or put the one that issued it there")
        case Flaw.CHAIN:
            with_ours = f" -CAfile {one.trusted_by}" if one.trusted_by else ""
            return (grade, f"{_what(one)} is not believed{said}",
                    f"see what it leads to: openssl s_client -showcerts -connect {one.place}{with_ours}; renew what is "
                    f"wrong there, or in {_believed(one)}, which counts first")
        case Flaw.UNFIT:
            return (Grade.WARNING, f"whether {_what(one)} is good for {one.name} could not be seen{said}",
                    "issue one that OpenSSL takes for a server's: serverAuth in its extendedKeyUsage, or none at all, no "
                    "critical extension of one's own, a key of 2048 bits or a curve")
        case Flaw.UNCHECKED:
            return Grade.WARNING, f"{_what(one)} is not checked: whoever answers there is believed", _cure_of_unchecked(one)


def _believed(one: Shown) -> str:
    return one.trusted_by or "the list of the system"


def _good_for(one: Shown) -> str:
    """An address that stands in the place of a name is none: of the same letters, it is not what is compared."""
    names, subject = (one.certificate.names, one.certificate.subject) if one.certificate is not None else ((), "")
    if _is_address(one.name) and one.name in (*names, subject):
        return f": that is {'a DNS name' if one.name in names else 'its common name'} in it, and an address is an IP entry"
    return f", only for {named(names)}" if names else ": it has no names at all (subjectAltName)"


def _cure_of_name(one: Shown) -> str:
    entry = f"IP:{one.name}" if _is_address(one.name) else f"DNS:{one.name}"
    others = [name for name in (one.certificate.names if one.certificate is not None else ()) if name != one.name]
    by_those = f", or have {'its peer_uri' if one.is_to_peers else 'settings'} call it by one of those" if others else ""
    return f"issue one that has {entry} in its subjectAltName{by_those}"


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _cure_of_unchecked(one: Shown) -> str:
    match one.service:
        case Service.LIBVIRT:
            where = "peer_uri" if one.is_to_peers else "URI"
            return f"take no_verify out of its {where}, once its certificate is one that is believed"
        case Service.BROKER:
            return "name the authority that issued it as mqtt.tls.ca_file"
        case Service.CONTROLLER:
            return "name the authority that issued it as power.ca_file, and take insecure_tls out"


def _what(one: Shown) -> str:
    """Return what it is, without the place where the host that it is told of says enough: then many can be told at once."""
    match one.role:
        case Role.SERVER if one.is_to_peers:
            return "the certificate that its libvirt shows its peers"
        case Role.SERVER if one.service is Service.LIBVIRT:
            return "the certificate that its libvirt shows"
        case Role.SERVER:
            return f"the certificate that {_NAMES[one.service]} shows at {one.place}"
        case Role.CLIENT:
            return f"our certificate for {_NAMES[one.service]} ({one.place})"
        case Role.AUTHORITY:
            called = f"{one.certificate.subject}, " if one.certificate is not None else ""
            return f"{called}the authority that we believe of {_NAMES[one.service]} ({one.place})"


def _works(one: Shown, site: Site) -> bool:
    """Return whether who is spoken to answered all the same; what peers get to hear is not known here."""
    match one.service:
        case Service.LIBVIRT if one.is_to_peers:
            return False
        case Service.LIBVIRT:
            return any(host in site.answering for host in one.hosts)
        case Service.BROKER:
            return site.heard is not None and not site.heard.trouble
        case Service.CONTROLLER:
            return any((answer := site.power.get(host)) is not None and not answer.trouble for host in one.hosts)


def days(number: float) -> str:
    """Return a number of whole days in words."""
    whole = int(number)
    return "less than a day" if whole < 1 else f"{whole} day{'' if whole == 1 else 's'}"


def day(wall: float) -> str:
    """Return a day in UTC."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d")
