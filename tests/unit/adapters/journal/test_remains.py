"""What a damaged journal still tells: every good row before the damage, and what these rows left in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ballastd.adapters.journal import SqliteJournal, quarantine, verify
from ballastd.adapters.journal.remains import in_force
from ballastd.cli.ctl import main
from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.migrations import Ending, MigrationPhase
from ballastd.core.quantities import GIB, Bytes, HostName, VmId
from ballastd.errors import JournalError
from tests.unit.adapters.journal.images import Image, stopped, what_is_found

PAGE_BYTES = 4096
RECORDS = 300
H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A journal of many pages, none of which holds a piece of a record that begins on another."""
    return stopped(tmp_path_factory.mktemp("long"), RECORDS)


def pages_of_records(image: Image) -> dict[int, int]:
    """Return, per page of the database that holds records, the first of them."""
    data = image.files["db"]
    found: dict[int, int] = {}
    for number in range(1, RECORDS + 1):
        place = data.index(b'"n":%d,' % number) // PAGE_BYTES
        found.setdefault(place, number)
    return found


def test_a_broken_page_costs_the_records_on_it_and_none_before_it(long: Image, tmp_path: Path) -> None:
    pages = pages_of_records(long)
    assert len(pages) > 10
    for page, first in pages.items():
        data = bytearray(long.files["db"])
        data[page * PAGE_BYTES] = 0x77
        damage, records = what_is_found(long.write(tmp_path, db=bytes(data)))
        assert damage is not None
        assert records == long.records[:first - 1], f"page {page}"


def order(number: str, vm: str) -> ev.MigrationOrdered:
    return ev.MigrationOrdered(1.0, number, VmId(vm), f"name-of-{vm}", H1, H2, Bytes(GIB), 100, "failing", "because",
                               100.0, 1.0)


STORY: tuple[ev.Event, ...] = (
    ev.DaemonStarted(1.0, "boot", "0.1.0"), ev.PoliciesLoaded(1.0, "digest"),
    ev.HostCordoned(1.0, H1, "ann", "new fans"), ev.HostCordoned(1.0, H2, "bob"), ev.HostUncordoned(1.0, H2, "bob"),
    ev.DrainRequested(1.0, H3, "ann"), ev.HostConfirmedDead(1.0, H2, "cho", "stolen"),
    ev.VerdictLatched(1.0, "uncorrected", H1, "ecc.uncorrected rose by 1 > 0"),
    order("7-1", "a"), order("7-2", "b"), ev.MigrationMoved(1.0, "7-1", MigrationPhase.RUNNING),
    ev.MigrationMoved(1.0, "7-2", MigrationPhase.COMPLETED), ev.MigrationSettled(1.0, "7-2", Ending.COMPLETED),
    ev.DuplicateSeen(1.0, VmId("c"), "two\x1b[2Jfold", (H1, H3)), ev.Paused(1.0, "ann", "lunch"),
    pw.HostEmptying(1.0, H2, "nights", "it is empty"), pw.HostClosing(1.0, H2),
    pw.PowerOffOrdered(1.0, "8-off", H2, "nights", "it is empty"), pw.HostOff(1.0, H2, "by two signs"),
    pw.HostEmptying(1.0, H3, "nights", "it is next"), pw.HostKept(1.0, H3, "it is needed"),
    sh.ShutdownOrdered(1.0, "9-d", VmId("d"), "asked", H1, "failing", "no way out"),
    sh.ShutdownOrdered(1.0, "9-e", VmId("e"), "down", H1, "failing", "no way out"),
    sh.ShutdownEnded(1.0, "9-e", sh.ShutdownEnding.DOWN),
    sh.ShutdownOrdered(1.0, "9-f", VmId("f"), "back", H1, "failing", "no way out"),
    sh.ShutdownEnded(1.0, "9-f", sh.ShutdownEnding.DOWN), sh.ShutdownOver(1.0, "9-f", "back", H1, "it runs"),
    au.PolicyDemoted(1.0, "even-load", "two moves of its failed"),
)
TOLD = (
    "migration 7-1 open (running): name-of-a from h1 to h2", "asked on h1 asked to shut down, by failing: no way out",
    "down of h1 down, which failing shut down: somebody has to start it", "h2 off, by nights: it is empty",
    "cordon of h1, by ann: new fans", "drain of h3, by ann",
    "h2 confirmed dead, by cho: stolen", "pause, by ann: lunch",
    "even-load only recommends: two moves of its failed",
    "latched verdict uncorrected on h1: ecc.uncorrected rose by 1 > 0",
    "two\x1b[2Jfold seen running on h1 and h3, which were frozen",
)


