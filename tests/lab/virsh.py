"""Asking and ordering each libvirtd directly: from inside its host, so that no cut cable is in the way.

A command with a time limit, not the Python binding: a hung libvirtd must not hang who judges it, and a
process that tests a daemon must keep libvirt's event loop to that daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.lab.commands import run, run_all
from tests.lab.namespaces import inside

LOCAL = "qemu+tcp://127.0.0.1/system"
SECONDS = 15.0
LOOK_SECONDS = 3.0
FIELDS = ("state.state", "state.reason")


@dataclass(frozen=True, slots=True)
class DomainState:
    """A domain's state and the reason for it, as libvirt numbers them."""

    state: int
    reason: int


def argv(netns: str, *words: str) -> list[str]:
    """Return the virsh command for the libvirtd of the host with that network namespace."""
    return inside(netns, "virsh", "-q", "-k", "0", "-c", LOCAL, *words)


def order(netns: str, *words: str, seconds: float = SECONDS) -> str:
    """Return virsh's answer; a LabError when it fails or does not come."""
    return run(*argv(netns, *words), seconds=seconds)


def states(namespaces: Sequence[str]) -> list[dict[str, DomainState] | None]:
    """Return every domain each host knows, running or only defined; None for a host that does not answer."""
    answers = run_all([argv(netns, "domstats", "--state", "--nowait") for netns in namespaces], LOOK_SECONDS)
    return [None if text is None else parse_states(text) for text in answers]


def parse_states(text: str) -> dict[str, DomainState]:
    """Return what `virsh domstats --state` printed, by domain name."""
    found: dict[str, DomainState] = {}
    for block in text.split("Domain: '")[1:]:
        name, _, rest = block.partition("'\n")
        pairs = dict(line.strip().split("=", 1) for line in rest.splitlines() if "=" in line)
        found[name] = DomainState(*(int(pairs[key]) for key in FIELDS))
    return found
