"""A daemon made of paper, and ballastctl that speaks to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ballastd.cli.ctl import main
from ballastd.ports.keeping import JournalRecord
from tests.paper_console import PaperConsole, served
from tests.pictures import NOW, a_busy_view


class Desk:
    """A served console, and ballastctl pointed at it."""

    def __init__(self, console: PaperConsole, path: Path) -> None:
        self.console = console
        self.path = path

    def run(self, line: str, **choices: object) -> Result:
        return CliRunner().invoke(main, ["--socket", str(self.path), *line.split()], **choices)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    path = tmp_path_factory.mktemp("ctl") / "api.sock"
    console = PaperConsole()
    with served(console, path):
        yield Desk(console, path)


@pytest.fixture
def desk(open_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("BALLASTD_SOCKET", "SUDO_USER", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    PaperConsole.__init__(open_desk.console, replace(a_busy_view(), wall=time.time()))
    open_desk.console.records = [
        JournalRecord(1, 3, {"v": 1, "kind": "HostCordoned", "wall": NOW, "host": "alder", "by": "root (for alice)"}),
        JournalRecord(2, 4, {"v": 1, "kind": "Paused", "wall": NOW, "by": "alice", "reason": ""})]
    return open_desk
