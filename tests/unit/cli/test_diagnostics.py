"""Problems with documents: the place, the words, the line and a caret under the column."""

from __future__ import annotations

from ballastd.cli.diagnostics import show_problems


def test_the_line_is_shown_with_a_caret_under_the_column(tmp_path, capsys):
    file = tmp_path / "evac.yaml"
    file.write_text("kind: Health\nwhen:\n  hysterisis: 5\n")
    show_problems((f"{file}:3:3: when.hysterisis: unknown key; did you mean hysteresis?",), "error", "red")
    assert capsys.readouterr().err.splitlines() == [
        f"{file}:3:3: error: when.hysterisis: unknown key; did you mean hysteresis?",
        "    3 |   hysterisis: 5",
        "      |   ^"]


def test_a_problem_without_a_place_is_told_as_it_is(capsys):
    show_problems(("no policies in /etc/ballastd/policies",), "warning", "yellow")
    assert capsys.readouterr().err == "warning: no policies in /etc/ballastd/policies\n"


def test_a_file_or_line_that_is_not_there_is_no_second_problem(tmp_path, capsys):
    file = tmp_path / "short.yaml"
    file.write_text("a: 1\n")
    show_problems((f"{file}:9:1: gone", f"{tmp_path}/none.yaml:1:1: gone", f"{tmp_path}:1:1: a folder"), "error", "red")
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_tabs_and_control_characters_of_a_file_do_not_move_the_caret_or_the_terminal(tmp_path, capsys):
    file = tmp_path / "odd.yaml"
    file.write_bytes(b"\tkey:\t5\xff\n\x1b[2Jx: 1\n")
    show_problems((f"{file}:1:2: tab", f"{file}:2:1: escape\x1b[0m"), "error", "red")
    said = capsys.readouterr().err
    assert "    1 |  key: 5" in said
    assert "      |  ^" in said
    assert "\x1b" not in said


def test_a_column_beyond_the_line_has_no_caret(tmp_path, capsys):
    file = tmp_path / "a.yaml"
    file.write_text("a\n")
    show_problems((f"{file}:1:40: beyond",), "error", "red")
    assert "^" not in capsys.readouterr().err
