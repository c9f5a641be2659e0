"""How an agent stands: what is read where, and what of it is worth telling at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.adapters.mqtt.wire import CordonRequest
from ballastd.agent.standing import Standing, Wish, settle
from tests.data.sysfs_trees import write

NOW = 1_795_400_000.0


def processes(proc: Path, emulators: int) -> None:
    for number in range(1, 2 + emulators):
        write(proc, f"{number}/stat", f"{number} ({'init' if number == 1 else 'qemu-kvm'}) S 0 1 1 0 -1 0")
        write(proc, f"{number}/cmdline", "x")


def test_a_wish_is_carried_out_before_anything_is_told(tmp_path: Path) -> None:
    processes(tmp_path / "proc", 0)
    flag = tmp_path / "run/cordon"
    wish = Wish(CordonRequest(NOW + 600.0, "power", NOW))
    assert settle(tmp_path, flag, wish, NOW) == Standing(cordon_until=NOW + 600.0, emulators=0)
    assert settle(tmp_path, flag, Wish(None), NOW) == Standing(emulators=0)


def test_emulators_are_counted_below_the_root_or_where_processes_are_said_to_be(tmp_path: Path) -> None:
    processes(tmp_path / "proc", 1)
    processes(tmp_path / "elsewhere", 3)
    assert settle(tmp_path, tmp_path / "cordon", None, NOW).emulators == 1
    assert settle(tmp_path, tmp_path / "cordon", None, NOW, tmp_path / "elsewhere").emulators == 3
    assert settle(tmp_path / "empty", tmp_path / "cordon", None, NOW).emulators is None


@pytest.mark.parametrize(("before", "after", "told"), [
    (0, 1, True), (1, 0, True), (17, 0, True), (1, 2, False), (17, 3, False), (0, 0, False), (None, 0, True),
    (3, None, True),
])
def test_the_first_guest_and_the_last_are_worth_telling_at_once(
        before: int | None, after: int | None, told: bool) -> None:
    assert (Standing(emulators=before).gist() != Standing(emulators=after).gist()) is told


def test_every_other_change_is_worth_telling_at_once() -> None:
    now = Standing(hook=True, emulators=5)
    for changed in (Standing(emulators=5), Standing(hook=True, cordon_until=NOW, emulators=5),
                    Standing(hook=True, keepalive=(5, 24), emulators=5)):
        assert changed.gist() != now.gist()
