"""What has to happen for each act of the daemon to come about on the lab, and when all that follows from it is over."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.effects import POWER_ENDS, Effects
from tests.demo.cluster import DaemonProcess
from tests.integration.daemon_parts import POLICIES, Stand, journal, until
from tests.lab import Lab, LabError
from tests.lab.guest import LabGuest
from tests.lab.network import CONTROLLER_ADDRESS

NAMESPACE = "https://ballastd.org/1"
OWNER = f"<b:ballastd xmlns:b='{NAMESPACE}' {{wish}}/>"
BUSY_POLICIES = POLICIES.replace("retries:", "convergence: {downtime_max: 1s, auto_converge: never}\nretries:")
RESORT = "on: {severity: failing}\n"
POST_COPY_POLICIES = POLICIES.replace(RESORT, f"{RESORT}last_resort: [post_copy]\n").replace(
    "retries:", "convergence: {downtime_max: 300ms, auto_converge: never, no_progress: 3s}\nretries:")
SHUTDOWN_POLICIES = POLICIES.replace(RESORT, f"{RESORT}last_resort: [shutdown]\n").replace("deadline: 30m", "deadline: 1s")
LINK_MBIT = 120
"""8 MiB/s for migrations, where a story asks for no more."""
ANSWER_SECONDS = 10.0
"""For so long a guest that has arrived is asked whether it answers, and it does."""
POWER_TIMES = {"cordon_confirm": "20s", "power_off": "12s", "wake": "100s"}
BREATH = 0.02
BUSY_SECONDS = 120.0
"""How long what has to come about before the kill may take on a machine that does other things as well."""


@dataclass
class Scene:
    """One lab, one daemon that is going to be killed, and everybody whom that concerns. ``listening``: where a guest would
    answer; ``begun_on``: where each guest was started; ``unanswered``: what was said to a daemon that died of it."""

    lab: Lab
    stand: Stand
    effects: Effects
    listening: socket.socket
    guests: list[LabGuest] = field(default_factory=list)
    begun_on: dict[str, str] = field(default_factory=dict)
    unanswered: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def daemon(self) -> DaemonProcess:
        """The daemon that runs, or ran last."""
        return self.stand.running()

    def guest(self, host: str, name: str, memory_mib: int, mode: str = "1", wish: str = "", *, persistent: bool = False
              ) -> LabGuest:
        """Start a guest."""
        one = self.lab.start_guest(host, name, memory_mib=memory_mib, mode=mode, persistent=persistent,
                                   metadata=OWNER.format(wish=wish) if wish else "")
        self.guests.append(one)
        self.begun_on[name] = host
        return one

    def records(self, *kinds: str) -> list[dict[str, Any]]:
        """Return what is durable, of some kinds or of all."""
        return [record for record in journal(self.stand.home) if not kinds or record["kind"] in kinds]

    def order(self, *words: str) -> None:
        """Say it to the daemon as an operator would; it may die of it."""
        answer = self.daemon.ctl(*words)
        if answer.returncode:
            assert not self.daemon.alive(), answer.stdout + answer.stderr
            self.unanswered.append(words)

    def wait(self, what: Callable[[], object], seconds: float, why: str) -> bool:
        """Wait as closely as can be; return whether the daemon still lives."""
        until_at = time.monotonic() + seconds
        while self.daemon.alive() and not what():
            if time.monotonic() > until_at:
                raise LabError(f"not within {seconds:g} s: {why}\n{self.daemon.ctl('plan').stdout}"
                               f"{self.daemon.log.read_text()[-3000:]}")
            time.sleep(BREATH)
        return self.daemon.alive()

    def copied(self, vm: str, share: float) -> bool:
        """Return whether so much of a guest is copied."""
        return any(m["vm_name"] == vm and (m["progress"] or 0.0) >= share for m in self.daemon.open_migrations())

    def empty(self, host: str) -> bool:
        """Return whether every guest runs, and none on this host."""
        return all(self.lab.runs_on(guest) not in (None, host) for guest in self.guests)

    def host(self, name: str) -> dict[str, Any]:
        """Return a host as the daemon shows it, nothing while it does not."""
        return next((one for one in (self.daemon.ask("hosts") or {}).get("hosts", ()) if one["name"] == name), {})


@dataclass(frozen=True, slots=True)
class Story:
    """``stage``: starts the guests and returns what the daemon is started with; ``provoke``: has it act, once it may;
    ``is_over``: whether what it was to do is done, beside its books; ``seconds``: within which it has to be at rest
    once the daemon runs again; ``link_mbit``: what links have, of which jobs get three fifths."""

    stage: Callable[[Scene], dict[str, Any]]
    provoke: Callable[[Scene], None]
    is_over: Callable[[Scene], bool]
    seconds: float = 30.0
    link_mbit: int = LINK_MBIT

    @property
    def share_mib_s(self) -> int:
        """What the jobs of a host may have together."""
        return int(0.6 * self.link_mbit * 1e6 / 8 / (1 << 20))


def _a_guest_that_is_asked(scene: Scene) -> dict[str, Any]:
    port = scene.listening.getsockname()[1]
    scene.guest("h1", "web", 16, wish=f"check='tcp://{CONTROLLER_ADDRESS}:{port}'")
    return {"arrival_checks": {"networks": [CONTROLLER_ADDRESS], "within": f"{ANSWER_SECONDS:g}s"}}


def _has_left_and_answered(scene: Scene) -> bool:
    return scene.empty("h1") and bool(scene.records("ArrivalChecked")) and scene.lab.hosts["h1"].is_closed()


def _lift(scene: Scene) -> None:
    scene.order("host", "cordon", "h2")
    if scene.wait(scene.lab.hosts["h2"].is_closed, BUSY_SECONDS, "h2 closes its hook"):
        scene.order("host", "uncordon", "h2")


def _three_of_which_two_are_pinned(scene: Scene) -> dict[str, Any]:
    scene.guest("h1", "web", 80)
    for name in ("db", "log"):
        scene.guest("h1", name, 16, wish="pinned='yes'")
    return {}


def _share(scene: Scene) -> None:
    """What the first was given is halved when another begins, whose owner has let it go meanwhile; the third waits."""
    _drain(scene)
    if scene.wait(lambda: scene.copied("web", 0.03), BUSY_SECONDS, "web is under way"):
        for name in ("db", "log"):
            scene.lab.hosts["h1"].virsh("metadata", name, NAMESPACE, "--remove", "--live")


def _call_off(scene: Scene) -> None:
    scene.order("host", "drain", "h1")
    if scene.wait(lambda: scene.copied("web", 0.1), BUSY_SECONDS, "web is under way"):
        scene.order("migration", "abort", scene.records("MigrationOrdered")[0]["id"])


def _one(memory_mib: int, mode: str = "1", wish: str = "", **settings: Any) -> Callable[[Scene], dict[str, Any]]:
    def stage(scene: Scene) -> dict[str, Any]:
        scene.guest("h1", "web", memory_mib, mode, wish)
        return settings

    return stage


def _drain(scene: Scene) -> None:
    scene.order("host", "drain", "h1")


def _one_that_stays(scene: Scene) -> dict[str, Any]:
    scene.guest("h1", "web", 16, wish="pinned='yes'", persistent=True)
    return {"policies": SHUTDOWN_POLICIES}


def _fail(scene: Scene) -> None:
    scene.lab.hosts["h1"].fault("uncorrected")


def _with_switches(scene: Scene) -> dict[str, Any]:
    scene.guest("h1", "web", 16)
    return {"power": scene.effects.switch, "timing": POWER_TIMES}


def _off(scene: Scene) -> None:
    scene.wait(lambda: scene.host("h3").get("hook"), BUSY_SECONDS, "the hook of h3 is confirmed")
    scene.order("host", "confirm-wakeable", "h3")
    scene.order("host", "power", "off", "h3")


def _on(scene: Scene) -> None:
    _off(scene)
    if scene.wait(lambda: scene.host("h3").get("power") == "off", BUSY_SECONDS, "h3 is off"):
        scene.order("host", "power", "on", "h3")


def _power_is_settled(scene: Scene, order: str) -> bool:
    kinds = [r["kind"] for r in scene.records() if r.get("host") == "h3"]
    return order in kinds and not POWER_ENDS.isdisjoint(kinds[kinds.index(order):])


MOVE = Story(_a_guest_that_is_asked, _drain, _has_left_and_answered)
STORIES: dict[str, Story] = {
    "order": MOVE, "definition": MOVE, "migrate": MOVE, "check": MOVE, "outcome": MOVE, "cordon": MOVE,
    "uncordon": Story(_one(16), _lift, lambda s: not s.lab.hosts["h2"].is_closed() and bool(s.host("h2").get("target"))),
    "bandwidth": Story(_three_of_which_two_are_pinned, _share, lambda s: s.empty("h1")),
    "abort": Story(_one(32), _call_off, lambda s: s.empty("h1")),
    # its guest halts at each tick: one that never does loses a page now and then as it is copied (docs/libvirt.md)
    "standstill": Story(_one(16, "9", policies=BUSY_POLICIES), _drain, lambda s: s.empty("h1"), link_mbit=240),
    # all of it is rewritten in less time than it is copied in, so nothing but this gets it off
    "post-copy": Story(_one(24, "9", policies=POST_COPY_POLICIES), _fail, lambda s: s.empty("h1")),
    "power off": Story(_with_switches, _off, lambda s: _power_is_settled(s, "PowerOffOrdered")),
    # whether its controller was told nobody knows: it is told again once that has said off for a minute
    "power on": Story(_with_switches, _on, lambda s: _power_is_settled(s, "WakeOrdered"), seconds=240.0),
    # whether it was asked nobody knows: it is asked again a minute later, after a minute in which nothing spoke against it
    "shutdown": Story(_one_that_stays, _fail, lambda s: bool(s.records("ShutdownEnded")), seconds=150.0),
}


def until_acting(scene: Scene) -> None:
    """Wait until the daemon acts and has heard every host."""
    until(lambda: scene.daemon.posture() == "acting", BUSY_SECONDS, "the daemon acts", scene.daemon)
    scene.stand.until_heard(scene.daemon)
