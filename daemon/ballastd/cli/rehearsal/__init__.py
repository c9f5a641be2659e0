"""How a rehearsal is shown: on a terminal, and as JSON."""

from ballastd.cli.rehearsal.plain_json import from_json, to_json
from ballastd.cli.rehearsal.terminal import render_terminal

__all__ = ["from_json", "render_terminal", "to_json"]
