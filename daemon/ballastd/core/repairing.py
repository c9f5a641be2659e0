"""Putting rules about where VMs live right: moves after which they are kept, and no heavier wish is broken for it."""

from __future__ import annotations

import numpy as np

from ballastd.core.accounts import Figure, Worth
from ballastd.core.arrays import Floats
from ballastd.core.balancing import price_of
from ballastd.core.breaches import Breach, broken_on, keeps
from ballastd.core.draft import Draft, Stuck
from ballastd.core.drafting import NOES_SHOWN, Shortlist, add, best_of, terms_of, why_left_alone, why_vm_rests
from ballastd.core.intents import Intent
from ballastd.core.placement import penalty, rules_for
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import PlacementPolicy
from ballastd.core.weighing import copying_costs, told_one_by_one

MUST_RULE_KEPT = Figure("must-rule kept", 1.0, "rules")
ASKED_MAX = 30
"""For so many VMs a plan looks for a target in vain before it leaves a rule for the next time: each asks every host."""


def repair(draft: Draft, intent: Intent) -> None:
    """Plan the moves off a host with which a rule is kept, as many as its budget of an hour allows; or say of each VM why it
    stays."""
    rule = next((one for one in draft.policies.placement if one.name == intent.policy), None)
    if rule is None:
        return
    most = intent.budget.per_hour if intent.budget else 1
    for breach in broken_on(draft.snapshot, rule).get(intent.host, []):
        if (sum(move.policy == intent.policy for move in draft.moves) >= most
                or draft.asked.get(rule.name, 0) >= ASKED_MAX):
            return
        no = (why_left_alone(draft, intent.host) or why_vm_rests(draft, intent, breach.vm)
              or _put_right(draft, intent, rule, breach))
        if no is not None:
            draft.refusals.append(no)


def _put_right(draft: Draft, intent: Intent, rule: PlacementPolicy, breach: Breach) -> Refusal | None:
    """Plan the move of one VM, or return why there is none."""
    vm, source = breach.vm, breach.host
    worths = _worths(draft, rule, breach)
    targets = Shortlist(draft, terms_of(intent, draft.policies), vm, source, worths)
    kept, noes = best_of(targets, targets.next())
    if not kept:
        draft.asked[rule.name] = draft.asked.get(rule.name, 0) + 1
        against = [*targets.why_barred(), *noes]
        shown = "; ".join(f"{no.host}: {no.detail}" for no in against[:NOES_SHOWN])
        no = Refusal(RefusalKind.PLACEMENT, f"stays, though {rule.name} {breach.why}: " + (
            f"no host takes it ({shown})" if against else "on no other host would that be better"),
            draft.snapshot.vms.ids[vm], intent.host, told_one_by_one(draft, against))
        if rule.must:
            draft.stuck.append((Stuck(intent, vm, no, worths, Worth(breach.why, (MUST_RULE_KEPT,))),))
        return no
    price = price_of(draft, vm, source, kept[0].row)
    gain = MUST_RULE_KEPT if rule.weight is None else Figure("wish kept", rule.weight, "of weight")
    add(draft, intent, vm, source, kept, [*targets.why_barred(NOES_SHOWN), *noes],
        Worth(breach.why, (gain,), copying_costs(price.memory, price.copy, price.risk)))
    return None


def _worths(draft: Draft, rule: PlacementPolicy, breach: Breach) -> Floats:
    """Return, by host, 1 where the rule would be kept, and no other wishes of its weight broken instead: else two of them
    would send the VM to and fro."""
    snapshot, vm = draft.snapshot, breach.vm
    kept = keeps(snapshot, rule, draft.homes, breach)
    if rule.weight is not None:
        rules = rules_for(snapshot, draft.policies.placement, vm)
        for host in np.flatnonzero(kept).tolist():
            kept[host] = penalty(rules, snapshot, draft.homes, vm, breach.host, host) < rule.weight
    return kept.astype(np.float64)
