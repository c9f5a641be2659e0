"""The alphabet of faults: what is done to which part, for how long, and how it is healed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from tests.chaos import strangers
from tests.chaos.replaying import Replay
from tests.integration.daemon_parts import Stand
from tests.lab import Lab, LabError, LabHost
from tests.lab.clock import SteppedClock
from tests.lab.guest import LabGuest
from tests.lab.volume import Volume

HALF_MBIT = 35.0
ERRORS = 600
AHEAD_SECONDS, BEHIND_SECONDS = 86400, -3600
CANNOT_WRITE, CLOCK_STEPPED = "the journal cannot be written", "the wall clock stepped"


@dataclass(frozen=True)
class Scene:
    """What a fault strikes: a migration that is under way, and everything around it."""

    lab: Lab
    stand: Stand
    guest: LabGuest
    source: str
    target: str
    bystander: str
    """A host that has no part in the migration."""
    volume: Volume
    """Where the daemon keeps its state."""
    clock: SteppedClock
    """The daemon's own."""
    replay: Replay

    @property
    def src(self) -> LabHost:
        """The source."""
        return self.lab.hosts[self.source]

    @property
    def dst(self) -> LabHost:
        """The target."""
        return self.lab.hosts[self.target]


Blow = Callable[[Scene], None]


@dataclass(frozen=True)
class Fault:
    """``seconds``: how long it lasts, at least and at most. ``loses``: whether the guest may be gone afterwards, for nothing
    could save it; ``takes_host``: whether all that runs on the target may be. ``ends_daemon``: whether it may have to be
    started again. ``bars_journal``: whether nothing can become durable; ``says``: what the daemon's status has to say
    meanwhile, as a regular expression; ``must_say``: whether it cannot but notice, else it has to where something
    that it was asked for could not be written; ``patience``: for how many seconds longer it may last until that is said.
    ``hangs``: on which host somebody has to wait for its disk, else it found nothing to strike. ``is_aimed``: whether it
    strikes as the guest stands still between its hosts, instead of anywhere on its way. ``counts``: which of the
    daemon's counters has to rise by it, else it found nothing to strike."""

    name: str
    strike: Blow
    heal: Blow
    seconds: tuple[float, float]
    loses: bool = False
    takes_host: bool = False
    ends_daemon: bool = False
    bars_journal: bool = False
    says: str = ""
    must_say: bool = True
    patience: float = 45.0
    hangs: Callable[[Scene], LabHost] | None = None
    is_aimed: bool = False
    counts: str = ""


def _nothing(_: Scene) -> None:
    """There is nothing to heal: it ended something that ends by itself, or starts again by itself."""


def _start_daemon(scene: Scene) -> None:
    daemon = scene.stand.running()
    if not daemon.alive():
        daemon.start()


def _kill_daemon(scene: Scene) -> None:
    scene.stand.running().kill()


def _stop_daemon(scene: Scene) -> None:
    scene.stand.running().stop()


def _suspend_daemon(scene: Scene) -> None:
    scene.stand.signal(signal.SIGSTOP)


def _resume_daemon(scene: Scene) -> None:
    scene.stand.signal(signal.SIGCONT)


def _thaw_and_restart(scene: Scene) -> None:
    """What the docs ask for after a write that hung: it may still land, and only a new run knows whether it did."""
    scene.volume.thaw()
    scene.stand.running().stop()
    scene.stand.running().start()


def _fail_ahead(scene: Scene) -> None:
    """The migration fails under a clock that is ahead: what is noted of it lies in the future once that is put right."""
    scene.clock.step(AHEAD_SECONDS)
    scene.dst.kill_qemu(scene.guest.name)


def _put_clock_right(scene: Scene) -> None:
    scene.clock.step(0)


def _restart(host: LabHost) -> None:
    if host.libvirtd() is None:
        host.restart_libvirtd()


def _mend_and_restart(scene: Scene) -> None:
    """What is done about a file system that was found broken: nobody may have it open while it is checked."""
    scene.stand.running().stop()
    scene.volume.mend()
    scene.stand.running().start()


