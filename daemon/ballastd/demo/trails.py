"""Where each VM of a pretend cluster truly ran, in order: what claims are checked against."""

from __future__ import annotations

from ballastd.core.acts import Act
from ballastd.core.quantities import HostName
from ballastd.sim.checkers import Checker
from ballastd.sim.world import World


class Trails(Checker):
    """Watches a world. To be read from the world's own thread.

    ``hosts``: per VM the hosts it came to run on. ``copies_max``: the most copies of one VM that ever ran at once."""

    rule = "trails"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.hosts: dict[str, list[HostName]] = {}
        self.copies_max = 0
        self.looks = 0
        self._carried: set[str] = set()
        for name in world.names:
            self._look(name)

    def acted(self, act: Act) -> None:
        """Somebody moves a VM by hand: the pretend hand puts it down before it lets go."""
        if act.do == "carry":
            self._carried.add(act.vm)

    def changed(self, host: HostName) -> None:  # noqa: ARG002  what left it counts as well
        """Something on a host changed: look where everybody is."""
        self.looks += 1
        for name in self.world.names:
            self._look(name)

    def _look(self, name: str) -> None:
        running = self.world.at(self.world.names[name])
        if name not in self._carried:
            self.copies_max = max(self.copies_max, len(running))
        trail = self.hosts.setdefault(name, [])
        if len(running) == 1 and (not trail or trail[-1] != running[0]):
            trail.append(running[0])
