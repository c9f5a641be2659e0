"""Definitions of VMs on disk, a file for each: what a VM was before it was moved, should a host die with it in between."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ballastd.core.quantities import VmId
from ballastd.errors import DefinitionNotKept, Unreachable
from ballastd.ports.keeping import KeptDefinition
from ballastd.ports.running import Blocking

LANE, DEADLINE_SECONDS = "definitions", 5.0
SUFFIX, PART = ".xml", ".part"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class FileDefinitions:
    """Implements ``ports.Definitions`` in ``directory``, which only we may read: they are other people's."""

    def __init__(self, directory: Path, blocking: Blocking) -> None:
        self._directory, self._blocking = directory, blocking

    async def keep(self, vm: VmId, definition: str) -> None:
        """Write it durably in the place of an earlier one."""
        try:
            await self._blocking.run(LANE, lambda: self._write(_checked(vm), definition), deadline=DEADLINE_SECONDS)
        except (OSError, ValueError, Unreachable) as error:
            raise DefinitionNotKept(f"{self._directory}: {error}") from error

    async def kept(self, vm: VmId) -> KeptDefinition | None:
        """Read it."""
        if not _ID.fullmatch(vm):
            return None
        try:
            return await self._blocking.run(LANE, lambda: self._read(vm), deadline=DEADLINE_SECONDS)
        except (OSError, ValueError) as error:  # what is there may be no text any more
            raise DefinitionNotKept(f"{self._directory}: {error}") from error

    async def drop(self, before_wall: float) -> int:
        """Delete those that were kept earlier, and what was half written before then."""
        try:
            return await self._blocking.run(LANE, lambda: self._drop(before_wall), deadline=DEADLINE_SECONDS)
        except (OSError, Unreachable) as error:
            raise DefinitionNotKept(f"{self._directory}: {error}") from error

    def _write(self, vm: VmId, definition: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._directory / f"{vm}{PART}"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(definition)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._directory / f"{vm}{SUFFIX}")
        folder = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self, vm: VmId) -> KeptDefinition | None:
        path = self._directory / f"{vm}{SUFFIX}"
        try:
            return KeptDefinition(vm, path.stat().st_mtime, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _drop(self, before_wall: float) -> int:
        old = [path for suffix in (SUFFIX, PART) for path in self._directory.glob(f"*{suffix}")
               if path.stat().st_mtime < before_wall]
        for path in old:
            path.unlink()
        return sum(path.suffix == SUFFIX for path in old)


def _checked(vm: VmId) -> VmId:
    if not _ID.fullmatch(vm):
        raise ValueError(f"{vm!r} is no UUID")
    return vm
