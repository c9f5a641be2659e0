"""What the agent says about itself, beside its readings: hook, cordon, keepalive, and how many emulators run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from ballastd.adapters.mqtt.wire import CordonRequest
from ballastd.agent import cordon
from ballastd.agent.emulators import count_emulators
from ballastd.agent.hook import is_installed
from ballastd.agent.keepalive import read_keepalive

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """As AgentState has it: ``cordon_until`` is what the flag file says, not what was asked; ``emulators`` were counted
    after that was read."""

    hook: bool = False
    cordon_until: float | None = None
    keepalive: tuple[int, int] | None = None
    emulators: int | None = None

    def gist(self) -> Standing:
        """Return what is worth telling at once: not every guest that comes or goes, but the first and the last."""
        return self if self.emulators is None else replace(self, emulators=min(self.emulators, 1))


@dataclass(frozen=True, slots=True)
class Wish:
    """A cordon message that arrived: a request, or None to lift the cordon."""

    request: CordonRequest | None


def settle(root: Path, flag_file: Path, wish: Wish | None, now: float, processes: Path | None = None) -> Standing:
    """Carry out ``wish`` if there is one, and return how things stand. Blocks on the disk; raises nothing:
    what could not be done shows in the answer and in the log. ``now``: wall seconds; ``processes``: the machine's
    ``/proc``, under the root where it is not given."""
    try:
        if wish is None:
            cordon.tidy(flag_file, now)
        else:
            done = cordon.apply(flag_file, wish.request, now)
            log.info("cordon", done=done, by=wish.request.by if wish.request else None)
    except OSError as error:
        log.warning("cordon_failed", file=str(flag_file), reason=str(error))
    return Standing(is_installed(root), _cordoned_until(flag_file, now), read_keepalive(root),
                    count_emulators(processes or root / "proc"))


def _cordoned_until(flag_file: Path, now: float) -> float | None:
    try:
        flag = cordon.standing(flag_file, now)
    except OSError:
        return cordon.STANDS_FOR_GOOD
    return None if flag is None else flag.until
