"""What a key may look like, for messages: by the model that has it, or one that it is derived from."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

EXAMPLES = {
    "PolicyModel.name": "failing-hosts",
    "PolicyModel.description": "why it is here",
    "ScopeModel.labels": "{rack: r1}",
    "HealthModel.scope": "{hosts: [rack1-*]}",
    "HealthModel.when": "{metric: temperature, above: 85C, for: 5m}",
    "HealthModel.severity": "failing",
    "ThresholdModel.metric": "temperature",
    "EvacuationModel.scope": "{hosts: [rack1-*]}",
    "EvacuationModel.on": "{severity: failing}",
    "EvacuationModel.respond": "drain",
    "EvacuationModel.order": "[priority, shortest]",
    "EvacuationModel.avoid": "[rack]",
    "EvacuationModel.windows": "[nights]",
    "On.severity": "failing",
    "BalanceModel.scope": "{hosts: [rack1-*]}",
    "BalanceModel.hot": "{cpu: 80%, memory: 88%, for: 5m}",
    "BalanceModel.cool": "{cpu: 65%, memory: 82%}",
    "BalanceModel.imbalance": "{above: 30%, for: 10m}",
    "BalanceModel.cooldown": "{vm: 6h, no_return: 24h}",
    "BalanceModel.budget": "{per_hour: 6, per_day: 30}",
    "BalanceModel.windows": "[nights]",
    "ConsolidationModel.scope": "{hosts: [rack1-*]}",
    "ConsolidationModel.window": "{days: [mon-fri], at: \"22:00\", for: 7h, timezone: Europe/Berlin}",
    "ConsolidationModel.windows": "[change-freeze]",
    "ConsolidationModel.fill_to": "{cpu: 65%, memory: 80%}",
    "ConsolidationModel.spare": "{hosts: 1, share: 10%}",
    "ConsolidationModel.power_off": "{below: 45%, for: 40m}",
    "ConsolidationModel.power_on": "{above: 81%, for: 5m}",
    "ConsolidationModel.cooldown": "{vm: 6h, no_return: 24h}",
    "ConsolidationModel.budget": "{per_hour: 20, per_day: 100}",
    "PlacementModel.vms": "{tag: web}",
    "PlacementModel.rule": "apart",
    "PlacementModel.cooldown": "{vm: 6h, no_return: 24h}",
    "PlacementModel.budget": "{per_hour: 6, per_day: 30}",
    "PlacementModel.windows": "[nights]",
    "Schedule.timezone": "Europe/Berlin",
    "LimitsModel.in_flight": "{cluster: 4, host_out: 2, host_in: 2}",
    "LimitsModel.bandwidth": "{link_share: 60%, migration_minimum: 100MiB/s}",
    "LimitsModel.failover": "{hosts: 1, domain: rack}",
    "Failover.domain": "rack",
    "LimitsModel.evacuations": "{at_once: 1, per_hour: 2}",
    "LimitsModel.blast_radius": "{share: 20%, at_least: 2, same_sensor: 3 in 5m}",
    "LimitsModel.freeze": "{caution: 10%, freeze: 20%}",
    "LimitsModel.retries": "{per_move: 2, backoff: 20s}",
    "LimitsModel.convergence": "{downtime_max: 500ms, auto_converge: saving, no_progress: 60s}",
    "LimitsModel.vcpus_per_processor": "4",
    "LimitsModel.power": "{hosts_off: 20%, offs_per_10_min: 1}",
}
OTHER_WORDS = {"hold": "for", "duration": "for", "length": "for", "lasts": "for", "until": "for", "to": "for", "end": "for",
               "tz": "timezone", "zone": "timezone", "time": "at", "begin": "from", "weekdays": "days", "schedule": "cron",
               "dtstart": "start", "threshold": "above", "action": "respond", "response": "respond",
               "selector": "scope"}
"""What others call a key, and what it is called here."""


def for_key(model: type, key: str) -> str:
    """Return ``key: an example`` for a key of ``model``; empty where there is none."""
    found = next((EXAMPLES[name] for cls in model.__mro__ if (name := f"{cls.__name__}.{key}") in EXAMPLES), "")
    return f"{key}: {found}" if found else ""


def meant(key: str, known: Sequence[str]) -> list[str]:
    """Return which of the ``known`` keys somebody may have meant, the likeliest first."""
    other = OTHER_WORDS.get(key.lower())
    near = difflib.get_close_matches(key[:60], known, n=3)
    return [other, *near] if other is not None and other in known else near
