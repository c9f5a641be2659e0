"""What governs the demos: the policies that ship, with durations short enough to watch. Every ceiling stays."""

from __future__ import annotations

from datetime import UTC, datetime

TIMING = {
    "pace": "2s", "startup_quiet": "2s", "inventory_interval": "1s", "inventory_max_age": "15s", "second_look": "2s",
    "self_suspect": "5s", "load_window": "8s", "cordon_confirm": "30s", "power_off": "40s", "wake": "60s",
}

EVACUATION = """\
kind: Health
name: uncorrected-memory-errors
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
---
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
deadline: 30m
ignore_windows: true
mode: auto
"""

HOT = """\
---
kind: Health
name: hot
when: {metric: temperature, relative_to: critical, above: -5C, for: 6s}
severity: degraded
clear: {below: -10C, for: 10s}
---
kind: Evacuation
name: degraded-hosts
on: {severity: degraded}
respond: drain
mode: auto
"""

LIMITS = """\
---
kind: Limits
name: cluster
bandwidth: {link_share: 60%, migration_minimum: 1MiB/s}
evacuations: {at_once: 1, per_hour: 4}
freeze: {settle: 5s}
"""

BALANCE = """\
---
kind: Balance
name: even-load
hot: {cpu: 80%, memory: 90%, cpu.pressure.some: off, for: 4s}
cool: {cpu: 65%, memory: 82%}
imbalance: {above: 40%, for: 6s, minimum_gain: 10%, ignore_below: 25%}
cooldown: {vm: 60s, no_return: 2m, host_settle: 9s, foreign_move: 10m}
budget: {in_flight: 1, per_hour: 20, per_day: 60, per_vm_per_day: 4}
mode: auto
"""

NIGHT_SECONDS = 7 * 3600.0
"""As long as a real one: in a few minutes off no host saves what switching it costs, and so none would be switched. The
demos end it by load."""

CONSOLIDATION = """\
---
kind: Consolidation
name: nights
window: {{from: "{begin}", for: {length}s, timezone: UTC}}
fill_to: {{cpu: 65%, memory: 70%}}
spare: {{hosts: 0, share: 10%}}
power_off: {{below: 50%, for: 5s, minimum_on: 5s}}
power_on: {{above: 72%, for: 4s, minimum_off: 5s, ahead_of_window_end: 10s}}
cooldown: {{vm: 5s, no_return: 30s, host_settle: 1s, foreign_move: 10m}}
budget: {{in_flight: 2, per_hour: 30, per_day: 60, per_vm_per_day: 4}}
mode: auto
"""


def by_day() -> str:
    """Return what governs at first: evacuation and balance."""
    return EVACUATION + HOT + LIMITS + BALANCE


def by_night(begin_wall: float) -> str:
    """Return the same with packing, its window open from an instant on."""
    begin = datetime.fromtimestamp(begin_wall, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return by_day() + CONSOLIDATION.format(begin=begin, length=int(NIGHT_SECONDS))
