"""The only caller of the controller: drain, step, journal, advance, act. One task, one direction."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import structlog

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Answer, OperatorCommand, Verb
from ballastd.core.migrations import HOLDS_SLOT
from ballastd.core.notices import Notice
from ballastd.core.plain import to_plain
from ballastd.core.policies import Timing
from ballastd.core.portrait import Portrait
from ballastd.core.views import ClusterView, NoView
from ballastd.errors import JournalError
from ballastd.kernel.kernel import Kernel
from ballastd.kernel.record import Record
from ballastd.ports.messages import Notices
from ballastd.ports.running import Clock
from ballastd.service.executor import Executor
from ballastd.service.inbox import Inbox
from ballastd.service.recorder import Recorder

log = structlog.get_logger("ballastd.loop")

CALM_SECONDS = 0.5
"""How long news that is not urgent waits for more of its kind while something is under way, or held up."""
QUIET_SECONDS = 10.0
"""How long it waits while nothing is: as long as it takes until everybody was looked at and has reported once."""
COMMAND_SECONDS = 35.0
SLOW_WRITE_SECONDS = 2.0
"""A write to the journal that takes longer is told of."""
ALIVE_SECONDS = 10.0
"""A step is taken at least this often, whatever the pace: the supervisor's watchdog hears of every one."""


