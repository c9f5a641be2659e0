"""What each command of the lab's command line does."""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.lab import keeper, showing, state
from tests.lab.commands import LabError
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.namespaces import CLONE_NEWNET, CLONE_NEWNS, step_into_path
from tests.lab.processes import namespace
from tests.lab.sweeping import leftovers, sweep

Options = argparse.Namespace
STARTERS = 4


def attached(options: Options) -> Lab:
    """Return the lab the options name, with this process where the lab was made.

    A command started inside `ip netns exec` sees neither the control groups nor the root network; the keeper
    does.
    """
    watching = state.load_keeper(state.directory_of(options.name))
    for kind, flag in (("mnt", CLONE_NEWNS), ("net", CLONE_NEWNET)):
        if watching is not None and namespace("self", kind) != namespace(watching.pid, kind):
            step_into_path(f"/proc/{watching.pid}/ns/{kind}", flag)
    return Lab.attach(options.name)


def host_of(lab: Lab, name: str) -> LabHost:
    """Return one of the lab's hosts; a LabError when it has none of that name."""
    if name not in lab.hosts:
        raise LabError(f"no host {name!r} in this lab: it has {', '.join(lab.hosts)}")
    return lab.hosts[name]


def up(options: Options) -> None:
    """Make a lab with guests, and print how to use it."""
    words = shlex.split(options.agent or "")
    lab = Lab(
        options.name, options.hosts, options.directory, cpu_quota=options.cpu_quota or None,
        memory_mib=options.memory_mib, hook=options.hook, detached=not options.foreground,
        agent_command=_agent_command(words) if words else None)
    with _ends_on_signals():
        lab.up()
        try:
            _populate(lab, options)
            showing.welcome(lab)
            if options.foreground:
                print("Ctrl-C takes it down.", flush=True)
                signal.pause()
        except BaseException:
            lab.down()
            raise


def down(options: Options) -> None:
    """Take a lab down; say so when there is none."""
    is_there = options.name in state.registered()
    if not _swept(options.name):
        attached(options)  # for its effect: namespaces can only be removed from where they were made
        if (watching := state.load_keeper(state.directory_of(options.name))) is not None:
            keeper.dismiss(watching)
        # the keeper has done it all; should it have died before, this does
        _swept(options.name)
    elif not is_there:
        print(f"there is no lab {options.name}")
        return
    left = leftovers(options.name)
    if left:
        raise LabError("left behind: " + "; ".join(left))
    print(f"nothing is left of lab {options.name}")


def sweep_all(options: Options) -> None:
    """Remove what dead labs left; labs that are up stay."""
    for name in sorted({options.name, *state.registered()}):
        print(f"{name}: nothing is left" if _swept(name) else f"{name} is up and stays")


def status(options: Options) -> None:
    """Show hosts and guests as they are."""
    showing.status(attached(options))


def guest(options: Options) -> None:
    """Start, stop or steer a guest."""
    lab = attached(options)
    match options.action:
        case "start":
            host = host_of(lab, options.host)
            lab.start_guest(host.name, options.guest, options.memory, options.mode, options.disk,
                            persistent=options.persistent)
        case "stop":
            lab.stop_guest(lab.book.find(options.guest))
        case "mode":
            lab.set_mode(lab.book.find(options.guest), options.mode)


def migrate(options: Options) -> None:
    """Move a guest as an operator's hand would."""
    lab = attached(options)
    moved, target = lab.book.find(options.guest), host_of(lab, options.host)
    lab.migrate(moved, target.name, bandwidth_mib=options.bandwidth)
    print(f"{moved.name} runs on {lab.runs_on(moved)}")


def fault(options: Options) -> None:
    """Break a part of a host's hardware, or repair it."""
    host = host_of(attached(options), options.host)
    if options.kind == "clear":
        host.clear_faults()
    else:
        host.fault(options.kind, options.amount)


def power(options: Options) -> None:
    """Be the power switch of a host: returns as one does, before the host has started."""
    host = host_of(attached(options), options.host)
    match options.action:
        case "on":
            host.power_on(wait=options.wait)
        case "off":
            host.power_off()
        case "crash":
            host.crash()
        case "shutdown":
            host.shut_down()
        case "status":
            print("on" if host.is_on() else "off")
        case "identify":
            print("on" if host.is_on() else "off", host.uuid)


def link(options: Options) -> None:
    """Cut, heal or narrow a cable: a host's, or the controller's."""
    lab = attached(options)
    port = lab.link if options.host == "controller" else host_of(lab, options.host).link
    match options.command:
        case "cut":
            (port.cut_further if options.further else port.cut)()
        case "heal":
            port.heal()
        case "shape":
            port.shape(options.rate, options.delay, options.loss)
        case "unshape":
            port.unshape()


def libvirtd(options: Options) -> None:
    """Do something to a host's libvirtd."""
    host = host_of(attached(options), options.host)
    acts: dict[str, Callable[[], None]] = {
        "kill": host.kill_libvirtd, "stop": host.stop_libvirtd, "hang": host.hang_libvirtd,
        "resume": host.resume_libvirtd, "restart": host.restart_libvirtd,
    }
    acts[options.action]()


def qemu(options: Options) -> None:
    """Do something to a guest's QEMU, on every host that has one."""
    lab = attached(options)
    name = lab.book.find(options.guest).name
    hosts = [host for host in lab.hosts.values() if host.emulators(name)]
    if not hosts:
        raise LabError(f"{name} has no QEMU on any host")
    for host in hosts:
        acts: dict[str, Callable[[str], None]] = {
            "kill": host.kill_qemu, "stop": host.stop_qemu, "cont": host.cont_qemu}
        acts[options.action](name)


def broker(options: Options) -> None:
    """Do something to the lab's broker."""
    one = attached(options).broker()
    acts: dict[str, Callable[[], object]] = {
        "start": one.start, "stop": one.stop, "kill": one.kill, "hang": one.hang, "resume": one.resume}
    acts[options.action]()


def execute(options: Options) -> int:
    """Run a command inside a host or in the controller's network; its exit status is ours."""
    lab = attached(options)
    where = None if options.host == "controller" else host_of(lab, options.host).name
    return subprocess.run([*lab.exec_prefix(where), *options.argv], check=False).returncode


def keep(options: Options) -> None:
    """Be a lab's keeper; labs start it themselves."""
    keeper.keep(options.lab, detached=options.detached)


def _swept(name: str) -> bool:
    """Sweep a lab that nobody watches over; return whether that is so."""
    with state.alone():
        if state.load_keeper(state.directory_of(name)) is not None:
            return False
        sweep(name)
        return True


def _agent_command(words: list[str]) -> Callable[[LabHost], list[str]]:
    def filled(host: LabHost) -> list[str]:
        places = {"host": host.name, "address": host.address, "sysfs": str(host.sysfs), "uuid": host.uuid}
        return [word.format_map(places) for word in words]

    return filled


def _populate(lab: Lab, options: Options) -> None:
    if options.broker:
        lab.broker().start()
    names = list(lab.hosts)
    places = [(names[n % len(names)], f"vm{n + 1:02}") for n in range(options.vms)]
    with ThreadPoolExecutor(STARTERS) as pool:
        list(pool.map(lambda place: lab.start_guest(place[0], place[1], options.memory), places))


@contextmanager
def _ends_on_signals() -> Iterator[None]:
    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    former = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def path(text: str) -> Path:
    """Return an absolute path: commands may leave the directory they were started in."""
    return Path(text).absolute()
