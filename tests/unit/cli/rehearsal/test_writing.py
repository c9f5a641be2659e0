"""Reports in files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ballastd.cli.rehearsal import REPORT_FORMATS, compare, from_json, ready_to_write, write_comparison, write_report
from ballastd.errors import ConfigurationError
from tests.rehearsals import a_day, a_rehearsal

WITHOUT = """
import sys
sys.modules["matplotlib"] = None  # what an installation without the extra is like
from pathlib import Path
from ballastd.cli.rehearsal import write_report
from ballastd.errors import ConfigurationError
from tests.rehearsals import a_rehearsal
directory = Path(sys.argv[1])
assert [path.name for path in write_report(a_rehearsal(), directory, ("html", "txt", "json"))]
try:
    write_report(a_rehearsal(), directory / "more", ("json", "svg"))
except ConfigurationError as error:
    print(error)
"""


def test_a_directory_gets_every_format_under_its_usual_name(tmp_path: Path):
    written = write_report(a_day(3, 20), tmp_path / "new" / "report", REPORT_FORMATS)
    assert [path.name for path in written] == [
        "rehearsal.txt", "rehearsal.json", "rehearsal.html", "load.svg", "hosts.svg", "moves.svg", "load.png", "hosts.png",
        "moves.png"]
    assert from_json(written[1].read_text()) == a_day(3, 20)
    assert written[2].read_text().startswith("<!DOCTYPE html>")
    assert written[3].read_text().startswith('<?xml version="1.0" encoding="utf-8"?>\n<svg ')
    assert written[6].read_bytes().startswith(b"\x89PNG")
    assert "vm-0008" in written[0].read_text()
    again = write_report(a_day(3, 20), tmp_path / "again", REPORT_FORMATS)
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]


def test_one_format_may_have_a_file_of_its_own(tmp_path: Path):
    [written] = write_report(a_rehearsal(), tmp_path / "day.html", ("html",))
    assert written == tmp_path / "day.html"
    assert "Rehearsal of grove" in written.read_text()


def test_a_directory_may_have_a_dot_in_its_name(tmp_path: Path):
    [written] = write_report(a_rehearsal(), tmp_path / "run-2026.11", ("txt",))
    assert written == tmp_path / "run-2026.11" / "rehearsal.txt"


@pytest.mark.parametrize(("name", "formats"), [
    ("day.html", ("html", "json")), ("day.html", ("json",)), ("day.svg", ("svg",)), ("day.txt", ()), ("report", ("pdf",))])
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path: Path, name: str, formats: tuple[str, ...]):
    with pytest.raises(ConfigurationError):
        write_report(a_rehearsal(), tmp_path / name, formats)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_is_known_before(tmp_path: Path):
    ready_to_write(tmp_path / "new" / "report", ("html", "txt"))
    assert list((tmp_path / "new" / "report").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ready_to_write(tmp_path / "file" / "report", ("html",))
    with pytest.raises(ConfigurationError, match="pdf is none of"):
        ready_to_write(tmp_path, ("pdf",))


def test_without_matplotlib_a_page_is_written_and_pictures_are_refused_with_the_cure(tmp_path: Path):
    ran = subprocess.run([sys.executable, "-c", WITHOUT, str(tmp_path)], env={"PYTHONPATH": ":".join(sys.path)},
                         capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ("pictures: matplotlib is not installed, and pictures are drawn with it; "
                                  "pip install 'ballastd[pictures]', or leave out svg and png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rehearsal.html", "rehearsal.json", "rehearsal.txt"]
    assert "pip install" in (tmp_path / "rehearsal.html").read_text()


def test_nothing_draws_before_a_picture_is_wanted():
    code = "import sys, ballastd.cli.rehearsal; print('matplotlib' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_comparison_is_a_page(tmp_path: Path):
    path = write_comparison(compare(a_day(3, 20), a_rehearsal(), "now", "then"), tmp_path / "x" / "both.html")
    assert "now and then on grove" in path.read_text()
