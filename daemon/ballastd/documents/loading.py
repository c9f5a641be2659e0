"""A directory of policies to one policy set: all files, all problems, all or nothing."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ballastd.core.policies import (
    BalancePolicy,
    ClusterDeclaration,
    ConsolidationPolicy,
    EvacuationPolicy,
    HealthPolicy,
    Limits,
    PlacementPolicy,
    PolicySet,
    Window,
)
from ballastd.documents.balance_models import BalanceModel
from ballastd.documents.between import check_against_cluster, check_names, check_windows
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.doubts import doubt
from ballastd.documents.health_models import HealthModel
from ballastd.documents.limits_model import LimitsModel
from ballastd.documents.placement_checks import check_contradictions
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_models import (
    EvacuationModel,
    PolicyModel,
    WindowModel,
)
from ballastd.documents.positions import Budget, Document, parse, read
from ballastd.documents.scalars import shown
from ballastd.documents.taken import M, Taken
from ballastd.documents.validation import validate
from ballastd.errors import ConfigurationError

KINDS: dict[str, type[PolicyModel]] = {
    "Health": HealthModel, "Evacuation": EvacuationModel, "Balance": BalanceModel, "Consolidation": ConsolidationModel,
    "Placement": PlacementModel, "Window": WindowModel, "Limits": LimitsModel}
FILES_MAX = 500
# of all files together: they are loaded on the event loop, which must not stand still for two seconds
VALUES_MAX = 10_000
P = TypeVar("P", HealthPolicy, EvacuationPolicy, BalancePolicy, ConsolidationPolicy, PlacementPolicy)


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """A sound set, and what deserves a second thought all the same."""

    policies: PolicySet
    warnings: tuple[str, ...] = ()


def load_policies(directory: Path, cluster: ClusterDeclaration | None, now_wall: float) -> LoadedPolicies:
    """Return the policies in a directory, or in one file, windows compiled from ``now_wall`` on.

    Raises:
        ConfigurationError: with every problem of every file; nothing of the set is used.
    """
    loading, digest, budget = Taken(), hashlib.sha256(), Budget(VALUES_MAX)
    for path in _files(directory):
        try:
            text = read(path)
            # a file's name need not be UTF-8
            digest.update(b"%s\0%d\0%s" % (os.fsencode(path.name), len(text), text.encode()))
            _take_all(path, parse(os.fsencode(path).decode("utf-8", "backslashreplace"), text, budget), loading)
        except ConfigurationError as error:
            loading.problems.extend(error.problems)
            loading.windows_unread = True
    check_names(loading, KINDS.values())
    check_windows(loading)
    check_contradictions(loading, cluster)
    if cluster is not None:
        check_against_cluster(loading, cluster)
    if loading.problems:
        raise ConfigurationError(tuple(loading.problems))
    doubt(loading, cluster)
    policies = _compiled(loading, now_wall, digest.hexdigest())
    for place, window in _windows(loading, now_wall):
        if window.allows and not window.intervals:
            loading.warnings.append(f"{place}: {window.name} does not open within the next 14 days")
    return LoadedPolicies(policies, tuple(loading.warnings))


def _files(directory: Path) -> list[Path]:
    if directory.is_file():
        return [directory]
    try:
        found = sorted(p for p in directory.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))
    except OSError as error:
        raise ConfigurationError((f"{directory}: cannot be read: {error.strerror or error}; policies are *.yaml files "
                                  "in a directory",)) from error
    if not found:
        raise ConfigurationError((f"{directory}: no policy in it; begin with a copy of the shipped policies/",))
    if len(found) > FILES_MAX:
        raise ConfigurationError((f"{directory}: {len(found)} files; at most {FILES_MAX} are read",))
    return found


def _take_all(path: Path, documents: tuple[Document, ...], loading: Taken) -> None:
    if not documents:
        loading.warnings.append(f"{path}: holds no policy")
    for document in documents:
        _take(document, loading)


def _take(document: Document, loading: Taken) -> None:
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    if kind is None:
        loading.problems.append(f"{document.where(())}: kind: is missing; write one of {', '.join(KINDS)}")
        loading.windows_unread = True
        return
    if not isinstance(kind, str) or kind not in KINDS:
        near = difflib.get_close_matches(str(kind)[:60], sorted(KINDS), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}"
        loading.problems.append(f"{document.where(('kind',))}: kind: {shown(kind)}: {hint}")
        loading.windows_unread = True
        return
    model = validate(KINDS[kind], document, loading.problems)
    if model is not None:
        loading.models.append((document, model))
    elif kind == "Window":
        loading.windows_unread = True


def _compiled(loading: Taken, now_wall: float, digest: str) -> PolicySet:
    limits = [model.compiled() for _, model in loading.of(LimitsModel)]
    return PolicySet(
        health=_sorted(model.compiled(place) for place, model in _placed(loading, HealthModel)),
        evacuation=_sorted(model.compiled(place) for place, model in _placed(loading, EvacuationModel)),
        balance=_sorted(model.compiled(place) for place, model in _placed(loading, BalanceModel)),
        consolidation=_sorted(model.compiled(place) for place, model in _placed(loading, ConsolidationModel)),
        placement=_sorted(model.compiled(place) for place, model in _placed(loading, PlacementModel)),
        windows={window.name: window for _, window in _windows(loading, now_wall)},
        limits=limits[0] if limits else Limits(), digest=digest)


def _placed(loading: Taken, kind: type[M]) -> list[tuple[str, M]]:
    return [(document.where(("name",)), model) for document, model in loading.of(kind)]


def _sorted(policies: Iterable[P]) -> tuple[P, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.name))


def _windows(loading: Taken, now_wall: float) -> Iterator[tuple[str, Window]]:
    """Yield every window with where it stands: the Window documents, and those that consolidations hold themselves."""
    for place, model in _placed(loading, WindowModel):
        yield place, model.compiled(now_wall)
    for document, consolidation in loading.of(ConsolidationModel):
        own = consolidation.own_window(now_wall)
        if own is not None:
            yield document.where(("window",)), own


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of one policy document, for editors."""
    schemas = {kind: model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{kind}/$defs/{{model}}")
               for kind, model in KINDS.items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ballastd policy",
            "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS], "$defs": schemas}
