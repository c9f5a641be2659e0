"""The cluster as relief looks at it: what hosts and VMs use, above which marks hosts are hot, and who may go where."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from ballastd.core.arrays import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Heat:
    """The cluster in columns, a row per host and a row per VM.

    ``cpu``, ``memory``: processors and bytes that a host's VMs use, ``cpu_mark``, ``memory_mark``: above which it is hot.
    ``opens``: whether it may receive. ``vm_cpu``, ``vm_memory``: what a VM takes with it, ``vm_peak``: processors that it
    needs where it comes to. ``vm_cost``: what moving it costs, in bytes. ``vm_movable``: whether it may leave.
    """

    cpu: Floats
    cpu_mark: Floats
    memory: Floats
    memory_mark: Floats
    opens: Bools
    vm_host: Ints
    vm_cpu: Floats
    vm_peak: Floats
    vm_memory: Floats
    vm_cost: Floats
    vm_movable: Bools


class Doors(Protocol):
    """What beside room decides who may go where: rules of placement, above all."""

    def shut(self, vm: int) -> Collection[int]:
        """Return the rows of the hosts that may not take a VM (row) now, as far as that is cheap to say."""

    def admits(self, vm: int, host: int) -> bool:
        """Return whether a host that is not shut takes a VM: asked of the one that would be chosen, for it may be dear."""

    def penalties(self, vm: int) -> Ints | None:
        """Return, by host, what should count against it as the place of a VM before all else, 0 for nothing; None where
        nothing counts against any."""

    def enter(self, vm: int, host: int) -> None:
        """Count a VM among those that a host will have."""

    def leave(self, vm: int, host: int) -> None:
        """Undo that."""


class NoDoors:
    """Whoever has room takes everybody."""

    def shut(self, vm: int) -> Collection[int]:  # noqa: ARG002  the protocol's
        """See ``Doors``."""
        return ()

    def admits(self, vm: int, host: int) -> bool:  # noqa: ARG002  the protocol's
        """See ``Doors``."""
        return True

    def penalties(self, vm: int) -> Ints | None:  # noqa: ARG002  the protocol's
        """See ``Doors``."""
        return None

    def enter(self, vm: int, host: int) -> None:
        """See ``Doors``."""

    def leave(self, vm: int, host: int) -> None:
        """See ``Doors``."""
