"""An order of moves that holds at every instant, whichever of those under way end first.

A VM that moves holds its memory at both ends, and counts at both for every rule, until it has arrived. So a move may begin
at once if its target has room beside everything that comes there; else it waits for as many of the moves that leave its
target as make room, and is told which. Where moves wait for one another in a circle, the smallest VM of it that can steps
aside to a third host first; where none can, the circle is refused, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ballastd.core.heat import Doors


@dataclass(frozen=True, slots=True)
class Step:
    """A move of a VM (row) between hosts (rows). ``after``: the steps, by their place in the order, that must have ended
    before it begins. ``is_detour``: the VM only makes room here, and goes on later."""

    vm: int
    source: int
    target: int
    after: tuple[int, ...] = ()
    is_detour: bool = False


@dataclass(frozen=True, slots=True)
class Ordering:
    """Steps in the order in which they may begin, and the VMs whose moves wait for one another in a circle."""

    steps: tuple[Step, ...]
    circle: tuple[int, ...] = ()


def sequence(room: Sequence[float], memory: Sequence[float], at: Sequence[int], goals: Iterable[tuple[int, int]],
             doors: Doors, opens: Sequence[bool]) -> Ordering:
    """Return the order. ``room``: bytes that each host has left now; ``memory``, ``at``: bytes of each VM, and where it is.
    ``goals``: VM and host, in the order in which they are wanted. ``doors`` have counted where VMs are, and are left so.
    ``opens``: whether a host may take somebody who steps aside."""
    made = _Making(room, memory, at, doors, opens)
    waiting = [goal for goal in goals if at[goal[0]] != goal[1]]
    circle: list[int] = []
    while waiting:
        left = [goal for goal in waiting if not made.begins(*goal)]
        if len(left) == len(waiting) and not made.steps_aside(left):
            circle = [vm for vm, _ in left]
            break
        waiting = left
    made.undo()
    return Ordering(tuple(made.steps), tuple(circle))


class _Making:
    def __init__(self, room: Sequence[float], memory: Sequence[float], at: Sequence[int], doors: Doors,
                 opens: Sequence[bool]) -> None:
        self._room, self._memory, self._doors, self._opens = list(room), memory, doors, opens
        self._now: dict[int, int] = {}
        self._home = at
        self.steps: list[Step] = []
        self._last: dict[int, int] = {}
        """The step that moves a VM last."""
        self._leaving: dict[int, list[int]] = {}
        """The steps that leave a host whose room nobody has used yet, in their order."""
        self._used: dict[int, list[int]] = {}
        """The steps whose room at a host somebody has used: whoever comes after waits for them too."""
        self._undo: list[tuple[int, int, bool]] = []

    def begins(self, vm: int, target: int, *, is_detour: bool = False) -> bool:
        """Add a VM's move to the order, if what left its target before makes room for it; return whether it did."""
        credited: list[int] = []
        leaving = self._leaving.get(target, [])
        while not self._fits(vm, target):
            if len(credited) == len(leaving):
                for index in reversed(credited):
                    self._take_back(index, target)
                return False
            index = leaving[len(credited)]
            self._credit(index, target)
            credited.append(index)
        del leaving[:len(credited)]
        self._used.setdefault(target, []).extend(credited)
        source = self._now.get(vm, self._home[vm])
        before = {*self._used[target], *([self._last[vm]] if vm in self._last else [])}
        self._last[vm] = len(self.steps)
        self._leaving.setdefault(source, []).append(len(self.steps))
        self.steps.append(Step(vm, source, target, tuple(sorted(before)), is_detour))
        self._room[target] -= self._memory[vm]
        self._enter(vm, target)
        self._now[vm] = target
        return True

    def steps_aside(self, goals: Sequence[tuple[int, int]]) -> bool:
        """Have the smallest VM that can make room for others go to a third host; return whether one could."""
        for vm, _ in sorted(goals, key=lambda goal: (self._memory[goal[0]], goal[0])):
            if vm in self._last:
                continue
            here = self._now.get(vm, self._home[vm])
            if not any(target == here for other, target in goals if other != vm):
                continue
            for host in sorted(range(len(self._room)), key=lambda host: (-self._room[host], host)):
                if self._opens[host] and host != here and self.begins(vm, host, is_detour=True):
                    return True
        return False

    def undo(self) -> None:
        """Leave the doors as they were found."""
        for vm, host, entered in reversed(self._undo):
            (self._doors.leave if entered else self._doors.enter)(vm, host)

    def _fits(self, vm: int, target: int) -> bool:
        return self._room[target] >= self._memory[vm] and target not in self._doors.shut(vm)

    def _credit(self, index: int, host: int) -> None:
        self._room[host] += self._memory[self.steps[index].vm]
        self._doors.leave(self.steps[index].vm, host)
        self._undo.append((self.steps[index].vm, host, False))

    def _take_back(self, index: int, host: int) -> None:
        self._room[host] -= self._memory[self.steps[index].vm]
        self._enter(self.steps[index].vm, host)

    def _enter(self, vm: int, host: int) -> None:
        self._doors.enter(vm, host)
        self._undo.append((vm, host, True))
