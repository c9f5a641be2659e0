"""``ballastd`` with another daemon forgotten after seconds, not minutes: ``python -m tests.integration.hurried run ...``."""

from __future__ import annotations

import sys

RIVAL_SECONDS = 8.0
CLAIM_ROUNDS = 2
"""Looks between two claims, one a second: often enough that a daemon that lives is not forgotten."""


def main() -> None:
    """Shorten what has no setting, and be ``ballastd``."""
    from ballastd.adapters.mqtt import publisher
    from ballastd.cli.daemon import main as daemon
    from ballastd.service import daemon as service

    publisher.RIVAL_SECONDS = RIVAL_SECONDS
    service.CLAIM_ROUNDS = CLAIM_ROUNDS
    daemon(sys.argv[1:])


if __name__ == "__main__":
    main()
