"""A writer killed at any instant: everything acknowledged is there, and the chain holds."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ballastd.adapters.journal import SqliteJournal, verify
from ballastd.errors import JournalError
from tests.unit.adapters.journal.images import what_is_found

WRITER = """
import random, sys
from ballastd.adapters.journal import SqliteJournal

journal = SqliteJournal(sys.argv[1])
health = journal.open()
assert health.damage is None, health.damage
chance = random.Random(health.head)
print("open", health.head, flush=True)
while True:
    size = chance.randint(1, 4)
    batch = [{"left": size - 1 - i, "x": chance.random(), "pad": "x" * chance.choice((0, 50, 5000))} for i in range(size)]
    print("durable", journal.append(1, batch), flush=True)
"""

HOLDER = """
import sys
from ballastd.adapters.journal import SqliteJournal

journal = SqliteJournal(sys.argv[1])
journal.open()
print("open", flush=True)
sys.stdin.read()
"""


def start(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True)


def write_and_die(path: Path, seconds: float) -> tuple[int, int]:
    """Let a process write for ``seconds`` and kill it; return the head it opened with and the last acknowledged."""
    with start(WRITER, path) as writer:
        assert writer.stdout is not None
        word, opened = writer.stdout.readline().split()
        assert word == "open"
        time.sleep(seconds)
        writer.kill()
        # a line that the kill cut short was not an acknowledgement
        said = [line.split()[1] for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    assert writer.returncode == -signal.SIGKILL, "it ended by itself"
    return int(opened), int(said[-1]) if said else int(opened)


def test_whatever_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    path, chance, acknowledged, found = tmp_path / "journal.db", random.Random(5), 0, 0
    for _ in range(12):
        opened, acknowledged = write_and_die(path, chance.uniform(0.0, 0.25))
        assert opened >= found
        assert verify(path).damage is None
        damage, records = what_is_found(path)
        assert damage is None
        found = len(records)
        # at most the append that was in flight is there as well
        assert acknowledged <= found <= acknowledged + 4
        assert not records or records[-1].content["left"] == 0, "half of an append"
    assert acknowledged > 12, "it hardly wrote: nothing was proved"


def test_a_second_writer_is_told_who_holds_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with start(HOLDER, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(JournalError, match=f"process {holder.pid} writes this journal already; stop it first"):
            SqliteJournal(path).open()
        assert verify(path).damage is None, "looking is always allowed"
        holder.kill()
    journal = SqliteJournal(path)
    assert journal.open().damage is None, "the lock dies with its holder"
    journal.close()


def test_a_second_writer_in_the_same_process_is_refused_as_well(tmp_path: Path) -> None:
    first, second = SqliteJournal(tmp_path / "journal.db"), SqliteJournal(tmp_path / "journal.db")
    first.open()
    with pytest.raises(JournalError, match="writes this journal already"):
        second.open()
    with pytest.raises(JournalError, match="not open"):
        second.append(1, [{"a": 1}])
    assert first.append(1, [{"a": 1}]) == 1, "the refused one took nothing away"
    first.close()
    assert second.open().head == 1
    second.close()
