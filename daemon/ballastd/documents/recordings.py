"""Recordings read back: the files of JSON lines that a daemon wrote, in the order of their days."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ballastd.core.diary import FORMAT
from ballastd.core.recorded import Recorded, recorded
from ballastd.errors import ConfigurationError

PATTERNS = ("*.jsonl.gz", "*.jsonl")
PACKED = ".gz"
LINE_BYTES_MAX = 16 << 20


def load_recording(path: Path, begins_wall: float | None = None, ends_wall: float | None = None) -> Recorded:
    """Return what a recording tells. ``path``: a directory of files, or one file. ``begins_wall``, ``ends_wall``: only what
    was written from then on, and until then; files of days before are left out, so that it begins on a file's beginning.

    Raises:
        ConfigurationError: it cannot be read, or there is nothing in it to rehearse on.
    """
    if not os.path.exists(path):  # noqa: PTH110  pathlib's own raises where it may not look, or a name is too long
        raise ConfigurationError((f"{path}: does not exist; name the directory of the setting recording.directory, or one "
                                  "of its files",))
    files = _files(path)
    if begins_wall is not None:
        files = [file for file in files if _last(file) >= begins_wall] or files[-1:]
    try:
        return recorded(entry for file in files for entry in _entries(file)
                        if (begins_wall is None or entry["kind"] == "begin" or entry["at"] >= begins_wall)
                        and (ends_wall is None or entry["at"] <= ends_wall))
    except (ValueError, KeyError, TypeError) as error:
        cut = begins_wall is not None or ends_wall is not None
        cause = "nothing between --from and --until" if cut else "not a recording of ours, or a damaged one"
        raise ConfigurationError((f"{path}: {cause}: {error}",)) from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted((file for pattern in PATTERNS for file in path.glob(pattern)),
                   key=lambda file: (file.name.partition(".")[0], file.suffix != PACKED))
    if not files:
        raise ConfigurationError((f"{path}: no recording in it; the setting recording.directory switches one on",))
    return files


def _last(file: Path) -> float:
    last = 0.0
    for entry in _entries(file):
        last = max(last, float(entry["at"]))
    return last


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of a file. The last line may be half a line: whoever wrote it was killed."""
    number = 0
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == PACKED else file.open(encoding="utf-8") as lines:
            held = ""
            for number, line in enumerate(lines, 1):
                if held:
                    yield _entry(file, number - 1, held)
                held = line
            if held.endswith("\n"):
                yield _entry(file, number, held)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ConfigurationError((f"{file}:{number + 1}:1: cannot be read: {error}",)) from error


def _entry(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError((f"{file}:{number}:1: no JSON: {error}",)) from error
    if not isinstance(found, dict) or not isinstance(found.get("at"), int | float) or "kind" not in found:
        raise ConfigurationError((f"{file}:{number}:1: no entry of a recording; is it a file that ballastd wrote?",))
    if found["kind"] == "begin" and found.get("format") != FORMAT:
        raise ConfigurationError((f"{file}:{number}:1: format: {found.get('format')!r}, this version reads {FORMAT}",))
    return found
