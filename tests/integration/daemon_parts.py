"""What the tests of the whole daemon on the lab share: short durations, a place to live, books to check."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

from ballastd.adapters.mqtt.link import BACKOFF_MAX_SECONDS
from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION
from tests.demo.cluster import HOOK, DaemonProcess, agent_command, settings
from tests.lab import Lab, LabError, LabHost, missing
from tests.lab.guest import LabGuest
from tests.lab.network import CONTROLLER_ADDRESS

ON_LAB = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]
"""The marks of a file of tests on real hosts."""
READY_SECONDS = 20.0 + BACKOFF_MAX_SECONDS
"""An agent that found no broker, in a test before, tries again after up to that long."""
Switch = Callable[[Lab, str], dict[str, Any]]
STALE_SECONDS = 3.0
"""Silent for longer, a host is unknown."""
NO_DAMAGE_SECONDS = 2.0
"""How long the tests watch for something that must not happen; a step is taken every second."""

TIMING = {
    "pace": "1s", "startup_quiet": "0.2s", "inventory_interval": "0.5s", "inventory_max_age": "5s", "second_look": "1s",
    "late_copy_watch": "4s", "load_window": "4s", "self_suspect": "1s", "telemetry_stale": f"{STALE_SECONDS:g}s",
    "telemetry_samples_min": 2,
}
POLICIES = f"""\
{EVACUATION}---
kind: Limits
name: cluster
bandwidth: {{link_share: 60%, migration_minimum: 1MiB/s}}
freeze: {{settle: 1s}}
retries: {{backoff: 1s}}
"""


def quick_agent(host: LabHost) -> Sequence[str]:
    """Return what runs inside each host: the agent, reporting twice a second."""
    return agent_command(host, interval=0.5, sample_interval=0.25)


@contextmanager
def a_lab(letter: str, hosts: int = 3, hook: Path = HOOK,
          agent: Callable[[LabHost], Sequence[str]] = quick_agent, *, storage: bool = False) -> Iterator[Lab]:
    """Yield a lab with hook, agents and broker, and this thread in its network. ``storage``: whether hosts have disks."""
    with Lab(f"d{os.getpid()}{letter}", hosts, cpu_quota=0.6, hook=hook, agent_command=agent, storage=storage) as lab:
        lab.broker().start()
        lab.enter()
        yield lab


def lab_of_a_file(letter: str, hosts: int = 3) -> Any:
    """Return the fixture of a lab that all tests of a file use one after the other."""
    @pytest.fixture(scope="module")
    def lab() -> Iterator[Lab]:
        with a_lab(letter, hosts) as one:
            yield one

    return lab


def lab_of_a_test(letter: str) -> Any:
    """Return the fixture of a lab for each test: a libvirtd that died leaves traces."""
    @pytest.fixture
    def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
        with a_lab(f"{letter}{len(request.node.name) % 10}") as one:
            yield one

    return lab


class Stand:
    """One test's daemon and guests on a lab that other tests use after it; ``clear`` makes it as it was.

    The home is the same for every test of a lab: the daemon's claim on the cluster names the journal's place.
    """

    def __init__(self, lab: Lab, home: str = "daemon") -> None:
        self.lab = lab
        self.home = lab.plan.path / home
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        self._daemon: DaemonProcess | None = None
        self._broker = lab.broker().process()

    def daemon(self, *, link_mbit: int = 240, policies: str = POLICIES, mqtt: dict[str, Any] | None = None,
               journal: Path | None = None, power: Switch | None = None, timing: dict[str, str] | None = None,
               environment: dict[str, str] | None = None, **sections: Any) -> DaemonProcess:
        """Return the daemon, not started. ``mqtt``: more of that section; ``journal``: the directory of its journal;
        ``power``: each host's power section, by name; ``timing``: other durations than usual;
        ``environment``: more of it than ours; ``sections``: others of the settings."""
        text = settings(
            self.lab, self.home, link_mbit=link_mbit, power=power, timing=TIMING | (timing or {}),
            defaults={"vouched_storage": [str(self.lab.plan.path / "disks")]}, mqtt={"keepalive": 2} | (mqtt or {}),
            libvirt={"unsafe_migration": True, "call_deadline": "3s", "keepalive_interval": 2, "keepalive_count": 5},
            journal=f"{journal or self.home}/journal.db", **sections)
        self._daemon = DaemonProcess(self.home, text, policies, environment)
        return self._daemon

    def acting(self, *, link_mbit: int = 240, policies: str = POLICIES, journal: Path | None = None,
               environment: dict[str, str] | None = None) -> DaemonProcess:
        """Return the daemon once it acts; the broker runs."""
        daemon = self.daemon(link_mbit=link_mbit, policies=policies, journal=journal, environment=environment).start()
        until_acting(daemon)
        self.until_heard(daemon)
        return daemon

    def until_heard(self, daemon: DaemonProcess) -> None:
        """Wait until every host that is on was heard: what a counter showed before is nobody's rise."""
        on = [name for name, host in self.lab.hosts.items() if host.is_on()]
        until(lambda: all(daemon.heard().get(name, 0) > 1 for name in on), READY_SECONDS, "every host is heard", daemon)

    def running(self) -> DaemonProcess:
        """Return the daemon that was made last."""
        assert self._daemon is not None
        return self._daemon

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal, if it is alive."""
        if self.running().alive():
            os.kill(self.running().pid, number)

    def rouse(self) -> None:
        """Start the broker again, and have the agents look for it at once."""
        self.lab.broker().start()
        self._rouse_agents()

    def clear(self) -> None:
        """End the daemon and all guests, repair every host and the broker."""
        if self._daemon is not None and self._daemon.alive():
            self._daemon.kill()
        with suppress(LabError):
            self.lab.broker().resume()
        self.lab.broker().start()
        for host in self.lab.hosts.values():
            host.power_on()
            if host.libvirtd() is None:
                host.restart_libvirtd()
            host.resume_libvirtd()
            host.clear_faults()
            host.run(["rm", "-f", "/run/libvirt/cordon"]).wait(5.0)
        for guest in self.lab.book.everyone():
            self.lab.stop_guest(guest)
        self._forget_retained()
        if self.lab.broker().process() != self._broker:
            self._rouse_agents()

    def _rouse_agents(self) -> None:
        """They lost a broker again and again, and may wait for half a minute before they look for it: that is as it
        should be, and nothing for the next test to wait for."""
        for host in self.lab.hosts.values():
            with suppress(LabError):
                host.signal_agent(signal.SIGKILL)
            host.start_agent()

    def _forget_retained(self) -> None:
        """A daemon that was killed may have left cordons and a claim. (A broker that stops forgets them too, but then
        the agents back off.)"""
        topics = ["ballastd/v1/daemon/claim", *(f"ballastd/v1/{host}/{kind}" for host in self.lab.hosts
                                                for kind in ("cordon", "metrics"))]
        publish.multiple([{"topic": topic, "payload": b"", "qos": 1, "retain": True} for topic in topics],
                         hostname=CONTROLLER_ADDRESS)


@contextmanager
def stood(lab: Lab, home: str = "daemon") -> Iterator[Stand]:
    """Yield a stand; clear it in any case."""
    stand = Stand(lab, home)
    try:
        yield stand
    finally:
        stand.clear()


@pytest.fixture
def stand(lab: Lab) -> Iterator[Stand]:
    """A stand on the lab of the file or of the test."""
    with stood(lab) as one:
        yield one


def until(what: Callable[[], object], seconds: float, why: str, daemon: DaemonProcess | None = None) -> None:
    """Wait for ``what()``; fail with ``why`` and the end of the daemon's log when it does not come."""
    if not wait_for(lambda: what() or (daemon is not None and not daemon.alive()), seconds, 0.05) or not what():
        log = daemon.log.read_text()[-4000:] if daemon is not None else ""
        said = "" if daemon is None or not daemon.alive() else daemon.ctl("plan").stdout + daemon.ctl("status").stdout
        raise AssertionError(f"not within {seconds:g} s: {why}\n{said}\n{log}")


