"""How a rehearsal is shown."""

from ballastd.cli.rehearsal.terminal import render_terminal

__all__ = ["render_terminal"]
