"""What a person should know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know. ``level``: info, warning or alarm. ``key``: notices with one key are about one
    thing."""

    level: str
    key: str
    text: str
