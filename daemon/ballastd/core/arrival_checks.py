"""How a VM is asked from outside whether it answers, and what of that an operator allows.

The owner of a VM names the check; the address in it is a tenant's word, and the daemon would open a connection because of
it. So it is an address and never a name, and nothing is asked outside of the networks that the settings name.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ballastd.core.quantities import Seconds

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

CHECK_MAX = 256
_CURE = "write agent, tcp://10.0.0.7:22 or http://10.0.0.7:8080/health, or take check away"
_URL = re.compile(r"(?P<kind>tcp|https?)://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>[0-9]{1,5}))?"
                  r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?", re.ASCII)
_PORTS = {"http": 80, "https": 443}
_OURS = tuple(ip_network(text) for text in ("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"))
"""Loopback and link-local."""
_SPECIAL = (*_OURS, *(ip_network(text) for text in (
    "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "::/96", "::ffff:0:0:0/96", "fec0::/10")))
"""Meant only by who names a part of them: beside ours IPv4 addresses in other notations (RFC 6052, 8215, 3056, 4291, 2765),
any address at all, and site-local (RFC 3879)."""


class CheckKind(enum.Enum):
    """What is asked: the guest's agent through its hypervisor, a port that takes connections, or a web page."""

    AGENT = "agent"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class Check:
    """One way to ask a VM whether it answers. ``address``, ``port``, ``path``: empty, 0 and empty for its agent; an address
    is written as its family writes it, without brackets."""

    kind: CheckKind
    address: str = ""
    port: int = 0
    path: str = ""

    def words(self) -> str:
        """Return it as an owner writes it, every part said."""
        if self.kind is CheckKind.AGENT:
            return "agent"
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.kind.value}://{address}:{self.port}{self.path}"


AGENT = Check(CheckKind.AGENT)


def check_of(text: str) -> Check:
    """Return what an owner's words ask for.

    Raises:
        ValueError: they cannot be read; with the cure.
    """
    word = text.strip()
    if word == CheckKind.AGENT.value:
        return AGENT
    found = _URL.fullmatch(word) if len(word) <= CHECK_MAX else None
    if found is None:
        raise ValueError(f"it is no check, or not by an address; {_CURE}")
    kind, path = CheckKind(found["kind"]), found["path"] or ""
    port = int(found["port"] or _PORTS.get(found["kind"], 0))
    if not 1 <= port <= 65535:
        raise ValueError(f"it names no port from 1 to 65535; {_CURE}")
    if kind is CheckKind.TCP and path:
        raise ValueError(f"a port has no path; {_CURE}")
    check = Check(kind, _address(found["v4"] or found["v6"]), port, path or ("" if kind is CheckKind.TCP else "/"))
    if len(check.words()) > CHECK_MAX:  # so it is written down, and has to be read again
        raise ValueError(f"with its port it is longer than {CHECK_MAX} characters; shorten its path")
    return check


def _address(text: str) -> str:
    try:
        found = ip_address(text)
    except ValueError:
        raise ValueError(f"its address is none; {_CURE}") from None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        raise ValueError("an IPv4 address is written as one; write for example tcp://10.0.0.7:22")
    if found.is_multicast or found.is_unspecified or (isinstance(found, IPv4Address) and found.is_reserved):
        raise ValueError(f"nobody has this address for himself; {_CURE}")
    return str(found)


@dataclass(frozen=True, slots=True)
class AllowedChecks:
    """What an operator lets VMs be asked. ``agent``: their guest agents; ``networks``: addresses in these. ``within``: how
    long a VM that has arrived has for its answer, seconds."""

    agent: bool = False
    networks: tuple[Network, ...] = ()
    within: Seconds = Seconds(60.0)

    def why_not(self, check: Check) -> str:
        """Return why a check is not allowed, with the cure; empty where it is."""
        if check.kind is CheckKind.AGENT:
            return "" if self.agent else "the settings let no guest agent be asked; arrival_checks: {agent: true} does"
        around = self._around(check.address)
        if not around:
            return (f"{check.address} is in no network that the settings allow; arrival_checks: {{networks: [...]}} names "
                    "those of guests")
        special = next((one for one in _SPECIAL if _within(check.address, one)), None)
        if special is not None and not any(_is_part(network, special) for network in around):
            return f"{check.address} is in {special}, which the settings would have to name as such"
        return ""

    def names(self, address: str) -> bool:
        """Return whether the settings mean this very address, or its loopback or link-local network: only then is it asked
        though it is our own."""
        return any(network.num_addresses == 1 or any(_is_part(network, one) for one in _OURS)
                   for network in self._around(address))

    def _around(self, address: str) -> list[Network]:
        return [network for network in self.networks if _within(address, network)]


NOTHING_ALLOWED = AllowedChecks()


def _within(address: str, network: Network) -> bool:
    found = ip_address(address)
    return found.version == network.version and found in network


def _is_part(network: Network, whole: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(whole, IPv4Network) and network.subnet_of(whole)
    return isinstance(whole, IPv6Network) and network.subnet_of(whole)


class Arrival(enum.Enum):
    """What came of asking a VM that was moved whether it answers."""

    ANSWERED = "answered"
    SILENT = "silent"
    """It answered before it was moved, and does not since."""
    UNPROVEN = "unproven"
    """It does not answer, and is not known to have answered before: that says nothing about the move."""
    UNCHECKED = "unchecked"
    """It was not asked, or nobody knows what came of it."""
