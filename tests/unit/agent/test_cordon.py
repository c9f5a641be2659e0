"""The cordon flag file, and the hook script that obeys it, run by a real shell."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from ballastd.adapters.mqtt.wire import CordonRequest
from ballastd.agent import cordon
from ballastd.agent.hook import script
from ballastd.agent.standing import Standing, Wish, settle

NOW = 1_795_400_000.0


def request(seconds: float, by: str = "evacuation") -> CordonRequest:
    return CordonRequest(NOW + seconds, by, NOW)


def until(path: Path, now: float = NOW) -> float | None:
    flag = cordon.standing(path, now)
    return None if flag is None else flag.until


def test_a_request_raises_the_flag_with_its_expiry_inside(tmp_path: Path) -> None:
    flag = tmp_path / "run" / "cordon"
    cordon.apply(flag, request(600), NOW)
    assert flag.read_text() == f"{int(NOW) + 600}\nraised by ballastd for evacuation\n"
    assert until(flag) == NOW + 600
    assert [one.name for one in flag.parent.iterdir()] == ["cordon"]


def test_the_same_request_again_changes_nothing(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    cordon.apply(flag, request(600), NOW)
    cordon.apply(flag, request(600), NOW + 10)
    assert until(flag) == NOW + 600


def test_a_flag_falls_by_itself_when_it_expires(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    cordon.apply(flag, request(600), NOW)
    assert until(flag, NOW + 600) is not None
    assert until(flag, NOW + 601) is None
    cordon.tidy(flag, NOW + 500)
    assert flag.exists()
    cordon.tidy(flag, NOW + 601)
    assert not flag.exists()


def test_an_expired_request_is_ignored(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    assert "expired" in cordon.apply(flag, request(-1), NOW)
    assert not flag.exists()


def test_lifting_lowers_the_flag_and_lifting_twice_is_fine(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    cordon.apply(flag, request(600), NOW)
    cordon.apply(flag, None, NOW)
    cordon.apply(flag, None, NOW)
    assert not flag.exists()


@pytest.mark.parametrize("content", ["", "1795409999\n", "1795409999\nby hand\n", "until tuesday\n"])
def test_somebody_elses_flag_is_reported_and_never_touched(content: str, tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    flag.write_text(content)
    for wish in (request(600), None):
        assert "somebody else" in cordon.apply(flag, wish, NOW)
    assert flag.read_text() == content
    assert until(flag) is not None


def test_nobody_can_close_a_host_for_ever_with_one_message(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    cordon.apply(flag, request(10 * 365 * 86_400), NOW)
    assert until(flag) == NOW + cordon.REQUEST_MAX_SECONDS


def test_who_asks_cannot_forge_a_line_of_the_flag(tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    cordon.apply(flag, request(600, by="x y"), NOW)
    assert len(flag.read_text().splitlines()) == 2


def test_a_flag_that_cannot_be_written_is_reported_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    standing = settle(tmp_path, tmp_path / "file" / "cordon", Wish(request(600)), NOW)
    assert standing == Standing(hook=False, cordon_until=cordon.STANDS_FOR_GOOD, keepalive=None)


def refuses(flag: Path, tmp_path: Path, operation: str, suboperation: str = "begin") -> bool:
    hook = tmp_path / "qemu"
    hook.write_text(script(flag))
    hook.chmod(0o755)
    done = subprocess.run([str(hook), "guest", operation, suboperation, "-"], input=b"<domain/>", capture_output=True,
                          check=False)
    assert (b"cordoned" in done.stderr) == (done.returncode != 0)
    return done.returncode != 0


@pytest.mark.parametrize("operation", ["prepare", "migrate", "restore"])
def test_the_hook_refuses_whatever_starts_or_arrives_while_the_flag_stands(operation: str, tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    assert not refuses(flag, tmp_path, operation)
    now = time.time()
    cordon.apply(flag, CordonRequest(now + 600, "test", now), now)
    assert refuses(flag, tmp_path, operation)


@pytest.mark.parametrize(("operation", "suboperation"), [
    ("stopped", "end"), ("release", "end"), ("reconnect", "begin"), ("started", "begin"), ("prepare", "end")])
def test_the_hook_lets_guests_leave_and_libvirtd_restart(operation: str, suboperation: str, tmp_path: Path) -> None:
    flag = tmp_path / "cordon"
    flag.write_text("")
    assert not refuses(flag, tmp_path, operation, suboperation)


@pytest.mark.parametrize(("content", "stands"), [
    ("", True), ("99999999999\n", True), ("99999999999", True), ("1\n", False), ("1", False), ("soon\n", True),
    ("1\nraised by ballastd for x\n", False), ("99999999999\nraised by ballastd for x\n", True), ("\n", True),
])
def test_hook_and_agent_read_a_flag_alike(content: str, stands: bool, tmp_path: Path) -> None:
    flag = tmp_path / "a flag's name"
    flag.write_text(content)
    assert refuses(flag, tmp_path, "prepare") is stands
    assert (until(flag, time.time()) is not None) is stands
