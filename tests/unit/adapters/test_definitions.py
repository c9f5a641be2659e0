"""Definitions of VMs on disk: durable, one for each, and nobody else's to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ballastd.adapters.blocking import Inline
from ballastd.adapters.definitions import FileDefinitions
from ballastd.core.quantities import VmId
from ballastd.errors import DefinitionNotKept
from tests.builders import vm_id

A, B = vm_id("a"), vm_id("b")


def kept_in(tmp_path: Path) -> FileDefinitions:
    return FileDefinitions(tmp_path / "definitions", Inline())


async def test_the_last_of_each_is_kept_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    definitions = kept_in(tmp_path)
    assert await definitions.kept(A) is None
    await definitions.keep(A, "<domain>old</domain>")
    await definitions.keep(A, "<domain>new \u00e4</domain>")
    await definitions.keep(B, "<domain>b</domain>")
    kept = await definitions.kept(A)
    assert kept is not None
    assert (kept.vm, kept.definition) == (A, "<domain>new \u00e4</domain>")
    folder = tmp_path / "definitions"
    assert sorted(path.name for path in folder.iterdir()) == sorted([f"{A}.xml", f"{B}.xml"])
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / f"{A}.xml").stat().st_mode & 0o077 == 0


async def test_what_is_old_is_dropped(tmp_path: Path) -> None:
    definitions = kept_in(tmp_path)
    assert await definitions.drop(1e12) == 0, "there is none yet"
    for vm, wall in ((A, 1000.0), (B, 3000.0)):
        await definitions.keep(vm, "<domain/>")
        os.utime(tmp_path / "definitions" / f"{vm}.xml", (wall, wall))
    assert await definitions.drop(2000.0) == 1
    assert await definitions.kept(A) is None
    kept = await definitions.kept(B)
    assert kept is not None
    assert kept.wall == 3000.0


async def test_what_was_half_written_long_ago_is_dropped_too(tmp_path: Path) -> None:
    definitions = kept_in(tmp_path)
    (tmp_path / "definitions").mkdir()
    for vm, wall in ((A, 1000.0), (B, 3000.0)):
        (tmp_path / "definitions" / f"{vm}.part").write_text("<dom")
        os.utime(tmp_path / "definitions" / f"{vm}.part", (wall, wall))
    assert await definitions.drop(2000.0) == 0, "that was no definition"
    assert [path.name for path in (tmp_path / "definitions").iterdir()] == [f"{B}.part"]


async def test_what_was_half_written_is_written_anew(tmp_path: Path) -> None:
    definitions = kept_in(tmp_path)
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / f"{A}.part").write_text("<dom")
    await definitions.keep(A, "<domain/>")
    assert sorted(path.name for path in (tmp_path / "definitions").iterdir()) == [f"{A}.xml"]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "..", "db", f"{A}.xml", f"{A}/x", A.upper() + "\n"])
async def test_only_a_uuid_names_a_file(tmp_path: Path, name: str) -> None:
    definitions = kept_in(tmp_path)
    assert await definitions.kept(VmId(name)) is None
    with pytest.raises(DefinitionNotKept, match="no UUID"):
        await definitions.keep(VmId(name), "<domain/>")
    assert not (tmp_path / "definitions").exists()


async def test_what_cannot_be_written_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "definitions").write_text("in the way")
    definitions = kept_in(tmp_path)
    with pytest.raises(DefinitionNotKept, match="definitions"):
        await definitions.keep(A, "<domain/>")
    with pytest.raises(DefinitionNotKept, match="definitions"):
        await definitions.kept(A)


async def test_what_is_no_text_any_more_is_not_read_as_one(tmp_path: Path) -> None:
    definitions = kept_in(tmp_path)
    await definitions.keep(A, "<domain/>")
    (tmp_path / "definitions" / f"{A}.xml").write_bytes(b"<domain>\xff")
    with pytest.raises(DefinitionNotKept, match="definitions"):
        await definitions.kept(A)
