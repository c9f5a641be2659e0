"""Small clusters of which one or two hosts are emptied, from a seed: for whoever looks at where their VMs go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np

from ballastd.core.arrays import Bools, Ints
from ballastd.core.decisions import Decision
from ballastd.core.inputs import OperatorCommand, Verb
from ballastd.core.policies import Limits, PlacementPolicy, Rule, Scope, VmSelector
from tests.builders import POLICIES, ClusterBuilder, a_cluster, table

APART = PlacementPolicy("web-apart", VmSelector(tags=("web",)), Rule.APART, "host")
AWAY = PlacementPolicy("db-away", VmSelector(tags=("db",)), Rule.NEVER_ON, "host", Scope(("t1", "t3")))

POLICIES_HERE = replace(POLICIES, limits=Limits(failover_hosts=0, migration_minimum_mib_s=1.0), placement=(APART, AWAY))
"""No failover reserve, and rules for those that are tagged."""


@dataclass(frozen=True)
class EmptiedHosts:
    """``emptied``: the hosts that are drained. ``needs``, ``tags``: GiB and tag of each VM there; ``rooms``: GiB that the
    others have, ``t0`` and so on."""

    builder: ClusterBuilder
    emptied: tuple[str, ...]
    needs: Ints
    tags: tuple[str, ...]
    rooms: Ints

    def never(self) -> Bools:
        """Return which VM may come to which host at no time."""
        return np.array([[tag == "db" and host in (1, 3) for host in range(len(self.rooms))] for tag in self.tags])

    def apart(self) -> list[list[int]]:
        """Return the VMs of which no two may meet."""
        return [[vm for vm, tag in enumerate(self.tags) if tag == "web"]]

    def drained(self) -> Decision:
        """Return what is decided when all of them are drained at once."""
        t = table(self.builder, POLICIES_HERE).warm_up()
        return t.step(*(OperatorCommand(f"t{host}", Verb.DRAIN, host, "ann", "", None) for host in self.emptied))


def emptied_hosts(seed: int) -> EmptiedHosts:
    """Return one or two hosts with 3 to 8 VMs in all, and 2 to 5 others with 1.0 to 1.6 times the room that these need; in
    half of the clusters some may not meet, or not come to some hosts."""
    luck = Random(f"emptied {seed}")
    count, others, has_rules = luck.randint(3, 8), luck.randint(2, 5), luck.random() < 0.5
    needs = [luck.choice((2, 4, 6, 8, 10, 12, 16, 20, 24)) for _ in range(count)]
    tags = tuple(luck.choice(("web", "db", "", "")) if has_rules else "" for _ in range(count))
    emptied = luck.choice((("a",), ("a", "b")))
    homes = [luck.choice(emptied) for _ in range(count)]
    shares = [luck.random() + 0.2 for _ in range(others)]
    slack = luck.uniform(1.0, 1.6)
    rooms = [int(sum(needs) * slack * share / sum(shares)) + 1 for share in shares]
    builder = a_cluster()
    for host in emptied:
        builder = builder.host(host, 256)
        for vm in range(count):
            if homes[vm] == host:
                builder = builder.running(f"v{vm}", needs[vm], tags=(tags[vm],) if tags[vm] else ())
    for number, room in enumerate(rooms):
        builder = builder.host(f"t{number}", room + 8).running(f"x{number}", 8, ignored=True)
    return EmptiedHosts(builder, emptied, np.array(needs), tags, np.array(rooms))
