"""The story: three chapters, each told as it happens and checked against the libvirtd hosts themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.demo.cluster import HOOK, DaemonProcess, Listener, agent_command, wait_listening
from tests.demo.stage import Stage
from tests.demo.witness import Witness, wait_for
from tests.lab.guest import LabGuest
from tests.lab.lab import Lab

HOSTS, GUESTS_EACH, GUEST_MIB = 4, 3, 32
LAB = "demo"


@dataclass(frozen=True)
class Claim:
    """One thing the demo promises, whether it held, and what was seen."""

    text: str
    holds: bool
    seen: str


@dataclass
class Cast:
    """Everybody on the stage."""

    lab: Lab
    witness: Witness
    daemon: DaemonProcess
    listener: Listener
    guests: dict[str, LabGuest]
    beats: dict[str, int] = field(default_factory=dict)


class Story:
    """Sets the stage, plays the chapters, clears up whatever happens."""

    def __init__(self, stage: Stage, home: Path) -> None:
        self._stage = stage
        self._home = home
        self.claims: list[Claim] = []

    def play(self) -> bool:
        """Play it all; return whether every claim holds."""
        lab = Lab(LAB, HOSTS, cpu_quota=0.6, hook=HOOK, agent_command=agent_command)
        self._stage.say(f"Raising {HOSTS} real libvirtd hosts in network namespaces, with hardware that can fail")
        with lab:
            lab.broker().start()
            lab.enter()
            cast = self._gather(lab)
            try:
                self._chapters(cast)
            finally:
                cast.witness.stop()
                cast.listener.stop()
                cast.daemon.stop()
        return all(claim.holds for claim in self.claims)

    def _gather(self, lab: Lab) -> Cast:
        self._stage.say(f"Starting {HOSTS * GUESTS_EACH} guests, each counting its own heartbeat")
        guests = {}
        for h in lab.hosts:
            for i in range(GUESTS_EACH):
                name = f"{h}-vm{i + 1}"
                guests[name] = lab.start_guest(h, name, memory_mib=GUEST_MIB, mode="3" if i == 0 else "idle")
        listener = Listener(self._home)
        daemon = DaemonProcess(lab, self._home)
        witness = Witness(lab)
        witness.start()
        self._stage.say("Starting ballastd, the unmodified daemon, as a process of its own")
        daemon.start()
        wait_listening()
        self._stage.watch(witness, daemon)
        if not wait_for(daemon.knows_everybody, 40.0):
            raise RuntimeError(f"ballastd did not get ready; its log: {daemon.log}\n{daemon.log.read_text()[-3000:]}")
        return Cast(lab, witness, daemon, listener, guests)

    def _chapters(self, cast: Cast) -> None:
        self._uncorrectable(cast)
        self._killed_in_the_middle(cast)
        self._site_event(cast)
        self._stage.chapter("The end", "Every guest, one last time, asked of the hosts")
        names = cast.witness.everyone()
        self._claim("all guests run, each exactly once, at the end and at every look in between",
                    names == sorted(cast.guests) and self._copies(cast) == 1,
                    f"{len(names)} of {len(cast.guests)} running, at most {self._copies(cast)} copy at "
                    f"{cast.witness.looks} looks")
        breaks = {n: cast.lab.heartbeat(g).breaks for n, g in cast.guests.items()}
        self._claim("no heartbeat ever broke: every guest kept its memory through every move",
                    not any(breaks.values()), f"{sum(breaks.values())} breaks in {len(breaks)} hearts")

    def _uncorrectable(self, cast: Cast) -> None:
        self._stage.chapter("Chapter 1", "An uncorrectable memory error appears in the EDAC files of h1")
        cast.witness.mark()
        before = cast.witness.on("h1")
        wall = time.time()
        cast.lab.hosts["h1"].sensors.uncorrected()
        emptied = wait_for(lambda: set(before) <= set(cast.witness.moves()) and not cast.witness.on("h1"), 60.0)
        took = time.time() - wall
        moved = cast.witness.moves()
        self._claim("every VM leaves the host that warned", emptied and set(before) <= set(moved),
                    f"{len(before)} guests left h1 in {took:.1f} s: "
                    + ", ".join(f"{n} to {h[-1]}" for n, h in sorted(moved.items())))
        self._claim("they arrive alive", self._all_beat(cast), "every heart beats on")
        self._claim("nothing lands on it, and nobody else is moved",
                    not any("h1" in hosts for hosts in moved.values()) and set(moved) == set(before),
                    f"{len(moved)} guests moved, none to h1")
        self._reaction(cast, wall)
        self._stage.quote("ballastctl explain h1", cast.daemon.ctl("explain", "h1").stdout)

    def _reaction(self, cast: Cast, wall: float) -> None:
        heard = cast.listener.first_error_after(wall, "h1")
        calls = [datetime.fromisoformat(r["timestamp"]).timestamp() for r in cast.daemon.records("migration begins")]
        first = min((at for at in calls if at >= wall), default=None)
        if heard is None or first is None:
            self._claim("the first migration begins within a second of the message", False, "one of both was not seen")
            return
        self._claim("the first migration begins within a second of the message", first - heard < 1.0,
                    f"{(first - heard) * 1000:.0f} ms from the MQTT message to the first migration call")

    def _killed_in_the_middle(self, cast: Cast) -> None:
        self._stage.chapter("Chapter 2", "h2 warns too, and ballastd is killed with -9 in the middle of a migration")
        self._stage.say(cast.daemon.ctl("host", "acknowledge", "h1").stdout.strip())
        cast.witness.mark()
        before = cast.witness.on("h2")
        cast.lab.hosts["h2"].sensors.uncorrected()
        in_flight = wait_for(cast.witness.in_flight, 30.0, 0.02)
        flying = cast.witness.in_flight()
        cast.daemon.kill()
        self._stage.say(f"Killed while {', '.join(flying) or 'nothing'} was in flight; starting it again")
        cast.daemon.start()
        emptied = wait_for(lambda: set(before) <= set(cast.witness.moves()) and not cast.witness.on("h2"), 90.0)
        self._stage.say("h2 is empty; waiting until ballastd has closed its books")
        wait_for(lambda: cast.daemon.knows_everybody() and not cast.daemon.open_migrations(), 60.0)
        moved = cast.witness.moves()
        adopted = [m for m in cast.daemon.migrations() if m["adopted"]]
        self._claim("killed with -9 while a migration ran, it adopts the running job",
                    in_flight and bool(adopted) and all(m["ending"] == "completed" for m in adopted),
                    f"in flight at the kill: {', '.join(flying)}; adopted: "
                    + ", ".join(f"{m['vm_name']} ({m['ending']})" for m in adopted))
        self._claim("nothing moves twice and nothing is lost",
                    emptied and set(moved) == set(before) and all(len(h) == 1 for h in moved.values()),
                    ", ".join(f"{n}: h2 > {' > '.join(h)}" for n, h in sorted(moved.items())))

    def _site_event(self, cast: Cast) -> None:
        self._stage.chapter("Chapter 3", "Three hosts turn hot within seconds: is it three faults, or the room?")
        self._stage.say(cast.daemon.ctl("host", "acknowledge", "h2").stdout.strip())
        cast.witness.mark()
        for name in ("h1", "h3", "h4"):
            cast.lab.hosts[name].sensors.hot(98.0)
        seen = wait_for(lambda: cast.daemon.posture() == "site-event", 30.0)
        time.sleep(15.0)
        moved = cast.witness.moves()
        status = cast.daemon.ask("status") or {}
        reason = next((g["reason"] for g in status.get("gates", ()) if g["kind"] == "site-event"), "")
        self._claim("a warning on many hosts at once is a site event: nothing moves",
                    seen and not moved, f"{len(moved)} guests moved in the 15 s after it was declared")
        self._claim("and it says why", "hosts" in reason, reason)

    @staticmethod
    def _copies(cast: Cast) -> int:
        return max((trail.copies_max for trail in cast.witness.trails.values()), default=0)

    @staticmethod
    def _all_beat(cast: Cast) -> bool:
        before = {n: cast.lab.heartbeat(g).count for n, g in cast.guests.items()}
        return wait_for(lambda: all(cast.lab.heartbeat(g).count > before[n] for n, g in cast.guests.items()), 10.0)

    def _claim(self, text: str, holds: bool, seen: str) -> None:
        claim = Claim(text, bool(holds), seen)
        self.claims.append(claim)
        self._stage.verdict(claim.text, claim.holds, claim.seen)
