"""The whole unmodified daemon on virtual time, for stories in which a test is fate: real service, mind and kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ballastd.core.inputs import Answer, Verb
from ballastd.core.policies import ClusterDeclaration, PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
from ballastd.core.saved_cluster import SavedCluster, SavedHost, SavedVm
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.service.daemon import Daemon
from ballastd.sim.agents import SimulatedAgents
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.power import SimulatedPower
from ballastd.sim.virtual_time import VirtualClock
from ballastd.sim.world import World
from tests.builders import POLICIES, ClusterBuilder
from tests.simulation.clusters import Fixed

WARM_SECONDS = 30.0
"""Agents report every ten seconds, each at a moment of its own: until then nobody is known."""


class House:
    """A stage on which the daemon starts when the story says so."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @property
    def world(self) -> World:
        return self.stage.world

    @property
    def cluster(self) -> ClusterDeclaration:
        return self.world.declared

    @property
    def clock(self) -> VirtualClock:
        return self.world.clock

    @property
    def agents(self) -> SimulatedAgents:
        return self.world.agents

    @property
    def journal(self) -> MemoryJournal:
        return self.world.journal

    @property
    def power(self) -> SimulatedPower:
        return self.world.power

    @property
    def daemon(self) -> Daemon:
        assert self.stage.daemon is not None
        return self.stage.daemon

    def start(self) -> None:
        """Start a daemon on what is there."""
        self.stage.start()

    async def crash(self) -> None:
        """Kill the daemon where it stands: nothing is said, nothing is closed, jobs go on."""
        self.stage.kill()
        await asyncio.sleep(0.0)

    async def say(self, verb: Verb, subject: str = "") -> Answer:
        """Say something as an operator."""
        return await self.stage.say(verb, subject)

    def on(self, host: str) -> list[str]:
        """Return the names of what runs on a host, the truth."""
        return sorted(r.name for r in self.world.host(HostName(host)).vms.values() if r.state.runs)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; the checkers look after every event."""
        await asyncio.sleep(seconds)
        assert not self.stage.violations, self.stage.violations


def in_house(builder: ClusterBuilder, story: Callable[[House], Awaitable[None]], policies: PolicySet = POLICIES) -> None:
    """Run ``story`` in a house on virtual time."""
    declared = builder.build()
    hosts = tuple(SavedHost(host, Bytes(64 * GIB), 16, boot_seconds=Seconds(120.0), shutdown_seconds=Seconds(20.0))
                  for host in declared.hosts)
    vms = tuple(SavedVm(record, HostName(host)) for host, records in builder.vms for record in records)
    timing = replace(declared.timing, startup_quiet=max(declared.timing.startup_quiet, Seconds(WARM_SECONDS)))
    setting = Setting(SavedCluster(hosts, vms), Fixed(policies), timing, wakeable=False)

    async def tell(stage: Stage) -> None:
        await story(House(stage))

    perform(setting, tell, starts=False)
