"""Certificates as a check-up sees them: what was shown by whom, and what is against it besides its dates."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.quantities import HostName

DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """``subject``, ``issuer``: common names, or what stands in their place. ``names``: DNS names and addresses it is for.
    ``valid_from``, ``valid_until``: seconds since 1970."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    valid_from: float
    valid_until: float

    def days_left(self, wall: float) -> float:
        """Return how many days it is still good for; below zero where it has expired."""
        return (self.valid_until - wall) / DAY_SECONDS


class Service(enum.Enum):
    """Who is spoken to over TLS."""

    LIBVIRT = "libvirt"
    BROKER = "broker"
    CONTROLLER = "power controller"


class Role(enum.Enum):
    """What a certificate is there for: whom we speak to, who we are, whom we believe."""

    SERVER = "server"
    CLIENT = "client"
    AUTHORITY = "authority"


class Flaw(enum.Enum):
    """What is against it besides its own dates. UNREAD: a file that could not be read, or is none. HIDDEN: nobody can look
    whether there is one of the user's own, and libvirt takes the machine's. SILENT: no
    handshake, so nothing was seen. NAME: it is not good for the name that it is called by. ISSUER: it leads to nobody we
    believe. CHAIN: what vouches for it is not good. UNFIT: it is not taken for a
    server's at all, so that its name was not looked at. UNCHECKED: by the settings anybody is believed."""

    UNREAD = "unread"
    HIDDEN = "hidden"
    SILENT = "silent"
    NAME = "name"
    ISSUER = "issuer"
    CHAIN = "chain"
    UNFIT = "unfit"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Shown:
    """One certificate that was looked at. ``place``: the file it is in, or who showed it (``kvm-01:16514``). ``hosts``: whom
    it concerns, none for the cluster as a whole. ``certificate``: None where none was seen. ``flaw``, ``words``: what is
    against it, and how that was said. ``name``: what a server's has to be good for; ``trusted_by``: the file of whom it has
    to lead to, empty for the system's own list. ``vouchers``: what is shown along with it, ``held``: those of them that are
    taken from ``trusted_by`` instead. ``is_to_peers``: whether it is what other hosts see of a libvirt, not we."""

    service: Service
    role: Role
    place: str
    hosts: tuple[HostName, ...] = ()
    certificate: Certificate | None = None
    flaw: Flaw | None = None
    words: str = ""
    name: str = ""
    trusted_by: str = ""
    vouchers: tuple[Certificate, ...] = ()
    held: tuple[Certificate, ...] = ()
    is_to_peers: bool = False

    @property
    def ends_first(self) -> Certificate | None:
        """What of it, and of what vouches for it, ends first."""
        return min((self.certificate, *self.vouchers), key=lambda one: one.valid_until) if self.certificate else None
