"""What one document says of another, or of the declared cluster, and what must not be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from ballastd.core.books import OPERATOR
from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import EVERYWHERE, ClusterDeclaration, Limits, Scope
from ballastd.core.power import WAKE_TEST
from ballastd.documents.balance_models import BalanceModel
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.health_models import HealthModel
from ballastd.documents.limits_model import LimitsModel
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_models import EvacuationModel, PolicyModel, ScopeModel
from ballastd.documents.positions import Document, Path_, dotted
from ballastd.documents.scalars import as_percent, shown
from ballastd.documents.taken import Taken
from ballastd.documents.window_models import WindowModel

MOVING = (EvacuationModel, BalanceModel, ConsolidationModel, PlacementModel)
RESERVED = {OPERATOR: "what a person asks for", WAKE_TEST: "a host that goes off to show that it comes back"}


def check_names(taken: Taken, kinds: Iterable[type[PolicyModel]]) -> None:
    """Refuse a name twice within a kind, or among those that move VMs: modes and budgets go by the name alone. Refuse
    those names that stand for a person and for us, and a second Limits."""
    moving: dict[str, Document] = {}
    for kind in kinds:
        seen = moving if kind in MOVING else {}
        for document, model in taken.of(kind):
            place = document.where(("name",))
            if model.name in seen:
                other = seen[model.name]
                taken.problems.append(f"{place}: name: another {other.value['kind']} is called {model.name} "
                                      f"({other.where(('name',))}); give each its own")
            if kind in MOVING and model.name in RESERVED:
                taken.problems.append(f"{place}: name: {model.name} stands for {RESERVED[model.name]} in budgets and in the "
                                      f"journal; write another, for example {model.name}-policy")
            seen.setdefault(model.name, document)
    for document, model in taken.of(LimitsModel)[1:]:
        taken.problems.append(f"{document.where(('kind',))}: kind: a second Limits ({model.name}); there is one for the "
                              "cluster")


def named_windows(taken: Taken) -> Iterator[tuple[Document, Path_, str]]:
    """Yield every name of a window that a policy writes, with where it stands."""
    for document, model in taken.of(EvacuationModel):
        yield from ((document, ("windows", i), name) for i, name in enumerate(model.windows))
    for document, balance in taken.of(BalanceModel):
        yield from ((document, ("windows", i), name) for i, name in enumerate(balance.windows))
    for document, placement in taken.of(PlacementModel):
        yield from ((document, ("windows", i), name) for i, name in enumerate(placement.windows))
    for document, consolidation in taken.of(ConsolidationModel):
        if isinstance(consolidation.window, str):
            yield document, ("window",), consolidation.window
        yield from ((document, ("windows", i), name) for i, name in enumerate(consolidation.windows))


def check_windows(taken: Taken) -> None:
    """Refuse names of windows that are not there, and those that a consolidation names in the wrong place."""
    windows = {model.name: model for _, model in taken.of(WindowModel)}
    known = sorted(windows)
    for document, path, name in named_windows(taken):
        if name not in windows and not taken.windows_unread:
            near = difflib.get_close_matches(name[:60], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
            taken.problems.append(f"{document.where(path)}: {dotted(path)}: there is no Window {shown(name)}; {hint}")
    for document, model in taken.of(ConsolidationModel):
        window = windows.get(model.window_name)
        if window is not None and window.allow is None:
            taken.problems.append(f"{document.where(('window',))}: window: {window.name} is a denial; consolidation works "
                                  f"within an allow-window; name denials under windows: [{window.name}]")
        for i, name in enumerate(model.windows):
            denial = windows.get(name)
            if denial is not None and denial.allow is not None:
                place = ("windows", i)
                taken.problems.append(f"{document.where(place)}: {dotted(place)}: {name} allows; only denials are named "
                                      f"here, and what allows under window: {model.window_name}")


def check_budgets(taken: Taken) -> None:
    """Refuse a budget of more moves at once than Limits grant the whole cluster: it would never be reached."""
    for other, limits in taken.of(LimitsModel)[:1]:
        for kind in (BalanceModel, ConsolidationModel, PlacementModel):
            for document, model in taken.of(kind):
                at_once = model.budget.in_flight  # type: ignore[attr-defined]
                place = ("budget", "in_flight")
                if place in document.marks and at_once > limits.in_flight.cluster:
                    taken.problems.append(
                        f"{document.where(place)}: {dotted(place)}: {at_once} is more than {limits.name} "
                        f"({other.where(('in_flight', 'cluster'))}) grants the whole cluster at once, "
                        f"{limits.in_flight.cluster}; write {limits.in_flight.cluster} or less")


def check_against_cluster(taken: Taken, cluster: ClusterDeclaration) -> None:
    """Refuse what the declared hosts belie: scopes that match none, least numbers above a ceiling, packing up to hot."""
    for document, path, scope in _scopes(taken):
        _check_scope(taken, cluster, document, path, scope)
    _check_least_numbers(taken, cluster)
    _check_packing(taken, cluster)


def _scopes(taken: Taken) -> Iterator[tuple[Document, Path_, Scope]]:
    """Yield every scope with the path under which its keys stand."""
    for kind in (HealthModel, EvacuationModel, BalanceModel, ConsolidationModel):
        for document, model in taken.of(kind):
            scope: ScopeModel | None = getattr(model, "scope", None)
            if scope is not None:
                yield document, ("scope",), scope.compiled()
    for document, placement in taken.of(PlacementModel):
        if placement.hosts is not None:
            yield document, ("hosts",) if isinstance(placement.hosts, ScopeModel) else (), placement.host_scope


def _check_scope(taken: Taken, cluster: ClusterDeclaration, document: Document, path: Path_, scope: Scope) -> None:
    for i, pattern in enumerate(scope.patterns):
        if not any(Scope((pattern,)).covers(host) for host in cluster.hosts):
            near = difflib.get_close_matches(pattern[:60], [host.name for host in cluster.hosts], n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            place = (*path, "hosts", i)
            taken.problems.append(f"{document.where(place)}: {dotted(place)}: {shown(pattern)} matches no declared "
                                  f"host{hint}")
    if scope.labels and not any(scope.covers(host) for host in cluster.hosts):
        wanted = ", ".join(dotted((f"{key}: {value}",)) for key, value in scope.labels[:5])
        place = (*path, "labels")
        taken.problems.append(f"{document.where(place)}: {dotted(place)}: no declared host has {wanted}; "
                              f"known: {_labels(cluster)}")


def _labels(cluster: ClusterDeclaration) -> str:
    known = sorted({f"{key}: {value}" for host in cluster.hosts for key, value in host.labels})
    return f"{', '.join(known[:5])}{', ...' if len(known) > 5 else ''}" or "none"


def _check_least_numbers(taken: Taken, cluster: ClusterDeclaration) -> None:
    """Refuse a least number above its ceiling's share of this cluster: the larger of both counts, it would go round it."""
    hosts, default = len(cluster.hosts), Limits()
    for document, model in taken.of(LimitsModel):
        for key, value, least, ceiling in (
                ("blast_radius", model.blast_radius.at_least, default.blast_at_least, CEILINGS.blast_share),
                ("freeze", model.freeze.at_least, default.unknown_at_least, CEILINGS.freeze_share)):
            allowed = max(least, int(ceiling * hosts))
            if value > allowed:
                taken.problems.append(f"{document.where((key, 'at_least'))}: {key}.at_least: {value} of {hosts} hosts is "
                                      f"above the ceiling of {ceiling:.0%}, which no policy can raise; at most {allowed}")


