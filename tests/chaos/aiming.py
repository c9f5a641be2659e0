"""The instant in which a guest stands still between its hosts, told by its source's own libvirtd as it comes."""

from __future__ import annotations

import subprocess
import time
from queue import Empty, SimpleQueue
from threading import Thread

from tests.lab import LabError, LabHost, virsh

SWITCHING = "Suspended Migrated"
"""It stands still at the source, and has not begun to run at the target."""
SWITCH_SECONDS = 45.0


def wait_switch_over(source: LabHost, guest: str, seconds: float = SWITCH_SECONDS) -> None:
    """Return as soon as a guest stands still to leave its source.

    Raises:
        LabError: it did not come to that in time, or is gone.
    """
    # a pipe would keep what is told until there is more of it
    words = ["stdbuf", "-oL", *virsh.argv(source.link.netns, "event", "--domain", guest, "--event", "lifecycle", "--loop")]
    listening = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                 text=True)
    heard: SimpleQueue[str] = SimpleQueue()
    reading = Thread(target=_read, args=(listening, heard), daemon=True)
    reading.start()
    try:
        until, line = time.monotonic() + seconds, "..."
        while line and SWITCHING not in line:
            line = heard.get(timeout=max(0.01, until - time.monotonic()))
    except Empty:
        line = ""
    finally:
        listening.kill()
        reading.join()
        listening.communicate()
    if not line:
        raise LabError(f"{guest} did not come to stand still on {source.name} within {seconds:g} s")


def _read(listening: subprocess.Popen[str], heard: SimpleQueue[str]) -> None:
    """Hand on what is told, a line each, and at the end of all an empty one."""
    assert listening.stdout is not None
    for line in listening.stdout:
        heard.put(line)
    heard.put("")
