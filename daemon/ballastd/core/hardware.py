"""What a VM cannot do without beside ordinary memory, and what a machine has of it. Plain values; ``suitability`` compares.

What nobody said is empty, and says nothing against a move; only huge pages have to be known before they are counted on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ballastd.core.quantities import Bytes

NUMBERS_MAX = 8192
"""No machine has so many processors or NUMA nodes."""
_RUN = re.compile(r"(?P<but>\^?)(?P<first>[0-9]{1,19})(?:-(?P<last>[0-9]{1,19}))?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Backing:
    """Memory of a VM that comes from huge pages. ``size``: bytes of a page, 0 for whatever is its host's default;
    ``memory``: bytes."""

    size: Bytes
    memory: Bytes


@dataclass(frozen=True, slots=True, order=True)
class PagePool:
    """Huge pages of one size on one NUMA node. ``size``: bytes of a page; ``total``: pages that are set aside."""

    size: Bytes
    total: int
    node: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Emulator:
    """What guests of one architecture may be: by what they are run (``kvm``, ``qemu``), and of which machine types."""

    arch: str
    kinds: tuple[str, ...]
    machines: tuple[str, ...]


FreePages = Mapping[tuple[int, int], int]
"""By NUMA node and bytes of a page: how many pages nobody has."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a VM cannot do without. ``backing``: its memory in huge pages. ``nodes``: the NUMA nodes that its memory must
    come from; ``cpus``: the processors of its host that its own, or threads of its emulator, are pinned to. ``arch``,
    ``machine``, ``kind``: of which architecture and machine type it is, and by what it is run. ``sees_host``: whether it
    sees its host's own processor. ``likeness``: equal for VMs that a host cannot tell apart by their processor and machine,
    empty where that is not known.
    """

    backing: tuple[Backing, ...] = ()
    nodes: tuple[int, ...] = ()
    cpus: tuple[int, ...] = ()
    arch: str = ""
    machine: str = ""
    kind: str = ""
    sees_host: bool = False
    likeness: str = ""

    @property
    def backed(self) -> int:
        """Bytes that come from huge pages."""
        return sum(one.memory for one in self.backing)


NO_NEEDS = Needs()


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine as its hypervisor describes it. ``nodes``: its NUMA nodes; ``cpus``: its processors by their numbers;
    ``pools``: its huge pages; ``processor``: model, vendor and microcode; ``emulators``: what it can run."""

    nodes: tuple[int, ...] = ()
    cpus: tuple[int, ...] = ()
    pools: tuple[PagePool, ...] = ()
    processor: tuple[str, ...] = ()
    emulators: tuple[Emulator, ...] = ()

    @property
    def pooled(self) -> int:
        """Bytes that are set aside as huge pages, and no ordinary memory."""
        return sum(pool.size * pool.total for pool in self.pools)


def runs_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the runs without a gap that whole numbers make: the first and the last of each."""
    runs: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return tuple(runs)


def numbers_in_words(numbers: tuple[int, ...]) -> str:
    """Return whole numbers as libvirt writes sets of them: ``0-3,8``."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs_of(numbers))


def numbers_from_words(text: str) -> tuple[int, ...]:
    """Return a set of whole numbers as libvirt writes it, ``0-3,^2,8``, sorted.

    Raises:
        ValueError: it is none, or has numbers that no machine has.
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        read = _RUN.fullmatch(part)
        if read is None or int(read["last"] or read["first"]) >= NUMBERS_MAX:
            raise ValueError(f"{text!r:.80} is no set of numbers below {NUMBERS_MAX}")
        run = range(int(read["first"]), int(read["last"] or read["first"]) + 1)
        if read["but"]:
            found.difference_update(run)
        else:
            found.update(run)
    return tuple(sorted(found))
