"""A daemon on a pretend cluster: started, killed and started again while the cluster lives on, and watched throughout."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks
from ballastd.core.events import to_record
from ballastd.core.inputs import Answer, OperatorCommand, Verb
from ballastd.core.policies import PolicySet, Timing
from ballastd.core.rehearsed import Violation
from ballastd.core.saved_cluster import SavedCluster
from ballastd.errors import BallastdError, ConfigurationError
from ballastd.ports.keeping import Recording
from ballastd.rehearsal.history import switched_off
from ballastd.service.daemon import Daemon, Parts, PolicySource
from ballastd.sim.checkers import CHECKERS, Checker
from ballastd.sim.crashing import CrashPoints
from ballastd.sim.happenings import happen
from ballastd.sim.lives import (
    Killed,
    Life,
    LivingHypervisor,
    LivingJournal,
    LivingNotices,
    LivingPower,
    LivingProbe,
    LivingTelemetry,
)
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL, VirtualClock, VirtualTimeLoop
from ballastd.sim.world import World

log = structlog.get_logger("ballastd.rehearsal")
T = TypeVar("T")

TOLD_MAX = 1000
DOWN_SECONDS = 3.0
"""How long a supervisor takes to start a daemon that died."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is rehearsed. ``policies``: where the daemon loads them from. ``acts``: what happens, sorted by time.
    ``crash_at``: the number of the await at which the daemon is killed, None for none. ``wakeable``: whether every host
    with power counts as proved to wake from the start. ``recording``: where the daemon's diary goes, None for none.
    ``arrival_checks``: how VMs may be asked whether they answer."""

    cluster: SavedCluster
    policies: PolicySource
    timing: Timing = Timing()
    acts: tuple[Act, ...] = ()
    seed: int = 0
    begins_wall: float = DEFAULT_EPOCH_WALL
    wakeable: bool = True
    crash_at: tuple[int, ...] = ()
    checkers: Sequence[type[Checker]] = field(default=CHECKERS)
    recording: Recording | None = None
    arrival_checks: AllowedChecks = NOTHING_ALLOWED
    abort_on_stop: bool = False


class _Policies:
    """Loads policies for a daemon, and tells the world what governs."""

    def __init__(self, source: PolicySource) -> None:
        self._source = source
        self._first: tuple[float, tuple[PolicySet, tuple[str, ...]]] | None = None
        self.world: World | None = None

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """See ``service.daemon.PolicySource``. What the world begins with the first daemon loads in the same instant."""
        first, self._first = self._first, None
        policies, warnings = first[1] if first is not None and first[0] == now_wall else self._source.load(now_wall)
        if self.world is not None:
            self.world.policies = policies
        else:
            self._first = now_wall, (policies, warnings)
        return policies, warnings


class Stage:
    """Everything of one rehearsal. To be made and used inside ``perform``."""

    def __init__(self, setting: Setting, points: CrashPoints) -> None:
        self.setting = setting
        self.points = points
        self.clock = VirtualClock(setting.begins_wall)
        self._source = _Policies(setting.policies)
        declared = replace(setting.cluster.declaration(setting.timing), arrival_checks=setting.arrival_checks)
        policies, self.warnings = self._source.load(setting.begins_wall)
        self.world = World(setting.cluster, self.clock, declared, policies, setting.seed, step_wall=self.clock.step_wall)
        self._source.world = self.world
        self.checkers = [kind(self.world) for kind in setting.checkers]
        self.world.watchers.extend(self.checkers)
        self.daemon: Daemon | None = None
        self.lives = 0
        self.told: deque[tuple[float, str]] = deque(maxlen=TOLD_MAX)
        """What the supervisor heard last, and when."""
        self.adopted: list[int] = []
        """How many migrations each daemon after the first found open in the journal."""
        self._life = Life(self.world)
        self._running: asyncio.Task[None] | None = None
        self._to_come = deque(setting.acts)
        self._wishes: set[asyncio.Task[None]] = set()
        self._ambush: Act | None = None
        self.world.ordering = self._spring

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What the checkers found so far, in the order of time."""
        found = [violation for checker in self.checkers for violation in checker.violations]
        return tuple(sorted(found, key=lambda violation: (violation.at, violation.rule)))

    def start(self) -> None:
        """Start a daemon on what is there."""
        assert self.daemon is None, "the journal is one daemon's"
        world, self._life = self.world, Life(self.world)
        life = self._life
        self.lives += 1
        if self.lives > 1:
            self.adopted.append(_open_orders(world))
        world.begin_life()
        self.daemon = Daemon(Parts(
            cluster=world.declared, policies=self._source, hypervisor=LivingHypervisor(life, world.hypervisor),
            power=LivingPower(life, world.power), telemetry=LivingTelemetry(life, world.agents),
            notices=LivingNotices(life, world.notices), journal=LivingJournal(life, world.journal), blocking=world.lanes,
            clock=self.clock, tell_supervisor=self._heed, recording=self.setting.recording,
            probe=LivingProbe(life, world.probe), abort_on_stop=self.setting.abort_on_stop))
        self._running = asyncio.ensure_future(self.daemon.run())
        self._running.add_done_callback(partial(self._ended, life))

    def _heed(self, state: str) -> None:
        self.told.append((self.clock.now().monotonic, state))

    def _ended(self, life: Life, run: asyncio.Task[None]) -> None:
        """A daemon that ends by itself, unasked, is a mistake of ours: it is shown, not swallowed."""
        if not run.cancelled() and (error := run.exception()) is not None and not life.is_over:
            self.world.trace.say(f"! the daemon ended: {type(error).__name__}: {error}")
            self.checkers[0].complain(f"the daemon ended: {error!r}")

    def kill(self) -> None:
        """Kill the daemon where it stands: nothing is said, nothing is closed; jobs go on."""
        self._life.end()
        self.world.notices.forget_unsent()
        if self._running is not None:
            # not at once: whoever kills may be the daemon itself, at one of its crash points
            asyncio.get_running_loop().call_soon(self._running.cancel)
        self.daemon = None

    async def bury(self) -> None:
        """Kill it for good, and wait until nothing of it runs."""
        self.kill()
        if self._running is not None:
            await asyncio.wait([self._running])

    def crash(self, seconds: float) -> None:
        """Kill it, and start another after ``seconds``; one that is down already comes back as it was going to."""
        if self.daemon is None:
            return
        self.world.trace.say("> the daemon is killed")
        self.kill()
        asyncio.get_running_loop().call_later(seconds, self.start)

    def _spring(self) -> None:
        """A migration was ordered: kill the daemon soon, where it was to be."""
        act, self._ambush = self._ambush, None
        if act is not None:
            down = DOWN_SECONDS if act.seconds is None else act.seconds
            asyncio.get_running_loop().call_later(act.value or 0.0, self.crash, down)

    async def stop(self, seconds: float) -> None:
        """Stop it in order, and start another after ``seconds``; one that is down already, or is killed while it stops,
        comes back as it was going to."""
        life = self._life
        if self.daemon is None or self._running is None:
            return
        self.daemon.stop()
        await asyncio.wait([self._running])
        if life.is_over:
            return
        life.end()
        self.daemon = None
        asyncio.get_running_loop().call_later(seconds, self.start)

    async def say(self, verb: Verb, subject: str = "") -> Answer:
        """Say something as an operator; refused while no daemon runs."""
        if self.daemon is None:
            return Answer("", accepted=False, message="no daemon runs")
        return await self.daemon.command(OperatorCommand(f"{self.clock.now().monotonic}-{verb.value}-{subject}", verb,
                                                         subject, "operator"))

    def act(self, act: Act) -> None:
        """Have one thing happen now."""
        if happen(self.world, act):
            return
        match act.do:
            case "crash":
                self.crash(DOWN_SECONDS if act.seconds is None else act.seconds)
            case "ambush":
                self._ambush = act
            case "stop-daemon":
                self._spawn(self.stop(DOWN_SECONDS if act.seconds is None else act.seconds))
            case "suspend":
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualTimeLoop)
                loop.jump(act.seconds or 0.0)
            case "operator":
                self._spawn(self._obey(Verb(act.word), act.host))
            case "approve" | "reject":
                self._spawn(self._obey(Verb(f"{act.do}-all-of"), act.word))
            case "promote":
                self._spawn(self._obey(Verb.PROMOTE, act.word))
            case _:
                raise ConfigurationError((f"at {act.at:g} s: {act.do}: nobody knows how to do that",))

    async def _obey(self, verb: Verb, subject: str) -> None:
        answer = await self.say(verb, subject)
        if not answer.accepted:
            self.world.trace.say(f"! refused: {verb.value} {subject}: {answer.message}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._wishes.add(task)
        task.add_done_callback(self._wishes.discard)

    async def play(self, until: float, tick: Callable[[Stage], None] = lambda _: None, every: float = 60.0) -> None:
        """Let time pass until so many seconds after the beginning, with everything that is to happen in them; call
        ``tick`` now and then. May be called again to go on."""
        next_tick = self.clock.now().monotonic
        while True:
            now = self.clock.now().monotonic
            while self._to_come and self._to_come[0].at <= now:
                self.act(self._to_come.popleft())
            if now >= next_tick:
                tick(self)
                next_tick += every
            if now >= until:
                return
            next_act = self._to_come[0].at if self._to_come else until
            await asyncio.sleep(max(0.0, min(until, next_tick, next_act) - now))

    def begin(self, *, starts: bool) -> None:
        """Bring the cluster to life, and a daemon where it ``starts``; vouch for hosts that can be woken."""
        self._spawn(self.world.live())
        for checker in self.checkers:
            checker.begin()
        if not starts:
            return
        self._remember()
        self.start()
        if self.setting.wakeable:
            self._spawn(self._vouch())

    def _remember(self) -> None:
        """Have the journal know of the hosts that are off as it begins."""
        events = tuple(switched_off(self.setting.cluster, self.setting.begins_wall))
        if events:
            self.world.journal.open()
            self.world.journal.append(0, [to_record(event) for event in events])

    async def _vouch(self) -> None:
        await asyncio.sleep(1.0)
        for host in self.setting.cluster.hosts:
            if host.declared.power and host.is_on:
                await self.say(Verb.CONFIRM_WAKEABLE, host.name)

    def end(self) -> None:
        """It is over: checkers look once more."""
        for checker in self.checkers:
            checker.finish()


def _open_orders(world: World) -> int:
    """Return how many migrations the journal knows to be ordered, and not how they ended."""
    contents = [record.content for record in world.journal.records]
    settled = {content["id"] for content in contents if content["kind"] == "MigrationSettled"}
    return sum(1 for content in contents if content["kind"] == "MigrationOrdered" and content["id"] not in settled)


def _but_for_the_dead(loop: asyncio.AbstractEventLoop, trouble: dict[str, Any]) -> None:
    """Tell of what nobody waits for, but not that calls of a daemon which was killed came to nothing."""
    if not isinstance(trouble.get("exception"), Killed):
        loop.default_exception_handler(trouble)


def perform(setting: Setting, story: Callable[[Stage], Coroutine[Any, Any, T]], *, starts: bool = True) -> tuple[T, Stage]:
    """Run ``story`` on a stage, on virtual time; return what it returns, and the stage. ``starts``: whether the daemon
    runs from the beginning; else the story starts it.

    Raises:
        BallastdError: the setting cannot be used.
    """
    made: list[Stage] = []

    async def live() -> T:
        points = CrashPoints(setting.crash_at, lambda: made[0].crash(DOWN_SECONDS), lambda: made[0].daemon is None)
        asyncio.get_running_loop().set_task_factory(points.task_factory)
        asyncio.get_running_loop().set_exception_handler(_but_for_the_dead)
        stage = Stage(setting, points)
        made.append(stage)
        stage.begin(starts=starts)
        result = await story(stage)
        stage.end()
        await stage.bury()
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        try:
            result = runner.run(live())
        except* BallastdError as group:
            raise group.exceptions[0] from None
    return result, made[0]
