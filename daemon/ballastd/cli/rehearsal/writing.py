"""Reports in files: each format under its usual name in a directory, or one format in a file of its own."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from rich.console import Console

from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.comparing import Comparison
from ballastd.cli.rehearsal.page import comparison_page, report_page
from ballastd.cli.rehearsal.pictures import Picture, pictures
from ballastd.cli.rehearsal.plain_json import to_json
from ballastd.cli.rehearsal.terminal import render_terminal
from ballastd.core.rehearsed import Rehearsed
from ballastd.errors import ConfigurationError

REPORT_FORMATS = ("txt", "json", "html", "svg", "png")
_PICTURES = frozenset({"svg", "png"})
_PLAIN_WIDTH = 200


def ready_to_write(destination: Path, formats: Collection[str]) -> None:
    """Return where ``write_report`` is going to succeed, to be asked before a rehearsal of hours and not after it.
    Directories that are missing are made.

    Raises:
        ConfigurationError: see ``write_report``.
        OSError: nothing can be written there.
    """
    if _PICTURES & set(_wanted(destination, formats)):
        canvas.needed()
    directory = destination.parent if _is_file(destination) else destination
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def write_report(rehearsed: Rehearsed, destination: Path, formats: Collection[str] = ("html",)) -> tuple[Path, ...]:
    """Write ``formats`` of a report and return the files, in the order of ``REPORT_FORMATS``.

    ``destination``: a directory, which is made and gets ``rehearsal.html`` and the like, and ``load.svg``, ``hosts.svg``,
    ``moves.svg``; or a file, whose suffix is the one format. A page says so where pictures cannot be drawn.

    Raises:
        ConfigurationError: a format is unknown or does not fit in one file, or svg or png are wanted and what draws
            them is not installed; nothing was written.
        OSError: a file cannot be written.
    """
    wanted = _wanted(destination, formats)
    drawn = _drawn(rehearsed, wanted)
    made: dict[str, bytes] = {}
    for name in wanted:
        if name in _PICTURES:
            made |= {f"{one.name}.{name}": one.png if name == "png" else one.svg.encode() for one in drawn or ()}
        else:
            made[f"rehearsal.{name}"] = _TEXTS[name](rehearsed, drawn).encode()
    if _is_file(destination):
        [content] = made.values()
        return (_written(destination, content),)
    return tuple(_written(destination / name, content) for name, content in made.items())


def _wanted(destination: Path, formats: Collection[str]) -> list[str]:
    unknown = sorted(set(formats) - set(REPORT_FORMATS))
    if unknown:
        raise ConfigurationError((f"format: {', '.join(unknown)} is none of {', '.join(REPORT_FORMATS)} "
                                  f"({destination} is to be written)",))
    wanted = [name for name in REPORT_FORMATS if name in formats]
    if _is_file(destination) and (_PICTURES & set(wanted) or wanted != [destination.suffix[1:].lower()]):
        raise ConfigurationError((f"{destination}: is one file, and {', '.join(wanted) or 'nothing'} is wanted; name a "
                                  "directory, or a file with the suffix of the one format (txt, json or html)",))
    return wanted


def _is_file(destination: Path) -> bool:
    return destination.suffix[1:].lower() in REPORT_FORMATS and not destination.is_dir()


def _drawn(rehearsed: Rehearsed, wanted: Collection[str]) -> tuple[Picture, ...] | None:
    """Return the pictures where any format needs them, None where a page can do without."""
    if not {"html", *_PICTURES} & set(wanted):
        return None
    try:
        canvas.needed()
    except ConfigurationError:
        if _PICTURES & set(wanted):
            raise
        return None
    return pictures(rehearsed)


def _text(rehearsed: Rehearsed) -> str:
    file = io.StringIO()
    render_terminal(rehearsed, Console(file=file, width=_PLAIN_WIDTH, force_terminal=False, color_system=None), moves=True)
    return file.getvalue()


_TEXTS: dict[str, Callable[[Rehearsed, tuple[Picture, ...] | None], str]] = {
    "txt": lambda rehearsed, _: _text(rehearsed),
    "json": lambda rehearsed, _: to_json(rehearsed),
    "html": report_page,
}


def write_comparison(comparison: Comparison, file: Path) -> Path:
    """Write the page of a comparison and return where it is.

    Raises:
        OSError: the file cannot be written.
    """
    return _written(file, comparison_page(comparison).encode())


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
