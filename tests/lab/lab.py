"""A cluster of real libvirt hosts on one machine, with hands to break each of its parts."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tests.lab import disks, keeper, requirements, state, virsh
from tests.lab.broker import LabBroker
from tests.lab.commands import LabError, wait_until
from tests.lab.guest import KEYS, Disk, GuestBook, Heartbeat, LabGuest, build_image, read_heartbeat
from tests.lab.host import LabHost
from tests.lab.namespaces import CLONE_NEWNET, inside, path_of, step_into, step_into_path
from tests.lab.network import Port, build_switch
from tests.lab.parts import controller_link, hosts_of
from tests.lab.state import Plan
from tests.lab.sweeping import leftovers, sweep
from tests.lab.volume import Volume

RUNNING, SHUT_OFF = 1, 5
BEAT_SECONDS = 30.0
MIGRATION_SECONDS = 120.0
STORAGE_MIB = 32
ARRIVAL_SECONDS = 20.0
"""How long a guest that is on the move is waited for."""
SWITCH = Path(__file__).parent

Inventory = dict[str, dict[str, virsh.DomainState] | None]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A guest on a host: state and reason as libvirt numbers them, None where libvirtd does not answer."""

    host: str
    state: int | None
    reason: int | None
    emulators: int


class Lab:
    """Hosts h1..hN in namespaces named after the lab; everything it made is gone when it goes down.

    It goes down with its owner, however that ends, unless it is detached. `cpu_quota`: processors for each
    host, None for no limit. `memory_mib`: what each host's /proc shows, by default the machine's.
    `agent_command`: what to run in each host from its power-on, None for nothing. `storage`: whether each has a file
    system of its own for what it keeps on its disk.
    """

    def __init__(
        self, name: str = "blst", hosts: int = 2, directory: Path | None = None, *,
        cpu_quota: float | None = 0.5, memory_mib: int | None = None, hook: Path | None = None,
        detached: bool = False, storage: bool = False,
        agent_command: Callable[[LabHost], Sequence[str] | None] | None = None,
    ) -> None:
        place = (directory or state.DEFAULT_ROOT) / name
        plan = Plan(name, hosts, str(place.absolute()), cpu_quota, memory_mib, 0 if detached else os.getpid())
        self._take(plan)
        self._hook, self._agent_command, self._detached = hook, agent_command, detached
        self._has_storage = storage

    @classmethod
    def attach(cls, name: str) -> Lab:
        """Return a lab that another process made; it stays that process's to take down, or a detached one."""
        lab = cls.__new__(cls)
        lab._take(state.load(name))
        lab._hook, lab._agent_command, lab._detached, lab._has_storage = None, None, True, False
        return lab

    def _take(self, plan: Plan) -> None:
        self.plan = plan
        self.hosts: dict[str, LabHost] = hosts_of(plan)
        self.link: Port = controller_link(plan)
        self.storage = {name: Volume(host.home / "storage", STORAGE_MIB) for name, host in self.hosts.items()}
        self.book = GuestBook(plan.path)
        self._lifeline: keeper.Lifeline | None = None
        self._outside: int | None = None

    # -- up and down

    def up(self) -> Lab:
        """Build it, after sweeping what a dead one left; return when every libvirtd takes connections."""
        requirements.check()
        name = self.plan.name
        with state.alone():
            if state.load_keeper(state.directory_of(name)) is not None:
                raise LabError(f"a lab named {name!r} is up; take it down or choose another name")
            sweep(name)
            strange = leftovers(name)
            if strange:
                raise LabError(f"the name {name!r} is taken by something that is no lab: {'; '.join(strange)}")
            self.plan.save()
            self._lifeline = keeper.start(self.plan, detached=self._detached)
        if not self._detached:
            atexit.register(self._down_at_exit, os.getpid())
        try:
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Remove everything; twice does no harm."""
        self.leave()
        watching = state.load_keeper(self.plan.path)
        if watching is not None:
            keeper.dismiss(watching)
        # the keeper has done it all; should it have died before, this does
        sweep(self.plan.name, spare=frozenset({os.getpid()}))
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None
            atexit.unregister(self._down_at_exit)

    def __enter__(self) -> Lab:
        return self.up()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.down()

    def _down_at_exit(self, owner: int) -> None:
        if os.getpid() == owner:  # not in a fork of it
            self.down()

    def _build(self) -> None:
        home = self.plan.path
        (home / "empty").touch()
        names = "".join(f"{host.address} {host.name}\n" for host in self.hosts.values())
        (home / "etc-hosts").write_text(f"127.0.0.1 localhost\n{names}")
        self.book.build()
        build_image(home)
        build_switch(self.plan.switch)
        self.link.build()
        for host in self.hosts.values():
            host.link.build()
            host.group.build()
            host.prepare(self._hook, self._agent_command(host) if self._agent_command else None)
            if self._has_storage:
                self.storage[host.name].make()
        first, *others = self.hosts.values()
        first.power_on()
        first.virsh("domcapabilities", "--virttype", "qemu")
        first.save_qemu_cache(home / "qemu-cache")
        for host in self.hosts.values():
            host.group.limit()
            host.power_on(wait=False)
        for host in others:
            host.wait_ready()

    # -- places

    def enter(self) -> None:
        """Move the calling thread into the controller's network: the main thread, before there are others."""
        if self._outside is None:
            self._outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            step_into_path(path_of(self.plan.controller), CLONE_NEWNET)

    def leave(self) -> None:
        """Move the calling thread back to where it entered from."""
        if self._outside is not None:
            step_into(self._outside, CLONE_NEWNET)
            os.close(self._outside)
            self._outside = None

    def exec_prefix(self, host: str | None = None) -> list[str]:
        """Return what to put before a command to run it in the controller's network, or inside a host."""
        return inside(self.plan.controller) if host is None else self.hosts[host].exec_prefix()

    def power_command(self, host: str, action: str) -> list[str]:
        """Return the command line of a host's power switch (on, off, shutdown, status, identify): works from any
        directory."""
        return [sys.executable, str(SWITCH), "power", host, action, "--name", self.plan.name]

    def broker(self, user: str | None = None, password: str = "", lines: tuple[str, ...] = ()) -> LabBroker:
        """Return the lab's broker; start() starts it."""
        return LabBroker(self.plan.controller, self.plan.path / "broker", user, password, lines)

    # -- guests

    def start_guest(
        self, host: str, name: str, memory_mib: int = 8, mode: str = "idle", disk: Disk | None = None, *,
        persistent: bool = False, vcpus: int = 1, metadata: str = "", identity: str | None = None,
    ) -> LabGuest:
        """Start a new guest; returns when it runs, and when it beats if it is to do anything but idle."""
        guest = self._make(name, memory_mib, disk, persistent=persistent, vcpus=vcpus, identity=identity)
        definition = str(self._write(guest, metadata))
        self.book.beats(name).unlink(missing_ok=True)
        if persistent:
            self.hosts[host].virsh("define", definition)
            self.hosts[host].virsh("start", name, seconds=BEAT_SECONDS)
        else:
            self.hosts[host].virsh("create", definition, seconds=BEAT_SECONDS)
        if mode != "idle":
            self.wait_beat(guest)
            self.set_mode(guest, mode, host)
        return guest

    def refuses_guests(self, host: str) -> bool:
        """Try to start a guest there; return whether its own hook refused. One that starts is ended at once."""
        guest = self._make(f"{host}-probe", 8, None, persistent=False, vcpus=1, identity=None)
        try:
            self.hosts[host].virsh("create", str(self._write(guest, "")), seconds=BEAT_SECONDS)
        except LabError as refused:
            return "hook" in str(refused).lower()
        finally:
            self.stop_guest(guest)
        return False

    def define_guest(self, host: str, name: str, memory_mib: int = 8, disk: Disk | None = None, *,
                     vcpus: int = 1, metadata: str = "", identity: str | None = None) -> LabGuest:
        """Define a guest on a host without starting it."""
        guest = self._make(name, memory_mib, disk, persistent=True, vcpus=vcpus, identity=identity)
        self.hosts[host].virsh("define", str(self._write(guest, metadata)))
        return guest

    def stop_guest(self, guest: LabGuest) -> None:
        """End a guest and its definitions on every host that answers, and forget it with its files."""
        for seen in self.where(guest):
            with suppress(LabError):  # it may have ended, or be only running, or only defined
                self.hosts[seen.host].virsh("destroy", guest.name)
            with suppress(LabError):
                self.hosts[seen.host].virsh("undefine", guest.name)
        if guest.disk == "nbd":
            disks.withdraw(guest, self.plan.controller)
        self.book.forget(guest.name)

    def set_mode(self, guest: LabGuest, mode: str, host: str | None = None) -> None:
        """Have the guest idle, burn, dirty, dirty 2^n pages a tick ("1".."9"), or work for a share of each tick
        ("work1".."work10", some 2.5 % of a processor each), wherever it runs; one that is on the move, where it arrives."""
        if mode not in KEYS:
            raise LabError(f"a guest's mode is one of {', '.join(KEYS)}, not {mode!r}")
        if host is not None:
            self._press(guest, mode, host)
            return
        until = time.monotonic() + ARRIVAL_SECONDS
        while True:
            at = self.runs_on(guest)
            if at is None and time.monotonic() > until:
                raise LabError(f"{guest.name} does not run on exactly one host: {self.where(guest)}")
            try:
                if at is not None:
                    self._press(guest, mode, at)
                    return
            except LabError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.5)

    def _press(self, guest: LabGuest, mode: str, host: str) -> None:
        self.hosts[host].virsh("send-key", guest.name, "--codeset", "linux", KEYS[mode])

    def where(self, guest: LabGuest) -> list[Sighting]:
        """Return every host that knows the guest or runs a QEMU of it, by its word and its processes."""
        return self.whereabouts()[guest.name]

    def whereabouts(self, inventory: Inventory | None = None) -> defaultdict[str, list[Sighting]]:
        """Return the same for every guest, by name, from one look at each host (or from one just taken)."""
        known_by_host = self.inventory() if inventory is None else inventory
        found: defaultdict[str, list[Sighting]] = defaultdict(list)
        for host in self.hosts.values():
            known, emulators = known_by_host[host.name], Counter(host.emulated())
            for name in sorted({*(known or {}), *emulators}):
                seen = (known or {}).get(name)
                number, reason = (seen.state, seen.reason) if seen else (None, None)
                found[name].append(Sighting(host.name, number, reason, emulators[name]))
        return found

    def inventory(self) -> Inventory:
        """Return every domain of every host; None for a host that is off or does not answer."""
        on = [host for host in self.hosts.values() if host.is_listening()]
        answers = virsh.states([host.link.netns for host in on])
        return dict.fromkeys(self.hosts) | {host.name: known for host, known in zip(on, answers, strict=True)}

    def runs_on(self, guest: LabGuest) -> str | None:
        """Return the host where the guest runs; None when that is no host, or more than one."""
        hosts = [seen.host for seen in self.where(guest) if seen.state == RUNNING]
        return hosts[0] if len(hosts) == 1 else None

    def heartbeat(self, guest: LabGuest) -> Heartbeat:
        """Return how the guest's heart beat so far."""
        return read_heartbeat(self.book.beats(guest.name))

    def wait_beat(self, guest: LabGuest, beats: int = 1, seconds: float = BEAT_SECONDS) -> Heartbeat:
        """Return after so many more beats of the guest."""
        goal = self.heartbeat(guest).count + beats
        wait_until(lambda: self.heartbeat(guest).count >= goal, seconds, f"the heartbeat of {guest.name}")
        return self.heartbeat(guest)

    def migrate(self, guest: LabGuest, target: str, *, bandwidth_mib: int | None = None,
                seconds: float = MIGRATION_SECONDS) -> None:
        """Move a guest as an operator's hand would; a LabError when it did not succeed."""
        moving = self.migrating(guest, target, bandwidth_mib=bandwidth_mib)
        try:
            _, said = moving.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as late:
            moving.kill()
            raise LabError(f"the migration of {guest.name} took longer than {seconds:g} s") from late
        if moving.returncode != 0:
            raise LabError(f"the migration of {guest.name} to {target} failed: {said.strip()}")

    def migrating(self, guest: LabGuest, target: str, *,
                  bandwidth_mib: int | None = None) -> subprocess.Popen[str]:
        """Begin to move a guest and return the process that waits for the end."""
        source, to = self.runs_on(guest), self.hosts[target]
        if source is None:
            raise LabError(f"{guest.name} does not run on exactly one host: {self.where(guest)}")
        words = ["migrate", "--live", "--p2p", "--abort-on-error", "--migrateuri", to.migration_uri,
                 guest.name, to.uri]
        if guest.persistent:
            words += ["--persistent", "--undefinesource"]
        if guest.disk in disks.UNSAFE:
            words.append("--unsafe")
        if bandwidth_mib is not None:
            words += ["--bandwidth", str(bandwidth_mib)]
        return subprocess.Popen(virsh.argv(self.plan.host_netns(source), *words), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def _make(self, name: str, memory_mib: int, disk: Disk | None, *, persistent: bool, vcpus: int,
              identity: str | None) -> LabGuest:
        guest = LabGuest(name, identity or str(uuid.uuid4()), memory_mib, vcpus, disk, persistent=persistent)
        if disk == "nbd":
            guest = replace(guest, nbd_port=disks.free_port(self.book.everyone()))
        self.book.enter(guest)
        return guest

    def _write(self, guest: LabGuest, metadata: str) -> Path:
        path = self.book.disk(guest.name)
        if guest.disk is not None:
            disks.make_file(path)
        if guest.disk == "nbd":
            disks.serve(guest, path, self.plan.controller)
        return self.book.write_definition(guest, disks.describe(guest, path), metadata)
