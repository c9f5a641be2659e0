"""How a host is switched on and off: by commands of the operator's, or by its Redfish controller."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Tag, field_validator, model_validator

from ballastd.documents.scalars import AbsolutePath, Lasting, YesNo, shown
from ballastd.documents.validation import Clash, Strict

DRIVERS = ("command", "redfish")
WORDS = ("host", "uuid")
"""What a command may hold in braces; the driver puts the host's own in its place."""
DEADLINE_SECONDS = 60.0
_BRACED = re.compile(r"\{([A-Za-z_]+)\}")
_ADDRESS = re.compile(r"(?P<scheme>https?)://(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)|\[(?P<v6>[0-9A-Fa-f:.]+)\])"
                      r"(?::(?P<port>[0-9]{1,5}))?/?", re.ASCII)
_SYSTEM = re.compile(r"/redfish(?:/[A-Za-z0-9._~-]+)+/?", re.ASCII)


def _command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{'a text' if isinstance(value, str) else shown(value)} is no command; write its words as a list, "
                         "no shell reads them: [/usr/local/sbin/power, --host, \"{host}\", \"on\"]")
    for word in value:
        if not isinstance(word, str):
            raise ValueError(f"{shown(word)} is no word of a command; put it in quotes")
        if "\x00" in word:
            raise ValueError("a word of a command holds a zero byte; take it out")
        for braced in _BRACED.findall(word):
            near = difflib.get_close_matches(braced.lower(), WORDS, n=1)
            if near and braced not in WORDS:
                raise ValueError(f"{{{braced}}} stands for nothing; did you mean {{{near[0]}}}?")
    if not value[0].strip():
        raise ValueError("the first word names the program, and is empty; write for example /usr/local/sbin/power")
    return tuple(value)


Command = Annotated[tuple[str, ...], BeforeValidator(_command)]


class _Controller(Strict):
    """What every driver has."""

    deadline: Lasting = DEADLINE_SECONDS

    @model_validator(mode="before")
    @classmethod
    def _no_inline_password(cls, value: Any) -> Any:
        if isinstance(value, dict) and "password" in value:
            raise ValueError("a password does not belong in this file; put it into a file of its own, readable by the "
                             "daemon only, and name it as password_file")
        return value


class PowerCommandSettings(_Controller):
    """Commands without a shell. ``{host}`` and ``{uuid}`` in their words become the host's name and SMBIOS UUID.

    ``trust_identity``: the operator vouches that the commands reach the right machine, where ``status`` cannot tell.
    """

    driver: Literal["command"]
    on: Command
    off: Command
    status: Command
    trust_identity: YesNo = False

    @model_validator(mode="after")
    def _three_commands(self) -> PowerCommandSettings:
        if len({self.on, self.off, self.status}) < 3:
            raise ValueError("on, off and status are three commands, and two of them are the same")
        return self

    def claims(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield what one host alone may have: a key, its value, and which part of it is meant (empty for all of it)."""
        for key, command in (("on", self.on), ("off", self.off), ("status", self.status)):
            if not set(WORDS) & set(_BRACED.findall(" ".join(command))):
                yield key, command, ""

    @staticmethod
    def apart() -> str:
        """Return how the commands of two hosts are told apart, in words."""
        return "say which with {host} or {uuid} in it"


class PowerRedfishSettings(_Controller):
    """A Redfish controller. ``system``: which of its systems, None where it has only one."""

    driver: Literal["redfish"]
    url: str
    username: str = ""
    password_file: AbsolutePath | None = None
    system: str | None = None
    ca_file: AbsolutePath | None = None
    insecure_tls: YesNo = False

    @field_validator("url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if "@" in value:
            raise ValueError("a name or password does not belong in a URL, which is logged; write username and "
                             "password_file")
        found = _ADDRESS.fullmatch(value)
        if found is None or not 1 <= int(found["port"] or 443) <= 65535:
            raise ValueError(f"{shown(value)} is no controller's address; write for example https://bmc-01, and a path as "
                             "system")
        if found["v6"]:
            _ip(found["v6"])
        return value.rstrip("/")

    @field_validator("system")
    @classmethod
    def _a_path(cls, value: str | None) -> str | None:
        if value is not None and (not _SYSTEM.fullmatch(value) or ".." in value):
            raise ValueError(f"{shown(value)} is no system of a controller; write for example /redfish/v1/Systems/1")
        return None if value is None else value.rstrip("/")

    @model_validator(mode="after")
    def _sound(self) -> PowerRedfishSettings:
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file belong together; write both, or neither")
        if self.insecure_tls and self.ca_file is not None:
            raise Clash(("ca_file",), "insecure_tls trusts anybody, so it would do nothing; keep one")
        if self.url.startswith("http:") and not self.insecure_tls and not self._is_local():
            raise Clash(("url",), "http carries the password for all to read; write https, or for a laboratory "
                        "insecure_tls: true")
        return self

    def _is_local(self) -> bool:
        found = _ADDRESS.fullmatch(self.url)
        assert found is not None
        try:
            return found["name"] == "localhost" or ipaddress.ip_address(found["v6"] or found["name"]).is_loopback
        except ValueError:
            return False

    def claims(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield what one host alone may have: a key, its value, and which part of it is meant (empty for all of it)."""
        yield "url", (self.url.lower().removesuffix(":443"),), self.system or ""

    @staticmethod
    def apart() -> str:
        """Return how the controllers of two hosts are told apart, in words."""
        return "each host has its own, or a system of its own behind it"


def _ip(text: str) -> None:
    try:
        ipaddress.IPv6Address(text)
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no IPv6 address: {error}") from None


PowerSettings = PowerCommandSettings | PowerRedfishSettings


def _known_driver(value: Any) -> Any:
    if isinstance(value, PowerSettings):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"expected keys and values, found {shown(value)}; write for example {{driver: redfish, url: "
                         "https://bmc-01, ...}")
    if "driver" not in value:
        raise Clash(("driver",), f"is missing; write one of {', '.join(DRIVERS)}")
    if value["driver"] not in DRIVERS:
        near = difflib.get_close_matches(str(value["driver"])[:60], DRIVERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Clash(("driver",), f"{shown(value['driver'])} is not one of {', '.join(DRIVERS)}{hint}")
    return value


def _known_driver_or_none(value: Any) -> Any:
    return value if value == "none" else _known_driver(value)


def _driver(value: Any) -> str:
    return str(value["driver"] if isinstance(value, dict) else getattr(value, "driver", value))


PowerChoice = Annotated[
    Annotated[PowerCommandSettings, Tag("command")] | Annotated[PowerRedfishSettings, Tag("redfish")],
    Discriminator(_driver), BeforeValidator(_known_driver)]
PowerChoiceOrNone = Annotated[
    Annotated[PowerCommandSettings, Tag("command")] | Annotated[PowerRedfishSettings, Tag("redfish")]
    | Annotated[Literal["none"], Tag("none")],
    Discriminator(_driver), BeforeValidator(_known_driver_or_none)]
