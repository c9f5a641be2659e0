"""Which hosts to empty for a policy: the set that brings most, tried out on a draft as it would be carried out.

Sums over hosts say which set would be best (``packing_sums``). What they cannot see is tried: all VMs of the set are placed
on hosts that stay on, under every constraint of the real moves. A host whose VMs find no place stays on, which gives the
others room, and the set is looked for anew. What is tried is counted, so that equal clusters give equal sets on any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ballastd.core.autonomy import SWITCH_OFF
from ballastd.core.books import DAY_SECONDS, HOUR_SECONDS
from ballastd.core.draft import begin
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.packing_sums import ASSUMED_WATTS, Account, Frame, HostSums, Sums
from ballastd.core.planning import emptied
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import ConsolidationPolicy, During, Health, Mode, PolicySet
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import GIB, MIB, HostName, human_bytes, human_seconds
from ballastd.core.snapshot import Snapshot
from ballastd.core.trends import in_scope

POWER_OFF_RATE_SECONDS = 600.0
ROUNDS_MAX = 12
"""So often a set is looked for without the hosts that proved impossible to empty."""
TRIED_MAX = 1000
"""VMs that are placed on trial, in all rounds; the round in which it is reached is the last."""
CHANGE_MARGIN = 0.05
"""By so much another set must bring more than the one that was meant before: hosts were kept clear for that one."""
NEXT_SHOWN = 3
SPREADING_SECONDS = 3600.0
"""For so long after a window what was packed in it may not be spread out again yet."""

Why = Callable[[HostName], Refusal | None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The hosts to empty, the first first, and what that brings; or what speaks against each host."""

    hosts: tuple[HostName, ...] = ()
    because: str = ""
    refusals: tuple[Refusal, ...] = ()


def intent_for(policy: ConsolidationPolicy, host: HostName, because: str, snapshot: Snapshot, mode: Mode, closes: float,
               next_hosts: tuple[HostName, ...] = ()) -> Intent:
    """Return the intent to empty ``host`` for ``policy``, which may pack until ``closes`` (wall seconds), with those to
    follow it kept clear."""
    until = closes + SPREADING_SECONDS if policy.fill_during is During.WINDOW else None
    return Intent(IntentKind.EMPTY, host, policy.name, because, Health.HEALTHY, snapshot.now, mode=mode,
                  windows=(policy.window, *policy.denials),
                  fill=Fill(policy.fill_cpu, policy.fill_memory, policy.fill_network, until),
                  cooldown=policy.cooldown, budget=policy.budget, vms=policy.vms, next_hosts=next_hosts)


def allowed_off(snapshot: Snapshot, policies: PolicySet) -> int:
    """Return how many hosts may be off at once by our doing; one in any cluster."""
    return max(1, int(policies.limits.hosts_off_share * len(snapshot.hosts.names)))


def off_by_us(ledger: Ledger) -> int:
    """Return how many hosts are off, or on their way off or back."""
    return sum(1 for power in ledger.power.values() if power.phase is not PowerPhase.FAILED)


