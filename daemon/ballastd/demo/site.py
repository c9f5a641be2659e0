"""A site that lives in a thread of its own: pretend hosts and agents, a real broker, the unmodified daemon and its API."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ballastd import __version__
from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.journal import SqliteJournal
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.publisher import MqttNotices
from ballastd.adapters.mqtt.telemetry import MqttTelemetry
from ballastd.adapters.recording import FileRecording
from ballastd.core.acts import Act
from ballastd.core.policies import PolicySet, Timing
from ballastd.core.rehearsed import Violation
from ballastd.core.saved_cluster import SavedCluster
from ballastd.demo.broker import HOST, EmbeddedBroker
from ballastd.demo.trails import Trails
from ballastd.demo.wires import Wires
from ballastd.documents.policy_files import PolicyFiles
from ballastd.service.daemon import Daemon, Parts
from ballastd.sim.checkers import CHECKERS, Checker
from ballastd.sim.happenings import happen
from ballastd.sim.lives import Life, LivingHypervisor, LivingJournal, LivingNotices, LivingPower, LivingTelemetry
from ballastd.sim.world import World
from ballastd.web.app import create_app
from ballastd.web.server import ApiServer

log = structlog.get_logger("ballastd.demo")
T = TypeVar("T")

START_SECONDS = 30.0
STOP_SECONDS = 30.0
REPORT_SECONDS = 2.0
KEEP_SECONDS = 14 * 86400.0
"""Of recordings, as in production."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The pretend cluster as it is. ``hosts``: per host the VMs that run there. ``off``: hosts without power.
    ``copies_max``: the most copies of one VM that ever ran at once, in ``looks`` looks."""

    hosts: dict[str, tuple[str, ...]]
    off: frozenset[str]
    trails: dict[str, tuple[str, ...]]
    copies_max: int
    looks: int
    violations: tuple[Violation, ...]


class _Policies:
    """Policies from the demo's file; the checkers are told what governs."""

    def __init__(self, files: PolicyFiles) -> None:
        self._files = files
        self.world: World | None = None

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """See ``service.daemon.PolicySource``."""
        policies, warnings = self._files.load(now_wall)
        if self.world is not None:
            self.world.policies = policies
        return policies, warnings


class _FromThreads:
    """The world as a witness of a journal that is written in threads: it hears of records on its own loop, and before
    whoever waits for them to be written."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self._world, self._loop = world, loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def recorded(self, contents: Sequence[dict[str, Any]]) -> None:
        """See ``sim.lives.Witness``."""
        self._loop.call_soon_threadsafe(self._world.recorded, tuple(contents))


class Site:
    """Everything of a demo in ``home``: its policies (a file there), its journal, its socket. ``recording``: a directory
    for what the daemon sees, or None.

    ``start`` and ``stop`` begin and end it; in between ``truth`` and ``do`` may be called from any thread."""

    def __init__(self, home: Path, cluster: SavedCluster, timing: Timing, policies: str,
                 recording: Path | None = None) -> None:
        self.home = home
        self._recording = recording
        self.socket = home / "api.sock"
        self.policies = home / "policies.yaml"
        self.policies.write_text(policies, encoding="utf-8")
        self._cluster, self._timing = cluster, timing
        self._broker = EmbeddedBroker()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)
        self._world: World | None = None
        self._checkers: list[Checker] = []
        self._trails: Trails | None = None

    @property
    def port(self) -> int:
        """The broker's port on loopback."""
        return self._broker.port

    def start(self) -> None:
        """Return once the daemon runs.

        Raises:
            BallastdError: the broker or the daemon does not start.
        """
        self._broker.start()
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the daemon did not start within {START_SECONDS:g} s")
        if self._trouble is not None:
            raise self._trouble

    def stop(self) -> None:
        """Stop the daemon in order, then everything else. Does nothing where nothing runs."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(STOP_SECONDS)
        self._broker.stop()

    def truth(self) -> Truth:
        """Return the pretend cluster as it is now; nobody asks the daemon."""
        return self._ask(self._truth)

    def do(self, act: Act) -> None:
        """Have something happen to the cluster."""
        self._ask(lambda: self._happen(act))

    def _happen(self, act: Act) -> None:
        assert self._world is not None
        happen(self._world, act)

    def _truth(self) -> Truth:
        world, trails = self._world, self._trails
        assert world is not None
        assert trails is not None
        hosts = {str(host.name): tuple(sorted(record.name for record in host.vms.values() if record.state.runs))
                 for host in world.hypervisor.hosts.values()}
        return Truth(
            hosts, frozenset(str(host.name) for host in world.hypervisor.hosts.values() if not host.powered),
            {name: tuple(map(str, trail)) for name, trail in trails.hosts.items()}, trails.copies_max, trails.looks,
            tuple(violation for checker in self._checkers for violation in checker.violations))

    def _ask(self, question: Callable[[], T]) -> T:
        async def answer() -> T:
            return question()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(STOP_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as error:
            log.exception("the site ended")
            self._trouble = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        clock, declared = SystemClock(), self._cluster.declaration(self._timing)
        source = _Policies(PolicyFiles(self.policies, declared))
        world = World(self._cluster, clock, declared, source.load(clock.now().wall)[0], 0, report_seconds=REPORT_SECONDS)
        source.world, self._world, self._trails = world, world, Trails(world)
        self._checkers = [kind(world) for kind in CHECKERS]
        world.watchers.extend((self._trails, *self._checkers))
        for checker in self._checkers:
            checker.begin()
        hosts, address = [host.name for host in declared.hosts], BrokerAddress(HOST, self._broker.port)
        life, lanes = Life(world), Lanes()
        seen = None if self._recording is None else FileRecording(self._recording, KEEP_SECONDS, lanes, clock)
        daemon = Daemon(Parts(
            cluster=declared, policies=source, hypervisor=LivingHypervisor(life, world.hypervisor),
            power=LivingPower(life, world.power),
            telemetry=LivingTelemetry(life, MqttTelemetry(_client(address, "telemetry"), hosts, clock)),
            notices=LivingNotices(life, MqttNotices(_client(address, "notices"), clock)),
            journal=LivingJournal(Life(_FromThreads(world, self._loop)), SqliteJournal(self.home / "journal.db")),
            blocking=lanes, clock=clock, tell_supervisor=self._heed, holder="demo", version=__version__,
            recording=seen))
        server = ApiServer(create_app(daemon), self.socket, 0o600)
        server.bind()
        wires = Wires(_client(address, "wires"), world, hosts, clock)
        others = [asyncio.ensure_future(work) for work in (world.live(), wires.run(), wires.carry())]
        stopping = asyncio.ensure_future(self._stop_when_asked(daemon))
        try:
            await daemon.run(server)
        finally:
            for task in (*others, stopping):
                task.cancel()
            await asyncio.gather(*others, stopping, return_exceptions=True)
            server.release()

    def _heed(self, state: str) -> None:
        if "READY=1" in state:
            self._ready.set()

    async def _stop_when_asked(self, daemon: Daemon) -> None:
        assert self._stop is not None
        await self._stop.wait()
        daemon.stop()


def _client(address: BrokerAddress, name: str) -> BrokerAddress:
    # said at once: the broker knows no other, and would wait for the rest of a MQTT 5 will that it cannot read
    return BrokerAddress(address.host, address.port, client_id=f"ballastd-demo-{name}", protocol="3.1.1")
