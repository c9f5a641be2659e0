"""What the daemon says over MQTT: notices, cordon requests to hosts, and its claim on the cluster."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

import structlog

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.topics import DAEMON, VERSION, Kind, topic_of
from ballastd.adapters.mqtt.wire import Claim, CordonRequest, decode_claim, encode_claim, encode_cordon
from ballastd.core.quantities import HostName, Instant
from ballastd.errors import MalformedReport
from ballastd.ports.running import Clock

RIVAL_SECONDS = 120.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rival:
    """Another daemon that claims this cluster, and when it was last heard."""

    holder: str
    heard: Instant


class MqttNotices:
    """The port Notices. ``run`` keeps it connected; without it everything queues, bounded."""

    def __init__(self, address: BrokerAddress, clock: Clock, rng: random.Random | None = None) -> None:
        self._prefix = address.prefix
        self._clock = clock
        self._claim_topic = topic_of(address.prefix, DAEMON, "claim")
        self._link = Link(address, clock, rng or random.Random(), self, (self._claim_topic,))  # noqa: S311  jitter, no secret
        self._holder: str | None = None
        self._holding = False
        self._rival: Rival | None = None
        self._down_for = ""

    async def run(self) -> None:
        """Stay connected; return never."""
        await self._link.run()

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is with the broker, ``seconds`` at most; return whether it is."""
        return await self._link.flush(seconds)

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        """Queue ``payload`` (JSON) under ``<prefix>/v1/<topic>``; the queue is bounded and drops the oldest.

        An empty payload is sent as the empty message, which deletes a retained one.
        """
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() if payload else b""
        self._link.send(Outgoing(f"{self._prefix}/{VERSION}/{topic}", body, retain))

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        """Ask the host's agent to let nothing start or land until ``until_wall``. Brokers that know how
        forget the request then; agents ignore it from then on in any case."""
        now = self._clock.now().wall
        request = CordonRequest(until_wall, by, now)
        self._link.send(Outgoing(topic_of(self._prefix, host, Kind.CORDON), encode_cordon(request), retain=True,
                                 expiry_seconds=max(0.0, until_wall - now)))

    def uncordon(self, host: HostName) -> None:
        """Lift the cordon of the host."""
        self._link.send(Outgoing(topic_of(self._prefix, host, Kind.CORDON), encode_cordon(None), retain=True))

    def claim(self, holder: str) -> None:
        """Say that this cluster is ours, as ``holder``: a name that stays the same over restarts.

        To be repeated well within RIVAL_SECONDS.
        """
        self._holder, self._holding = holder, True
        claim = Claim(holder, self._clock.now().wall)
        self._link.send(Outgoing(self._claim_topic, encode_claim(claim), retain=True))

    def release(self) -> None:
        """Give the claim up: an orderly stop."""
        self._holding = False
        self._link.send(Outgoing(self._claim_topic, encode_claim(None), retain=True))

    def rival(self) -> Rival | None:
        """Return the other daemon that claimed this cluster lately, or None."""
        if self._rival is None or self._clock.now().since(self._rival.heard) > RIVAL_SECONDS:
            return None
        return self._rival

    def rival_name(self) -> str | None:
        """Return the name of that daemon, or None."""
        rival = self.rival()
        return None if rival is None else rival.holder

    def message(self, message: Incoming) -> None:
        """Take note of a claim that is not ours."""
        try:
            claim = decode_claim(message.payload)
        except MalformedReport as error:
            log.warning("claim_unreadable", reason=str(error))
            return
        if claim is None:
            # another daemon's last will wiped the topic: say again whose it is
            if self._holding and self._holder is not None:
                self.claim(self._holder)
        elif claim.holder != self._holder:
            self._note_rival(claim, message.retained)

    def _note_rival(self, claim: Claim, retained: bool) -> None:
        now = self._clock.now()
        # a retained claim may be the trace of a daemon long gone: its age is the sender's word
        if retained and now.wall - claim.sent_at > RIVAL_SECONDS:
            return
        if self._rival is None:
            log.warning("claim_of_another_daemon", holder=claim.holder)
        self._rival = Rival(claim.holder, now)

    def link_up(self) -> None:
        """Note that the broker was reached."""
        log.info("notices_connected")
        self._down_for = ""

    def link_down(self, reason: str) -> None:
        """Note that the broker is gone; the same reason again is not news."""
        if reason != self._down_for:
            log.warning("notices_lost", reason=reason)
        self._down_for = reason

    def will(self) -> Outgoing | None:
        """Return the empty claim: a daemon that died holds nothing."""
        return Outgoing(self._claim_topic, b"", retain=True)

    def counters(self) -> dict[str, float]:
        """Return running counts: ``connections``, ``dropped``."""
        return {"connections": float(self._link.connections), "dropped": float(self._link.dropped)}
