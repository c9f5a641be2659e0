"""Says what agents say so many times over, in a process of its own: telemetry at a multiple of its rate.

    python -m benchmarks.repeater --times 10 --interval 1 --from agents --to ballastd --counts FILE

Agents that report every ``interval`` under the prefix ``from`` are heard, and each report is said under ``to`` so many
times, evenly until there is a newer one: numbered anew, sent when it is sent. What is urgent goes out once and at once,
states as they are; requests to close a host go the other way. SIGTERM ends it: how many messages it said of each host is in
the file then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.lab.network import CONTROLLER_ADDRESS

from ballastd.adapters.clock import SystemClock
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.topics import Kind, parse_topic, telemetry_filters, topic_of
from ballastd.core.quantities import HostName

FLUSH_SECONDS = 5.0


class Repeater:
    """What a link to the broker tells its owner, and what is made of it."""

    def __init__(self, times: int, interval: float, heard: str, said: str) -> None:
        """``heard``, ``said``: prefixes of the topics."""
        self._times, self._interval, self._heard, self._said = times, interval, heard, said
        self._sequences: Counter[HostName] = Counter()
        self._hushed = False
        self._due: dict[HostName, list[asyncio.TimerHandle]] = {}
        self.counts: Counter[HostName] = Counter()
        address = BrokerAddress(host=CONTROLLER_ADDRESS, client_id="repeater")
        filters = (*telemetry_filters(heard), topic_of(said, "+", Kind.CORDON))
        self.link = Link(address, SystemClock(), random.Random(), self, filters)

    def message(self, message: Incoming) -> None:
        """Say it again, as often as it is to be said."""
        if self._hushed:
            return
        if message.topic.startswith(f"{self._said}/"):
            host, kind = parse_topic(self._said, message.topic)
            self.link.send(Outgoing(topic_of(self._heard, host, kind), message.payload, retain=True))
            return
        host, kind = parse_topic(self._heard, message.topic)
        if kind is Kind.STATE:
            self._say(host, kind, message.payload)
            return
        content, times = json.loads(message.payload), self._times if kind is Kind.METRICS else 1
        for older in self._due.pop(host, ()):
            older.cancel()
        self._repeat(host, kind, content)
        later, pace = asyncio.get_running_loop().call_later, self._interval / times
        self._due[host] = [later(n * pace, self._repeat, host, kind, content) for n in range(1, times)]

    def _repeat(self, host: HostName, kind: Kind, content: dict[str, Any]) -> None:
        self._sequences[host] += 1
        anew = content | {"sequence": self._sequences[host], "sent_at": time.time()}
        self._say(host, kind, json.dumps(anew, separators=(",", ":")).encode())

    def _say(self, host: HostName, kind: Kind, payload: bytes) -> None:
        self.counts[host] += 1
        # nothing is retained: of what is, an older one would give way to a newer here, and be sent again after a reconnect
        self.link.send(Outgoing(topic_of(self._said, host, kind), payload))

    def hush(self) -> None:
        """Say nothing more: what is counted from now on might not arrive."""
        self._hushed = True
        for due in self._due.values():
            for one in due:
                one.cancel()

    async def end(self) -> None:
        """Say nothing more, and return once the broker has all that was said.

        Raises:
            RuntimeError: some of it was lost on the way there, or may have been said twice.
        """
        self.hush()
        is_said = await self.link.flush(FLUSH_SECONDS)
        if self.link.dropped or not is_said:
            raise RuntimeError("not all of it was said: this machine is too slow for so much")
        if self.link.connections != 1:
            raise RuntimeError("the broker was lost: some of it may have been said twice, or to nobody")

    def link_up(self) -> None:
        """Nothing is to be said of itself."""

    def link_down(self, reason: str) -> None:
        """Say why; what was said meanwhile may be lost."""
        print(f"no broker: {reason}", flush=True)

    def will(self) -> Outgoing | None:
        """Return None: nobody waits for its death."""
        return None


async def repeat(repeater: Repeater) -> None:
    """Repeat until SIGTERM, and until the broker has all of it.

    Raises:
        RuntimeError: some of it was lost on the way there, or may have been said twice.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    linked = asyncio.ensure_future(repeater.link.run())
    await stop.wait()
    try:
        await repeater.end()
    finally:
        linked.cancel()
        await asyncio.gather(linked, return_exceptions=True)


def main() -> None:
    """Repeat until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True, metavar="S")
    parser.add_argument("--from", dest="heard", required=True, metavar="PREFIX")
    parser.add_argument("--to", dest="said", required=True, metavar="PREFIX")
    parser.add_argument("--counts", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    repeater = Repeater(options.times, options.interval, options.heard, options.said)
    asyncio.run(repeat(repeater))
    options.counts.write_text(json.dumps(repeater.counts))


if __name__ == "__main__":
    main()
