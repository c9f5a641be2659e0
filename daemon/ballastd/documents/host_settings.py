"""The declared hosts: what each is, how it is reached, and how it is switched on and off."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, field_validator

from ballastd.core.inventory import DeclaredHost
from ballastd.core.plausibility import is_subject
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.documents.power_settings import PowerChoice, PowerChoiceOrNone, PowerCommandSettings, PowerSettings
from ballastd.documents.scalars import LinkSpeed, Processors, Size, Vouched, Watts, link, shown
from ballastd.documents.validation import Strict

HOST_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
URI = re.compile(r"(?:qemu|test)(?:\+[a-z0-9]+)?://(?:(?P<user>[^@/\s]*)@)?\S*")
LOCAL_URI = re.compile(r"\w+:///\S*|\w+\+unix://\S*")
"""What means this machine, for whoever reads it."""
MIGRATION_URI = re.compile(r"(tcp|rdma)://[^\s/]+|unix:///\S+")


def user_of(uri: str) -> str:
    """Return whom a libvirt URI names before its host, a password along with them; empty where it names nobody.

    Raises:
        ValueError: it is no libvirt URI, or nobody could connect to it: brackets that do not close, a port that is none.
    """
    found = URI.fullmatch(uri)
    if found is None:
        raise ValueError("it is no libvirt URI")
    parts = urlsplit(uri)
    if parts.port == 0:
        raise ValueError("port 0 is nobody's")
    return found["user"] or ""


def _some_memory(value: int | None) -> int | None:
    if value == 0:
        raise ValueError("0 would leave VMs no memory at all; to keep them off a host, cordon it: ballastctl host cordon")
    return value


def _an_interface(value: str) -> str:
    if not value or not is_subject(value):
        raise ValueError(f"{shown(value)} is no interface; write it as the host's telemetry does, for example eno1")
    return value


def _each_once(value: list[str]) -> list[str]:
    if (again := next((one for i, one in enumerate(value) if one in value[:i]), None)) is not None:
        raise ValueError(f"{shown(again)} stands there twice, and what it carries would count twice; keep one")
    return value


Interfaces = Annotated[list[Annotated[str, AfterValidator(_an_interface)]], AfterValidator(_each_once)]
MemoryLimit = Annotated[Size | None, AfterValidator(_some_memory)]


class HostDefaults(Strict):
    """What every host has unless it says otherwise."""

    link_speed: LinkSpeed = link("10Gbit/s")
    network_speed: LinkSpeed | None = None
    link_interfaces: Interfaces = Field(default_factory=list)
    memory_limit: MemoryLimit = None
    memory_reserve: Size = 4 * GIB
    cpu_limit: Processors | None = None
    processors: Processors | None = None
    idle_watts: Watts | None = None
    power: PowerChoice | None = None
    vouched_storage: list[Vouched] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)


class HostEntry(Strict):
    """One host we may touch."""

    name: str
    uri: str
    peer_uri: str | None = None
    migration_uri: str | None = None
    link_speed: LinkSpeed | None = None
    network_speed: LinkSpeed | None = None
    link_interfaces: Interfaces | None = None
    memory_limit: MemoryLimit = None
    memory_reserve: Size | None = None
    cpu_limit: Processors | None = None
    processors: Processors | None = None
    idle_watts: Watts | None = None
    power: PowerChoiceOrNone | None = None
    vouched_storage: list[Vouched] | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not HOST_NAME.fullmatch(value):
            raise ValueError(f"{shown(value)} is no host name: lower-case letters, digits, dots and dashes, as in kvm-01 "
                             "(it is also the name under which the host's telemetry comes)")
        return value

    @field_validator("migration_uri")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not MIGRATION_URI.fullmatch(value):
            raise ValueError(f"{shown(value)} is no address for guest memory; write for example tcp://10.0.0.1")
        return value

    @field_validator("uri", "peer_uri")
    @classmethod
    def _a_uri(cls, value: str | None) -> str | None:
        try:
            user = "" if value is None else user_of(value)
        except ValueError:
            raise ValueError(f"{shown(value)} is no libvirt URI; write for example qemu+tls://kvm-01/system") from None
        if ":" in user:
            raise ValueError("a password does not belong in a URI, which is logged; libvirt reads it from its auth file")
        return value

    def controller(self, defaults: HostDefaults) -> PowerSettings | None:
        """Return how it is switched on and off: its own way, or else the defaults'; None where there is none."""
        if self.power == "none":
            return None
        return self.power if self.power is not None else defaults.power

    def declared(self, defaults: HostDefaults) -> DeclaredHost:
        """Return the host as the mind knows it."""
        limit = self.memory_limit if self.memory_limit is not None else defaults.memory_limit
        reserve = self.memory_reserve if self.memory_reserve is not None else defaults.memory_reserve
        vouched = self.vouched_storage if self.vouched_storage is not None else defaults.vouched_storage
        power = self.controller(defaults)
        return DeclaredHost(
            name=HostName(self.name), uri=self.uri, peer_uri=self.peer_uri or self.uri,
            migration_uri=self.migration_uri, link_mib_s=self.link_speed or defaults.link_speed,
            network_mib_s=self.network_speed or defaults.network_speed,
            link_interfaces=tuple(defaults.link_interfaces if self.link_interfaces is None else self.link_interfaces),
            memory_limit=None if limit is None else Bytes(limit), memory_reserve=Bytes(reserve),
            cpu_limit=self.cpu_limit if self.cpu_limit is not None else defaults.cpu_limit,
            processors=self.processors if self.processors is not None else defaults.processors,
            power=power.driver if power is not None else "",
            power_identity=not (isinstance(power, PowerCommandSettings) and power.trust_identity),
            idle_watts=self.idle_watts if self.idle_watts is not None else defaults.idle_watts,
            labels=tuple(sorted({**defaults.labels, **self.labels}.items())),
            vouched_storage=tuple(vouched))
