"""The lab's command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from tests.lab import orders, requirements
from tests.lab.commands import LabError
from tests.lab.guest import KEYS
from tests.lab.sensors import FAULTS

EPILOG = """
A lab is a cluster of real libvirtd hosts in namespaces of this machine: real live migrations, real faults.

  python -m tests.lab up --hosts 3 --vms 8      make one; it stays up until `down`
  python -m tests.lab status                    hosts and guests, asked of each libvirtd
  python -m tests.lab migrate vm01 h2           move a guest by hand
  python -m tests.lab guest mode vm01 burn      have it burn CPU (idle, burn, dirty, 1 to 9)
  python -m tests.lab fault h1 uncorrected      a memory error in h1's sensors
  python -m tests.lab libvirtd hang h1          h1's libvirtd accepts and says nothing
  python -m tests.lab cut h2; ... heal h2       pull a cable, plug it in
  python -m tests.lab power h3 off              power loss: silent, as in life
  python -m tests.lab exec h1 -- hostname       a command inside a host, or in the `controller`'s network
  python -m tests.lab down                      remove every trace

Several labs run side by side under different names (--name, or BALLASTD_LAB in the environment).
It needs root, and the packages named in tests/lab/README.md.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 refused or failed with one line that says why."""
    options = parser().parse_args(argv)
    if os.geteuid() != 0:
        print(f"lab: {requirements.ROOT}", file=sys.stderr)
        return 1
    try:
        status: int | None = options.order(options)
        sys.stdout.flush()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has enough; do not stumble over it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status or 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = argparse.ArgumentParser("python -m tests.lab", description="Real libvirt hosts on one machine.",
                                    epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_lab_commands, _guest_commands, _fault_commands):
        add(commands)
    keep = commands.add_parser("keep")
    keep.add_argument("lab")
    keep.add_argument("--detached", action="store_true")
    keep.set_defaults(order=orders.keep)
    return whole


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _command(commands: Commands[argparse.ArgumentParser], name: str, order: Callable[..., object],
             text: str) -> argparse.ArgumentParser:
    one = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    name = os.environ.get("BALLASTD_LAB", "blst")
    one.add_argument("--name", default=name, help="which lab (default: %(default)s)")
    one.set_defaults(order=order)
    return one


def _lab_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    up = _command(commands, "up", orders.up, "make a lab, which stays up until `down`")
    up.add_argument("--hosts", type=int, default=3, help="how many hosts (default: %(default)s)")
    up.add_argument("--vms", type=int, default=0, help="how many guests, spread over the hosts")
    up.add_argument("--memory", type=int, default=8, help="MiB of each guest (default: %(default)s)")
    up.add_argument("--cpu-quota", type=float, default=0.5, help="processors per host, 0 for no limit")
    up.add_argument("--memory-mib", type=int, help="memory each host's /proc shows (default: the machine's)")
    up.add_argument("--directory", type=orders.path, help="where its files go, in a directory of their own")
    up.add_argument("--hook", type=orders.path, help="a script to install as /etc/libvirt/hooks/qemu")
    up.add_argument("--broker", action="store_true", help="start mosquitto in the controller's network")
    up.add_argument("--agent", help="a command for each host; {host} {address} {uuid} {sysfs} are filled in")
    up.add_argument("--foreground", action="store_true", help="stay, and take it down at the end")
    _command(commands, "down", orders.down, "take a lab down and remove every trace")
    _command(commands, "status", orders.status, "show hosts and guests as they are")
    _command(commands, "sweep", orders.sweep_all, "remove what labs left whose processes were all killed")
    run = _command(commands, "exec", orders.execute, "run a command inside a host")
    run.add_argument("host", help="a host, or `controller`")
    run.add_argument("argv", nargs="+", metavar="ARG", help="the command, after --")


def _guest_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    guest = _command(commands, "guest", orders.guest, "start, stop or steer a guest")
    actions = guest.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="start a new guest")
    start.add_argument("host")
    start.add_argument("guest")
    start.add_argument("--memory", type=int, default=8, help="MiB (default: %(default)s)")
    start.add_argument("--mode", choices=list(KEYS), default="idle")
    start.add_argument("--disk", choices=["locked", "shareable", "nbd"], help="a writable disk")
    start.add_argument("--persistent", action="store_true", help="define it as well")
    stop = actions.add_parser("stop", help="end and forget a guest")
    stop.add_argument("guest")
    mode = actions.add_parser("mode", help="have it idle, burn CPU or dirty memory")
    mode.add_argument("guest")
    mode.add_argument("mode", choices=list(KEYS))
    for action in actions.choices.values():  # the lab may be named after the action, too
        action.add_argument("--name", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    move = _command(commands, "migrate", orders.migrate, "move a guest as an operator's hand would")
    move.add_argument("guest")
    move.add_argument("host")
    move.add_argument("--bandwidth", type=int, help="MiB/s")
    qemu = _command(commands, "qemu", orders.qemu, "kill, stop or continue a guest's QEMU")
    qemu.add_argument("action", choices=["kill", "stop", "cont"])
    qemu.add_argument("guest")


def _fault_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    fault = _command(commands, "fault", orders.fault, "break a host's hardware, as its sensors show it")
    fault.add_argument("host")
    fault.add_argument("kind", choices=[*FAULTS, "clear"])
    fault.add_argument("amount", type=float, nargs="?", help="errors (corrected) or degrees Celsius (hot)")
    power = _command(commands, "power", orders.power, "switch a host on or off")
    power.add_argument("host")
    power.add_argument("action", choices=["on", "off", "shutdown", "crash", "status", "identify"],
                       help="off pulls the plug; shutdown asks its system to go down; identify says on or off, and its UUID")
    power.add_argument("--wait", action="store_true", help="on: return when libvirtd listens")
    libvirtd = _command(commands, "libvirtd", orders.libvirtd, "kill, stop, hang, resume or restart libvirtd")
    libvirtd.add_argument("action", choices=["kill", "stop", "hang", "resume", "restart"])
    libvirtd.add_argument("host")
    broker = _command(commands, "broker", orders.broker, "start, stop, kill, hang or resume the broker")
    broker.add_argument("action", choices=["start", "stop", "kill", "hang", "resume"])
    cut = _command(commands, "cut", orders.link, "pull a host's cable")
    cut.add_argument("--further", action="store_true", help="cut further away: the carrier stays")
    heal = _command(commands, "heal", orders.link, "undo a cut")
    shape = _command(commands, "shape", orders.link, "limit a host's network, both directions")
    unshape = _command(commands, "unshape", orders.link, "take the limits off")
    for one in (cut, heal, shape, unshape):
        one.add_argument("host", help="a host, or `controller`")
    shape.add_argument("rate", type=float, help="Mbit/s")
    shape.add_argument("--delay", type=float, default=0.0, help="ms (needs netem)")
    shape.add_argument("--loss", type=float, default=0.0, help="%% (needs netem)")
