"""Tests bring their own environment: who runs them, and where, changes nothing of what they see.

Done before anything is collected, so that the programs that tests start have it from here as well.
"""

from __future__ import annotations

import os
import sys
import tempfile
from itertools import groupby

import hypothesis
import pytest

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
# how long an example takes says nothing of what it shows, and others compute beside it
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
assert sys.flags.optimize == 0, "with python -O no assertion can fail"

LONGEST = ("tests/simulation/test_seeds.py", "tests/scenarios/test_busy.py", "tests/scenarios/test_quiet.py",
           "tests/simulation/test_tabletop.py", "tests/simulation/test_crash_points.py", "tests/simulation/test_demo.py")
"""Files that compute for minutes: begun first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files whose tests wait for real hosts between those that compute, where workers take a file each: they would
    come last, all at once, with idle processors."""
    if not hasattr(config, "workerinput"):
        return
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.location[0])]
    waiting = [tests for tests in files if tests[0].get_closest_marker("lab")]
    computing = sorted((tests for tests in files if not tests[0].get_closest_marker("lab")),
                       key=lambda tests: LONGEST.index(name) if (name := tests[0].location[0]) in LONGEST else len(LONGEST))
    quick = max(1, len(computing) - len(LONGEST))
    every = max(1, quick // (len(waiting) + 1))
    ordered: list[pytest.Item] = []
    for number, tests in enumerate(computing):
        ordered.extend(tests)
        if waiting and (number < len(LONGEST) or (number - len(LONGEST)) % every == 0):
            ordered.extend(waiting.pop(0))
    items[:] = [*ordered, *(item for tests in waiting for item in tests)]
