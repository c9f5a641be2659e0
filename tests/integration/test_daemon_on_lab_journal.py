"""The whole daemon on real hosts, with a journal it cannot write, or cannot believe: it observes, and says why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.daemon_parts import (
    NO_DAMAGE_SECONDS,
    ON_LAB,
    Stand,
    assert_books_are_closed,
    assert_lives_once,
    lab_of_a_file,
    ordered,
    reasons,
    until_acting,
    until_left,
    until_posture,
    until_settled,
)
from tests.lab import Lab
from tests.lab.volume import small_disk_in

pytestmark = ON_LAB
DISK_MIB = 2

lab = lab_of_a_file("j")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_in(tmp_path, DISK_MIB) as place:
        yield place


def test_on_a_full_disk_it_observes_and_acts_again_when_there_is_room(lab: Lab, stand: Stand, small_disk: Path) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = stand.daemon(journal=small_disk).start()
    until_acting(daemon)
    stand.until_heard(daemon)
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(bytes(DISK_MIB * 1024 * 1024))
    lab.hosts["h1"].fault("uncorrected")
    until_posture(daemon, "observing")
    assert "the journal cannot be written" in reasons(daemon)
    assert "make room" in reasons(daemon)
    time.sleep(NO_DAMAGE_SECONDS)
    assert ordered(small_disk) == []
    assert lab.runs_on(guest) == "h1"
    assert "not recorded, so not done" in daemon.ctl("host", "cordon", "h2").stderr
    ballast.unlink()
    until_left(lab, guest, "h1", 30.0, daemon)
    until_settled(daemon, small_disk)
    until_acting(daemon)
    assert_lives_once(lab, guest)
    assert_books_are_closed(small_disk)


def test_a_flipped_bit_in_the_journal_is_found_and_named(lab: Lab, stand: Stand) -> None:
    guest = lab.start_guest("h1", "web", mode="1")
    daemon = stand.acting()
    path = stand.home / "journal.db"
    assert daemon.ctl("host", "cordon", "h3").returncode == 0
    assert daemon.stop() == 0
    assert daemon.ctl("journal", "verify", str(path)).returncode == 0
    whole = path.read_bytes()
    assert whole.count(b'"HostCordoned"') == 1
    path.write_bytes(whole.replace(b'"HostCordoned"', b'"HostCordoneb"'))
    verified = daemon.ctl("journal", "verify", str(path))
    assert verified.returncode != 0
    damage = next(line for line in verified.stderr.splitlines() if "DAMAGED" in line)
    assert "was altered" in damage
    daemon.start()
    until_posture(daemon, "observing")
    assert "journal damaged: record" in reasons(daemon)
    named = reasons(daemon).split("journal damaged: ")[1].split(":")[0]
    assert named in damage
    lab.hosts["h1"].fault("uncorrected")
    time.sleep(NO_DAMAGE_SECONDS + 1.0)
    assert daemon.posture() == "observing"
    assert lab.runs_on(guest) == "h1"