def _check_packing(taken: Taken, cluster: ClusterDeclaration) -> None:
    """Refuse to pack a host beyond where a balance policy calls it hot: what one packs the other would unpack."""
    balances = [(document, model, covered(model, cluster)) for document, model in taken.of(BalanceModel)]
    for document, packing in taken.of(ConsolidationModel):
        packed = covered(packing, cluster)
        for key, full in (("cpu", packing.fill_to.cpu), ("memory", packing.fill_to.memory),
                          ("network", packing.fill_to.network)):
            for other, balance, judged in balances:
                hot: float | None = getattr(balance.hot, key)
                if hot is None or full < hot or packed.isdisjoint(judged):
                    continue
                place = ("fill_to", key)
                taken.problems.append(
                    f"{document.where(place)}: {dotted(place)}: {as_percent(full)} is not below {as_percent(hot)}, "
                    f"above which {balance.name} ({other.where(('name',))}) calls the same hosts hot: what the one "
                    "packs the other would unpack")
                break


def covered(model: BalanceModel | ConsolidationModel, cluster: ClusterDeclaration) -> frozenset[str]:
    """Return the declared hosts in the scope of a policy."""
    scope = model.scope.compiled() if model.scope else EVERYWHERE
    return frozenset(host.name for host in cluster.hosts if scope.covers(host))