def written(directory: Path, *more: dict[str, object]) -> Path:
    path = directory / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [ev.to_record(event) for event in STORY])
    journal.append(2, more)
    journal.close()
    return path


def cut(path: Path, content: bytes) -> None:
    """Alter the record that says ``content``."""
    data = path.read_bytes()
    assert data.count(content) == 1
    path.write_bytes(data.replace(content, content[::-1]))


def test_what_was_in_force_is_told_and_what_was_lifted_is_not(tmp_path: Path) -> None:
    assert in_force(written(tmp_path)) == TOLD


def test_it_is_told_up_to_the_damage_and_no_further(tmp_path: Path) -> None:
    path = written(tmp_path)
    cut(path, b"stolen")
    assert in_force(path) == ("cordon of h1, by ann: new fans", "drain of h3, by ann")


@pytest.mark.parametrize("odd", [
    {"v": 2, "kind": "Paused", "wall": 1.0, "by": "x"}, {"v": 1, "kind": "Paused"}, {},
    ev.to_record(ev.MigrationSettled(1.0, "99-9", Ending.FAILED)),
])
def test_a_record_that_means_nothing_here_ends_the_story_and_takes_nothing_back(
        tmp_path: Path, odd: dict[str, object]) -> None:
    later = ev.to_record(ev.HostCordoned(2.0, H2, "late"))
    assert in_force(written(tmp_path, odd, later)) == TOLD


@pytest.mark.parametrize("data", [None, b"", b"not a database" * 400])
def test_where_nothing_can_be_read_nothing_is_told(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "journal.db"
    if data is not None:
        path.write_bytes(data)
    assert in_force(path) == ()


def test_the_operator_is_shown_what_the_new_journal_does_not_know(tmp_path: Path) -> None:
    path = written(tmp_path, {"kind": "the last straw"})
    cut(path, b"the last straw")
    shown = CliRunner().invoke(main, ["journal", "quarantine", str(path), "--yes"])
    assert shown.exit_code == 0, shown.output
    lines = shown.output.splitlines()
    assert f"good up to record {len(STORY)}" in lines[0]
    assert "unknown to the new one" in lines[1]
    assert [line.strip() for line in lines[2:-1]] == [line.replace("\x1b", "\\x1b") for line in TOLD]


def test_a_whole_journal_is_set_aside_only_by_force(tmp_path: Path) -> None:
    path = written(tmp_path)
    run = CliRunner().invoke
    refused = run(main, ["journal", "quarantine", str(path), "--yes"])
    assert (refused.exit_code, "is not damaged; nothing was done" in refused.output) == (1, True)
    assert verify(path).head == len(STORY)
    forced = run(main, ["journal", "quarantine", str(path), "--yes", "--force"])
    assert forced.exit_code == 0
    assert "nothing is wrong with it" in forced.output
    damage, records = what_is_found(path)
    assert (damage, [record.content["kind"] for record in records]) == (None, ["JournalReplaced", "Paused"])
    old = Path(str(records[0].content["old"])) / path.name
    assert verify(old).head == records[0].content["last_good"] == len(STORY)


def test_force_does_not_take_a_journal_from_a_daemon_and_makes_none_of_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    journal = SqliteJournal(path)
    journal.open()
    with pytest.raises(JournalError, match="writes this journal already"):
        quarantine(path, by="ann", force=True)
    journal.close()
    with pytest.raises(JournalError, match="is not damaged"):
        quarantine(tmp_path / "other.db", by="ann", force=True)
    assert not (tmp_path / "other.db").exists()
