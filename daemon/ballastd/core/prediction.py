"""How long a migration will take, and what share of a link it may use: arithmetic that plans and budgets share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ballastd.core.inventory import Progress
from ballastd.core.quantities import MIB, Seconds

HANDSHAKE_SECONDS = 0.7
"""Fixed cost of a migration: start of the emulator at the target, hand-shakes, clean-up (measured on libvirt 9)."""

NEVER_FROM = 0.98
"""Memory that is dirtied at this share of the speed at which it is copied is never copied."""

HANDOVER_SECONDS = 0.02
"""How long a VM stands still at the end of a migration though nothing is left to copy: the middle of 12 to 30 ms."""

ROUNDS_MAX = 1000
"""So many rounds are reckoned: where each leaves 98 % of the one before, 460 make 0.1 s of copying of 1 TiB at 1 GiB/s."""

SLOWED_FIRST, SLOWED_MORE, SLOWED_MOST = 0.2, 0.1, 0.99
"""By what share a VM is slowed down that may be, and by how much more each time that is not enough: QEMU's auto-converge."""
SLOWED_AFTER = 2
"""So many rounds that leave more than half of what they copied slow it down further."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What memory travels over. ``bandwidth_mib_s``: granted; ``link_mib_s``: of the narrower end, at which travels what is
    left while the VM stands still, for which no grant holds. ``first_ms``, ``most_ms``: for how long it may, to begin with
    and at most. ``may_slow``: whether the VM may be slowed down."""

    bandwidth_mib_s: int
    link_mib_s: float
    first_ms: int
    most_ms: int
    may_slow: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """How memory will travel. ``copied``: bytes, with those that are copied again; ``takes``: seconds, hand-shakes included;
    ``downtime``: how long the VM will stand still at the end, seconds, None where nobody knows what it dirties; ``ends``:
    whether it ever does. Of one that does not, ``copied`` and ``takes`` are those of its first round."""

    copied: int
    takes: Seconds
    downtime: float | None = None
    ends: bool = True


def foretell(memory: int, over: Passage, dirty_mib_s: float | None) -> Copy:
    """Return how memory (bytes) will travel that is dirtied so fast, None where that is not known: then it is copied once.

    Rounds, each of what was dirtied during the one before, until so little is left that it fits into the standstill that is
    allowed. What is dirtied twice in a round counts twice, but never more than there is."""
    once = Copy(memory, predict(memory, over.bandwidth_mib_s))
    if dirty_mib_s is None:
        return once
    if not over.may_slow and never_ends(memory, over, dirty_mib_s):
        return replace(once, ends=False)
    rate = float(over.bandwidth_mib_s)
    allowed = rate * (over.most_ms if dirty_mib_s >= NEVER_FROM * rate else over.first_ms) / 1000
    total = left = memory / MIB
    sent, slowed, stuck = 0.0, 0.0, 0
    for _ in range(ROUNDS_MAX):
        sent += left
        again = min(total, dirty_mib_s * (1.0 - slowed) * left / rate)
        if again <= allowed:
            return Copy(int((sent + again) * MIB), Seconds(HANDSHAKE_SECONDS + sent / rate),
                        HANDOVER_SECONDS + again / max(over.link_mib_s, rate))
        stuck = stuck + 1 if again > left / 2 else 0
        if over.may_slow and stuck >= SLOWED_AFTER:
            slowed, stuck = min(SLOWED_MOST, slowed + SLOWED_MORE if slowed else SLOWED_FIRST), 0
        left = again
    return replace(once, ends=False)


def never_ends(memory: int, over: Passage, dirty_mib_s: float) -> bool:
    """Return whether copying memory (bytes) never ends that is dirtied so fast: it is dirtied about as fast as it is copied,
    and what a round leaves takes longer than the VM may stand still. Slowing it down is not looked at."""
    rate, total = over.bandwidth_mib_s, memory / MIB
    return dirty_mib_s >= NEVER_FROM * rate and min(total, dirty_mib_s * total / rate) > rate * over.most_ms / 1000


def predict(memory: int, bandwidth_mib_s: int) -> Seconds:
    """Return how long memory is on its way that is copied once, seconds: T = c + M / b."""
    return Seconds(HANDSHAKE_SECONDS + memory / (bandwidth_mib_s * MIB))


def remaining(seen: Progress, downtime_ms: int) -> Seconds | None:
    """Return how long a running job will still take at what its last round showed, seconds: what is to be copied in this
    round, and what is dirtied meanwhile in those after it, until so little is left that it fits into the standstill. None
    where nothing is known yet, or where it would never end."""
    if seen.memory_total <= 0 or seen.memory_processed <= 0:
        return None
    # in its first round a hypervisor says neither how fast it copies nor how fast memory is dirtied
    rate, dirty = seen.throughput_bytes_s or seen.memory_processed / max(seen.elapsed, 0.001), seen.dirty_bytes_s
    if dirty >= rate * NEVER_FROM:
        return None if downtime_ms / 1000 < seen.expected_downtime else Seconds(seen.memory_remaining / rate)
    # this round, and what it dirties from its end on: a falling series, cut off at what the standstill takes
    this = seen.memory_remaining / rate
    later = max(0.0, dirty * max(this, seen.expected_downtime) - rate * downtime_ms / 1000) / (rate - dirty)
    return Seconds(this + later)


def fair_share(link_out_mib_s: float, jobs_out: int, link_in_mib_s: float, jobs_in: int, share: float) -> int:
    """Return the bandwidth, MiB/s, of each migration on a pair of hosts: the smaller end's, at least 1.

    ``jobs_out``, ``jobs_in``: migrations in flight out of the source and into the target, this one included.
    """
    return max(1, int(share * min(link_out_mib_s / max(1, jobs_out), link_in_mib_s / max(1, jobs_in))))
