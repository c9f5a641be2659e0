"""How each act changes a pretend cluster. Those of the daemon itself are its stage's to carry out."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ballastd.core.acts import Act
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.quantities import GIB, Bytes, HostName, VmId
from ballastd.core.saved_cluster import Demand
from ballastd.errors import ConfigurationError
from ballastd.sim.agents import Manners
from ballastd.sim.jobs import Fate
from ballastd.sim.power import Conduct
from ballastd.sim.world import World

Undo = Callable[[], None]
NAMESPACE = uuid.UUID("7d0c5a0e-5b0e-4b8e-9a53-0f3d8a1b2c4d")


def nothing() -> None:
    """Undo nothing."""


def happen(world: World, act: Act) -> bool:
    """Have ``act`` happen to the cluster now, after everybody who watches was told; return False where it is not about the
    cluster but about the daemon.

    What is to last ``seconds`` is undone after that.

    Raises:
        ConfigurationError: it speaks of a host or VM that does not exist, or of a word nobody knows.
    """
    world.trace.act(act)
    for watcher in world.watchers:
        watcher.acted(act)
    effect = EFFECTS.get(act.do)
    if effect is None:
        return False
    try:
        undo = effect(world, act)
    except (KeyError, ValueError) as error:
        raise ConfigurationError((f"at {act.at:g} s: {act.words()}: unknown here: {error}",)) from error
    if act.seconds is not None:
        asyncio.get_running_loop().call_later(act.seconds, undo)
    return True


def _host(act: Act) -> HostName:
    return HostName(act.host)


def _put(world: World, act: Act, put: Undo, back: Undo) -> Undo:
    """Have what ``put`` does hold as long as the act lasts: of several about one thing the newest that lasts holds, and
    after all of them what was there before, by ``back``."""
    layers = world.layers.setdefault((act.do, act.host, act.metric, act.subject), [])
    if act.seconds is None:
        layers[:] = [put]
    else:
        if not layers[1:]:
            layers[:] = [back]
        layers.append(put)
    put()

    def undo() -> None:
        newest = layers[-1]
        if put in layers:
            layers.remove(put)
        if newest is put:
            layers[-1]()

    return undo


def _manner(name: str) -> Callable[[World, Act], Undo]:
    """Return the effect of changing one of an agent's manners to the act's value, or to True."""
    def effect(world: World, act: Act) -> Undo:
        setattr(world.agents.manners(_host(act)), name, True if act.value is None else act.value)
        return lambda: setattr(world.agents.manners(_host(act)), name, getattr(Manners(), name))

    return effect


def _reading(world: World, act: Act) -> Undo:
    host, metric, subject, value = _host(act), act.metric, act.subject, act.value
    before = world.agents.reading(host, metric, subject)
    assert value is not None
    return _put(world, act, lambda: world.agents.set(host, metric, value, subject, act.critical, act.high),
                lambda: world.agents.set(host, metric, before or 0.0, subject, act.critical, act.high))


def _lie(world: World, act: Act) -> Undo:
    lies = world.agents.manners(_host(act)).lies
    assert act.value is not None
    lies[act.metric, act.subject] = act.value

    def undo() -> None:
        lies.pop((act.metric, act.subject), None)

    return undo


def _restart_agent(world: World, act: Act) -> Undo:
    world.agents.start_anew(_host(act))
    return nothing


def _replay(world: World, act: Act) -> Undo:
    manners = world.agents.manners(_host(act))
    manners.replaying = "retained" if act.value else "recorded"
    return lambda: setattr(world.agents.manners(_host(act)), "replaying", "")


def _behave(world: World, act: Act) -> Undo:
    world.agents.behave(_host(act))
    return nothing


def _broker_down(world: World, act: Act) -> Undo:  # noqa: ARG001  an act like the others
    world.agents.break_off()
    return world.agents.come_back


def _broker_up(world: World, act: Act) -> Undo:  # noqa: ARG001  an act like the others
    world.agents.come_back()
    return nothing


def _trouble(name: str) -> Callable[[World, Act], Undo]:
    """Return the effect of a hypervisor's trouble by the name of the method that brings it."""
    def effect(world: World, act: Act) -> Undo:
        world.host(_host(act))
        getattr(world.hypervisor, name)(_host(act))
        return lambda: _mend(world, _host(act))

    return effect


def _mend(world: World, host: HostName) -> None:
    """A network or a libvirtd is back: a host that has lost its power meanwhile is no more on for it."""
    known = world.host(host)
    if known.powered:
        world.hypervisor.heal(host)
    else:
        known.cut = known.hung = known.down = False


def _lose_power(world: World, act: Act) -> Undo:
    host = _host(act)
    if host in world.power.controllers:
        world.power.pull(host)
        return partial(_put_back, world, host)
    world.hypervisor.lose_power(host)
    return lambda: world.hypervisor.heal(host)


def _put_back(world: World, host: HostName) -> None:
    """The current is back; who was switched on meanwhile must not be switched off by it."""
    if not world.power.controllers[host].is_powered:
        world.power.press(host)


def _use_link(world: World, act: Act) -> Undo:
    host, value = world.host(_host(act)).name, act.value
    before = world.hypervisor.interfaces.others.get(host, 0.0)
    assert value is not None
    return _put(world, act, lambda: world.hypervisor.use_link(host, value), lambda: world.hypervisor.use_link(host, before))


