"""A directory of policies to one policy set: all files, all problems, all or nothing."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import ClusterDeclaration, Health, Limits, PolicySet, Scope
from ballastd.documents.limits_model import LimitsModel
from ballastd.documents.policy_models import (
    EvacuationModel,
    HealthModel,
    PolicyModel,
    WindowModel,
)
from ballastd.documents.positions import Budget, Document, parse, read
from ballastd.documents.scalars import shown
from ballastd.documents.validation import validate
from ballastd.errors import ConfigurationError

KINDS: dict[str, type[PolicyModel]] = {
    "Health": HealthModel, "Evacuation": EvacuationModel, "Window": WindowModel, "Limits": LimitsModel}
FILES_MAX = 500
# of all files together: they are loaded on the event loop, which must not stand still for two seconds
VALUES_MAX = 10_000
LATER = ("Balance", "Consolidation", "Placement")


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """A sound set, and what deserves a second thought all the same."""

    policies: PolicySet
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Loading:
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    models: list[tuple[Document, PolicyModel]] = field(default_factory=list)
    windows_unread: bool = False
    """A window may stand in what could not be read: that it is missing cannot be said."""

    def of(self, kind: type[PolicyModel]) -> list[tuple[Document, Any]]:
        """Return the documents of one kind."""
        return [(document, model) for document, model in self.models if isinstance(model, kind)]


def load_policies(directory: Path, cluster: ClusterDeclaration | None, now_wall: float) -> LoadedPolicies:
    """Return the policies in a directory, windows compiled from ``now_wall`` on.

    Raises:
        ConfigurationError: with every problem of every file; nothing of the set is used.
    """
    loading, digest, budget = _Loading(), hashlib.sha256(), Budget(VALUES_MAX)
    for path in _files(directory):
        try:
            text = read(path)
            # a file's name need not be UTF-8
            digest.update(b"%s\0%d\0%s" % (os.fsencode(path.name), len(text), text.encode()))
            _take_all(path, parse(os.fsencode(path).decode("utf-8", "backslashreplace"), text, budget), loading)
        except ConfigurationError as error:
            loading.problems.extend(error.problems)
            loading.windows_unread = True
    _check_names(loading)
    _check_windows(loading)
    if cluster is not None:
        _check_scopes(loading, cluster)
        _check_least_numbers(loading, cluster)
    if loading.problems:
        raise ConfigurationError(tuple(loading.problems))
    _doubt(loading)
    policies = _compiled(loading, now_wall, digest.hexdigest())
    for document, model in loading.of(WindowModel):
        window = policies.windows[model.name]
        if window.allows and not window.intervals:
            loading.warnings.append(f"{document.where(('name',))}: {window.name} does not open within the next 14 days")
    return LoadedPolicies(policies, tuple(loading.warnings))


def _files(directory: Path) -> list[Path]:
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


def _take_all(path: Path, documents: tuple[Document, ...], loading: _Loading) -> None:
    if not documents:
        loading.warnings.append(f"{path}: holds no policy")
    for document in documents:
        _take(document, loading)


def _take(document: Document, loading: _Loading) -> None:
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    if kind is None:
        loading.problems.append(f"{document.where(())}: kind: is missing; write one of {', '.join(KINDS)}")
        loading.windows_unread = True
        return
    if not isinstance(kind, str) or kind not in KINDS:
        near = difflib.get_close_matches(str(kind)[:60], sorted(KINDS), n=1)
        hint = (f"this release does not know it yet; it knows {', '.join(KINDS)}" if kind in LATER
                else f"did you mean {near[0]}?" if near else f"known: {', '.join(KINDS)}")
        loading.problems.append(f"{document.where(('kind',))}: kind: {shown(kind)}: {hint}")
        loading.windows_unread = True
        return
    model = validate(KINDS[kind], document, loading.problems)
    if model is not None:
        loading.models.append((document, model))
    elif kind == "Window":
        loading.windows_unread = True


def _check_names(loading: _Loading) -> None:
    for kind in KINDS.values():
        seen: dict[str, Document] = {}
        for document, model in loading.of(kind):
            if model.name in seen:
                loading.problems.append(f"{document.where(('name',))}: name: another {model.kind} is called {model.name} "
                                        f"({seen[model.name].where(('name',))}); give each its own")
            seen.setdefault(model.name, document)
    for document, model in loading.of(LimitsModel)[1:]:
        loading.problems.append(f"{document.where(('kind',))}: kind: a second Limits ({model.name}); there is one for the "
                                "cluster")


def _check_windows(loading: _Loading) -> None:
    if loading.windows_unread:
        return
    known = sorted(model.name for _, model in loading.of(WindowModel))
    for document, model in loading.of(EvacuationModel):
        for i, name in enumerate(model.windows):
            if name not in known:
                near = difflib.get_close_matches(name[:60], known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
                loading.problems.append(f"{document.where(('windows', i))}: windows.{i}: there is no Window {shown(name)}; "
                                        f"{hint}")


def _check_least_numbers(loading: _Loading, cluster: ClusterDeclaration) -> None:
    """Refuse a least number above its ceiling's share of this cluster: the larger of both counts, it would go round it."""
    hosts, default = len(cluster.hosts), Limits()
    for document, model in loading.of(LimitsModel):
        for key, value, least, ceiling in (
                ("blast_radius", model.blast_radius.at_least, default.blast_at_least, CEILINGS.blast_share),
                ("freeze", model.freeze.at_least, default.unknown_at_least, CEILINGS.freeze_share)):
            allowed = max(least, int(ceiling * hosts))
            if value > allowed:
                loading.problems.append(f"{document.where((key, 'at_least'))}: {key}.at_least: {value} of {hosts} hosts is "
                                        f"above the ceiling of {ceiling:.0%}, which no policy can raise; at most {allowed}")


