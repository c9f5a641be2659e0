"""Policies from files, for a declared cluster: what the daemon loads them from, in production and in rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ballastd.core.policies import ClusterDeclaration, Mode, PolicySet
from ballastd.documents.loading import load_policies


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Policies from files, checked against a declared cluster. ``path``: a directory of them, or one file;
    ``are_auto``: whether they are rehearsed as if each one's mode were auto."""

    path: Path
    cluster: ClusterDeclaration
    are_auto: bool = False

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """See ``service.daemon.PolicySource``."""
        loaded = load_policies(self.path, self.cluster, now_wall)
        policies = loaded.policies.with_modes(lambda _: Mode.AUTO) if self.are_auto else loaded.policies
        return policies, loaded.warnings
