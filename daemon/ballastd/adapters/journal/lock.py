"""One writer: a lock file beside the journal, held as long as its process lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ballastd.errors import JournalError


def lock_path(path: Path) -> Path:
    """Return where the lock of the journal at ``path`` is. The file stays; only being locked means something."""
    return path.with_name(path.name + ".lock")


class WriterLock:
    """The right to write the journal at ``path``, from here until ``release``."""

    def __init__(self, path: Path) -> None:
        """Take it.

        Raises:
            JournalError: another process has it.
            OSError: the lock file cannot be used.
        """
        self._handle = os.open(lock_path(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            holder = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise JournalError(f"{path}: process {holder} writes this journal already; stop it first, or give this "
                               "daemon a journal of its own") from None
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give it up."""
        handle, self._handle = self._handle, -1
        with contextlib.suppress(OSError):
            os.close(handle)
