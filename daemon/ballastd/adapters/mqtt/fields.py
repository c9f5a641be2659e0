"""The fields of a message, taken out one by one with their types. A bool is not a number here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ballastd.adapters.mqtt.flaws import Flaw, malformed

TEXT_CHARACTERS_MAX = 253


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object that has exactly the expected keys. Each method raises MalformedReport for a wrong type."""

    content: dict[str, Any]

    @staticmethod
    def of(content: dict[str, Any], keys: frozenset[str], schema: str) -> Fields:
        """Return the fields of ``content``.

        Raises:
            MalformedReport: another schema (looked at first: a newer one may have other keys), or other keys.
        """
        if content.get("schema") != schema:
            raise malformed(Flaw.SCHEMA, f"{content.get('schema')!r:.40}, {schema} is spoken here")
        if unknown := sorted(content.keys() - keys):
            raise malformed(Flaw.UNKNOWN_KEY, ", ".join(unknown))
        if missing := sorted(keys - content.keys()):
            raise malformed(Flaw.MISSING_KEY, ", ".join(missing))
        return Fields(content)

    def text(self, key: str) -> str:
        """Return a short, printable, non-empty text."""
        value = self.content[key]
        if not isinstance(value, str):
            raise malformed(Flaw.TYPE, f"{key}: a text was expected")
        if not 0 < len(value) <= TEXT_CHARACTERS_MAX or not value.isprintable():
            raise malformed(Flaw.RANGE, f"{key}: 1 to {TEXT_CHARACTERS_MAX} printable signs")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false."""
        value = self.content[key]
        if not isinstance(value, bool):
            raise malformed(Flaw.TYPE, f"{key}: true or false was expected")
        return value

    def array(self, key: str) -> list[Any]:
        """Return a list of anything."""
        value = self.content[key]
        if not isinstance(value, list):
            raise malformed(Flaw.TYPE, f"{key}: a list was expected")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """Return a number within [low, high]."""
        value = self.content[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise malformed(Flaw.TYPE, f"{key}: a number was expected")
        if not low <= value <= high:
            raise malformed(Flaw.RANGE, f"{key}: {value} is outside {low:g} to {high:g}")
        return float(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """Return a whole number within [low, high]."""
        if not isinstance(self.content[key], int):
            raise malformed(Flaw.TYPE, f"{key}: a whole number was expected")
        self.number(key, low, high)
        return int(self.content[key])

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """Return a number within [low, high], or None for null."""
        return None if self.content[key] is None else self.number(key, low, high)

    def optional_integer(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number within [low, high], or None for null."""
        return None if self.content[key] is None else self.integer(key, low, high)

    def optional_integer_pair(self, key: str, high: int) -> tuple[int, int] | None:
        """Return two whole numbers within [0, high], or None for null."""
        value = self.content[key]
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2:
            raise malformed(Flaw.TYPE, f"{key}: two whole numbers were expected")
        pair = Fields({"first": value[0], "second": value[1]})
        return pair.integer("first", 0, high), pair.integer("second", 0, high)
