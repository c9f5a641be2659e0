"""Tests bring their own environment: who runs them, and where, changes nothing of what they see.

Done before anything is collected, so that the programs that tests start have it from here as well.
"""

from __future__ import annotations

import os
import sys
import tempfile

TEMPORARY_CHARACTERS_MAX = 30
"""Sockets live in temporary directories, and the path of a socket has 107 characters at most."""
OTHERS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TERM", "PAGER", "TZ", "EDITOR",
          "PYTHONWARNINGS", "PYTHONOPTIMIZE", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "INVOCATION_ID",
          "JOURNAL_STREAM", "LIBVIRT_DEFAULT_URI", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY", "STATE_DIRECTORY")


def clean() -> None:
    """Take out of the environment whatever would change what programs say or whom they talk to."""
    for name in list(os.environ):
        if name in OTHERS or name.lower().endswith("_proxy") or name.startswith(("BALLASTD_SOCKET", "LC_", "PYTEST_ADD")):
            del os.environ[name]
    directories = os.environ.get("PATH", "").split(os.pathsep)
    os.environ.update(LANG="C.UTF-8", PATH=os.pathsep.join(dict.fromkeys(filter(None, directories))))
    if len(tempfile.gettempdir()) > TEMPORARY_CHARACTERS_MAX:
        os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"
    os.umask(0o022)


clean()
assert sys.flags.optimize == 0, "with python -O no assertion can fail"
