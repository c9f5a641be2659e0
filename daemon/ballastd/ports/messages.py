"""What is heard from hosts, and what is said to them and to people: telemetry, notices, requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import AgentState, Report


@dataclass(frozen=True, slots=True)
class TelemetryUp:
    """The broker was reached and the subscriptions stand."""

    at: Instant


@dataclass(frozen=True, slots=True)
class TelemetryDown:
    """The broker is gone; connecting again is under way."""

    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is not used. ``host``: the declared host whose topic it came on, or None."""

    host: HostName | None
    reason: str
    at: Instant

TelemetryItem = Report | AgentState | TelemetryUp | TelemetryDown | Malformed


class TelemetrySource(Protocol):
    """Host telemetry from a broker, decoded. Reconnects inside; never raises for a broker's trouble."""

    def items(self) -> AsyncIterator[TelemetryItem]:
        """Yield items as they come, for ever: reports of declared hosts only, in order per host."""
        ...

    def counters(self) -> dict[str, float]:
        """Return running counts: messages received, used, dropped per host, malformed per host and reason."""
        ...


class Notices(Protocol):
    """Where notices and requests go: MQTT. Delivery is best effort and never blocks a decision."""

    async def run(self) -> None:
        """Stay connected; return never."""
        ...

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is delivered, ``seconds`` at most; return whether it is."""
        ...

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        """Ask a host's agent to let nothing start or land there until ``until_wall``; retained, expiring."""
        ...

    def uncordon(self, host: HostName) -> None:
        """Lift that request."""
        ...

    def claim(self, holder: str) -> None:
        """Say that this cluster is ours, under a name that stays the same over restarts. To be repeated."""
        ...

    def release(self) -> None:
        """Give the claim up: an orderly stop."""
        ...

    def rival_name(self) -> str | None:
        """Return the name of another daemon that claimed this cluster lately, or None."""
        ...

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        """Queue ``payload`` (JSON) under ``<prefix>/v1/<topic>``; the queue is bounded and drops the oldest."""
        ...
