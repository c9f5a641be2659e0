"""Who claims a cluster, for somebody who only looks on: no claim of his own, and no last will that would wipe another's."""

from __future__ import annotations

import asyncio
import random

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.publisher import RIVAL_SECONDS
from ballastd.adapters.mqtt.topics import DAEMON, topic_of
from ballastd.adapters.mqtt.wire import decode_claim
from ballastd.errors import MalformedReport
from ballastd.ports.running import Clock


class ClaimWatch:
    """``holder``: the daemon that claimed the cluster lately, empty where none did; ``heard``: whether any claim came;
    ``reached``: whether the broker was, without which nobody knows."""

    def __init__(self, address: BrokerAddress, clock: Clock, rng: random.Random | None = None) -> None:
        self.holder, self.heard, self.reached = "", asyncio.Event(), False
        self._clock = clock
        self._link = Link(address, clock, rng or random.Random(), self, (topic_of(address.prefix, DAEMON, "claim"),))  # noqa: S311  jitter, no secret

    async def run(self) -> None:
        """Stay connected; return never."""
        await self._link.run()

    def message(self, message: Incoming) -> None:
        """Take note of a claim that is not the trace of a daemon long gone."""
        try:
            claim = decode_claim(message.payload)
        except MalformedReport:
            return
        is_fresh = claim is not None and self._clock.now().wall - claim.sent_at <= RIVAL_SECONDS
        self.holder = claim.holder if claim is not None and is_fresh else ""
        self.heard.set()

    def link_up(self) -> None:
        """Take note of it: what is retained comes by itself."""
        self.reached = True

    def link_down(self, reason: str) -> None:
        """Do nothing: whoever listens to telemetry says so."""

    def will(self) -> Outgoing | None:
        """Return None: nobody waits for our death."""
        return None
