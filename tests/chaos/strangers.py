"""What somebody else does to guests in the middle of the daemon's own moves, with libvirt alone."""

from __future__ import annotations

from contextlib import suppress

from tests.lab import Lab, LabError, LabGuest

SHORT_SECONDS, WAITING_SECONDS = 5.0, 45.0
"""Who takes a definition away waits until the guest has arrived."""


def move_another(lab: Lab, moving: set[str], source: str, target: str, bystander: str) -> None:
    """Send a guest that is not on its way to the bystander, or to the target if it runs there: one of the source, which
    waits for its turn to leave, where there is one."""
    at = {guest.name: host for guest in lab.book.everyone() if guest.name not in moving
          and (host := lab.runs_on(guest)) not in (None, target)}
    if not at:
        raise LabError("there is nobody else to move")
    name = min(at, key=lambda one: (at[one] != source, one))
    # the daemon may move the same guest meanwhile: then one of the two is refused
    lab.migrate(lab.book.find(name), target if at[name] == bystander else bystander, bandwidth_mib=4)


def start_twin(lab: Lab, guest: LabGuest, host: str) -> None:
    """Try to start a guest once more, on a host that does not have it; what locks its disk has to refuse that."""
    with suppress(LabError):
        lab.hosts[host].virsh("create", str(lab.book.definition(guest.name)), seconds=SHORT_SECONDS)


def undefine_one(lab: Lab, guest: LabGuest, source: str) -> None:
    """Take a guest's definition away where it runs: from then on it is there for as long as it runs, and no longer. This
    guest's if it has one, else that of another, of its source where there is one."""
    defined = {one.name: host for one in lab.book.everyone() if one.persistent and (host := lab.runs_on(one)) is not None}
    if not defined:
        raise LabError("nobody is defined")
    name = min(defined, key=lambda one: (one != guest.name, defined[one] != source, one))
    lab.hosts[defined[name]].virsh("undefine", name, seconds=WAITING_SECONDS)


def destroy(lab: Lab, guest: LabGuest, host: str) -> None:
    """End a guest where it runs, as by its power switch."""
    lab.hosts[host].virsh("destroy", guest.name, seconds=SHORT_SECONDS)
