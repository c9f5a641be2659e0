"""The whole daemon on real hosts, and a broker that is late, gone, frozen, closed to us, or full of lies."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    READY_SECONDS,
    STALE_SECONDS,
    Stand,
    assert_lives_once,
    document,
    lab_of_a_file,
    ordered,
    reasons,
    told,
    until,
    until_acting,
    until_left,
    until_posture,
)
from tests.lab import Lab
from tests.lab.network import CONTROLLER_ADDRESS
from tests.unit.adapters.test_wire_corpus import payload_of

pytestmark = ON_LAB

CORPUS = json.loads((Path(__file__).parents[1] / "data" / "corpus_bad.json").read_text())["entries"]

BROKER_BYTES_MAX = 1_000_000
"""What is larger the broker itself may refuse, and disconnect who sent it."""

lab = lab_of_a_file("b")


def test_a_broker_that_comes_late_is_waited_for_in_plain_words(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    lab.hosts["h1"].fault("uncorrected")
    lab.broker().stop()
    daemon = stand.daemon().start()
    until_posture(daemon, "frozen")
    said = reasons(daemon)
    assert "3 of 3 hosts are unknown" in said
    assert CONTROLLER_ADDRESS in said
    assert "refused" in said.lower()
    time.sleep(NO_DAMAGE_SECONDS)
    assert ordered(stand.home) == []
    lab.broker().start()
    until_acting(daemon)
    # what an error counter showed first is no rise; the next error is
    stand.until_heard(daemon)
    lab.hosts["h1"].fault("uncorrected")
    until_left(lab, guest, "h1", 30.0, daemon)
    assert_lives_once(lab, guest)


@pytest.mark.parametrize("way", ["stops", "hangs"])
def test_without_a_broker_hosts_become_unknown_in_time_and_nothing_moves(lab: Lab, stand: Stand, way: str) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = stand.acting()
    broker = lab.broker()
    gone = time.monotonic()
    broker.stop() if way == "stops" else broker.hang()
    lab.hosts["h1"].fault("uncorrected")
    time.sleep(STALE_SECONDS * 0.6)
    assert daemon.posture() == "acting", "silence is believed only after the stale time"
    until_posture(daemon, "frozen")
    assert time.monotonic() - gone >= STALE_SECONDS - 0.5  # the last report came up to an interval before
    time.sleep(NO_DAMAGE_SECONDS)
    assert ordered(stand.home) == []
    assert not any(host["target"] for host in daemon.ask("hosts")["hosts"])
    broker.start() if way == "stops" else broker.resume()
    until_acting(daemon)
    heard = [host["reports_heard"] for host in daemon.ask("hosts")["hosts"]]
    assert sum(count >= 2 for count in heard) >= 2, "all but one, which may be silent, were heard anew"
    # the error came while nobody listened, and it is not lost; of whose host nobody knows how long its agent backs off
    stand.until_heard(daemon)
    until_left(lab, guest, "h1", 30.0, daemon)
    assert_lives_once(lab, guest)


def _lies(host: str) -> list[dict[str, Any]]:
    """Return the corpus of bad messages, all in the name of one host."""
    lies = []
    for entry in CORPUS:
        payload, kind = payload_of(entry), entry["topic"].rsplit("/", 1)[-1]
        if entry["expect"] != "accept" and len(payload) <= BROKER_BYTES_MAX:
            lies.append({"topic": f"ballastd/v1/{host}/{kind}", "payload": payload.replace(b"kvm-01", host.encode()),
                         "qos": 0, "retain": False})
    return lies


def _retained_alarm(host: str) -> dict[str, Any]:
    """Return a well-formed report of days ago with a counter that rose, left behind on the broker."""
    entry = next(e for e in CORPUS if e["id"] == "retained-stale")
    report = json.loads(base64.b64decode(entry["payload"]))
    report |= {"host": host, "samples": [{"metric": "ecc.uncorrected", "subject": "mc0/dimm0", "value": 7}]}
    return {"topic": f"ballastd/v1/{host}/metrics", "payload": json.dumps(report).encode(), "qos": 0, "retain": True}


def test_a_flood_of_lies_is_counted_and_moves_nothing(lab: Lab, stand: Stand) -> None:
    guests = [lab.start_guest(host, f"{host}-web", mode="1") for host in ("h1", "h2")]
    daemon = stand.acting()
    heard = {h["name"]: h["reports_heard"] for h in daemon.ask("hosts")["hosts"]}
    for _ in range(5):
        publish.multiple([*_lies("h1"), _retained_alarm("h1")], hostname=CONTROLLER_ADDRESS)

    def refused(host: str) -> float:
        return sum(n for key, n in daemon.ask("counters").items() if key.startswith(f"malformed.{host}."))

    # most of a flood gives way to what came later; what gets through is read, refused and counted
    until(lambda: refused("h1") >= 60, 30.0, "they are counted", daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert refused("h2") == refused("h3") == 0
    assert ordered(stand.home) == []
    until_acting(daemon)
    stand.until_heard(daemon)
    hosts = {h["name"]: h for h in daemon.ask("hosts")["hosts"]}
    assert all(hosts[name]["health"] == "healthy" for name in hosts)
    assert all(hosts[name]["reports_heard"] > heard[name] for name in ("h2", "h3"))
    # and the truth still comes through, of the very host that was lied about
    lab.hosts["h2"].fault("uncorrected")
    until_left(lab, guests[1], "h2", 30.0, daemon)
    assert_lives_once(lab, *guests)
    assert lab.runs_on(guests[0]) == "h1"
    assert "uncorrected-memory-errors" in told(daemon, "h2")
    assert document(daemon, "host", "show", "h1")["health"] == "healthy"


def test_wrong_credentials_are_named_and_tried_again(lab: Lab, stand: Stand) -> None:
    lab.broker().stop()
    lab.broker(user="ballastd", password="correct-horse").start()
    secret = stand.home / "password"
    secret.write_text("battery-staple\n")
    secret.chmod(0o600)
    daemon = stand.daemon(mqtt={"username": "ballastd", "password_file": str(secret)}).start()
    until(lambda: daemon.records("broker lost"), 30.0, "it says that the broker refuses it", daemon)
    until_posture(daemon, "frozen")
    assert "not authori" in reasons(daemon).lower()
    assert "battery-staple" not in daemon.log.read_text()
    time.sleep(1.0)
    assert daemon.alive()
    secret.write_text("correct-horse\n")
    until(lambda: daemon.records("broker reached"), READY_SECONDS, "the right password is read anew", daemon)
    until(lambda: "not authori" not in reasons(daemon).lower(), 30.0, "the trouble is over", daemon)
    daemon.kill()
    lab.broker().stop()
