"""How a rehearsal is shown: on a terminal, as JSON, as pictures, as a page; and two of them beside each other."""

from ballastd.cli.rehearsal.comparing import Comparison, compare, render_comparison
from ballastd.cli.rehearsal.plain_json import from_json, to_json
from ballastd.cli.rehearsal.terminal import render_terminal
from ballastd.cli.rehearsal.writing import REPORT_FORMATS, ready_to_write, write_comparison, write_report

__all__ = ["REPORT_FORMATS", "Comparison", "compare", "from_json", "ready_to_write", "render_comparison", "render_terminal",
           "to_json", "write_comparison", "write_report"]