class Choosing:
    """The search for one policy. ``closes``: wall seconds until which it may pack; ``blocked``: hosts that wait for storage;
    ``why_not``: what speaks against a host whatever its VMs."""

    def __init__(self, policy: ConsolidationPolicy, snapshot: Snapshot, ledger: Ledger, policies: PolicySet, *,
                 closes: float, blocked: dict[HostName, float], why_not: Why) -> None:
        self._policy, self._snapshot, self._ledger, self._policies = policy, snapshot, ledger, policies
        self._rows = in_scope(policy, snapshot).tolist()
        self._names = [snapshot.hosts.names[row] for row in self._rows]
        self._sums = Sums(self._columns(blocked), self._frame(closes))
        self._why_not, self._closes = why_not, closes
        self._noes: dict[int, Refusal | None] = {}
        """What speaks against hosts (indices of those in scope), as far as it was asked or tried."""

    def choose(self) -> Chosen:
        """Return the set to empty, or what speaks against each host."""
        before, tried = self._before(), 0
        draft = begin(self._snapshot, self._ledger, self._policies)
        for _ in range(ROUNDS_MAX):
            found = self._sums.best(self._may, before, margin=CHANGE_MARGIN)
            good, current = [], draft
            for number in found:
                others = tuple(self._names[other] for other in found if other != number)
                after, noes = emptied(current, self._intent(number, others))
                tried += len(after.moves) - len(current.moves)
                if noes:
                    self._noes[number] = self._refusal(number, f"it cannot be emptied: {noes[0].detail}")
                else:
                    good.append(number)
                    current = after
            if good and (len(good) == len(found) or tried > TRIED_MAX):
                if chosen := self._chosen(self._sums.in_order(good)):
                    return chosen
                break
            if not found or tried > TRIED_MAX:
                break
        return Chosen(refusals=tuple(self._why_none(number) for number in self._sums.in_order(range(len(self._rows)))))

    def _chosen(self, found: tuple[int, ...]) -> Chosen | None:
        """Return the set, those first that people were offered already if it is worth it in that order too; None if it is
        not in either."""
        offered = self._offered()
        for order in (tuple(sorted(found, key=lambda number: self._names[number] not in offered)), found):
            account = self._sums.weigh(order)
            if not account.why_not:
                return Chosen(tuple(self._names[number] for number in order), self._because(order, account))
        return None

    def _because(self, found: tuple[int, ...], account: Account) -> str:
        names = [self._names[number] for number in found[1:]]
        more = f" and {len(names) - NEXT_SHOWN} more" if len(names) > NEXT_SHOWN else ""
        after = f"; {', '.join(names[:NEXT_SHOWN])}{more} after it, {account.net:.0f} Wh together" if names else ""
        memory, off = human_bytes(int(self._snapshot.hosts.used[self._rows[found[0]]])), human_seconds(account.off[0])
        return (f"off for {off} it saves {account.saved[0]:.0f} Wh and costs {account.cost[0]:.0f}, {memory} out and back"
                f"{after}")

    def _may(self, number: int) -> bool:
        if number not in self._noes:
            self._noes[number] = self._why_not(self._names[number])
        return self._noes[number] is None

    def _why_none(self, number: int) -> Refusal:
        """Return why a host is not emptied where none is."""
        self._may(number)
        return self._noes[number] or self._refusal(number, self._sums.weigh((number,)).why_not)

    def _refusal(self, number: int, why: str) -> Refusal:
        return Refusal(RefusalKind.POWER, why, host=self._names[number])

    def _intent(self, number: int, others: tuple[HostName, ...]) -> Intent:
        return intent_for(self._policy, self._names[number], "", self._snapshot, Mode.AUTO, self._closes, others)

    def _before(self) -> tuple[int, ...]:
        """Return what was meant to follow the host that went off last, and what people were offered."""
        off = [power for power in self._ledger.power.values()
               if power.phase is PowerPhase.OFF and power.policy == self._policy.name]
        last = max(off, key=lambda power: power.since_wall, default=None)
        meant = self._offered() | frozenset(last.next_hosts if last is not None else ())
        return tuple(number for number, name in enumerate(self._names) if name in meant)

    def _offered(self) -> frozenset[HostName]:
        autonomy, wall = self._ledger.autonomy, self._snapshot.now.wall
        return frozenset(offer.source for offer in autonomy.offers.values() if offer.reason == SWITCH_OFF
                         and offer.policy == self._policy.name and wall < offer.until_wall)

    def _columns(self, blocked: dict[HostName, float]) -> HostSums:
        hosts, rows = self._snapshot.hosts, self._rows
        cpu = [float(hosts.cpu_limit[row] if hosts.names[row] in blocked else hosts.cpu[row]) for row in rows]
        share = self._policies.limits.link_share
        watts = [self._snapshot.facts[row].declared.idle_watts for row in rows]
        counts = np.bincount(self._snapshot.vms.host, minlength=len(hosts.names))
        return HostSums(
            limit=hosts.limit[rows], used=hosts.used[rows], cpu_limit=hosts.cpu_limit[rows], cpu=np.array(cpu),
            vms=counts[rows], gib=hosts.used[rows] / GIB,
            copying=hosts.used[rows] / MIB / np.maximum(1.0, hosts.link_mib_s[rows] * share),
            watts=np.array([ASSUMED_WATTS if one is None else max(1.0, one) for one in watts]))

    def _frame(self, closes: float) -> Frame:
        policy, limits, ledger, wall = self._policy, self._policies.limits, self._ledger, self._snapshot.now.wall
        made = [order.wall for order in ledger.routine_orders if order.policy == policy.name]
        return Frame(
            seconds=closes - policy.wake_ahead - wall, minimum_off=policy.minimum_off,
            pace=POWER_OFF_RATE_SECONDS / limits.power_offs_per_10_min,
            hosts=allowed_off(self._snapshot, self._policies) - off_by_us(ledger),
            moves=policy.budget.per_day - sum(at > wall - DAY_SECONDS for at in made),
            moves_made=sum(at > wall - HOUR_SECONDS for at in made), moves_per_hour=policy.budget.per_hour,
            below=policy.power_off_below, spare_hosts=policy.spare_hosts, spare_share=policy.spare_share)
