"""What is known of each host at one instant, put together from what was heard, seen, judged and booked."""

from __future__ import annotations

from collections.abc import Callable

from ballastd.core.inventory import DeclaredHost, HostInventory
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Loads, host_load
from ballastd.core.policies import ClusterDeclaration, Health
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import Bytes, HostName, Instant
from ballastd.core.senses import Senses
from ballastd.core.snapshot import HostFacts
from ballastd.core.standing import reasons_to_avoid


def facts_of(cluster: ClusterDeclaration, senses: Senses, loads: Loads, health_of: Callable[[HostName], Health],
             ledger: Ledger, quarantined: frozenset[HostName], now: Instant) -> tuple[HostFacts, ...]:
    """Return the facts of every declared host, in their order. ``health_of``: by what fires there; ``quarantined``: where
    nothing new may start for that."""
    frozen = ledger.frozen_hosts()

    def fact_of(host: DeclaredHost) -> HostFacts:
        name, window = host.name, cluster.timing.load_window
        health, power = health_of(name), ledger.power.get(name)
        if power is not None and power.phase is PowerPhase.FAILED:
            health = max(health, Health.SUSPECT)
        reachable, fresh = senses.is_reachable(name, now), senses.telemetry.is_fresh(name, now)
        utilization, mean = senses.telemetry.level(name, "cpu.utilization", "", window, now)
        # what an operator vouches to be off shows nothing, whatever was seen there last
        inventory = showing_nothing(name, now) if name in ledger.confirmed_dead else senses.inventories.get(name)
        return HostFacts(
            declared=host, inventory=inventory, health=health, reachable=reachable,
            turn=None if name in ledger.confirmed_dead else senses.turns.get(name), fresh=fresh,
            avoid=reasons_to_avoid(name, health, reachable, senses.why_unreachable(name), senses.telemetry, fresh,
                                   name in quarantined, ledger, now),
            cpu_utilization=utilization, asked=senses.was_asked(name),
            load=host_load(host, inventory, loads, mean, now),
            apart=power is not None or name in ledger.drains or name in ledger.evacuating
            or name in ledger.confirmed_dead or name in frozen)

    return tuple([fact_of(host) for host in cluster.hosts])


def showing_nothing(host: HostName, now: Instant) -> HostInventory:
    """Return the inventory of a host that is known to be off."""
    return HostInventory(host, now, now, Bytes(0), Bytes(0), 0, ())
