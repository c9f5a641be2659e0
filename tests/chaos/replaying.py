"""Telemetry that was heard already, said once more: what a broker kept or a bridge recorded."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.lab.commands import wait_until
from tests.lab.network import CONTROLLER_ADDRESS

RECORD_SECONDS, PAUSE_SECONDS, SAID_SECONDS = 20.0, 0.7, 5.0
"""Seldom enough that what each host is allowed to say has room for what it says itself."""
TOPIC = "ballastd/v1/{host}/metrics"
Recorded = dict[str, bytes]
"""The last report of each host, by topic."""


class Replay:
    """Says again and again what hosts reported once, and leaves it with the broker for newcomers."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._saying: threading.Thread | None = None

    def record(self, hosts: Iterable[str]) -> Recorded:
        """Return what each host reports now."""
        topics = [TOPIC.format(host=host) for host in hosts]
        heard: Recorded = {}
        client = _client()
        client.on_message = lambda _client, _data, one: heard.update({one.topic: bytes(one.payload)})
        client.connect(CONTROLLER_ADDRESS)
        client.subscribe([(topic, 1) for topic in topics])
        client.loop_start()
        try:
            wait_until(lambda: len(heard) == len(topics), RECORD_SECONDS, "something to replay")
        finally:
            client.disconnect()
            client.loop_stop()
        return dict(heard)

    def begin(self, recorded: Recorded) -> None:
        """Replay that from now on."""
        self._over.clear()
        self._saying = threading.Thread(target=self._say, args=(recorded,), daemon=True)
        self._saying.start()

    def end(self) -> None:
        """Replay no more, and have the broker forget what it was left with."""
        if self._saying is not None:
            self._over.set()
            self._saying.join()
            self._saying = None

    def _say(self, recorded: Recorded) -> None:
        client = _client()
        client.connect(CONTROLLER_ADDRESS)
        client.loop_start()
        try:
            while not self._over.wait(PAUSE_SECONDS):
                for topic, payload in recorded.items():
                    client.publish(topic, payload, qos=1, retain=True)
            last = [client.publish(topic, b"", qos=1, retain=True) for topic in recorded]
            for one in last:
                one.wait_for_publish(SAID_SECONDS)
        finally:
            client.disconnect()
            client.loop_stop()


def _client() -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2)
