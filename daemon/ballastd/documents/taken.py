"""The documents of a directory as they were taken in, before any of them governs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from ballastd.documents.policy_models import PolicyModel
from ballastd.documents.positions import Document

M = TypeVar("M", bound=PolicyModel)


@dataclass(slots=True)
class Taken:
    """Every document that is sound by itself, and what was found wrong or doubtful so far, each with its place."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    models: list[tuple[Document, PolicyModel]] = field(default_factory=list)
    windows_unread: bool = False
    """A window may stand in what could not be read: that it is missing cannot be said."""
    profile: Document | None = None
    """The profile that named the files, where one did."""
    modes: dict[str, str] = field(default_factory=dict)
    """Where the mode of a document stands that it has from the profile; both as ``file:line:column``."""

    def of(self, kind: type[M]) -> list[tuple[Document, M]]:
        """Return the documents of one kind."""
        return [(document, model) for document, model in self.models if isinstance(model, kind)]
