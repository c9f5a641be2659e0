"""A directory of policies to one policy set: all files, all problems, all or nothing."""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

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
from ballastd.documents.between import check_against_cluster, check_budgets, check_names, check_windows
from ballastd.documents.consolidation_models import ConsolidationModel
from ballastd.documents.doubts import doubt
from ballastd.documents.health_models import HealthModel
from ballastd.documents.limits_model import LimitsModel
from ballastd.documents.placement_checks import check_contradictions
from ballastd.documents.placement_models import PlacementModel
from ballastd.documents.policy_examples import check_examples
from ballastd.documents.policy_models import (
    EvacuationModel,
    PolicyModel,
)
from ballastd.documents.positions import Budget, Document, parse, read
from ballastd.documents.profiles import PROFILE, apply_modes, take_profile
from ballastd.documents.scalars import shown
from ballastd.documents.taken import M, Taken
from ballastd.documents.timed_windows import TimedWindows
from ballastd.documents.validation import validate
from ballastd.documents.window_checks import check_denied, check_times, doubt_times
from ballastd.documents.window_models import WindowModel
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


@dataclass(frozen=True, slots=True)
class ReadPolicies:
    """Documents that are sound together, before any window is compiled. ``digest``: of their texts."""

    taken: Taken
    windows: TimedWindows
    digest: str

    def compiled(self, now_wall: float) -> PolicySet:
        """Return the policies, windows compiled from ``now_wall`` on."""
        windows = {name: window.compiled(now_wall) for name, window in self.windows.found.items()}
        return _compiled(self.taken, windows, self.digest)


def load_policies(directory: Path, cluster: ClusterDeclaration | None, now_wall: float) -> LoadedPolicies:
    """Return the policies in a directory, or in one file, windows compiled from ``now_wall`` on.

    Raises:
        ConfigurationError: with every problem of every file; nothing of the set is used.
    """
    found = read_policies(directory, cluster)
    doubt_times(found.windows, found.taken.warnings, now_wall)
    return LoadedPolicies(found.compiled(now_wall), tuple(found.taken.warnings))


def read_policies(directory: Path, cluster: ClusterDeclaration | None) -> ReadPolicies:
    """Return the documents in a directory, or in one file, checked one by one, against each other and the cluster.

    Raises:
        ConfigurationError: with every problem of every file.
    """
    loading, digest, budget = Taken(), hashlib.sha256(), Budget(VALUES_MAX)
    files = _files(directory)
    for path in files:
        try:
            text = read(path)
            # a file's name need not be UTF-8
            digest.update(b"%s\0%d\0%s" % (os.fsencode(path.name), len(text), text.encode()))
            documents = parse(os.fsencode(path).decode("utf-8", "backslashreplace"), text, budget)
            # what a profile names is read as if it stood in the same directory
            files.extend(_take_all(path, documents, loading, is_asked_for=path == directory))
        except ConfigurationError as error:
            loading.problems.extend(error.problems)
            loading.windows_unread = True
    apply_modes(loading)
    check_names(loading, KINDS.values())
    windows = TimedWindows(loading.problems)
    windows.gather(loading)
    for calendar, text in windows.texts.items():
        digest.update(b"%s\0%d\0%s" % (os.fsencode(calendar.name), len(text), text.encode()))
    check_windows(loading)
    check_budgets(loading)
    check_times(windows)
    check_denied(loading, windows)
    check_contradictions(loading, cluster)
    check_examples(loading)
    if cluster is not None:
        check_against_cluster(loading, cluster)
    if loading.problems:
        raise ConfigurationError(tuple(loading.problems))
    doubt(loading, cluster)
    return ReadPolicies(loading, windows, digest.hexdigest())


def _files(directory: Path) -> list[Path]:
    if os.path.isfile(directory):  # noqa: PTH113  pathlib's own raises where it may not look, or a name is too long
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


def _take_all(path: Path, documents: tuple[Document, ...], loading: Taken, *, is_asked_for: bool) -> list[Path]:
    """Take in every document of a file; return the files that a profile among them names."""
    if not documents:
        loading.warnings.append(f"{path}: holds no policy")
    found: list[Path] = []
    for document in documents:
        if isinstance(document.value, dict) and document.value.get("kind") == PROFILE:
            for place in take_profile(document, loading, is_asked_for=is_asked_for):
                found.extend(file for file in _files(place) if os.path.realpath(file) != os.path.realpath(path))
        else:
            _take(document, loading)
    return found


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


def _compiled(loading: Taken, windows: dict[str, Window], digest: str) -> PolicySet:
    limits = [model.compiled() for _, model in loading.of(LimitsModel)]
    return PolicySet(
        health=_sorted(model.compiled(place) for place, model in _placed(loading, HealthModel)),
        evacuation=_sorted(model.compiled(place) for place, model in _placed(loading, EvacuationModel)),
        balance=_sorted(model.compiled(place) for place, model in _placed(loading, BalanceModel)),
        consolidation=_sorted(model.compiled(place) for place, model in _placed(loading, ConsolidationModel)),
        placement=_sorted(model.compiled(place) for place, model in _placed(loading, PlacementModel)),
        windows=windows, limits=limits[0] if limits else Limits(), digest=digest)


def _placed(loading: Taken, kind: type[M]) -> list[tuple[str, M]]:
    return [(document.where(("name",)), model) for document, model in loading.of(kind)]


def _sorted(policies: Iterable[P]) -> tuple[P, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.name))
