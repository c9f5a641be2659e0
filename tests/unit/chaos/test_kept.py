"""What was kept of a guest that was moved, held against what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.kept import essence, wrong_of_kept
from tests.lab.guest import LabGuest

UUID = "aad14bee-6d92-496c-9bee-04b01564353f"
GUEST = LabGuest("web", UUID, 16)
NOW = f"""<domain type='qemu'><name>web</name><uuid>{UUID}</uuid>
<metadata><b:ballastd xmlns:b='https://ballastd.org/1' pinned='yes'/></metadata>
<memory unit='MiB'>16</memory><vcpu>1</vcpu><devices><disk type='file' device='disk'><source file='/l/guest.img'/></disk>
<serial type='file'><source path='/l/web.beats' append='on'/></serial></devices></domain>"""
# as libvirt says it of one that runs
KEPT = f"""<domain type='qemu' id='1'><name>web</name><uuid>{UUID}</uuid>
<metadata><ballastd:ballastd xmlns:ballastd="https://ballastd.org/1" pinned="yes"/></metadata>
<memory unit='KiB'>16384</memory><currentMemory unit='KiB'>16384</currentMemory><vcpu placement='static'>1</vcpu>
<devices><disk type='file' device='disk'><driver name='qemu'/><source file='/l/guest.img' index='1'/></disk>
<serial type='file'><source path='/l/web.beats' append='on'/><alias name='serial0'/></serial></devices></domain>"""


def kept(home: Path, text: str, mode: int = 0o600) -> Path:
    path = home / "definitions" / f"{UUID}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return home


def wrong(home: Path) -> str:
    return "; ".join(wrong_of_kept(home, [(GUEST, NOW)]))


def test_what_libvirt_fills_in_is_no_difference(tmp_path: Path) -> None:
    assert wrong(kept(tmp_path, KEPT)) == ""


def test_what_was_not_kept_is_told(tmp_path: Path) -> None:
    assert "nothing was kept" in wrong(tmp_path)


@pytest.mark.parametrize("length", [0, 200, len(KEPT) - 1])
def test_what_was_kept_by_half_is_told(tmp_path: Path, length: int) -> None:
    assert "no whole definition" in wrong(kept(tmp_path, KEPT[:length]))


@pytest.mark.parametrize(("was", "now"), [
    (UUID, UUID.replace("a", "b")), ("16384", "8192"), ("guest.img", "other.img"), ('pinned="yes"', ""), (">web<", ">db<")])
def test_what_is_of_another_guest_is_told(tmp_path: Path, was: str, now: str) -> None:
    assert "web is {" in wrong(kept(tmp_path, KEPT.replace(was, now)))


def test_what_is_left_of_a_write_or_others_may_read_is_told(tmp_path: Path) -> None:
    assert "may be read by others" in wrong(kept(tmp_path, KEPT, 0o644))
    (kept(tmp_path, KEPT) / "definitions" / f"{UUID}.part").touch()
    assert wrong(tmp_path) == f"{UUID}.part was half written, and is there still"


def test_what_it_is_is_read_of_both() -> None:
    assert essence(NOW) == essence(KEPT)
    assert essence(NOW)["memory_kib"] == 16384
