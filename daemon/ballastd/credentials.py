"""Whose certificates a cluster depends on, by its settings, and what each of them looks like.

Servers are asked side by side, each within its time; files are read where they are ours. Nothing is changed anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

from ballastd.adapters.certificates.looking import (
    LOOK_SECONDS,
    Server,
    Sight,
    look_at_authority,
    look_at_own,
    look_at_server,
)
from ballastd.adapters.libvirt.tls import MACHINE, TlsEnd, tls_end, user_home
from ballastd.core.certificates import Flaw, Role, Service, Shown
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.documents import MqttSettings, Settings
from ballastd.documents.power_settings import PowerRedfishSettings
from ballastd.errors import Unreachable
from ballastd.ports.running import Blocking

MARGIN_SECONDS = 1.0
"""So much before its deadline a look gives up by itself, so that its thread need not be given up."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One thing to look at. ``shown``: what it is, before it is seen. ``told``: what of what was seen is worth telling,
    None where nothing is."""

    shown: Shown
    look: Callable[[], Sight]
    told: Callable[[Sight], Sight | None] = lambda sight: sight


async def certificates(settings: Settings, blocking: Blocking, *, with_broker: bool) -> tuple[Shown, ...]:
    """Return every certificate that is worth telling; never raises for anybody's trouble."""
    looks = [*_of_libvirt(settings.cluster.hosts), *_of_controllers(settings)]
    if with_broker:
        looks += _of_broker(settings.mqtt)
    together = _together(looks)
    seen = await asyncio.gather(*(_seen(look, blocking) for look in together))
    return tuple(replace(look.shown, certificate=sight.certificate, flaw=sight.flaw, words=sight.words)
                 for look, whole in zip(together, seen, strict=True) if (sight := look.told(whole)) is not None)


async def _seen(look: _Look, blocking: Blocking) -> Sight:
    try:
        return await blocking.run(f"certificates:{look.shown.place}:{look.shown.name}", look.look,
                                  deadline=LOOK_SECONDS + MARGIN_SECONDS)
    except Unreachable:
        return Sight(None, Flaw.SILENT if look.shown.role is Role.SERVER else Flaw.UNREAD,
                     f"no answer within {LOOK_SECONDS + MARGIN_SECONDS:g} s")


def _together(looks: Iterable[_Look]) -> list[_Look]:
    """What several hosts have in common is looked at once."""
    found: dict[Shown, _Look] = {}
    hosts: dict[Shown, list[HostName]] = {}
    for look in looks:
        alike = replace(look.shown, hosts=())
        found.setdefault(alike, look)
        hosts.setdefault(alike, []).extend(look.shown.hosts)
    return [replace(look, shown=replace(alike, hosts=tuple(dict.fromkeys(hosts[alike])))) for alike, look in found.items()]


def _of_libvirt(hosts: Iterable[DeclaredHost]) -> Iterator[_Look]:
    home, trouble = user_home()
    for host in hosts:
        end, peers = tls_end(host.uri, home), tls_end(host.peer_uri, home)
        if end is not None:
            server = Server(end.host, end.port, end.host, end.ca_file, end.cert_file, end.key_file, end.is_checked, False)
            yield from _looks(Service.LIBVIRT, (host.name,), server)
            if trouble and end.ca_file.is_relative_to(MACHINE):
                yield _Look(Shown(Service.LIBVIRT, Role.CLIENT, "~/.pki/libvirt", (host.name,)),
                            partial(Sight, None, Flaw.HIDDEN, trouble))
            if peers is not None and _is_another_name(peers, end):
                called = replace(server, name=peers.host, is_checked=True)
                yield replace(_server(Service.LIBVIRT, (host.name,), called), told=_of_its_name)
        elif peers is not None:
            unchecked = Server(peers.host, peers.port, peers.host, None, peers.cert_file, peers.key_file, is_checked=False)
            yield replace(_server(Service.LIBVIRT, (host.name,), unchecked), told=_of_its_dates)


def _is_another_name(peers: TlsEnd, end: TlsEnd) -> bool:
    """Return whether peers see the same certificate under a name that we do not use."""
    return peers.is_checked and peers.host != end.host and peers.port == end.port


def _of_its_name(sight: Sight) -> Sight | None:
    return sight if sight.flaw is Flaw.NAME else None


def _of_its_dates(sight: Sight) -> Sight | None:
    """Only peers speak to it over TLS: whom they believe is not known here, nor need we be able to reach it."""
    return Sight(sight.certificate) if sight.certificate is not None else None


def _of_broker(mqtt: MqttSettings) -> Iterator[_Look]:
    if mqtt.tls is not None:
        yield from _looks(Service.BROKER, (), Server(mqtt.host, mqtt.port, mqtt.host, mqtt.tls.ca_file, mqtt.tls.cert_file,
                                                     mqtt.tls.key_file))


def _of_controllers(settings: Settings) -> Iterator[_Look]:
    for host, power in settings.power.items():
        url = urlsplit(power.url) if isinstance(power, PowerRedfishSettings) else None
        if isinstance(power, PowerRedfishSettings) and url is not None and url.scheme == "https" and url.hostname:
            yield from _looks(Service.CONTROLLER, (host,), Server(url.hostname, url.port or 443, url.hostname, power.ca_file,
                                                                  is_checked=not power.insecure_tls))


def _looks(service: Service, hosts: tuple[HostName, ...], server: Server) -> Iterator[_Look]:
    """Yield what it shows, what we show it, and whom we believe that it is who it is."""
    yield _server(service, hosts, server)
    if server.cert_file is not None and server.key_file is not None:
        yield _Look(Shown(service, Role.CLIENT, str(server.cert_file), hosts),
                    partial(look_at_own, server.cert_file, server.key_file))
    if server.ca_file is not None and server.is_checked:
        yield _Look(Shown(service, Role.AUTHORITY, str(server.ca_file), hosts), partial(look_at_authority, server.ca_file))


def _server(service: Service, hosts: tuple[HostName, ...], server: Server) -> _Look:
    place = f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"
    shown = Shown(service, Role.SERVER, place, hosts, name=server.name, trusted_by=str(server.ca_file or ""))
    return _Look(shown, partial(look_at_server, server))
