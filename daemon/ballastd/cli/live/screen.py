"""Frames on a terminal: the alternate screen while they are shown, and everything as it was before afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from types import FrameType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ballastd.cli.live.frame import frame
from ballastd.cli.live.grid import Line
from ballastd.cli.live.header import Picture
from ballastd.cli.live.signs import signs_for

_WAITED_FOR = (signal.SIGWINCH, signal.SIGTSTP)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOCAL_FLAGS = 3
"""Where termios keeps ECHO among the attributes of a terminal."""
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


def is_live() -> bool:
    """Return whether the output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and not Console().is_dumb_terminal


def print_frame(picture: Picture) -> None:
    """Print one frame and leave it there, with a line free for the prompt."""
    console = _console()
    console.print(painted(picture, console, console.height - 1))


def show_frames(ask: Callable[[], Picture], interval: float) -> None:
    """Show what ``ask`` returns every ``interval`` seconds, until interrupted. A terminal that changes its size gets its
    frame at once; one from which we are suspended is given back meanwhile.

    Raises:
        KeyboardInterrupt: Ctrl-C; the terminal is as before.
        SystemExit: SIGTERM or SIGHUP; likewise.
    """
    console = _console()
    with _held_back(), _ending() as end:
        while True:
            with _quiet_keys(), _unwrapped(console), Live(console=console, screen=True, auto_refresh=False) as live:
                _until_suspended(live, console, ask, interval, end)
            os.kill(os.getpid(), signal.SIGSTOP)


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)


def painted(picture: Picture, console: Console, height: int) -> Text:
    """Return a frame of at most ``height`` lines as the console takes it."""
    lines = frame(picture, time.time(), console.width, height, signs_for(console.encoding))
    return Text("\n", no_wrap=True, overflow="crop", end="").join(_text(line) for line in lines)


def _text(line: Line) -> Text:
    # spans, never markup: a VM may be called [red]
    return Text.assemble(*line, no_wrap=True, overflow="crop")


def _until_suspended(live: Live, console: Console, ask: Callable[[], Picture], interval: float, end: _End) -> None:
    while True:
        due = time.monotonic() + interval
        picture = ask()
        while True:
            end.insist()
            live.update(painted(picture, console, console.height), refresh=True)
            came = signal.sigtimedwait(_WAITED_FOR, max(0.0, due - time.monotonic()))
            if came is None:
                break
            if came.si_signo == signal.SIGTSTP:
                return


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Keep the signals we wait for from doing anything by themselves."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _End:
    """Ends us in order at a signal, wherever that comes; where what it raises is lost, as it is in a destructor, the next
    frame raises it again."""

    def __init__(self) -> None:
        self._why: BaseException | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self._why = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        self.insist()

    def insist(self) -> None:
        """Raise what was to end us, if anything was."""
        if self._why is not None:
            raise self._why


@contextlib.contextmanager
def _ending() -> Iterator[_End]:
    """Make signals that would end us in the middle of a frame end us in order; those that are ignored stay so."""
    end = _End()
    before = {number: signal.signal(number, end) for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet_keys() -> Iterator[None]:
    """Keep what is typed off the screen, and from the shell afterwards."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before]
    quiet[_LOCAL_FLAGS] = before[_LOCAL_FLAGS] & ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _unwrapped(console: Console) -> Iterator[None]:
    """Let a line that the terminal takes for longer than we do end at its edge instead of moving all others down."""
    console.file.write(_NO_WRAP)
    try:
        yield
    finally:
        console.file.write(_WRAP)
        console.file.flush()
