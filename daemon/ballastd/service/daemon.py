"""The daemon's life: replay, look, listen, step, stop. Composes tasks; the composition root composes objects."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from ballastd.core import events as ev
from ballastd.core.booking_clock import CLOCK_STEP_SECONDS
from ballastd.core.books import LedgerBroken
from ballastd.core.controller import Controller
from ballastd.core.inputs import (
    Answer,
    OperatorCommand,
    PoliciesReplaced,
    RivalSeen,
    SelfSuspect,
    TelemetryConnected,
    TelemetryLost,
    Verb,
)
from ballastd.core.ledger import Ledger
from ballastd.core.policies import ClusterDeclaration, PolicySet
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.reconciliation import told_again
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.summary import Summary
from ballastd.core.telemetry import AgentState
from ballastd.core.views import ClusterView, NoView
from ballastd.errors import ConfigurationError, DefinitionNotKept, JournalError, Unreachable
from ballastd.kernel.kernel import Kernel
from ballastd.kernel.record import CURE, Record
from ballastd.ports.hosts import ArrivalProbe, Hypervisor, Power
from ballastd.ports.keeping import Definitions, Journal, JournalRecord, KeptDefinition, Recording
from ballastd.ports.messages import Malformed, Notices, TelemetryDown, TelemetrySource, TelemetryUp
from ballastd.ports.running import Blocking, Calendar, Clock
from ballastd.service.asking import Asker
from ballastd.service.chores import NO_CHORES, Chores, ChoreTimes
from ballastd.service.control_loop import ControlLoop
from ballastd.service.executor import Executor, lately_lifted
from ballastd.service.inbox import Inbox
from ballastd.service.recorder import Recorder
from ballastd.service.watching import Watcher

log = structlog.get_logger("ballastd.daemon")

PULSE_SECONDS = 1.0
RECOMPILE_SECONDS = 6 * 3600.0
ABORT_ON_STOP_SECONDS = 20.0
CLAIM_LOOK_SECONDS = 1.0
CLAIM_ROUNDS = 30
FAREWELL_SECONDS = 2.0
POLICY_LANE, POLICY_SECONDS = "policies", 30.0

Work = Coroutine[Any, Any, None]


class PolicySource(Protocol):
    """Where policies come from."""

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """Return the policies, windows compiled from ``now_wall`` on, and warnings.

        Raises:
            ConfigurationError: they are wrong; what governs goes on governing.
        """
        ...


class Server(Protocol):
    """Something that serves until it is stopped: the local API."""

    async def serve(self) -> None:
        """Serve until ``stop``."""
        ...

    async def stop(self) -> None:
        """Stop serving."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the daemon is made of, behind ports."""

    cluster: ClusterDeclaration
    policies: PolicySource
    hypervisor: Hypervisor
    power: Power
    telemetry: TelemetrySource
    notices: Notices
    journal: Journal
    blocking: Blocking
    clock: Clock
    tell_supervisor: Callable[[str], object]
    holder: str = "ballastd"
    """Our name in the claim on the cluster; the same over restarts."""
    version: str = ""
    abort_on_stop: bool = False
    calendar: Calendar | None = None
    chores: ChoreTimes = NO_CHORES
    recording: Recording | None = None
    definitions: Definitions | None = None
    probe: ArrivalProbe | None = None


