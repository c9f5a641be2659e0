"""Why a message is not used: the fixed slugs it is counted under."""

from __future__ import annotations

import enum

from ballastd.errors import MalformedReport


class Flaw(enum.StrEnum):
    """Each is the ``reason`` of a MalformedReport and the label of a counter; they never change meaning."""

    EMPTY = "empty"
    TOO_BIG = "too-big"
    TOO_DEEP = "too-deep"
    ENCODING = "encoding"
    JSON = "json"
    DUPLICATE_KEY = "duplicate-key"
    NOT_FINITE = "not-finite"
    NUMBER = "number"
    SHAPE = "shape"
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    TYPE = "type"
    RANGE = "range"
    SCHEMA = "schema"
    TOPIC = "topic"
    VERSION = "version"
    HOST_MISMATCH = "host-mismatch"
    UNDECLARED_HOST = "undeclared-host"
    TOO_MANY_SAMPLES = "too-many-samples"


def malformed(flaw: Flaw, detail: str = "", host: str | None = None) -> MalformedReport:
    """Return the error to raise; what the sender wrote is cut short and made printable in ``detail``."""
    shown = "".join(sign if sign.isprintable() else "?" for sign in detail[:120])
    return MalformedReport(flaw, shown, host=host)