class ControlLoop:
    """Steps the mind for as long as the daemon runs, and answers operators."""

    def __init__(self, controller: Controller, inbox: Inbox, record: Record, kernel: Kernel, executor: Executor,
                 clock: Clock, timing: Timing, notices: Notices, alive: Callable[[str], None],
                 recorder: Recorder | None = None) -> None:
        self._controller = controller
        self._inbox = inbox
        self._record = record
        self._kernel = kernel
        self._executor = executor
        self._clock = clock
        self._timing = timing
        self._notices = notices
        self._alive = alive
        self._recorder = recorder
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._wake_at: float | None = None
        self._posture = ""
        self._portrait: Portrait | None = None
        self._writing_since: float | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._pause: OperatorCommand | None = None
        """A pause that could not be written: it is asked for again with every step, until it is."""
        self._told_undurable: set[str] = set()
        """The keys of the alarms that were told while the journal refuses."""
        self._mistake, self._mistake_recorded = "", False
        """What went wrong in the mind last: it may do so in every step, and is told and recorded once."""
        self.steps = 0
        self.rejected = 0
        self.ended: Counter[str] = Counter()
        """Migrations settled by this run, by ending."""
        self.arrivals: Counter[str] = Counter()
        """What came of asking VMs that arrived whether they answer."""
        self.shutdowns: Counter[str] = Counter()
        """What became of guests that were asked to shut down."""

    @property
    def view(self) -> ClusterView | None:
        """The view of the last step, None before the first: drawn when somebody looks."""
        shown = None if self._portrait is None else self._portrait.view
        if shown is None or self.journal_wait() < SLOW_WRITE_SECONDS:
            return shown
        return replace(shown, notes=(self._waits_for_journal(), *shown.notes))

    @property
    def noes(self) -> tuple[NoView, ...]:
        """What the last step refused or put off, without drawing all the rest."""
        return () if self._portrait is None else self._portrait.noes

    def journal_wait(self) -> float:
        """Return for how many seconds a write to the journal is being waited for; 0 while none is."""
        return 0.0 if self._writing_since is None else self._clock.now().monotonic - self._writing_since

    def _waits_for_journal(self) -> str:
        return f"the journal has not answered for {self.journal_wait():.0f} s: nothing is decided or started until it does"

    async def run(self) -> None:
        """Step for ever."""
        while True:
            await self.turn()
            await self._inbox.wait(self._until_routine(), self._calm())

    def _calm(self) -> float:
        ledger = self._controller.ledger
        under_way = (ledger.migrations or ledger.arrivals or ledger.evacuating or ledger.drains or ledger.switching()
                     or ledger.shutdowns.hosts())
        return CALM_SECONDS if under_way or self._is_held_up() else QUIET_SECONDS

    def _is_held_up(self) -> bool:
        """Whether moves wait for something that nobody can tell the end of: then its end is not to be missed."""
        shown = self._portrait
        return shown is not None and bool(shown.plan.moves) and any(gate.until_wall is None for gate in shown.gates)

    def _until_routine(self) -> float:
        routine = min(float(self._timing.pace), ALIVE_SECONDS)
        if self._wake_at is None:
            return routine
        return max(0.01, min(routine, self._wake_at - self._clock.now().monotonic))

    async def turn(self) -> None:
        """Take one step with all that waits, and carry it out once it is durable."""
        heard = self._inbox.drain()
        inputs = heard if self._pause is None else (self._pause, *heard)
        if self._recorder is not None:
            books = self._controller.ledger
            self._recorder.note(heard, books.standing_by(), books.shutdowns.down(), self._clock.now())
        try:
            decision = self._controller.step(inputs, self._clock.now())
        except Exception as error:
            # our own mistake: nothing of this step is done, and nothing more is started until a person looks
            log.exception("the mind failed; observing only from now on")
            await self._own_mistake(error, inputs)
            return
        self.steps += 1
        # what is so is so whether or not it can be written: nothing that is on its way slips through meanwhile
        self._kernel.clear(decision.clearance)
        try:
            if decision.events:
                await self._write(decision.revision, decision.events)
        except JournalError as error:
            self._rejected(decision, inputs, str(error))
            return
        self._controller.advance(decision.revision)
        self._pause = None
        self._follow(decision)

    async def _write(self, revision: int, events: tuple[ev.Event, ...]) -> None:
        """Make what was decided durable. The disk may take longer for it than the supervisor's watchdog waits for a step."""
        self._writing_since = self._clock.now().monotonic
        self._tell_later()
        try:
            await self._record.append(revision, events)
        finally:
            if self._telling is not None:
                self._telling.cancel()
            self._writing_since = self._telling = None

    def _tell_later(self) -> None:
        self._telling = asyncio.get_running_loop().call_later(ALIVE_SECONDS, self._tell_waiting)

    def _tell_waiting(self) -> None:
        log.warning("the journal does not answer", seconds=round(self.journal_wait(), 1))
        self._alive(f"{self._posture}; {self._waits_for_journal()}")
        self._tell_later()

    def _follow(self, decision: Decision) -> None:
        self._pause_or_resume(decision)
        for event in decision.events:
            match event:
                case ev.MigrationSettled():
                    self.ended[event.ending.value] += 1
                    self._kernel.release(event.id)
                case ev.ArrivalChecked():
                    self.arrivals[event.arrival.value] += 1
                case sh.ShutdownEnded():
                    self.shutdowns[event.ending.value] += 1
                case ev.MigrationMoved() if event.phase not in HOLDS_SLOT:
                    self._kernel.release(event.id)
                case ev.MigrationMoved() if event.id in self._controller.ledger.migrations:
                    self._kernel.adopt(self._controller.ledger.migrations[event.id])
                case pw.HostAwake() | pw.HostKept():
                    self._kernel.seen_on(event.host)
                case _:
                    pass
        self._executor.carry_out(decision)
        self._show(decision)

    def _pause_or_resume(self, decision: Decision) -> None:
        """The kernel has the last word on pause: nothing ordered before it slips through behind it."""
        paused = self._controller.ledger.paused
        if paused is not None:
            self._kernel.pause(f"paused by {paused.by}")
        elif any(isinstance(event, ev.Resumed) for event in decision.events):
            self._kernel.resume()

    def _show(self, decision: Decision) -> None:
        self._portrait = decision.portrait
        self._wake_at = decision.wake_at
        for answer in decision.answers:
            self._answer(answer)
        for event in decision.events:
            log.info(type(event).__name__, revision=decision.revision, **_fields(event))
        told, self._told_undurable = self._told_undurable, set()
        if told:
            self._tell(Notice("info", "journal", "the journal can be written again"), decision.revision)
        for notice in decision.notices:
            if notice.level != "alarm" or notice.key not in told:
                self._tell(notice, decision.revision)
        if decision.portrait.posture != self._posture:
            self._posture = decision.portrait.posture
            reason = decision.portrait.gates[0].reason if decision.portrait.gates else ""
            log.info("posture", posture=self._posture, reason=reason)
        open_count = len(self._controller.ledger.migrations)
        self._alive(f"{self._posture}; {open_count} migration(s) open; revision {decision.revision}")

    def _tell(self, notice: Notice, revision: int) -> None:
        write = log.error if notice.level == "alarm" else log.warning
        write(notice.text, notice=notice.key, level_of_notice=notice.level)
        self._notices.publish("notices", {"level": notice.level, "key": notice.key, "text": notice.text,
                                          "revision": revision, "at": self._clock.now().wall})

    def _rejected(self, decision: Decision, inputs: tuple[object, ...], reason: str) -> None:
        """Not durable: drop the decision, tell who asked, and let a pause and alarms through all the same.

        An alarm is about what is, not about what was decided; the same one comes with every step, and is told once."""
        self.rejected += 1
        self._controller.reject(decision.revision, reason)
        # it is so at every step while a disk is full: said once, and counted
        write = log.debug if "journal" in self._told_undurable else log.error
        write("the journal refused; nothing is started", revision=decision.revision, reason=reason)
        refused = Notice("alarm", "journal", f"the journal cannot be written, so nothing is started: {reason}")
        for notice in (refused, *decision.notices):
            if notice.level == "alarm" and notice.key not in self._told_undurable:
                self._told_undurable.add(notice.key)
                self._tell(notice, decision.revision)
        for one in inputs:
            if isinstance(one, OperatorCommand):
                said = f"not recorded, so not done: {reason}"
                if one.verb is Verb.PAUSE:
                    self._pause = self._pause or one
                    self._kernel.pause(f"paused by {one.by} (not durable: {reason})")
                    said = f"not recorded yet, nothing starts all the same; it is once the journal can be written: {reason}"
                self._answer(Answer(one.token, accepted=False, message=said))
        self._portrait = decision.portrait
        self._wake_at = self._clock.now().monotonic + 1.0
        self._alive(f"observing: the journal cannot be written: {reason}")

    async def _own_mistake(self, error: Exception, inputs: tuple[object, ...]) -> None:
        self._controller.observe_only(f"{type(error).__name__}: {error}")
        for one in inputs:
            if isinstance(one, OperatorCommand):
                self._answer(Answer(one.token, accepted=False, message="an internal error; observing only"))
        self._kernel.hold("an internal error; observing only")
        mistake = f"{type(error).__name__}: {error}"
        if mistake != self._mistake:
            self._mistake, self._mistake_recorded = mistake, False
            self._tell(Notice("alarm", "invariant", f"an internal error; nothing is started until the daemon is restarted: "
                              f"{mistake}"), self._controller.revision)
        if not self._mistake_recorded:
            try:
                await self._write(0, (ev.InvariantFailed(self._clock.now().wall, mistake),))
                self._mistake_recorded = True
            except JournalError as trouble:
                log.error("the journal refused as well", reason=str(trouble))
        self._wake_at = self._clock.now().monotonic + 1.0
        self._alive("observing: an internal error")

    def _answer(self, answer: Answer) -> None:
        waiting = self._waiting.pop(answer.token, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def command(self, command: OperatorCommand) -> Answer:
        """Hand a command to the next step; return its answer once it is durable or refused."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[command.token] = future
        if not self._inbox.put(command):
            del self._waiting[command.token]
            return Answer(command.token, accepted=False, message="too many commands are waiting; try again")
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                return await future
        except TimeoutError:
            self._waiting.pop(command.token, None)
            return Answer(command.token, accepted=False, message="no answer in time; look at the journal before "
                                                                 "asking again")


def _fields(event: ev.Event) -> dict[str, object]:
    return {key: value for key, value in to_plain(event).items() if key not in ("wall", "state")}