def _kill_agent(scene: Scene) -> None:
    scene.src.signal_agent(signal.SIGKILL)


def _foreign_move(scene: Scene) -> None:
    moving = {one["vm_name"] for one in scene.stand.running().open_migrations()}
    strangers.move_another(scene.lab, moving, scene.source, scene.target, scene.bystander)


def _undefine(scene: Scene) -> None:
    strangers.undefine_one(scene.lab, scene.guest, scene.source)


def _replay(scene: Scene) -> None:
    """Say again what hosts reported before each had some errors more, which were harmless, and are counted."""
    recorded = scene.replay.record(scene.lab.hosts)
    for host in scene.lab.hosts.values():
        host.fault("corrected", ERRORS)
    scene.replay.begin(recorded)


def _starve(scene: Scene) -> None:
    """Leave the source 8 Mbit/s, with delay and loss where this kernel knows how."""
    worse = (20.0, 1.0) if scene.src.link.has_netem() else ()
    scene.src.shape(8.0, *worse)


def _shape(scene: Scene) -> None:
    """Leave the target half of what the daemon reckons with, and nothing lost of it: more than one job takes."""
    scene.dst.shape(HALF_MBIT)


def _heal_source(scene: Scene) -> None:
    scene.src.heal()


def _heal_target(scene: Scene) -> None:
    scene.dst.heal()


def _continue(scene: Scene, host: str) -> None:
    with suppress(LabError):  # it may have ended meanwhile
        scene.lab.hosts[host].cont_qemu(scene.guest.name)


def _continue_agent(scene: Scene) -> None:
    scene.src.signal_agent(signal.SIGCONT)


