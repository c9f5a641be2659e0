"""ballastctl top on a real terminal and in a pipe, against a daemon made of paper: alive, restarted, gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ballastd.cli.ctl import main
from tests.paper_console import PaperConsole, served
from tests.pictures import a_full_view, a_view, a_vm

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
COLOUR = re.compile(r"\x1b\[[\d;]*3[0-7]m")
SECONDS_MAX = 20.0
# whoever runs the tests in the background, or under nohup, may have had these ignored for all of them
RUN = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
       "signal.signal(signal.SIGHUP, signal.SIG_DFL); from ballastd.cli.ctl import main; main()")
TAKE_TERMINAL = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"


def fresh():
    return replace(a_full_view(), wall=time.time())


class Terminal:
    """ballastctl on a pseudo-terminal of its own."""

    def __init__(self, *arguments: str, width: int = 120, height: int = 40, **environment: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.theirs)
        unwanted = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{TAKE_TERMINAL}; {RUN}", *arguments],
            stdin=self.theirs, stdout=self.theirs, stderr=self.theirs,
            env={**kept, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment}, start_new_session=True)
        self.seen = ""

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, seconds: float) -> str:
        """Return what is written within ``seconds`` or up to a pause after something was."""
        new = ""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self.ours], [], [], min(left, 0.1))[0]:
            try:
                new += os.read(self.ours, 1 << 16).decode("utf-8", "replace")
            except OSError:
                break
        self.seen += new
        return new

    def wait_for(self, words: str) -> str:
        """Return everything that is written until ``words`` are."""
        new = ""
        until = time.monotonic() + SECONDS_MAX
        while words not in new:
            assert time.monotonic() < until, f"{words!r} never came; last: {self.seen[-2000:]!r}"
            new += self.read(0.3)
        return new

    def end(self) -> int:
        """Return the exit code once it ended."""
        until = time.monotonic() + SECONDS_MAX
        while self.process.poll() is None and time.monotonic() < until:
            self.read(0.1)
        self.read(0.2)
        return self.process.wait(1)


@contextlib.contextmanager
def terminal(*arguments: str, **choices: object) -> Iterator[Terminal]:
    one = Terminal(*arguments, **choices)  # type: ignore[arg-type]
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        os.close(one.ours)
        os.close(one.theirs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "api.sock"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_terminal_is_as_before_however_it_ends(path, sent, code):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--interval", "0.2") as one:
        one.wait_for("even-cpu")
        assert not termios.tcgetattr(one.theirs)[3] & termios.ECHO
        if sent is signal.SIGINT:
            os.write(one.ours, b"\x03")
        else:
            one.process.send_signal(sent)
        assert one.end() == code
        assert termios.tcgetattr(one.theirs) == one.before
    assert one.seen.count(ENTER) == one.seen.count(LEAVE) == 1
    assert one.seen.rindex(LEAVE) > one.seen.rindex("ballastd")
    assert SHOW_CURSOR in one.seen[one.seen.rindex(LEAVE) - 50:]
    assert one.seen.rindex("\x1b[?7h") > one.seen.rindex("\x1b[?7l")
    assert "Traceback" not in one.seen


def test_a_daemon_that_is_restarted_is_waited_for_and_comes_back(path):
    with terminal("--socket", str(path), "top", "--interval", "0.2") as one:
        one.wait_for("no picture yet")
        with served(PaperConsole(fresh()), path):
            one.wait_for("step 1402")
        said = one.wait_for("NO ANSWER for 1s")
        assert "the picture is" in said
        assert "gpu-lab" in one.wait_for("NO ANSWER for 2s")
        with served(PaperConsole(replace(fresh(), revision=1403)), path):
            one.wait_for("step 1403")
            one.read(0.5)
            assert "NO ANSWER" not in one.wait_for("step 1403")
        os.write(one.ours, b"\x03")
        assert one.end() == 0


def test_a_terminal_that_changes_its_size_gets_its_frame_at_once(path):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--interval", "30") as one:
        one.wait_for("HEARD")
        one.resize(60, 15)
        said = one.wait_for("CONDITION OF")
        assert "VMS' CPU" not in said
        os.write(one.ours, b"\x03")
        assert one.end() == 0


def test_a_suspended_one_gives_the_terminal_back_and_takes_it_again(path):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--interval", "30") as one:
        one.wait_for("HEARD")
        os.write(one.ours, b"\x1a")
        one.wait_for(LEAVE)
        pid, status = os.waitpid(one.process.pid, os.WUNTRACED)
        assert pid == one.process.pid
        assert os.WIFSTOPPED(status)
        assert termios.tcgetattr(one.theirs) == one.before
        one.process.send_signal(signal.SIGCONT)
        one.wait_for("HEARD")
        os.write(one.ours, b"\x03")
        assert one.end() == 0


def test_one_frame_is_printed_without_touching_the_screen_and_leaves_a_line_for_the_prompt(path):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--once", height=24) as one:
        assert one.end() == 0
    assert ENTER not in one.seen
    assert COLOUR.search(one.seen)
    assert "█" in one.seen
    assert one.seen.count("\n") <= 23


def test_colours_are_left_out_where_they_are_not_wanted(path):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--once", NO_COLOR="1") as one:
        assert one.end() == 0
    assert not COLOUR.search(one.seen)
    assert "1399-1" in one.seen


def test_a_terminal_without_blocks_gets_ascii_and_names_spelled_out(path):
    view = replace(fresh(), vms=(a_vm("b\u00fcro-\u4e2d[red]", cpu=2.0),))
    with served(PaperConsole(view), path), terminal(
            "--socket", str(path), "top", "--once", height=60, PYTHONIOENCODING="latin-1") as one:
        assert one.end() == 0
    assert "█" not in one.seen
    assert "###" in one.seen
    assert "-\\u4e2d[red]" in one.seen
    assert "Traceback" not in one.seen


def test_a_terminal_that_cannot_move_its_cursor_gets_blocks_of_lines(path):
    with served(PaperConsole(fresh()), path), terminal("--socket", str(path), "top", "--once", TERM="dumb") as one:
        assert one.end() == 0
    assert "\x1b" not in one.seen
    assert one.seen.startswith("at        20")


def test_a_pipe_gets_one_plain_block_with_once(path):
    with served(PaperConsole(fresh()), path):
        result = CliRunner().invoke(main, ["--socket", str(path), "top", "--once"])
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    keys = {line.split()[0] for line in result.stdout.splitlines()}
    assert keys >= {"at", "host", "vm", "migration", "condition", "decided", "not", "budget", "window"}


def test_a_pipe_gets_a_block_every_interval_and_outlives_the_daemon(path):
    command = [sys.executable, "-c", RUN, "--socket", str(path), "top", "--interval", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            with served(PaperConsole(fresh()), path):
                lines = [process.stdout.readline() for _ in range(90)]
            gone = next(line for line in process.stdout if "NO ANSWER" in line)
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
    assert process.returncode == 0
    assert sum(line.startswith("at ") for line in lines) >= 2
    assert sum(line.startswith("host      HOST") for line in lines) <= 1
    assert sum("h4 is off" in line for line in lines) <= 1
    assert gone.startswith("at        20")


@pytest.mark.parametrize("how", [["--once"], ["--once", "--interval", "5"]])
def test_without_a_daemon_one_look_ends_like_every_other_verb(path, how):
    result = CliRunner().invoke(main, ["--socket", str(path), "top", *how])
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"no ballastd at {path}" in result.stderr


def test_a_daemon_that_is_still_starting_says_so(path):
    with served(PaperConsole(None), path):
        result = CliRunner().invoke(main, ["--socket", str(path), "top", "--once"])
    assert result.exit_code == 1
    assert "first look at the cluster" in result.stderr


@pytest.mark.parametrize("interval", ["0", "nan", "-1", "inf", "1e9", "soon"])
def test_an_interval_that_is_none_is_wrong_usage(path, interval):
    for verb in (["top", "--interval"], ["status", "--watch"]):
        assert CliRunner().invoke(main, ["--socket", str(path), *verb, interval]).exit_code == 2


def test_a_quiet_cluster_is_a_short_block(path):
    with served(PaperConsole(replace(a_view(), wall=time.time())), path):
        result = CliRunner().invoke(main, ["--socket", str(path), "top", "--once"])
    assert len(result.stdout.splitlines()) < 12
