"""What speaks for a move and against it, in named terms with their units: what plans carry and what people are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One term of what a move gains or costs. ``unit``: B, s, "of the host" (a share of what it has too much of),
    "host seconds" (a whole host's processors for so long), "rules", "of weight" (of a wish), or "times"."""

    name: str
    amount: float
    unit: str


@dataclass(frozen=True, slots=True)
class Worth:
    """What a move gains and costs, term by term; ``words``: the same for people."""

    words: str = ""
    gains: tuple[Figure, ...] = ()
    costs: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Weighed:
    """A host that was weighed as a target: its points (larger is better), and the terms that they are the sum of."""

    host: str
    points: int
    terms: tuple[tuple[str, int], ...] = ()

    def words(self) -> str:
        """Return the points and what they are made of."""
        parts = ", ".join(f"{name} {points}" for name, points in self.terms if points)
        return f"{self.points} points ({parts})" if parts else f"{self.points} points"


@dataclass(frozen=True, slots=True)
class Account:
    """Why a move is planned, and planned so: what it gains and costs, its target, the best that was not taken (None: nothing
    else could take it), and ``because``: what decided between the two."""

    gains: tuple[Figure, ...]
    costs: tuple[Figure, ...]
    chosen: Weighed
    alternative: Weighed | None = None
    because: str = ""


@dataclass(frozen=True, slots=True)
class Against:
    """The first thing that speaks against one candidate: a host that cannot take a VM, or a VM that cannot leave."""

    kind: str
    detail: str
    vm: str = ""
    host: str = ""
