"""One round: a host is emptied, something breaks in the middle, it is healed, the daemon comes to rest, the oracle looks."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.chaos.aiming import wait_switch_over
from tests.chaos.alarms import Told, told_in
from tests.chaos.faults import FAULTS, Fault, Scene
from tests.chaos.oracle import copies, uncalled, violations
from tests.chaos.replaying import Replay
from tests.chaos.watch import Watch
from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import POLICIES, Stand, journal, until
from tests.lab import Lab, LabError
from tests.lab.clock import SteppedClock
from tests.lab.guest import LabGuest
from tests.lab.volume import Volume

GUESTS, LINK_MBIT = 6, 70
"""5 MiB/s for each migration: a guest of 16 to 32 MiB is under way for some seconds."""
SIZES_MIB, MODES = (16, 24, 32), ("1", "2", "idle")
COUNTING = """---
kind: Health
name: corrected-memory-errors
when: {metric: ecc.corrected, increase: 20s, above: 1000}
severity: failing
clear: acknowledge
"""
"""What would have a host emptied whose errors are counted more than once: no fault makes so many of them."""
UNDER_WAY_SECONDS, REST_SECONDS = 60.0, 150.0
RESTS_FOR_SECONDS = 3.0
LATE_SECONDS = 0.15
"""So much later than a guest stands still strikes what is aimed at that, at most."""
BREATH = 0.1


@dataclass
class Outcome:
    """What became of a round. ``progress``: how far the migration was that was struck; ``lasted``: how long the fault did;
    ``recovered``: seconds from its end until the daemon was at rest; ``endings``: of this round's migrations; ``is_struck``:
    whether there was still something to strike; ``lost``: guests that the fault itself ended; ``alarms``: what the daemon
    told of guests of this round."""

    seed: int
    fault: str
    vm: str = ""
    source: str = ""
    target: str = ""
    progress: float = 0.0
    is_struck: bool = False
    lasted: float = 0.0
    recovered: float = 0.0
    endings: dict[str, int] = field(default_factory=dict)
    struck_ending: str = ""
    lost: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


class Rounds:
    """Rounds on one lab, with one daemon that lives through all of them."""

    def __init__(self, lab: Lab, stand: Stand) -> None:
        self._lab, self._stand = lab, stand
        self._volume = Volume(lab.plan.path / "state").make()
        self._clock = SteppedClock(lab.plan.path / "clock")
        self._daemon: DaemonProcess = stand.acting(link_mbit=LINK_MBIT, policies=POLICIES + COUNTING,
                                                   journal=self._volume.place, environment=self._clock.environment())
        self._replay = Replay()
        self._guests: list[LabGuest] = []

    def play(self, seed: int, fault: Fault | None = None) -> Outcome:
        """Play one round; ``fault``: instead of the one that the seed draws."""
        luck = Random(seed)
        fault = fault or luck.choice(FAULTS)
        outcome = Outcome(seed, fault.name)
        self._stock(luck)
        records, logged = len(journal(self._volume.place)), self._daemon.log.stat().st_size
        before = {record["id"] for record in self._ordered()}
        source = luck.choice(sorted({host for guest in self._guests if (host := self._lab.runs_on(guest))}))
        if refused := self._drain(source):
            outcome.violations.append(f"the drain was refused: {refused}")
            return outcome
        scene = self._under_way(source, luck)
        if scene is None:
            outcome.violations.append(f"no migration began within {UNDER_WAY_SECONDS:.0f} s: {self._why()}")
            return self._ended(outcome, source, before)
        outcome.vm, outcome.source, outcome.target = scene.guest.name, scene.source, scene.target
        late = luck.uniform(0.0, LATE_SECONDS if fault.is_aimed else 3.0)
        if not fault.is_aimed:
            time.sleep(late)
        outcome.progress = self._progress_of(scene.guest.name)
        doomed = self._doomed(scene, fault)
        watch = Watch(scene, fault)
        began = time.monotonic()
        try:
            with suppress(LabError):  # the migration may be over already, and its emulators gone
                if fault.is_aimed:
                    wait_switch_over(scene.src, scene.guest.name)
                    time.sleep(late)
                    began = time.monotonic()
                fault.strike(scene)
                outcome.is_struck = True
            watch.look(luck.uniform(*fault.seconds))
            outcome.is_struck &= watch.is_felt
            outcome.violations.extend(watch.violations())
        finally:
            fault.heal(scene)
            if not self._daemon.alive() and not fault.ends_daemon:
                outcome.violations.append("the daemon ended by itself")
            self._heal_everything()
        outcome.lasted = time.monotonic() - began
        healed = time.monotonic()
        if not self._rests(source):
            outcome.violations.append(f"no rest within {REST_SECONDS:.0f} s: {self._why()}")
        outcome.recovered = time.monotonic() - healed
        doomed = doomed if outcome.is_struck else {}
        outcome.lost = [guest.name for guest in self._guests if guest.name in doomed and self._lab.runs_on(guest) is None]
        told = self._told(logged)
        outcome.alarms = sorted({alarm for guest in self._guests for alarm in told.of(guest)})
        outcome.violations.extend(violations(self._lab, self._volume.place, self._guests, doomed, told))
        outcome.violations.extend(uncalled(journal(self._volume.place)[records:], source))
        return self._ended(outcome, source, before)

    def _drain(self, source: str) -> str:
        """Have a host emptied; return why that was refused for good. On a busy machine one may not answer for a moment."""
        until_at = time.monotonic() + UNDER_WAY_SECONDS
        while (answer := self._daemon.ctl("host", "drain", source)).returncode and time.monotonic() < until_at:
            time.sleep(1.0)
        return f"{answer.stdout}{answer.stderr}" if answer.returncode else ""

    def _told(self, since: int) -> Told:
        """Return what the daemon told from so many bytes of its log on."""
        with self._daemon.log.open("rb") as log:
            log.seek(since)
            return told_in(log.read().decode(errors="replace"))

    def _doomed(self, scene: Scene, fault: Fault) -> dict[str, str | None]:
        """Return whom a fault may end, whatever anybody does: who is struck himself, or with its host who is on one that
        dies, or may come to it until it does."""
        if fault.takes_host:
            coming = {one["vm_name"] for one in self._daemon.open_migrations() if one["target"] == scene.target}
            return {guest.name: scene.target for guest in self._guests
                    if guest.name in coming or self._lab.runs_on(guest) in (scene.target, None)}
        return {scene.guest.name: None} if fault.loses else {}

    def _stock(self, luck: Random) -> None:
        """Have as many guests as there should be, on all hosts but one."""
        self._guests = [guest for guest in self._guests if self._lab.runs_on(guest)]
        hosts = sorted(self._lab.hosts)
        number = 0
        while len(self._guests) < GUESTS:
            number += 1
            name = f"g{number}"
            if name in {guest.name for guest in self._guests}:
                continue
            host = hosts[number % (len(hosts) - 1)]
            guest = self._lab.start_guest(host, name, memory_mib=luck.choice(SIZES_MIB), mode=luck.choice(MODES),
                                          disk="locked", persistent=luck.random() < 0.5)
            self._guests.append(guest)
        for guest in self._guests:
            self._lab.wait_beat(guest)
        names = {guest.name for guest in self._guests}
        until(lambda: names <= {vm["name"] for vm in (self._daemon.ask("vms") or {}).get("vms", ())}, 30.0,
              "the daemon sees the guests", self._daemon)

    def _under_way(self, source: str, luck: Random) -> Scene | None:
        until_at = time.monotonic() + UNDER_WAY_SECONDS
        while time.monotonic() < until_at:
            moving = [one for one in self._daemon.open_migrations() if one["source"] == source and one["phase"] == "running"]
            if moving:
                one = luck.choice(sorted(moving, key=lambda m: str(m["id"])))
                others = sorted(set(self._lab.hosts) - {source, one["target"]})
                return Scene(self._lab, self._stand, self._lab.book.find(one["vm_name"]), source, one["target"], others[0],
                             self._volume, self._clock, self._replay)
            time.sleep(BREATH)
        return None

    def _progress_of(self, vm: str) -> float:
        return max((one["progress"] or 0.0 for one in self._daemon.open_migrations() if one["vm_name"] == vm), default=1.0)

    def _heal_everything(self) -> None:
        """Whatever a fault left broken although it was healed, an operator would put right now."""
        for host in self._lab.hosts.values():
            host.power_on()
            if host.libvirtd() is None:
                host.restart_libvirtd()
            host.resume_libvirtd()
            host.heal()
        if not self._daemon.alive():
            self._daemon.start()

    def _rests(self, source: str) -> bool:
        """Wait until nothing is open, the daemon acts, and the host is empty, and that stays so for a while."""
        until_at, since = time.monotonic() + REST_SECONDS, None
        while time.monotonic() < until_at:
            if self._is_calm(source):
                since = since or time.monotonic()
                if time.monotonic() - since >= RESTS_FOR_SECONDS:
                    return True
            else:
                since = None
            time.sleep(BREATH * 3)
        return False

    def _is_calm(self, source: str) -> bool:
        if self._daemon.posture() != "acting" or self._daemon.open_migrations():
            return False
        ended = {record["id"] for record in journal(self._volume.place) if record["kind"] == "MigrationSettled"}
        left = [guest for guest in self._guests if self._lab.runs_on(guest) == source]
        return not left and all(record["id"] in ended for record in self._ordered())

    def _ended(self, outcome: Outcome, source: str, before: set[str]) -> Outcome:
        self._daemon.ctl("host", "undrain", source)
        settled = {record["id"]: record["ending"] for record in journal(self._volume.place)
                   if record["kind"] == "MigrationSettled"}
        mine = [record for record in self._ordered() if record["id"] not in before]
        outcome.endings = dict(Counter(str(settled.get(record["id"], "open")) for record in mine))
        struck = [record for record in mine if record["vm_name"] == outcome.vm]
        outcome.struck_ending = str(settled.get(struck[0]["id"], "open")) if struck else ""
        for guest in self._guests:
            if outcome.violations or guest.name in outcome.lost or copies(self._lab.where(guest))[1]:
                with suppress(LabError):
                    self._lab.stop_guest(guest)
        return outcome

    def _ordered(self) -> list[dict[str, Any]]:
        return [record for record in journal(self._volume.place) if record["kind"] == "MigrationOrdered"]

    def _why(self) -> str:
        status = self._daemon.ask("status") or {}
        said = [gate["reason"] for gate in status.get("gates", ())]
        noes = [f"{no['kind']} {no['vm_name']}: {no['detail']}" for no in (self._daemon.ask("plan") or {}).get("noes", ())]
        return "; ".join([self._daemon.posture() or "no answer", *said, *noes])[:600]
