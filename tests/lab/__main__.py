"""`python -m tests.lab` from the project's root, or `python <path of this directory>` from anywhere."""

import sys
from pathlib import Path

if not __package__:  # started by path: the place of the modules is not yet known
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.lab.cli import main

sys.exit(main())
