"""Topics: ``<prefix>/v1/<host>/<kind>``."""

from __future__ import annotations

import enum

from ballastd.adapters.mqtt.flaws import Flaw, malformed
from ballastd.core.quantities import HostName

VERSION = "v1"
HOST_CHARACTERS_MAX = 253
DAEMON = "daemon"
"""Stands where a host stands in topics that are ours: ``<prefix>/v1/daemon/claim``."""


class Kind(enum.StrEnum):
    """What a host's topic carries. The last is a request to the host; the rest come from it."""

    METRICS = "metrics"
    EVENTS = "events"
    STATE = "state"
    CORDON = "cordon"


FROM_HOSTS = (Kind.METRICS, Kind.EVENTS, Kind.STATE)
_KINDS = frozenset(kind.value for kind in Kind)


def topic_of(prefix: str, host: str, kind: str) -> str:
    """Return the topic of ``kind`` of ``host``."""
    return f"{prefix}/{VERSION}/{host}/{kind}"


def telemetry_filters(prefix: str) -> tuple[str, ...]:
    """Return the filters that match all telemetry of all hosts, declared or not."""
    return tuple(topic_of(prefix, "+", kind) for kind in FROM_HOSTS)


def parse_topic(prefix: str, topic: str) -> tuple[HostName, Kind]:
    """Return whose topic it is and what it carries.

    Raises:
        MalformedReport: ``topic`` (it is not ours, or no broker should have let it through) or ``version``.
    """
    if not topic.startswith(f"{prefix}/"):
        raise malformed(Flaw.TOPIC, topic)
    levels = topic[len(prefix) + 1:].split("/")
    if len(levels) != 3:
        raise malformed(Flaw.TOPIC, topic)
    version, host, kind = levels
    if version != VERSION:
        raise malformed(Flaw.VERSION, topic)
    if not is_host_name(host) or kind not in _KINDS:
        raise malformed(Flaw.TOPIC, topic)
    return HostName(host), Kind(kind)


def is_host_name(text: str) -> bool:
    """Return whether ``text`` can be a level of a topic and be shown to people."""
    return 0 < len(text) <= HOST_CHARACTERS_MAX and text.isprintable() and not set(text) & set("+#/")
