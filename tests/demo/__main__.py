"""``python -m tests.demo``: the story, then a table of claims. Exit status 0 only if all of them hold."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from ballastd.cli.demo.telling import Narrator
from tests.demo.story import Story


def main() -> int:
    """Play the demo; return its exit status."""
    if os.geteuid() != 0:
        print("the demo makes network namespaces: run it as root (make demo uses sudo)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    stage, home = Narrator(), Path(tempfile.mkdtemp(prefix="ballastd-demo-"))
    story, whole = Story(stage, home), False
    try:
        whole = story.play()
    except KeyboardInterrupt:
        stage.say("Interrupted; everything is being taken down")
        return 130
    finally:
        stage.close()
        if whole:
            shutil.rmtree(home, ignore_errors=True)
    stage.sum_up("Claims, each verified against the libvirtd hosts")
    if not whole:
        stage.console.print(f"The daemon's log and journal are kept in {home}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
