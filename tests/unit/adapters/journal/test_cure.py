"""Looking at a journal from outside, and the cure for a damaged one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ballastd.adapters.journal import SqliteJournal, quarantine, verify
from ballastd.adapters.journal.mark import mark_path
from ballastd.cli.ctl import main
from ballastd.core import events as ev
from ballastd.core.ledger import Ledger
from ballastd.errors import JournalError
from tests.unit.adapters.journal.images import Image, clear, crashed, flipped, stopped, what_is_found


@pytest.fixture(scope="module")
def after_crash(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return crashed(tmp_path_factory.mktemp("crashed"))


def damaged(image: Image, directory: Path) -> Path:
    return image.write(directory, wal=flipped(image.files["wal"], 50_001))


def everything(directory: Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_verifying_leaves_no_trace(after_crash: Image, tmp_path: Path) -> None:
    path = after_crash.write(tmp_path)
    before = everything(tmp_path)
    assert verify(path).head == 20
    damaged(after_crash, tmp_path)
    assert verify(path).damage is not None
    assert everything(tmp_path).keys() == before.keys()


def test_verifying_says_what_a_daemon_would_find(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    health = verify(path)
    damage, records = what_is_found(path)
    assert (health.damage, health.head) == (damage, len(records))


def test_verifying_while_a_daemon_writes_finds_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    program = ("import sys; from ballastd.adapters.journal import SqliteJournal; j = SqliteJournal(sys.argv[1]); j.open()\n"
               "print('open', flush=True)\nwhile True: j.append(1, [{'pad': 'x' * 2000}])")
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        found = [verify(path) for _ in range(8)]
        writer.kill()
    assert {health.damage for health in found} == {None}
    assert [health.head for health in found] == sorted(health.head for health in found)


def test_there_may_be_nothing_to_verify(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        verify(tmp_path / "journal.db")


def test_quarantine_sets_aside_and_begins_anew(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    before = {name: data for name, data in everything(tmp_path).items() if not name.endswith(("-shm", ".lock"))}
    health = verify(path)
    done = quarantine(path, by="ann")
    assert (done.last_good, done.damage) == (health.head, health.damage)
    assert done.place.parent == tmp_path
    aside = everything(done.place)
    assert {name: aside[name] for name in before} == before, "set aside whole, and unaltered"
    assert verify(done.place / "journal.db") == health, "it can still be looked at where it is"

    damage, records = what_is_found(path)
    assert damage is None
    replaced, paused = (ev.from_record(record.content) for record in records)
    assert isinstance(replaced, ev.JournalReplaced)
    assert (replaced.old, replaced.last_good) == (str(done.place), health.head)
    assert isinstance(paused, ev.Paused)
    assert paused.by == "ann"
    ledger = Ledger()
    ledger.replay((replaced, paused))
    assert ledger.paused is not None, "what operators had decided is lost: nothing starts until one says so"


def test_the_new_journal_goes_on(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    quarantine(path, by="ann")
    journal = SqliteJournal(path)
    assert journal.open().head == 2
    assert journal.append(1, [{"a": 1}]) == 3
    journal.close()
    assert verify(path).head == 3


def test_a_whole_journal_is_not_set_aside(after_crash: Image, tmp_path: Path) -> None:
    path = after_crash.write(tmp_path)
    with pytest.raises(JournalError, match="is not damaged; nothing was done"):
        quarantine(path, by="ann")
    assert what_is_found(path) == (None, after_crash.records)


def test_a_journal_in_use_is_not_set_aside(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    journal = SqliteJournal(path)
    journal.open()
    with pytest.raises(JournalError, match=f"process {os.getpid()} writes this journal already"):
        quarantine(path, by="ann")
    journal.close()
    assert path.exists()


@pytest.mark.parametrize("lost", ["db", "mark"])
def test_what_is_left_of_a_journal_can_be_set_aside(tmp_path: Path, lost: str) -> None:
    image = stopped(tmp_path)
    clear(tmp_path)
    path = image.write(tmp_path, **{lost: None})
    done = quarantine(path, by="ann")
    assert done.last_good == (0 if lost == "db" else 20)
    assert what_is_found(path)[0] is None


def quarantine_killed_at(path: Path, step: int) -> bool:
    """Quarantine in a process that is killed at its ``step``th change to a directory; return whether it ended first."""
    child = os.fork()
    if child == 0:
        calls = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal calls
            if event in {"os.rename", "os.link", "os.mkdir", "os.remove"} or (
                    event == "open" and ".mark" in str(arguments[0])):
                calls += 1
                if calls == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            quarantine(path, by="ann")
            os._exit(0)
        finally:
            os._exit(9)  # never back into the test run that was forked
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended in {0, -signal.SIGKILL}
    return ended == 0


def test_killed_at_any_step_it_leaves_damage_or_a_whole_new_journal(after_crash: Image, tmp_path: Path) -> None:
    """A new, empty journal that does not say what came before it would be the worst of all outcomes."""
    outcomes: list[str] = []
    for step in range(1, 40):
        directory = tmp_path / str(step)
        directory.mkdir()
        path = damaged(after_crash, directory)
        ended = quarantine_killed_at(path, step)
        kept = [data for name, data in everything(directory).items() if name.endswith("journal.db-wal")]
        assert flipped(after_crash.files["wal"], 50_001) in kept, "the old log is somewhere still"
        damage, records = what_is_found(path)
        if damage is None:
            assert records[0].content["kind"] == "JournalReplaced"
            outcomes.append("whole")
        else:
            outcomes.append("damaged")
            quarantine(path, by="ann")
        assert what_is_found(path)[0] is None
        if ended:
            break
    assert ended, "it has more steps than were tried"
    assert outcomes.count("damaged") >= 5
    assert outcomes == sorted(outcomes), "once whole, it stays whole"


def test_the_command_line_finds_the_damage_and_cures_it(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    run = CliRunner().invoke
    found = run(main, ["journal", "verify", str(path)])
    assert (found.exit_code, "DAMAGED" in found.output) == (4, True)
    unsure = run(main, ["journal", "quarantine", str(path)], input="n\n")
    assert unsure.exit_code == 1
    assert run(main, ["journal", "verify", str(path)]).exit_code == 4, "nothing was done"
    cured = run(main, ["journal", "quarantine", str(path), "--yes"])
    assert cured.exit_code == 0
    assert f"{path}: a new one, paused" in cured.output
    assert run(main, ["journal", "verify", str(path)]).exit_code == 0
    again = run(main, ["journal", "quarantine", str(path), "--yes"])
    assert (again.exit_code, "is not damaged" in again.output) == (1, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_daemon(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    os.chown(tmp_path, 65534, 65534)
    quarantine(path, by="ann")
    for file in (path, mark_path(path), path.with_name(path.name + ".lock")):
        assert file.stat().st_uid == 65534, file
        assert file.stat().st_mode & 0o077 == 0, file


def test_the_command_line_tells_of_a_journal_that_is_gone_what_the_daemon_told(after_crash: Image, tmp_path: Path) -> None:
    path = damaged(after_crash, tmp_path)
    path.unlink()
    found = CliRunner().invoke(main, ["journal", "verify", str(path)])
    assert (found.exit_code, "the database is missing" in found.output) == (4, True)
    found = CliRunner().invoke(main, ["journal", "verify", str(tmp_path / "nowhere.db")])
    assert (found.exit_code, "there is no journal" in found.output) == (1, True)
