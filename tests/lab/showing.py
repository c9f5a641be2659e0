"""What the lab's command line shows."""

from __future__ import annotations

from collections.abc import Sequence

from tests.lab.lab import Lab

STATES = {1: "running", 2: "blocked", 3: "paused", 4: "shutting down", 5: "shut off", 6: "crashed"}


def welcome(lab: Lab) -> None:
    """Print where everything is and commands to copy."""
    first, last = next(iter(lab.hosts.values())), list(lab.hosts.values())[-1]
    name = "" if lab.plan.name == "blst" else f" --name {lab.plan.name}"
    inside = f"ip netns exec {lab.plan.controller}"
    print(f"lab {lab.plan.name}: {len(lab.hosts)} hosts, files in {lab.plan.path}\n")
    table(("HOST", "URI", "NAMESPACE", "UUID", "SENSORS"), [
        (host.name, host.uri, host.link.netns, host.uuid, str(host.sysfs)) for host in lab.hosts.values()])
    print(f"\ncontroller: namespace {lab.plan.controller}, address {lab.link.address}")
    guests = lab.book.everyone()
    guest = guests[0].name if guests else "GUEST"
    print("\nTry:")
    for words in (
        f"{inside} virsh -c {first.uri} list",
        f"{inside} virsh -c {first.uri} migrate --live --p2p {guest} {last.uri}",
        f"python -m tests.lab status{name}",
        f"python -m tests.lab migrate{name} {guest} {last.name}",
        f"python -m tests.lab guest{name} mode {guest} burn",
        f"python -m tests.lab fault{name} {first.name} uncorrected",
        f"python -m tests.lab power{name} {last.name} off",
        f"python -m tests.lab down{name}",
    ):
        print(f"  {words}")


def status(lab: Lab) -> None:
    """Print a table of the hosts and one of the guests."""
    inventory = lab.inventory()
    table(("HOST", "POWER", "LIBVIRTD", "LINK", "QEMUS", "URI"), [
        (host.name, "on" if host.is_on() else "off",
         "answers" if inventory[host.name] is not None else "silent",
         "cut" if host.link.is_cut() else "up", str(len(host.emulated())), host.uri)
        for host in lab.hosts.values()])
    print()
    everything, rows = lab.whereabouts(inventory), []
    for guest in lab.book.everyone():
        beat = lab.heartbeat(guest)
        seen = everything[guest.name]
        places = ", ".join(f"{one.host} {_state(one.state)}/{one.reason}" for one in seen) or "nowhere"
        emulators = str(sum(one.emulators for one in seen))
        rows.append((guest.name, places, emulators, str(beat.count), str(beat.breaks), guest.disk or "-"))
    table(("GUEST", "WHERE", "QEMUS", "BEATS", "BREAKS", "DISK"), rows)
    broker = lab.broker()
    print(f"\nbroker: {'runs on ' + broker.address if broker.process() else 'does not run'}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a head, in columns as wide as they need."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _state(number: int | None) -> str:
    return "unknown" if number is None else STATES.get(number, str(number))
