"""``python -m ballastd`` is ``ballastd``."""

from __future__ import annotations

from ballastd.cli.daemon import main

if __name__ == "__main__":
    main()
