"""What a check-up finds about links: whether hosts' interfaces are as fast as the settings say, and as one another."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Area, Finding, Grade, HostSurvey, Site, named

ROUNDING = 1.001
"""10 Gbit/s in MiB/s and back is not quite what it was."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a host could send guest memory, by its interfaces. ``one``: Mbit/s of the one that carries it, where that is
    known (``is_carrier``), else of the fastest; ``all``: of all that are up, together. ``names``: which these are."""

    one: int
    all: int
    names: tuple[str, ...]
    is_carrier: bool = False


def speed_of(host: DeclaredHost, survey: HostSurvey | None) -> Speed | None:
    """Return how fast a host's interfaces are, or None where that is not known. A bond is as fast as it says; what a bridge
    or another virtual interface says is not counted, for taps and veths name a speed that is nobody's."""
    interfaces = (survey.interfaces if survey is not None else None) or ()
    known = [one for one in interfaces if one.is_up and (one.is_real or one.is_bond)]
    address = _address(host.migration_uri)
    carrier = next((one for one in known if address and address in one.addresses and one.mbit_s), None)
    if carrier is not None and carrier.mbit_s:
        return Speed(carrier.mbit_s, carrier.mbit_s, (carrier.name,), True)
    real = [one for one in known if one.is_real]
    speeds = [one.mbit_s for one in real if one.mbit_s]
    if not speeds or len(speeds) < len(real):
        return None
    bonds = [one.mbit_s for one in known if one.is_bond and one.mbit_s]
    return Speed(max(speeds + bonds), max(sum(speeds), *bonds, 0), tuple(sorted(one.name for one in real)))


def speeds(site: Site) -> dict[HostName, Speed]:
    """Return how fast the hosts are of which it is known."""
    found = {host.name: speed_of(host, site.surveys.get(host.name)) for host in site.declared.hosts}
    return {name: speed for name, speed in found.items() if speed is not None}


def links(site: Site, known: Mapping[HostName, Speed]) -> Iterator[Finding]:
    """``known``: see ``speeds``. What one host alone declares matters to nobody."""
    if len(site.declared.hosts) < 2:
        return
    declared = defaultdict(list)
    for host in site.declared.hosts:
        declared[declared_mbit_s(host)].append(host.name)
    said = "; ".join(f"{gbit(mbit_s)}: {named(names)}" for mbit_s, names in sorted(declared.items()))
    yield Finding(Area.LINK, Grade.NOTE, (), f"links are taken at the settings' word: {said}",
                  "link_speed is what the network for guest memory can carry; --rehearse measures what one migration "
                  "reaches")
    for host in site.declared.hosts:
        if host.name in known:
            yield from _declared_too_fast(host, known[host.name])
        elif host.name in site.answering:
            yield Finding(Area.LINK, Grade.NOTE, (host.name,), "how fast its interfaces are is unknown: its libvirt names "
                          "no speed for any, or not for all", "ask there: ethtool INTERFACE; virtual interfaces have none")
    yield from _unequal(known)


def _declared_too_fast(host: DeclaredHost, speed: Speed) -> Iterator[Finding]:
    asked = declared_mbit_s(host)
    cure = (f"link_speed: {gbit(speed.one, '')} for it, or find out why it is no faster: ethtool {speed.names[0]}; until "
            "then moves take longer than planned")
    if (speed.is_carrier or len(speed.names) == 1) and asked > speed.all * ROUNDING:
        which = "which carries it" if speed.is_carrier else "the only one that is up"
        yield Finding(Area.LINK, Grade.WARNING, (host.name,), f"its link is declared as {gbit(asked)}, and "
                      f"{speed.names[0]}, {which}, does {gbit(speed.all)}", cure)
    elif asked > speed.all * ROUNDING:
        yield Finding(Area.LINK, Grade.WARNING, (host.name,), f"its link is declared as {gbit(asked)}, and all its "
                      f"interfaces that are up ({named(speed.names)}) do {gbit(speed.all)} together", cure)
    elif asked > speed.one * ROUNDING:
        yield Finding(Area.LINK, Grade.NOTE, (host.name,), f"its link is declared as {gbit(asked)}, and the fastest of its "
                      f"interfaces does {gbit(speed.one)}: right only where several are one", cure)


def _unequal(known: Mapping[HostName, Speed]) -> Iterator[Finding]:
    alike = defaultdict(list)
    for name, speed in known.items():
        alike[speed.one].append(name)
    if len(alike) > 1:
        pairs = (len(known) ** 2 - sum(len(names) ** 2 for names in alike.values())) // 2
        said = "; ".join(f"{gbit(mbit_s)}: {named(names)}" for mbit_s, names in sorted(alike.items()))
        yield Finding(Area.LINK, Grade.NOTE, (), f"{pairs} pair{'' if pairs == 1 else 's'} of hosts of unequal speed: "
                      f"{said}",
                      "between two of them a move goes no faster than the slower one; declare the link_speed of each host")


def declared_mbit_s(host: DeclaredHost) -> float:
    """Return the declared speed of a host's link."""
    return host.link_mib_s * 8 * (1 << 20) / 1e6


def gbit(mbit_s: float, space: str = " ") -> str:
    """Return a speed in words; without a space it is as settings have it."""
    return f"{float(f'{mbit_s / 1e3:.3g}'):g}{space}Gbit/s"


def is_everybodys_own(uri: str) -> bool:
    """Return whether a URI names the machine of whoever reads it."""
    address = _address(uri)
    return ipaddress.ip_address(address).is_loopback if address else _host(uri).partition(".")[0] == "localhost"


def _address(uri: str | None) -> str:
    """Return the address that a migration URI names, or nothing where it is a name: who answers to it is not known here."""
    try:
        return str(ipaddress.ip_address(_host(uri or "")))
    except ValueError:
        return ""


def _host(uri: str) -> str:
    try:
        return urlsplit(uri).hostname or ""
    except ValueError:
        return ""
