"""Reaction time in the lab: from the MQTT message that reports a memory error to the first migration call.

    python -m benchmarks.reaction [--rounds 20] [--out benchmarks/results/reaction.json]     (as root; about 10 s per round)

Beginning: when an independent subscriber (mosquitto_sub) received the agent's message, by its own clock. End: the log
line that the daemon writes right before the call goes to libvirt. As a limit that no daemon can beat in the same lab,
each round also times one bare ``getLibVersion`` plus ``listAllDomains`` on both ends, the least any re-check costs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import libvirt
from tests.demo.cluster import HOOK, DaemonProcess, Listener, agent_command, settings, wait_listening
from tests.demo.witness import Witness
from tests.lab.lab import Lab

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, TIMING

HOSTS = 4
# every evacuation of the benchmark counts against the hour: the ceiling is six, so the daemon starts anew in between
ROUNDS_PER_DAEMON = 5


LIMITS = """\
---
kind: Limits
name: cluster
evacuations: {at_once: 1, per_hour: 6}
bandwidth: {link_share: 60%, migration_minimum: 1MiB/s}
freeze: {settle: 5s}
"""


def main() -> int:
    """Measure; return 0 if every round reacted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/reaction.json"))
    options = parser.parse_args()
    policies = EVACUATION + LIMITS
    reactions: list[float] = []
    floors: list[float] = []
    with Lab("react", HOSTS, cpu_quota=0.6, hook=HOOK, agent_command=agent_command) as lab:
        lab.broker().start()
        lab.enter()
        for h in lab.hosts:
            for i in range(2):
                lab.start_guest(h, f"{h}-vm{i}")
        witness = Witness(lab)
        witness.start()
        done = 0
        while done < options.rounds:
            home = Path(tempfile.mkdtemp(prefix="ballastd-reaction-"))
            count = min(ROUNDS_PER_DAEMON, options.rounds - done)
            some, bare = measure(lab, witness, home, policies, count, done)
            reactions += some
            floors += bare
            done += count
        witness.stop()
    report(reactions, floors, options.rounds, options.out)
    return 0 if len(reactions) == options.rounds else 1


def measure(lab: Lab, witness: Witness, home: Path, policies: str, rounds: int, done: int
            ) -> tuple[list[float], list[float]]:
    """Return reactions and bare re-check times, seconds, of some rounds with one daemon."""
    text = settings(lab, home, link_mbit=1000, timing=TIMING)
    listener, daemon = Listener(home), DaemonProcess(home, text, policies).start()
    wait_listening()
    reactions, floors = [], []
    try:
        if not wait_for(daemon.knows_everybody, 40.0):
            raise RuntimeError(f"the daemon did not get ready: {daemon.log}")
        for n in range(rounds):
            host = f"h{(done + n) % HOSTS + 1}"
            floors.append(bare_check(lab))
            reaction = one_round(lab, witness, daemon, listener, host)
            print(f"round {done + n + 1:3}  {host}  "
                  + ("no reaction" if reaction is None else f"{reaction * 1000:7.1f} ms"), flush=True)
            if reaction is not None:
                reactions.append(reaction)
            spread(lab, witness)
    finally:
        daemon.stop()
        listener.stop()
    return reactions, floors


def one_round(lab: Lab, witness: Witness, daemon: DaemonProcess, listener: Listener, host: str) -> float | None:
    """Fail one host, wait until it is empty, acknowledge; return the reaction in seconds."""
    wall = time.time()
    lab.hosts[host].sensors.uncorrected()
    wait_for(lambda: not witness.on(host), 60.0)
    wait_for(lambda: not daemon.open_migrations(), 30.0)
    heard = listener.first_error_after(wall, host)
    calls = [datetime.fromisoformat(r["timestamp"]).timestamp() for r in daemon.records("migration begins")]
    first = min((at for at in calls if at >= wall), default=None)
    daemon.ctl("host", "acknowledge", host)
    return None if heard is None or first is None else first - heard


def spread(lab: Lab, witness: Witness) -> None:
    """Move guests by hand so that the next host has some again."""
    for host in lab.hosts:
        if witness.on(host):
            continue
        fullest = max(lab.hosts, key=lambda name: len(witness.on(name)))
        for name in witness.on(fullest)[:2]:
            lab.migrate(lab.book.find(name), host)
    time.sleep(2.5)


def bare_check(lab: Lab) -> float:
    """Return how long the least possible look at two hosts takes over open connections, seconds."""
    ends = [libvirt.openReadOnly(lab.hosts[name].uri) for name in ("h1", "h2")]
    begun = time.perf_counter()
    for end in ends:
        end.getLibVersion()
        for domain in end.listAllDomains(1):
            domain.state()
    took = time.perf_counter() - begun
    for end in ends:
        end.close()
    return took


def report(reactions: list[float], floors: list[float], rounds: int, out: Path) -> None:
    """Print the table and write the JSON."""
    if not reactions:
        print("no round reacted")
        return
    ms = [r * 1000 for r in reactions]
    floor = statistics.median(floors) * 1000
    result = {"rounds": rounds, "reacted": len(ms), "median_ms": statistics.median(ms), "worst_ms": max(ms),
              "best_ms": min(ms), "bare_check_median_ms": floor, "ratio_to_bare_check": statistics.median(ms) / floor}
    for key, value in result.items():
        print(f"{key:24} {value:10.2f}" if isinstance(value, float) else f"{key:24} {value:10}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result | {"all_ms": ms}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
