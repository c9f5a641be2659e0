"""One failure domain at a time: hosts that are emptied or switched off at once stand together, whoever asks for it."""

from __future__ import annotations

from collections.abc import Iterable

from ballastd.core.domains import AT_A_TIME_SECONDS, first_apart
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName


class Spread:
    """Which hosts were emptied or switched off lately, and which of them die with another."""

    def __init__(self, hosts: tuple[DeclaredHost, ...]) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._changed: dict[HostName, float] = {}

    def change(self, host: HostName, at: float) -> None:
        """Note that a host is being emptied, or is told to go off; ``at`` on the monotonic clock, seconds."""
        self._changed[host] = max(at, self._changed.get(host, at))

    def lately(self, now: float) -> frozenset[HostName]:
        """Return the hosts of which that was noted within the window."""
        self._changed = {host: at for host, at in self._changed.items() if now - at < AT_A_TIME_SECONDS}
        return frozenset(self._changed)

    def why_apart(self, host: HostName, others: Iterable[HostName]) -> str | None:
        """Return why a host waits for others: one of them stands in another failure domain. None where none does."""
        known = [self._hosts[other] for other in sorted(others) if other in self._hosts]
        found = first_apart(self._hosts[host], known) if host in self._hosts else None
        return None if found is None else f"{found} was changed by us, ceiling one failure domain at a time"
