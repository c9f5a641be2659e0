"""JSON as a hostile sender must write it to be read at all: one object, small, shallow, unambiguous.

The standard reader takes NaN, the last of two equal keys, integers of any length and any depth it survives.
None of that is taken here.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ballastd.adapters.mqtt.flaws import Flaw, malformed
from ballastd.errors import MalformedReport

SIZE_MAX_BYTES = 64 * 1024
DEPTH_MAX = 8
DIGITS_MAX = 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PADDING = b" \t\r\n\0"


def is_blank(payload: bytes) -> bool:
    """Return whether nothing but padding was sent. Some senders end a message with a NUL."""
    return not payload[: SIZE_MAX_BYTES + 1].strip(_PADDING)


def parse_object(payload: bytes) -> dict[str, Any]:
    """Return the one JSON object in ``payload``; a byte order mark before and padding after are forgiven.

    Raises:
        MalformedReport: it is anything else.
    """
    if len(payload) > SIZE_MAX_BYTES:
        raise malformed(Flaw.TOO_BIG, f"{len(payload)} bytes, at most {SIZE_MAX_BYTES}")
    if is_blank(payload):
        raise malformed(Flaw.EMPTY)
    value = _load(_text(payload))
    if not isinstance(value, dict):
        raise malformed(Flaw.SHAPE, f"an object was expected, not {type(value).__name__}")
    _refuse_depth(value)
    return value


def _text(payload: bytes) -> str:
    try:
        return payload.removeprefix(_BYTE_ORDER_MARK).rstrip(_PADDING).decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(Flaw.ENCODING, str(error)) from error


def _load(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer,
                          parse_float=_float)
    except MalformedReport:
        raise
    except RecursionError as error:
        raise malformed(Flaw.TOO_DEEP, f"deeper than {DEPTH_MAX}") from error
    except ValueError as error:
        raise malformed(Flaw.JSON, str(error)) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise malformed(Flaw.DUPLICATE_KEY, f"{len(pairs) - len(result)} of {len(pairs)} keys")
    return result


def _constant(text: str) -> float:
    raise malformed(Flaw.NOT_FINITE, text)


def _integer(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise malformed(Flaw.NUMBER, f"an integer of {len(text)} signs")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise malformed(Flaw.NOT_FINITE, text)
    return value


def _refuse_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise malformed(Flaw.TOO_DEEP, f"deeper than {DEPTH_MAX}")


def _children(node: object) -> list[Any]:
    children: list[Any] = []
    if isinstance(node, dict):
        children = list(node.values())
    elif isinstance(node, list):
        children = node
    return [child for child in children if isinstance(child, (dict, list))]
