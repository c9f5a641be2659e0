"""The story: sets the stage, plays the chapters, clears up whatever happens."""

from __future__ import annotations

from pathlib import Path

from ballastd.cli.demo.telling import Narrator, wait_for
from ballastd.demo.policies import TIMING, by_day
from tests.demo import chapters
from tests.demo.cast import Cast, picture
from tests.demo.cluster import (
    HOOK,
    DaemonProcess,
    Listener,
    agent_command,
    power_switch,
    settings,
    wait_listening,
)
from tests.demo.witness import Witness
from tests.lab.lab import Lab

HOSTS, GUESTS_EACH, GUEST_MIB = 4, 3, 32
LAB = "demo"


class Story:
    """One performance."""

    def __init__(self, stage: Narrator, home: Path) -> None:
        self._stage = stage
        self._home = home

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
        return self._stage.all_hold()

    def _gather(self, lab: Lab) -> Cast:
        self._stage.say(f"Starting {HOSTS * GUESTS_EACH} guests, each counting its own heartbeat")
        guests = {}
        for h in lab.hosts:
            for i in range(GUESTS_EACH):
                name = f"{h}-vm{i + 1}"
                guests[name] = lab.start_guest(h, name, memory_mib=GUEST_MIB, mode="3" if i == 0 else "idle")
        listener = Listener(self._home)
        daemon = DaemonProcess(self._home, settings(lab, self._home, power=power_switch, timing=TIMING), by_day())
        witness = Witness(lab)
        witness.start()
        self._stage.say("Starting ballastd, the unmodified daemon, as a process of its own")
        daemon.start()
        wait_listening()
        self._stage.watch(lambda: picture(witness, daemon))
        if not wait_for(daemon.knows_everybody, 40.0):
            raise RuntimeError(f"ballastd did not get ready; its log: {daemon.log}\n{daemon.log.read_text()[-3000:]}")
        return Cast(self._stage, lab, witness, daemon, listener, guests)

    def _chapters(self, cast: Cast) -> None:
        chapters.overload(cast)
        chapters.uncorrectable(cast)
        dark = chapters.night(cast)
        chapters.morning(cast, dark)
        chapters.killed(cast)
        chapters.by_hand(cast)
        chapters.site_event(cast)
        self._stage.chapter("The end", "Every guest, one last time, asked of the hosts")
        names = cast.witness.everyone()
        copies = max((trail.copies_max for trail in cast.witness.trails.values()), default=0)
        cast.claim("all guests run, each exactly once, at the end and at every look in between",
                   names == sorted(cast.guests) and copies == 1,
                   f"{len(names)} of {len(cast.guests)} running, at most {copies} copy at {cast.witness.looks} looks")
        breaks = {n: cast.lab.heartbeat(g).breaks for n, g in cast.guests.items()}
        cast.claim("no heartbeat ever broke: every guest kept its memory through every move", not any(breaks.values()),
                   f"{sum(breaks.values())} breaks in {len(breaks)} hearts")