class Daemon:
    """Implements ``ports.Console``. ``run`` returns when asked to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._record = Record(parts.journal, parts.blocking)
        self._kernel = Kernel(parts.hypervisor, parts.power, parts.notices, self._record, parts.cluster, parts.clock,
                              definitions=parts.definitions)
        self._chores = Chores(self, self._record, parts.cluster, parts.clock, parts.notices,
                              lambda: self._controller.ledger if self._controller else Ledger(), parts.definitions)
        if parts.calendar is not None:
            self._chores.enter(parts.calendar, parts.chores)
        self._stop = asyncio.Event()
        self._controller: Controller | None = None
        self._loop: ControlLoop | None = None
        self._inbox: Inbox | None = None
        self._executor: Executor | None = None
        self._lifted: dict[HostName, float] = {}
        self._malformed: Counter[str] = Counter()
        self._late = 0
        self._clock_was_set = asyncio.Event()

    def view(self) -> ClusterView | None:
        """See ``ports.Console``."""
        return self._loop.view if self._loop else None

    def noes(self) -> tuple[NoView, ...]:
        """See ``ports.Console``."""
        return self._loop.noes if self._loop else ()

    def copy(self) -> ClusterCopy | None:
        """See ``ports.Console``."""
        return self._controller.copy(self._parts.clock.now()) if self._controller else None

    def machine(self, host: HostName) -> str:
        """Return the UUID of the machine that a host is, empty while nobody knows."""
        return self._controller.machine(host) if self._controller else ""

    async def command(self, command: OperatorCommand) -> Answer:
        """See ``ports.Console``."""
        if self._loop is None:
            return Answer(command.token, accepted=False, message="still starting")
        return await self._loop.command(command)

    async def journal(self, count: int) -> tuple[JournalRecord, ...]:
        """See ``ports.Console``."""
        return await self._record.tail(count)

    async def definition(self, vm: VmId) -> KeptDefinition | None:
        """See ``ports.Console``."""
        if self._parts.definitions is None:
            return None
        try:
            return await self._parts.definitions.kept(vm)
        except DefinitionNotKept as error:
            raise Unreachable(str(error)) from error

    async def summary(self) -> Summary:
        """See ``ports.Console``."""
        return await self._chores.summary()

    async def reload(self) -> tuple[bool, str]:
        """See ``ports.Console``."""
        wall = self._parts.clock.now().wall
        try:
            policies, warnings = await self._parts.blocking.run(
                POLICY_LANE, lambda: self._parts.policies.load(wall), deadline=POLICY_SECONDS)
        except Unreachable as error:
            log.error("policies could not be read in time; the old ones go on governing", reason=str(error))
            self._tell_refused(str(error), wall)
            return False, f"the old policies go on governing: {error}"
        except ConfigurationError as error:
            log.error("policies refused; the old ones go on governing", problems=error.problems)
            more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
            self._tell_refused(f"{error.problems[0]}{more}", wall)
            return False, "the old policies go on governing:\n" + "\n".join(error.problems)
        if self._inbox is not None:
            self._inbox.put(PoliciesReplaced(policies))
        log.info("policies loaded", digest=policies.digest[:12], warnings=warnings)
        return True, "\n".join((f"policies {policies.digest[:12]} govern from the next step on", *warnings))

    def _tell_refused(self, why: str, wall: float) -> None:
        """Tell whoever listens: who asked by a signal has no answer to read."""
        view = self.view()
        self._parts.notices.publish("notices", {
            "level": "alarm", "key": "policies", "text": f"new policies are refused, the old ones go on governing: {why}",
            "revision": 0 if view is None else view.revision, "at": wall})

    def counters(self) -> dict[str, float]:
        """See ``ports.Console``."""
        counts: dict[str, float] = {f"telemetry.{key}": n for key, n in sorted(self._parts.telemetry.counters().items())
                                    if not key.startswith("malformed.")}
        unused = Counter() if self._controller is None else self._controller.unused_reports
        counts |= {f"malformed.{key}": n for key, n in sorted((self._malformed + unused).items())}
        counts["calls.abandoned"] = self._parts.blocking.abandoned()
        counts["loop.late"] = self._late
        counts["migrations.begun"] = self._kernel.calls
        if self._loop is not None and self._inbox is not None:
            counts["steps"] = self._loop.steps
            counts["steps.rejected"] = self._loop.rejected
            counts["journal.wait"] = self._loop.journal_wait()
            counts |= {f"migrations.ended.{ending}": n for ending, n in sorted(self._loop.ended.items())}
            counts |= {f"shutdowns.{ending}": n for ending, n in sorted(self._loop.shutdowns.items())}
            counts |= {f"arrivals.{arrival}": n for arrival, n in sorted(self._loop.arrivals.items())}
            counts |= {f"inbox.folded.{kind}": n for kind, n in sorted(self._inbox.dropped.items())}
        return counts

    def stop(self) -> None:
        """Ask for an orderly stop: no new orders, running migrations go on, state is durable."""
        self._stop.set()

    async def run(self, server: Server | None = None) -> None:
        """Run until ``stop``. Signals are wired by ``wire_signals``.

        Raises:
            JournalError: the journal cannot be opened at all.
        """
        async with AsyncExitStack() as closing:
            controller = await self._wake_up()
            closing.push_async_callback(self._close)
            loop, tasks = self._compose(controller)
            self._loop = loop
            try:
                async with asyncio.TaskGroup() as group:
                    await self._parts.hypervisor.start()
                    if self._parts.calendar is not None:
                        self._parts.calendar.start()
                        closing.callback(self._parts.calendar.stop)
                    running = [group.create_task(work, name=name) for name, work in tasks.items()]
                    if server is not None:
                        running.append(group.create_task(server.serve(), name="api"))
                    self._parts.tell_supervisor("READY=1")
                    log.info("running", hosts=len(self._parts.cluster.hosts), open_migrations=len(
                        controller.ledger.migrations))
                    await self._stop.wait()
                    self._parts.tell_supervisor("STOPPING=1")
                    await self._wind_down(server)
                    for task in running:
                        task.cancel()
            finally:
                log.info("stopped", open_migrations=len(controller.ledger.migrations))

    async def _wake_up(self) -> Controller:
        """Replay the journal into a ledger; on damage observe only, with what could be read."""
        health = await self._record.open()
        events, revision, unread = await self._record.replay()
        ledger = Ledger()
        doubts = [text for text in (health.damage and f"journal damaged: {health.damage}",
                                    unread and f"journal not known whole: {unread}") if text]
        try:
            ledger.replay(events)
        except LedgerBroken as error:
            doubts.append(f"journal contradicts itself: {health.place}: {error}; {CURE}")
            self._record.seal(doubts[-1])
        now = self._parts.clock.now()
        policies, warnings = self._parts.policies.load(now.wall)
        for warning in warnings:
            log.warning("policy", warning=warning)
        controller = Controller(self._parts.cluster, policies, ledger, now, revision, self._parts.version,
                                told_again(events, ledger, now.wall))
        for doubt in doubts:
            log.error("the journal is in doubt: observing only", reason=doubt)
            controller.observe_only(doubt)
        self._chores.journal_doubted = bool(doubts)
        self._lifted = {} if doubts else lately_lifted(events, now.wall)
        self._record.replayed(events)
        self._kernel.remember(ledger)
        for migration in ledger.open_migrations():
            if migration.holds_slot:
                self._kernel.adopt(migration)
            log.warning("open migration found in the journal; asking the hosts", migration=migration.id,
                        vm=migration.vm_name, source=migration.source, target=migration.target)
        if ledger.paused is not None:
            self._kernel.pause(f"paused by {ledger.paused.by}")
        log.info("journal replayed", records=len(events), head=health.head, revision=revision)
        self._controller = controller
        return controller

    def _compose(self, controller: Controller) -> tuple[ControlLoop, dict[str, Work]]:
        parts = self._parts
        inbox = Inbox(controller.is_urgent)
        self._inbox = inbox
        watcher = Watcher(parts.hypervisor, parts.power, inbox, parts.clock, parts.cluster.timing, lambda: controller.ledger)
        executor = self._executor = Executor(self._kernel, inbox, parts.clock, watcher.ask_power_soon,
                                             Asker(parts.probe, inbox, parts.clock), self._lifted, controller.closed_until)
        loop = ControlLoop(controller, inbox, self._record, self._kernel, executor, parts.clock,
                           parts.cluster.timing, parts.notices, self._alive,
                           None if parts.recording is None else Recorder(parts.cluster, parts.recording))
        tasks: dict[str, Work] = {
            "loop": loop.run(), "telemetry": self._listen(inbox), "hints": watcher.follow_hints(),
            "progress": watcher.follow_progress(), "pulse": self._feel_pulse(inbox),
            "windows": self._keep_windows_ahead(), "noes": self._chores.watch_noes(),
            "notices": parts.notices.run(), "claim": self._hold_claim(inbox),
        }
        if parts.recording is not None:
            tasks["recording"] = parts.recording.run()
        tasks |= {f"host-{host.name}": watcher.watch_host(host.name) for host in parts.cluster.hosts}
        tasks |= {f"power-{host.name}": watcher.follow_power(host.name) for host in parts.cluster.hosts if host.power}
        return loop, tasks

    def _alive(self, status: str) -> None:
        self._parts.tell_supervisor(f"WATCHDOG=1\nSTATUS={status}")

    async def _listen(self, inbox: Inbox) -> None:
        """Bring telemetry into the inbox, for ever; count what is malformed, per host and reason."""
        async for item in self._parts.telemetry.items():
            match item:
                case Malformed():
                    key = f"{item.host or 'undeclared'}.{item.reason}"
                    self._malformed[key] += 1
                    if self._malformed[key] == 1:
                        log.warning("malformed telemetry; further ones are only counted", host=item.host,
                                    reason=item.reason)
                case TelemetryUp():
                    log.info("broker reached")
                    inbox.put(TelemetryConnected(item.at))
                case TelemetryDown():
                    log.warning("broker lost", reason=item.reason)
                    inbox.put(TelemetryLost(item.at, item.reason))
                case AgentState():
                    self._kernel.hear(item)
                    inbox.put(item)
                case _:
                    inbox.put(item)

    async def _feel_pulse(self, inbox: Inbox) -> None:
        """Notice our own lag, a suspension, or a step of the wall clock: then we are the suspect."""
        last = self._parts.clock.now()
        lag_max = self._parts.cluster.timing.lag_max
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            now = self._parts.clock.now()
            if _stepped(last, now):
                self._clock_was_set.set()
            doubt = _doubt(last, now, lag_max)
            if doubt:
                self._late += 1
                log.warning("suspecting ourselves", reason=doubt)
                self._kernel.doubt(doubt)
                inbox.put(SelfSuspect(now, doubt))
            last = now

    async def _hold_claim(self, inbox: Inbox) -> None:
        """Say that this cluster is ours, and notice when somebody else says so, for ever."""
        known: str | None = None
        while True:
            self._parts.notices.claim(self._parts.holder)
            for _ in range(CLAIM_ROUNDS):
                name = self._parts.notices.rival_name()
                if name != known:
                    known = name
                    if name is not None:
                        self._kernel.doubt(f"another daemon ({name}) claims this cluster")
                    inbox.put(RivalSeen(self._parts.clock.now(), name))
                await asyncio.sleep(CLAIM_LOOK_SECONDS)

    async def _keep_windows_ahead(self) -> None:
        """Compile the policies' windows anew well before their horizon, and once the clock by which they were was set, for
        ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECOMPILE_SECONDS):
                    await self._clock_was_set.wait()
            self._clock_was_set.clear()
            await self.reload()

    async def _wind_down(self, server: Server | None) -> None:
        """No new orders from here on. Running jobs go on, or are aborted where the settings say so."""
        self._kernel.hold("stopping")
        if server is not None:
            await server.stop()
        try:
            await self._record.append(0, (ev.DaemonStopped(self._parts.clock.now().wall),))
        except JournalError as error:
            log.error("the stop could not be recorded", reason=str(error))
        if self._parts.abort_on_stop:
            await self._abort_running()
        self._parts.notices.release()
        await self._parts.notices.flush(FAREWELL_SECONDS)

    async def _abort_running(self) -> None:
        """Have what runs called off, where the settings ask for it; the next start reads off the hosts how it ended. The
        mind books it: a record written past it could follow one that closed the books of the same migration."""
        ledger = self._controller.ledger if self._controller else Ledger()
        running = [m for m in ledger.open_migrations() if m.holds_slot and not m.post_copy_because]
        try:
            async with asyncio.timeout(ABORT_ON_STOP_SECONDS):
                answers = await asyncio.gather(*(self.command(OperatorCommand(
                    f"stop-{m.id}", Verb.ABORT, m.id, "the stop of the daemon", "its settings say abort")) for m in running))
                for answer in answers:
                    log.info("stop", accepted=answer.accepted, message=answer.message)
                if self._executor is not None:
                    await self._executor.deliver_aborts()
        except TimeoutError:
            log.error("not all aborts arrived in time: those migrations go on", seconds=ABORT_ON_STOP_SECONDS)

    async def _close(self) -> None:
        if self._executor is not None:
            await self._executor.detach()
        await self._parts.hypervisor.close()
        await self._parts.power.close()
        await self._record.close()
        await self._parts.blocking.close()

    def wire_signals(self) -> None:
        """SIGTERM and SIGINT stop in order; SIGHUP loads the policies again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: setattr(self, "_reloading", loop.create_task(self.reload())))


def _doubt(last: Instant, now: Instant, lag_max: float) -> str | None:
    passed = now.monotonic - last.monotonic
    if passed > PULSE_SECONDS + lag_max:
        return f"our loop stood still for {passed - PULSE_SECONDS:.1f} s"
    if by := _stepped(last, now):
        return f"the wall clock stepped by {by:+.1f} s"
    return None


def _stepped(last: Instant, now: Instant) -> float:
    """Return by how much the wall clock was set from one to the other, seconds; 0 where it was not."""
    by = (now.wall - last.wall) - (now.monotonic - last.monotonic)
    return by if abs(by) > CLOCK_STEP_SECONDS else 0.0