def _check_scopes(loading: _Loading, cluster: ClusterDeclaration) -> None:
    for document, model in [*loading.of(HealthModel), *loading.of(EvacuationModel)]:
        if model.scope is None:
            continue
        scope = model.scope.compiled()
        for i, pattern in enumerate(scope.patterns):
            if not any(Scope((pattern,)).covers(host) for host in cluster.hosts):
                near = difflib.get_close_matches(pattern[:60], [host.name for host in cluster.hosts], n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                place = document.where(("scope", "hosts", i))
                loading.problems.append(f"{place}: scope.hosts.{i}: {shown(pattern)} matches no declared host{hint}")
        if scope.labels and not any(scope.covers(host) for host in cluster.hosts):
            wanted = ", ".join(f"{key}: {value}" for key, value in scope.labels)
            loading.problems.append(f"{document.where(('scope', 'labels'))}: scope.labels: no declared host has {wanted}")


def _doubt(loading: _Loading) -> None:
    reached = max((model.severity.health for _, model in loading.of(HealthModel)), default=Health.HEALTHY)
    named = {name for _, model in loading.of(EvacuationModel) for name in model.windows}
    for document, model in loading.of(EvacuationModel):
        if model.on.severity.health > reached:
            loading.warnings.append(f"{document.where(('on',))}: {model.name} answers to {model.on.severity.value}, which "
                                    "no Health policy ever reaches")
        if model.mode.value != "auto":
            loading.warnings.append(f"{document.where(('name',))}: {model.name} is in mode {model.mode.value}: it moves "
                                    "nothing")
    for document, model in loading.of(WindowModel):
        if model.name not in named:
            loading.warnings.append(f"{document.where(('name',))}: no Evacuation names {model.name}, so it does nothing")


def _compiled(loading: _Loading, now_wall: float, digest: str) -> PolicySet:
    health = [model.compiled(d.where(("name",))) for d, model in loading.of(HealthModel)]
    evacuation = [model.compiled(d.where(("name",))) for d, model in loading.of(EvacuationModel)]
    limits = [model.compiled() for _, model in loading.of(LimitsModel)]
    return PolicySet(
        health=tuple(sorted(health, key=lambda p: p.name)), evacuation=tuple(sorted(evacuation, key=lambda p: p.name)),
        windows={model.name: model.compiled(now_wall) for _, model in loading.of(WindowModel)},
        limits=limits[0] if limits else Limits(), digest=digest)


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of one policy document, for editors."""
    schemas = {kind: model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{kind}/$defs/{{model}}")
               for kind, model in KINDS.items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ballastd policy",
            "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in KINDS], "$defs": schemas}
