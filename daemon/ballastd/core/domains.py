"""Failure domains: which hosts die together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ballastd.core.inventory import DeclaredHost

LABELS = ("cooling", "power", "rack")
"""The labels of hosts that name what they die with."""
AT_A_TIME_SECONDS = 600.0
"""For so long after a host was emptied or told to go off another failure domain is left alone, but for who has to leave."""


@dataclass(frozen=True, slots=True)
class Domains:
    """Hosts by failure domain, in the order of their first hosts. ``names``: the domains in words; ``rows``: the host rows
    of each; ``of``: the domain of each host row."""

    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    of: tuple[int, ...]

    def begin(self, domain: int) -> int:
        """Return from which host row on a place is looked for first if a domain dies: each domain begins elsewhere, so that
        not all of them count on the same hosts, and behind itself where domains are single hosts or stand in a row."""
        return len(self.of) * (domain + 1) // len(self.names)


def domains(hosts: Iterable[DeclaredHost], across: str) -> Domains:
    """Return the domains of hosts, which stand in the order of their rows. ``across``: what is one domain, ``host`` or a
    label; a host without the label is a domain of its own."""
    numbers: dict[str, int] = {}
    of = tuple([numbers.setdefault(_name(host, across), len(numbers)) for host in hosts])
    rows: list[list[int]] = [[] for _ in numbers]
    for row, domain in enumerate(of):
        rows[domain].append(row)
    return Domains(tuple(numbers), tuple([tuple(one) for one in rows]), of)


def _name(host: DeclaredHost, across: str) -> str:
    value = None if across == "host" else host.label(across)
    return host.name if value is None else f"{across}={value}"


def first_apart(host: DeclaredHost, others: Iterable[DeclaredHost]) -> str | None:
    """Return the first of ``others`` that stands in another failure domain than ``host``, with the label that says so;
    None where none does. Hosts of which nobody names one stand together."""
    return next((f"{other.name} ({key} {other.label(key) or 'unknown'}, not {host.label(key) or 'unknown'})"
                 for other in others for key in LABELS if other.label(key) != host.label(key)), None)
