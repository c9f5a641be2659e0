"""Whose certificates a cluster depends on, by its settings, and what each of them looks like.

Servers are asked side by side, each within its time; files are read where they are ours. Nothing is changed anywhere.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from ballastd.adapters.certificates.contexts import Contexts, Server, Verification
from ballastd.adapters.certificates.files import Unread, content_of
from ballastd.adapters.certificates.looking import LOOK_SECONDS, Sight, look_at_authority, look_at_own, look_at_server
from ballastd.adapters.libvirt.tls import TlsEnd, tls_end, user_home
from ballastd.core.certificates import Certificate, Flaw, Role, Service, Shown
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.documents import MqttSettings, Settings
from ballastd.documents.power_settings import PowerRedfishSettings
from ballastd.errors import Unreachable
from ballastd.ports.running import Blocking

FILE_SECONDS = 5.0
"""So long a file may take; one that takes longer is not touched again."""
MARGIN_SECONDS = 1.0
"""So much before its deadline a look gives up by itself, so that its thread need not be given up."""

Anchors = dict[tuple[Service, Path], dict[Certificate, list[HostName]]]

@dataclass(frozen=True, slots=True)
class _Own:
    """Who we are to somebody."""

    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class _Look:
    """One thing to look at. ``shown``: what it is, before it is seen. ``at``: a server, two files of ours, a file of
    authorities; or what there is to say without a look."""

    shown: Shown
    at: Server | _Own | Path | Sight

    @property
    def files(self) -> tuple[Path, ...]:
        """Which files of ours are read for it."""
        match self.at:
            case Server() as server:
                return tuple(file for file in (server.ca_file, server.cert_file, server.key_file) if file is not None)
            case _Own() as own:
                return own.cert_file, own.key_file
            case Path() as file:
                return (file,)
            case Sight():
                return ()


async def certificates(settings: Settings, blocking: Blocking, *, with_broker: bool) -> tuple[Shown, ...]:
    """Return every certificate that is worth telling; never raises for anybody's trouble."""
    looks = [*_of_libvirt(settings.cluster.hosts), *_of_controllers(settings)]
    if with_broker:
        looks += _of_broker(settings.mqtt)
    together = _together(looks)
    hanging = await _hanging(together, blocking)
    contexts = Contexts(hanging)
    sights = await asyncio.gather(*(_seen(look, number, blocking, contexts, hanging)
                                    for number, look in enumerate(together)))
    seen = list(zip(together, sights, strict=True))
    anchors = _anchors(seen)
    return tuple(one for look, sight in seen for one in _told(look, sight, anchors))


def _anchors(seen: Iterable[tuple[_Look, Sight]]) -> Anchors:
    """Return whom in each file of authorities servers were seen to lead to, with the hosts of those."""
    found: Anchors = defaultdict(lambda: defaultdict(list))
    for look, sight in seen:
        if isinstance(look.at, Server) and look.at.ca_file is not None and sight.anchor is not None:
            found[look.shown.service, look.at.ca_file][sight.anchor].extend(look.shown.hosts)
    return found


def _told(look: _Look, sight: Sight, anchors: Anchors) -> Iterator[Shown]:
    """What only peers speak to need not answer us. Of authorities those are told that somebody was seen to lead to; only
    where nobody was, the one in their file that lasts. Of libvirt's all are told: it opens no connection where one of them
    has ended, whoever leads to it (``virNetTLSContextSanityCheckCredentials``)."""
    shown = look.shown
    if shown.is_to_peers and sight.flaw is Flaw.SILENT and sight.certificate is None:
        return
    if shown.service is Service.LIBVIRT and sight.authorities:
        yield from (replace(shown, certificate=one) for one in sight.authorities)
        return
    met = anchors.get((shown.service, look.at), {}) if isinstance(look.at, Path) else {}
    for anchor, hosts in met.items():
        yield replace(shown, hosts=tuple(dict.fromkeys(hosts)), certificate=anchor)
    if not met:
        yield replace(shown, certificate=sight.certificate, flaw=sight.flaw, words=sight.words, vouchers=sight.vouchers,
                      held=sight.held)


async def _hanging(looks: Iterable[_Look], blocking: Blocking) -> dict[Path, str]:
    """Return which files of ours do not answer, and how that is said: whoever read such a one again would hang as well."""
    files = tuple(dict.fromkeys(file for look in looks for file in look.files))
    said = await asyncio.gather(*(_trouble(file, blocking) for file in files))
    return {file: words for file, words in zip(files, said, strict=True) if words}


async def _trouble(file: Path, blocking: Blocking) -> str:
    lane = f"certificates:{file}"
    try:
        await blocking.run(lane, partial(content_of, file), deadline=FILE_SECONDS)
    except Unread:
        return ""  # it answers; what is wrong with it is told by whoever needs it
    except Unreachable as no:
        return f"{file}: {_said(no, lane)}"
    return ""