def until_acting(daemon: DaemonProcess, seconds: float = READY_SECONDS) -> None:
    """Wait until the daemon acts."""
    until(lambda: daemon.posture() == "acting", seconds, "the daemon acts", daemon)


def until_posture(daemon: DaemonProcess, *postures: str, seconds: float = READY_SECONDS) -> None:
    """Wait until the daemon has one of these postures."""
    until(lambda: daemon.posture() in postures, seconds, f"the posture is {' or '.join(postures)}", daemon)


def until_on(lab: Lab, guest: LabGuest, host: str, seconds: float = 30.0, daemon: DaemonProcess | None = None) -> None:
    """Wait until the guest runs on ``host`` and nowhere else."""
    until(lambda: lab.runs_on(guest) == host, seconds, f"{guest.name} runs on {host}", daemon)


def until_left(lab: Lab, guest: LabGuest, host: str, seconds: float = 30.0, daemon: DaemonProcess | None = None) -> None:
    """Wait until the guest runs on exactly one host that is not ``host``."""
    until(lambda: lab.runs_on(guest) not in (None, host), seconds, f"{guest.name} left {host}", daemon)


def until_settled(daemon: DaemonProcess, home: Path, seconds: float = 30.0) -> None:
    """Wait until no migration is open in the journal (and at least one was ordered)."""
    until(lambda: ordered(home) and not unsettled(home), seconds, "every migration is settled", daemon)