ANYWHERE: tuple[Fault, ...] = (
    Fault("daemon killed", _kill_daemon, _start_daemon, (0.0, 4.0), ends_daemon=True),
    Fault("daemon stopped in order", _stop_daemon, _start_daemon, (0.0, 4.0), ends_daemon=True),
    Fault("daemon suspended", _suspend_daemon, _resume_daemon, (2.0, 8.0)),
    Fault("source libvirtd killed", lambda scene: scene.src.kill_libvirtd(), lambda scene: _restart(scene.src), (0.5, 6.0)),
    Fault("target libvirtd killed", lambda scene: scene.dst.kill_libvirtd(), lambda scene: _restart(scene.dst), (0.5, 6.0)),
    Fault("source libvirtd hangs", lambda scene: scene.src.hang_libvirtd(), lambda scene: scene.src.resume_libvirtd(),
          (2.0, 10.0)),
    Fault("target libvirtd hangs", lambda scene: scene.dst.hang_libvirtd(), lambda scene: scene.dst.resume_libvirtd(),
          (2.0, 10.0)),
    Fault("source QEMU killed", lambda scene: scene.src.kill_qemu(scene.guest.name), _nothing, (0.0, 0.0), loses=True),
    Fault("target QEMU killed", lambda scene: scene.dst.kill_qemu(scene.guest.name), _nothing, (0.0, 0.0)),
    Fault("source QEMU hangs", lambda scene: scene.src.stop_qemu(scene.guest.name),
          lambda scene: _continue(scene, scene.source), (1.0, 6.0)),
    Fault("target QEMU hangs", lambda scene: scene.dst.stop_qemu(scene.guest.name),
          lambda scene: _continue(scene, scene.target), (1.0, 6.0)),
    Fault("source cut off", lambda scene: scene.src.cut(), _heal_source, (5.0, 40.0)),
    Fault("target cut off", lambda scene: scene.dst.cut(), _heal_target, (5.0, 40.0)),
    Fault("source cut off further away", lambda scene: scene.src.cut_further(), _heal_source, (5.0, 40.0)),
    Fault("target cut off further away", lambda scene: scene.dst.cut_further(), _heal_target, (5.0, 40.0)),
    Fault("link shaped", _shape, lambda scene: scene.dst.unshape(), (5.0, 20.0)),
    Fault("link starved", _starve, lambda scene: scene.src.unshape(), (5.0, 15.0)),
    Fault("source's disk hangs", lambda scene: scene.lab.storage[scene.source].freeze(),
          lambda scene: scene.lab.storage[scene.source].thaw(), (6.0, 40.0), hangs=lambda scene: scene.src),
    Fault("target's disk hangs", lambda scene: scene.lab.storage[scene.target].freeze(),
          lambda scene: scene.lab.storage[scene.target].thaw(), (6.0, 40.0), hangs=lambda scene: scene.dst),
    Fault("agent killed", _kill_agent, lambda scene: scene.src.start_agent(), (1.0, 8.0)),
    Fault("agent stopped", lambda scene: scene.src.signal_agent(signal.SIGSTOP), _continue_agent, (4.0, 12.0)),
    Fault("telemetry replayed", _replay, lambda scene: scene.replay.end(),
          (4.0, 12.0), counts="inbox.folded.replayed"),
    Fault("broker killed", lambda scene: scene.lab.broker().kill(), lambda scene: scene.stand.rouse(), (1.0, 8.0)),
    Fault("broker hangs", lambda scene: scene.lab.broker().hang(), lambda scene: scene.lab.broker().resume(), (2.0, 8.0)),
    Fault("a stranger moves a guest", _foreign_move, _nothing, (0.0, 0.0)),
    Fault("a stranger stops the guest", lambda scene: strangers.destroy(scene.lab, scene.guest, scene.source), _nothing,
          (0.0, 0.0), loses=True),
    Fault("a stranger undefines the guest", _undefine, _nothing, (0.0, 0.0)),
    Fault("a stranger starts the guest again", lambda scene: strangers.start_twin(scene.lab, scene.guest, scene.bystander),
          _nothing, (0.0, 0.0), is_aimed=True),
    Fault("target loses power", lambda scene: scene.dst.power_off(), lambda scene: scene.dst.power_on(), (2.0, 8.0),
          takes_host=True),
    Fault("journal disk full", lambda scene: scene.volume.fill(), lambda scene: scene.volume.free(), (6.0, 20.0),
          bars_journal=True, says=CANNOT_WRITE, must_say=False),
    Fault("journal disk hangs", lambda scene: scene.volume.freeze(), lambda scene: scene.volume.thaw(), (6.0, 20.0),
          bars_journal=True, says="the journal has not answered", must_say=False, patience=8.0),
    Fault("journal disk hangs too long", lambda scene: scene.volume.freeze(), _thaw_and_restart, (32.0, 40.0),
          bars_journal=True, ends_daemon=True, says=f"{CANNOT_WRITE}.*a write hung.*restart the daemon"),
    Fault("journal disk turns read-only", lambda scene: scene.volume.refuse(), _mend_and_restart, (6.0, 20.0),
          bars_journal=True, ends_daemon=True, says=CANNOT_WRITE, must_say=False),
    Fault("clock leaps a day ahead", lambda scene: scene.clock.step(AHEAD_SECONDS), _put_clock_right, (3.0, 10.0),
          says=CLOCK_STEPPED),
    Fault("clock falls an hour back", lambda scene: scene.clock.step(BEHIND_SECONDS), _put_clock_right, (3.0, 10.0),
          says=CLOCK_STEPPED),
    Fault("clock ahead while it fails", _fail_ahead, _put_clock_right, (3.0, 10.0), says=CLOCK_STEPPED),
)
AIMED = ("daemon killed", "source libvirtd killed", "target libvirtd killed", "target libvirtd hangs", "source QEMU killed",
         "target QEMU killed", "source cut off", "target cut off", "target cut off further away")
"""What is also aimed: of all that can be hit there, what takes away one of those who have to agree on where the guest is."""
ARRIVED = "target QEMU killed"
"""It may be the guest's only one by then."""
FAULTS = (*ANYWHERE, *(replace(fault, name=f"{fault.name} at the switch-over", is_aimed=True,
                               loses=fault.loses or fault.name == ARRIVED) for fault in ANYWHERE if fault.name in AIMED))
BY_NAME = {fault.name: fault for fault in FAULTS}