async def _seen(look: _Look, number: int, blocking: Blocking, contexts: Contexts, hanging: dict[Path, str]) -> Sight:
    see: Callable[[], Sight]
    match look.at:
        case Sight() as sight:
            return sight
        case Server() as server:
            see = partial(look_at_server, server, contexts)
        case _Own() as own:
            see = partial(look_at_own, own.cert_file, own.key_file)
        case Path() as file:
            see = partial(look_at_authority, file)
    is_server = look.shown.role is Role.SERVER
    if not is_server and (unread := [hanging[file] for file in look.files if file in hanging]):
        return Sight(None, Flaw.UNREAD, unread[0])
    lane = f"certificates:{number}"
    try:
        return await blocking.run(lane, see, deadline=LOOK_SECONDS + MARGIN_SECONDS)
    except Unreachable as no:
        return Sight(None, Flaw.SILENT if is_server else Flaw.UNREAD, _said(no, lane))


def _said(no: Unreachable, lane: str) -> str:
    """Lanes are ours, and mean nothing to whoever reads it."""
    return str(no).removeprefix(f"lane {lane}: ")


def _together(looks: Iterable[_Look]) -> list[_Look]:
    """What several hosts have in common is looked at once: the same thing, looked at in the same way."""
    hosts: dict[_Look, list[HostName]] = defaultdict(list)
    for look in looks:
        hosts[replace(look, shown=replace(look.shown, hosts=()))].extend(look.shown.hosts)
    return [replace(look, shown=replace(look.shown, hosts=tuple(dict.fromkeys(those)))) for look, those in hosts.items()]


def _of_libvirt(hosts: Iterable[DeclaredHost]) -> Iterator[_Look]:
    home, trouble = user_home()
    for host in hosts:
        end, peers = tls_end(host.uri, home), tls_end(host.peer_uri, home)
        if end is not None:
            server = Server(end.host, end.port, end.host, end.ca_file, end.cert_file, end.key_file,
                            _verification(end.is_checked), is_root_needed=False)
            yield from _looks(Service.LIBVIRT, (host.name,), server)
            if trouble and not end.is_placed:
                yield _Look(Shown(Service.LIBVIRT, Role.CLIENT, "~/.pki/libvirt", (host.name,)),
                            Sight(None, Flaw.HIDDEN, trouble))
        if peers is not None and (end is None or _way(end) != _way(peers)):
            yield _of_peers(host.name, peers, end)


def _way(end: TlsEnd) -> tuple[str, int, bool]:
    return end.host, end.port, end.is_checked


def _verification(is_checked: bool) -> Verification:
    return Verification.WHOLE if is_checked else Verification.NOTHING


def _of_peers(host: HostName, peers: TlsEnd, end: TlsEnd | None) -> _Look:
    """Whom peers believe is not known here, nor need we reach what they do: the same port is looked at where we reach it."""
    at, own = (end.host if end is not None and end.port == peers.port else peers.host), end or peers
    server = Server(at, peers.port, peers.host, None, own.cert_file, own.key_file,
                    Verification.NAME if peers.is_checked else Verification.NOTHING, is_root_needed=False)
    look = _server(Service.LIBVIRT, (host,), server)
    return replace(look, shown=replace(look.shown, is_to_peers=True))


def _of_broker(mqtt: MqttSettings) -> Iterator[_Look]:
    if mqtt.tls is not None:
        yield from _looks(Service.BROKER, (), Server(mqtt.host, mqtt.port, mqtt.host, mqtt.tls.ca_file, mqtt.tls.cert_file,
                                                     mqtt.tls.key_file))


def _of_controllers(settings: Settings) -> Iterator[_Look]:
    for host, power in settings.power.items():
        url = urlsplit(power.url) if isinstance(power, PowerRedfishSettings) else None
        if isinstance(power, PowerRedfishSettings) and url is not None and url.scheme == "https" and url.hostname:
            yield from _looks(Service.CONTROLLER, (host,), Server(
                url.hostname, url.port or 443, url.hostname, power.ca_file,
                verification=_verification(not power.insecure_tls), is_common_name_good=False))


def _looks(service: Service, hosts: tuple[HostName, ...], server: Server) -> Iterator[_Look]:
    """Yield what it shows, what we show it, and whom we believe that it is who it is: libvirt reads those though anybody is
    believed."""
    yield _server(service, hosts, server)
    if server.cert_file is not None and server.key_file is not None:
        yield _Look(Shown(service, Role.CLIENT, str(server.cert_file), hosts), _Own(server.cert_file, server.key_file))
    if server.ca_file is not None and (server.verification is Verification.WHOLE or service is Service.LIBVIRT):
        yield _Look(Shown(service, Role.AUTHORITY, str(server.ca_file), hosts), server.ca_file)


def _server(service: Service, hosts: tuple[HostName, ...], server: Server) -> _Look:
    place = f"[{server.host}]:{server.port}" if ":" in server.host else f"{server.host}:{server.port}"
    shown = Shown(service, Role.SERVER, place, hosts, name=server.name, trusted_by=str(server.ca_file or ""))
    return _Look(shown, server)