def journal(home: Path) -> list[dict[str, Any]]:
    """Return what is durable now, oldest first; empty while there is no journal."""
    path = home / "journal.db"
    if not path.exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        rows = connection.execute("SELECT content FROM records ORDER BY sequence").fetchall()
    except sqlite3.OperationalError:  # it is being made
        return []
    finally:
        connection.close()
    return [json.loads(row[0]) for row in rows]


def ordered(home: Path, vm: str | None = None) -> list[dict[str, Any]]:
    """Return the orders in the journal, of one VM's name or of all."""
    return [r for r in journal(home) if r["kind"] == "MigrationOrdered" and vm in (None, r["vm_name"])]


def settled(home: Path) -> dict[str, dict[str, Any]]:
    """Return the settlements in the journal, by migration."""
    return {r["id"]: r for r in journal(home) if r["kind"] == "MigrationSettled"}


def unsettled(home: Path) -> list[str]:
    """Return the migrations that are ordered and not settled."""
    ends = settled(home)
    return [r["id"] for r in ordered(home) if r["id"] not in ends]


def assert_books_are_closed(home: Path) -> None:
    """Every order has exactly one settlement, and no VM was ordered again while its last order was open."""
    records = journal(home)
    orders = Counter(r["id"] for r in records if r["kind"] == "MigrationOrdered")
    ends = Counter(r["id"] for r in records if r["kind"] == "MigrationSettled")
    assert orders == ends
    assert set(orders.values()) <= {1}
    under_way: dict[str, str] = {}
    for r in records:
        if r["kind"] == "MigrationOrdered":
            assert r["vm"] not in under_way.values(), f"{r['vm_name']} was ordered twice at once"
            under_way[r["id"]] = r["vm"]
        elif r["kind"] == "MigrationSettled":
            del under_way[r["id"]]


def assert_lives_once(lab: Lab, *guests: LabGuest) -> None:
    """Every guest runs on exactly one host, with one QEMU, and its heart never missed a beat."""
    for guest in guests:
        try:
            lab.wait_beat(guest, 3, 10.0)
        except LabError as silent:
            seen = f"seen as {lab.where(guest)}, its heart was {lab.heartbeat(guest)}"
            raise AssertionError(f"{silent}; {seen}") from silent
        sightings = [s for s in lab.where(guest) if s.emulators]
        assert [s.emulators for s in sightings] == [1], (guest.name, lab.where(guest))
        assert lab.heartbeat(guest).breaks == 0, guest.name


def reasons(daemon: DaemonProcess) -> str:
    """Return every gate's reason, as ``status`` shows it, and its notes."""
    status = daemon.ask("status") or {}
    return "\n".join([g["reason"] for g in status.get("gates", ())] + list(status.get("notes", ())))


def told(daemon: DaemonProcess, subject: str) -> str:
    """Return what ``ballastctl explain`` says."""
    answer = daemon.ctl("explain", subject)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def document(daemon: DaemonProcess, *words: str) -> Any:
    """Return what a verb prints with ``-o json``."""
    answer = daemon.ctl(*words, "-o", "json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)