def _heal(world: World, act: Act) -> Undo:
    host = _host(act)
    if host in world.power.controllers and not world.power.controllers[host].is_powered:
        world.power.press(host)
    elif world.host(host).powered:
        world.hypervisor.heal(host)
    return nothing


def _burn(world: World, act: Act) -> Undo:
    assert act.value is not None
    world.want(world.names[act.vm], Demand(high=act.value))
    return nothing


def _dirty(world: World, act: Act) -> Undo:
    assert act.value is not None
    world.hypervisor.dirty_mib_s[world.names[act.vm]] = act.value
    return nothing


def _ignore_shutdown(world: World, act: Act) -> Undo:
    vm = world.names[act.vm]
    world.hypervisor.deaf.add(vm)
    return lambda: world.hypervisor.deaf.discard(vm)


def _fate(world: World, act: Act) -> Undo:
    world.hypervisor.fates[world.names[act.vm]] = Fate(act.word)
    return nothing


def _start(world: World, act: Act) -> Undo:
    assert act.value is not None
    vm = world.names.get(act.vm) or VmId(str(uuid.uuid5(NAMESPACE, act.vm)))
    world.place(_host(act), VmRecord(vm, act.vm, VmState.RUNNING, Bytes(int(act.value * GIB)), vcpus=2))
    return nothing


def _stop(world: World, act: Act) -> Undo:
    world.stop(world.names[act.vm])
    return nothing


def _halt(world: World, act: Act) -> Undo:
    vm = world.names[act.vm]
    for host in world.at(vm):
        world.hypervisor.halt(host, vm)

    def undo() -> None:
        for host in world.hypervisor.hosts.values():
            world.hypervisor.go_on(host.name, vm)

    return undo


def _mute(world: World, act: Act) -> Undo:
    vm = world.names[act.vm]
    world.probe.mute.add(vm)
    return lambda: world.probe.mute.discard(vm)


def _isolate(world: World, act: Act) -> Undo:
    host = world.host(_host(act)).name
    world.probe.isolated.add(host)
    return lambda: world.probe.isolated.discard(host)


def _carry(world: World, act: Act) -> Undo:
    vm, target = world.names[act.vm], HostName(act.target)
    for source in world.at(vm):
        if act.value is not None:
            if source != target and not world.is_closed(target):
                world.hypervisor.migrate_by_hand(vm, source, target, max(1, round(act.value)))
            continue
        record = world.host(source).vms[vm]
        if source != target and world.host(source).carries_memory and world.place(target, replace(record)):
            world.hypervisor.remove(source, vm)
    return nothing


def _conduct(world: World, act: Act) -> Undo:
    world.power.controllers[_host(act)].conduct = Conduct(act.word)
    return nothing


def _swap(world: World, act: Act) -> Undo:
    world.power.swap(_host(act), HostName(act.target))
    return nothing


def _press(world: World, act: Act) -> Undo:
    world.power.press(_host(act))
    return nothing


def _fill_disk(world: World, act: Act) -> Undo:  # noqa: ARG001  an act like the others
    world.journal.full = True
    return lambda: setattr(world.journal, "full", False)


def _free_disk(world: World, act: Act) -> Undo:  # noqa: ARG001  an act like the others
    world.journal.full = False
    return nothing


def _slow_disk(world: World, act: Act) -> Undo:
    assert act.value is not None
    world.lanes.disk_seconds = act.value
    return lambda: setattr(world.lanes, "disk_seconds", 0.0)


def _step_clock(world: World, act: Act) -> Undo:
    assert act.value is not None
    assert world.step_wall is not None
    world.step_wall(act.value)
    return nothing


def _rival(world: World, act: Act) -> Undo:
    world.notices.rival = act.word
    return lambda: setattr(world.notices, "rival", None)


def _no_rival(world: World, act: Act) -> Undo:  # noqa: ARG001  an act like the others
    world.notices.rival = None
    return nothing


EFFECTS: dict[str, Callable[[World, Act], Undo]] = {
    "reading": _reading, "silence": _manner("silent"), "freeze": _manner("frozen"), "lag": _manner("lag"),
    "jitter": _manner("jitter"), "lose": _manner("loss"), "double": _manner("doubling"), "garble": _manner("garbling"),
    "skew": _manner("skew"), "lie": _lie, "restart-agent": _restart_agent, "replay": _replay,
    "deafen": _manner("deaf"), "unhook": _manner("hookless"), "behave": _behave,
    "broker-down": _broker_down, "broker-up": _broker_up,
    "cut": _trouble("cut"), "hang": _trouble("hang"), "kill-libvirtd": _trouble("kill_libvirtd"),
    "lose-power": _lose_power, "use-link": _use_link, "heal": _heal,
    "burn": _burn, "dirty": _dirty, "ignore-shutdown": _ignore_shutdown, "mute": _mute, "isolate": _isolate,
    "fate": _fate, "start": _start, "stop": _stop, "halt": _halt, "carry": _carry,
    "conduct": _conduct, "swap": _swap, "press": _press,
    "fill-disk": _fill_disk, "free-disk": _free_disk, "slow-disk": _slow_disk, "step-clock": _step_clock,
    "rival": _rival, "no-rival": _no_rival,
}
