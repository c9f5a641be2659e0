"""Rules about where VMs live: whether moves break them, and whether those that are to put them right do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ballastd.core.plans import Order
from ballastd.core.policies import ConsolidationPolicy, PlacementPolicy, Rule
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.limits import policy_of
from ballastd.sim.checkers.room import place_of

Homes = Mapping[VmId, set[HostName]]


class _Rules(Checker):
    """How broken rules about where VMs live are."""

    def order_breaks(self, rule: PlacementPolicy, order: Order) -> bool:
        """Return whether a move makes a rule more broken than it was, a VM in flight counting at both ends."""
        record = self.world.host(order.move.source).vms.get(order.move.vm)
        if record is None or not rule.vms.covers(record):
            return False
        before = self._homes()
        during = {vm: set(hosts) for vm, hosts in before.items()}
        during.setdefault(order.move.vm, set()).add(order.move.target)
        return self._breaks(rule, order, before, during)

    def puts_right(self, rule: PlacementPolicy, order: Order) -> bool:
        """Return whether a rule is less broken once a move is over."""
        before = self._homes()
        return self._broken(rule, {**before, order.move.vm: {order.move.target}}) < self._broken(rule, before)

    def _broken(self, rule: PlacementPolicy, homes: Homes) -> int:
        match rule.rule:
            case Rule.PINNED:
                return 0
            case Rule.APART:
                return self._crowding(rule, homes)
            case Rule.TOGETHER:
                return self._scatter(rule, homes)
            case _:
                members = {record.vm for _, record in self.records() if rule.vms.covers(record)}
                return sum(rule.hosts.covers(self.declared(host)) is (rule.rule is Rule.NEVER_ON)
                           for vm in members for host in homes.get(vm, ()))

    def _homes(self) -> dict[VmId, set[HostName]]:
        homes: dict[VmId, set[HostName]] = {}
        for host, record in self.records():
            if record.state.holds_memory:
                homes.setdefault(record.vm, set()).add(host)
        return homes

    def _breaks(self, rule: PlacementPolicy, order: Order, before: Homes, during: Homes) -> bool:
        target = self.declared(order.move.target)
        match rule.rule:
            case Rule.PINNED:
                return True
            case Rule.ON:
                return not rule.hosts.covers(target)
            case Rule.NEVER_ON:
                return rule.hosts.covers(target)
            case Rule.APART:
                return self._crowding(rule, during) > self._crowding(rule, before)
            case Rule.TOGETHER:
                return self._scatter(rule, during) > self._scatter(rule, before)

    def _places(self, rule: PlacementPolicy, homes: Homes) -> list[set[str]]:
        members = {record.vm for _, record in self.records() if rule.vms.covers(record)}
        return [{place_of(self.declared(host), rule.across) for host in hosts} for vm, hosts in homes.items()
                if vm in members]

    def _crowding(self, rule: PlacementPolicy, homes: Homes) -> int:
        counts = Counter(place for places in self._places(rule, homes) for place in places)
        return sum(count - 1 for count in counts.values())

    def _scatter(self, rule: PlacementPolicy, homes: Homes) -> int:
        return len({place for places in self._places(rule, homes) for place in places})


class MustRules(_Rules):
    """No move of ours makes a rule that must hold more broken than it was, a VM in flight counting at both ends."""

    rule = "must-rules"

    def migrating(self, order: Order) -> None:
        for rule in self.policies.placement:
            if rule.must and self.order_breaks(rule, order):
                self.complain(f"{order.move.vm_name} goes from {order.move.source} to {order.move.target}, which breaks "
                              f"{rule.name}")


class Wishes(_Rules):
    """Packing breaks no rule, a wish neither; and what moves for a rule puts it right."""

    rule = "wishes"

    def migrating(self, order: Order) -> None:
        policy, move = policy_of(self, order.move.policy), order.move
        if isinstance(policy, ConsolidationPolicy):
            for rule in self.policies.placement:
                if self.order_breaks(rule, order):
                    self.complain(f"{policy.name} sends {move.vm_name} to {move.target}, which breaks {rule.name}")
        elif isinstance(policy, PlacementPolicy) and not self.puts_right(policy, order):
            self.complain(f"{policy.name} sends {move.vm_name} to {move.target}, which puts nothing right")
