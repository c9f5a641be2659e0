"""Trust that is lost: a policy in mode auto whose moves fail, one after the other, only recommends until a person looked."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core import autonomy_events as au
from ballastd.core.autonomy import FAULT_MEMORY_SECONDS, FAULTS_TO_DEMOTE, HasMode
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.policies import Mode, PolicySet
from ballastd.core.recent import tell


def acting(policies: PolicySet) -> dict[str, HasMode]:
    """Return the policies that move or switch something, by name."""
    found: tuple[HasMode, ...] = (*policies.evacuation, *policies.balance, *policies.consolidation, *policies.placement)
    return {policy.name: policy for policy in found}


def changes(policies: PolicySet, ledger: Ledger, wall: float
            ) -> tuple[list[au.PolicyDemoted | au.PolicyPromoted], list[Notice]]:
    """Return who is demoted now, and who was but is not in mode auto any more (its operator has looked); and what is to be
    told."""
    autonomy, known = ledger.autonomy, acting(policies)
    found: list[au.PolicyDemoted | au.PolicyPromoted] = []
    for name, policy in sorted(known.items()):
        recent = [at for at in autonomy.faults.get(name, ()) if at > wall - FAULT_MEMORY_SECONDS]
        if len(recent) >= FAULTS_TO_DEMOTE and policy.mode is Mode.AUTO and name not in autonomy.demoted:
            found.append(au.PolicyDemoted(wall, name, f"{len(recent)} of its moves failed one after the other"))
    for name in sorted(autonomy.demoted):
        if name not in known or known[name].mode is not Mode.AUTO:
            why = "is gone" if name not in known else f"says {known[name].mode.value}"
            found.append(au.PolicyPromoted(wall, name, "", f"its document {why}"))
    tolds = [(one, tell(one)) for one in found]
    return found, [Notice(told.level, f"trust/{one.policy}", told.text) for one, told in tolds if told is not None]


def held_back(intents: tuple[Intent, ...], ledger: Ledger) -> tuple[Intent, ...]:
    """Return the intents with those of demoted policies as recommendations. A failing host is emptied all the same; a
    host that is being emptied to be switched off is the business of its own phase."""
    demoted = ledger.autonomy.demoted
    if not demoted:
        return intents
    return tuple(replace(intent, mode=Mode.RECOMMEND, because=f"{intent.because}; {intent.policy} was demoted")
                 if intent.policy in demoted and intent.mode is Mode.AUTO and intent.kind is not IntentKind.EMPTY
                 and not intent.saves_from_failing_host else intent for intent in intents)
