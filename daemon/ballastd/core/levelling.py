"""Evening out as the daemon plans it: the few cheap moves after which no two hosts are further apart than a policy says.

Only hosts that are busier than the mean send, and only the others receive, so that no move counts on what another one frees.
Where that finds nothing, the one move off the fullest host that is worth most is looked for, or said why there is none.
"""

from __future__ import annotations

import numpy as np

from ballastd.core.arrays import Bools, Floats
from ballastd.core.balancing import even_by_one
from ballastd.core.draft import Draft
from ballastd.core.drafted_heat import DraftDoors, add_all, heat_of
from ballastd.core.drafting import why_vm_rests
from ballastd.core.evening import even
from ballastd.core.intents import Intent
from ballastd.core.policies import BalancePolicy
from ballastd.core.roughness import Aim, span
from ballastd.core.trends import in_scope

MARGIN = 0.9
"""Hosts are brought this much nearer to one another than the policy asks for, so that noise does not undo it."""
ROUNDS = 8
"""So many hosts may be too full for good while others are evened out."""


def even_out(draft: Draft, intent: Intent) -> None:
    """Plan the moves that even the hosts of a policy out, or refuse."""
    policy = next((one for one in draft.policies.balance if one.name == intent.policy), None)
    if policy is None or not _together(draft, intent, policy):
        even_by_one(draft, intent)


def _together(draft: Draft, intent: Intent, policy: BalancePolicy) -> bool:
    """Plan evening out as a whole; return whether any move came of it.

    A fullest host that nothing can leave is not compared any more: to fill all others up to it would help nobody."""
    hosts = draft.snapshot.hosts
    limit = np.where(hosts.cpu_limit > 0, hosts.cpu_limit, np.nan)
    shares = (hosts.cpu + draft.shifted) / limit
    counts = _counted(draft, policy) & ~np.isnan(shares)
    before = len(draft.moves)
    for _ in range(ROUNDS):
        if counts.sum() < 2 or span(shares[counts]) <= policy.imbalance_above:
            return False
        fullest = int(np.argmax(np.where(counts, shares, -np.inf)))
        moves, off = _found(draft, intent, policy, counts, shares)
        if any(int(draft.snapshot.vms.host[vm]) == fullest for vm, _ in moves):
            add_all(draft, dict.fromkeys(range(len(hosts.names)), intent), moves, off, "with which hosts are even")
            return len(draft.moves) > before
        counts[fullest] = False
    return False


def _found(draft: Draft, intent: Intent, policy: BalancePolicy, counts: Bools, shares: Floats
           ) -> tuple[tuple[tuple[int, int], ...], Floats]:
    """Return the moves, VM row and host row, that even the hosts out that count; and what each VM uses of its host."""
    assert intent.fill is not None
    limit = draft.snapshot.hosts.cpu_limit
    sends = counts & (np.nan_to_num(shares) > float((shares * limit)[counts].sum() / limit[counts].sum()))
    wanted = dict.fromkeys(np.flatnonzero(sends).tolist(), intent)
    off = _shares_of_vms(draft, intent, sends)
    aim = Aim(limit, draft.snapshot.hosts.limit.astype(np.float64), counts, cpu_span=MARGIN * policy.imbalance_above,
              least=intent.minimum_gain * span(shares[counts]))
    heat = heat_of(draft, wanted, off, intent.fill, np.zeros(len(limit), np.bool_), ~sends)
    return even(heat, DraftDoors(draft, wanted, off), aim).moves, off


def _counted(draft: Draft, policy: BalancePolicy) -> Bools:
    """Return the hosts that are compared: those in the policy's scope that may receive."""
    counted: Bools = np.zeros(len(draft.snapshot.hosts.names), np.bool_)
    counted[in_scope(policy, draft.snapshot)] = True
    return counted & draft.snapshot.hosts.target


def _shares_of_vms(draft: Draft, intent: Intent, sends: Bools) -> Floats:
    """Return, by VM row, what it uses of a host that sends, 0 for all that stay."""
    vms, limit = draft.snapshot.vms, draft.snapshot.hosts.cpu_limit
    off: Floats = np.zeros(len(vms.ids))
    living = np.flatnonzero(sends[vms.host] & ~np.isnan(vms.cpu))
    off[living] = [share if why_vm_rests(draft, intent, vm) is None else 0.0
                   for vm, share in zip(living.tolist(), (vms.cpu[living] / limit[vms.host[living]]).tolist(), strict=True)]
    return off
