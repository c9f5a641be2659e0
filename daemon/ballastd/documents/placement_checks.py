"""Placement rules against one another and against the declared hosts: what can never hold, and what is doubtful."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence

from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration, Rule, Scope, VmSelector
from ballastd.documents.placement_models import COMPANY, PLACES, PlacementModel
from ballastd.documents.positions import Document
from ballastd.documents.scalars import shown
from ballastd.documents.taken import Taken

SHOWN = 3
Placed = list[tuple[Document, PlacementModel]]


def check_contradictions(taken: Taken, cluster: ClusterDeclaration | None) -> None:
    """Refuse must-rules for the same VMs that nothing can satisfy. Without a cluster only what is plain from the texts."""
    alike: dict[VmSelector, Placed] = defaultdict(list)
    for document, model in taken.of(PlacementModel):
        if model.must:
            alike[model.selector].append((document, model))
    for rules in alike.values():
        _check_company(taken, rules)
        _check_places(taken, [(d, m) for d, m in rules if m.rule in PLACES], cluster)


def _check_company(taken: Taken, rules: Placed) -> None:
    """Two VMs in one place cannot be apart across it; in one host they cannot be apart across anything."""
    seen: dict[Rule, dict[str, tuple[Document, PlacementModel]]] = {rule: {} for rule in COMPANY}
    for document, model in rules:
        if model.rule not in COMPANY:
            continue
        places = model.places
        if model.rule is Rule.APART:
            together = seen[Rule.TOGETHER]
            against = together.get(places) or together.get("host")
        else:
            apart = seen[Rule.APART]
            against = next(iter(apart.values()), None) if places == "host" else apart.get(places)
        if against is not None:
            other_document, other = against
            taken.problems.append(
                f"{document.where(('rule',))}: rule: {model.rule.value} contradicts {other.name} "
                f"({other_document.where(('name',))}), which says {other.rule.value} of the same VMs; keep one, or "
                "write strength: should")
        seen[model.rule].setdefault(places, (document, model))


def _check_places(taken: Taken, rules: Placed, cluster: ClusterDeclaration | None) -> None:
    """Report the rule with which, after those before it, the last host is gone."""
    left: Sequence[DeclaredHost] = () if cluster is None else cluster.hosts
    opposite: dict[tuple[Rule, Scope], tuple[Document, PlacementModel]] = {}
    for i, (document, model) in enumerate(rules):
        if cluster is None:
            found = opposite.get((Rule.ON if model.rule is Rule.NEVER_ON else Rule.NEVER_ON, model.host_scope))
            opposite.setdefault((model.rule, model.host_scope), (document, model))
            against, gone = [found] if found else [], found is not None
        elif _matches_nothing(model, cluster):
            continue
        else:
            left = [host for host in left if model.host_scope.covers(host) == (model.rule is Rule.ON)]
            against, gone = rules[:i], not left
        if gone:
            taken.problems.append(f"{document.where(('hosts',))}: hosts: {model.rule.value} leaves its VMs no host"
                                  f"{_beside(against)}, or write strength: should")
            return


def _beside(against: Placed) -> str:
    if not against:
        return "; take some out"
    names = [f"{other.name} ({place.where(('name',))})" for place, other in against[:SHOWN]]
    more = f" and {len(against) - SHOWN} more" if len(against) > SHOWN else ""
    return f" beside {' and '.join(names)}{more}; change one"


def _matches_nothing(model: PlacementModel, cluster: ClusterDeclaration) -> bool:
    """Return whether its hosts match none, which is told already."""
    return not any(model.host_scope.covers(host) for host in cluster.hosts)


def doubt_placement(taken: Taken, cluster: ClusterDeclaration | None) -> None:
    """Warn of rules that are broken for longer than one thinks, hold VMs fast, or say nothing."""
    for document, model in taken.of(PlacementModel):
        if model.rule is Rule.TOGETHER and model.must:
            taken.warnings.append(
                f"{document.where(('rule',))}: {model.name} must hold at every instant, and VMs move one after the other: "
                "those that are together are never moved, not even from a failing host; consider strength: should")
        if cluster is not None and model.rule in COMPANY and model.places != "host":
            doubt_label(taken, document.where(("across",)), model.places, cluster, "place")
        if (cluster is not None and model.rule is Rule.ON
                and all(model.host_scope.covers(host) for host in cluster.hosts)):
            taken.warnings.append(f"{document.where(('hosts',))}: {model.name} speaks of every declared host, so it says "
                                  "nothing")


def doubt_label(taken: Taken, place: str, key: str, cluster: ClusterDeclaration, what: str) -> None:
    """Warn of a label that hosts lack. ``place``: where it is named; ``what``: of what it says which hosts are one."""
    lacking = [host.name for host in cluster.hosts if host.label(key) is None]
    if len(lacking) == len(cluster.hosts):
        known = sorted({label for host in cluster.hosts for label, _ in host.labels})
        near = difflib.get_close_matches(key[:60], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(['host', *known])}"
        taken.warnings.append(f"{place}: no declared host has the label {shown(key)}, so each is a {what} of its own; "
                              f"{hint}")
    elif lacking:
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        taken.warnings.append(f"{place}: without the label {shown(key)} a host is a {what} of its own: "
                              f"{', '.join(lacking[:SHOWN])}{more}")
