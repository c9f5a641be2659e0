"""What the agent says about itself, beside its readings: hook, cordon, keepalive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from ballastd.adapters.mqtt.wire import CordonRequest
from ballastd.agent import cordon
from ballastd.agent.hook import is_installed
from ballastd.agent.keepalive import read_keepalive

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """As AgentState has it: ``cordon_until`` is what the flag file says, not what was asked."""

    hook: bool = False
    cordon_until: float | None = None
    keepalive: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """A cordon message that arrived: a request, or None to lift the cordon."""

    request: CordonRequest | None


def settle(root: Path, flag_file: Path, wish: Wish | None, now: float) -> Standing:
    """Carry out ``wish`` if there is one, and return how things stand. Blocks on the disk; raises nothing:
    what could not be done shows in the answer and in the log. ``now``: wall seconds."""
    try:
        if wish is None:
            cordon.tidy(flag_file, now)
        else:
            done = cordon.apply(flag_file, wish.request, now)
            log.info("cordon", done=done, by=wish.request.by if wish.request else None)
    except OSError as error:
        log.warning("cordon_failed", file=str(flag_file), reason=str(error))
    return Standing(is_installed(root), _cordoned_until(flag_file, now), read_keepalive(root))


def _cordoned_until(flag_file: Path, now: float) -> float | None:
    try:
        flag = cordon.standing(flag_file, now)
    except OSError:
        return cordon.STANDS_FOR_GOOD
    return None if flag is None else flag.until
