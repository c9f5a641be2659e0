"""Policies from files, for a declared cluster: what the daemon loads them from, in production and in rehearsals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ballastd.core.policies import ClusterDeclaration, PolicySet
from ballastd.documents.loading import load_policies


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """Policies from files, checked against a declared cluster. ``path``: a directory of them, or one file."""

    path: Path
    cluster: ClusterDeclaration

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """See ``service.daemon.PolicySource``."""
        loaded = load_policies(self.path, self.cluster, now_wall)
        return loaded.policies, loaded.warnings
