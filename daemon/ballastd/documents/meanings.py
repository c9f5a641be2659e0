"""What each key of a policy means, by the model that it stands in: for editors, and for the reference.

One place, so that the schema and the pages cannot say different things; a test holds it against the models.
"""

from __future__ import annotations

from pydantic import BaseModel

from ballastd.core.ceilings import CEILINGS
from ballastd.documents.scalars import as_percent

_C = CEILINGS

MEANINGS: dict[str, str] = {
    # every document
    "PolicyModel.name": "what it is called in plans, in the journal and in notices; unique within its kind, and among those "
                        "that move VMs",
    "PolicyModel.description": "for people",
    "PolicyModel.examples": "what it does, shown: played by `ballastctl policy test`",
    "ScopeModel.hosts": "`all`, or names and patterns of hosts",
    "ScopeModel.labels": "labels that a host must have, all of them",
    # Health
    "HealthModel.kind": "readings to a verdict on a host",
    "HealthModel.scope": "which hosts it judges; without it every host",
    "HealthModel.when": "the condition; true of a host when it is true of any subject (DIMM, sensor, fan)",
    "HealthModel.severity": "what the host is while it fires",
    "HealthModel.clear": "`acknowledge`: latched until `ballastctl host acknowledge`; or the other edge and how long beyond "
                         "it. Without it: at the firing edge, after 30 minutes",
    "ThresholdModel.metric": "a metric of the vocabulary (docs/telemetry.md)",
    "ThresholdModel.above": "true above this; in the metric's unit, with `rate` per s, min, h or day, as in `10/min`",
    "ThresholdModel.below": "true below this; in the metric's unit",
    "ThresholdModel.is": "for alarms: true while it is so",
    "ThresholdModel.increase": "for counters: over what time the rise is counted",
    "ThresholdModel.rate": "for counters: over what time the rise is counted, to be compared as so many a time",
    "ThresholdModel.mean": "for levels: their mean over this time",
    "ThresholdModel.relative_to": "for temperatures: the edge counts from this limit of the sensor's own",
    "ThresholdModel.at_least": "on how many subjects (DIMMs, sensors, fans) at once; without it on one",
    "ThresholdPart.until": "the other edge: once true, it is so until beyond this",
    "SilentModel.silent": "true when the host's agent was not heard for so long; makes it suspect at most, and moves no VM",
    "AllModel.all": "true when all of these are",
    "AnyModel.any": "true when one of these is",
    "SomeModel.of": "conditions of which some have to be true",
    "SomeModel.at_least": "how many of them",
    "NotModel.not": "true when this is false; what is unknown stays unknown",
    "Rooted.for": "how long it must be true without a gap",
    "Rooted.samples": "of the last reports so many must say so, as in `3 of 5`",
    "Clear.above": "clears above this, for one that fires below",
    "Clear.below": "clears below this, for one that fires above",
    "Clear.for": "how long it must stay there",
    # Evacuation
    "EvacuationModel.kind": "a severity to a response",
    "EvacuationModel.scope": "which hosts it answers for; without it every host",
    "EvacuationModel.vms": "which VMs it moves off them; without it every VM",
    "EvacuationModel.on": "what it answers to",
    "On.severity": "this severity or worse",
    "EvacuationModel.respond": "`quarantine`: nothing new lands there; `drain`: emptied within windows; `evacuate`: "
                               "emptied, and preferred where several answer",
    "EvacuationModel.deadline": "when the host should be empty, from the moment the severity was reached; windows hold "
                                "moves back until then, and no longer",
    "EvacuationModel.ignore_windows": "says on purpose that no window holds its moves back",
    "EvacuationModel.order": "which VMs leave first, by the first key, then the next",
    "EvacuationModel.avoid": "labels of hosts whose value no target may share with the host that is left, as in `[rack]`; a "
                             "VM that finds no other host stays. A fault's own domain (cooling, power) is avoided anyway",
    "EvacuationModel.windows": "names of windows in which its moves may start",
    "EvacuationModel.last_resort": "what may be done for a VM that does not get away from a failing host otherwise: "
                                   "`post_copy`, it runs at its target before all of its memory is there; `shutdown`, its "
                                   "guest is asked to shut down once the deadline has passed",
    "EvacuationModel.mode": "how far it may go",
    # Balance
    "BalanceModel.kind": "even load",
    "BalanceModel.scope": "which hosts are balanced; without it every host",
    "BalanceModel.vms": "which VMs it moves; without it every VM",
    "BalanceModel.hot": "a host above any of these, for so long, is relieved",
    "BalanceModel.cool": "down to this it is relieved, and no target may be above it afterwards",
    "BalanceModel.imbalance": "what of a spread is worth moving for, where no host is hot",
    "BalanceModel.cooldown": "how long what was moved is left in peace",
    "BalanceModel.budget": "how many moves it may make",
    "BalanceModel.windows": "names of windows in which its moves may start",
    "BalanceModel.mode": "how far it may go",
    "Hot.cpu": "share of the processors that VMs may use; `off` takes the edge out",
    "Hot.memory": "share of the memory that VMs may use",
    "Hot.network": "share of its host's `network_speed`, where the settings say one; else nothing",
    "Hot.cpu.pressure.some": "share of the time in which some task waited for a processor",
    "Hot.cpu.pressure.full": "in which all tasks did",
    "Hot.memory.pressure.some": "share of the time in which some task waited for memory",
    "Hot.memory.pressure.full": "in which all tasks did",
    "Hot.io.pressure.some": "share of the time in which some task waited for a disk",
    "Hot.io.pressure.full": "in which all tasks did",
    "Hot.for": "for so long, without a gap; where load stands still, in the mean of a longer time",
    "Cool.cpu": "share of the processors that VMs may use; below the hot edge",
    "Cool.memory": "share of the memory that VMs may use; below the hot edge",
    "Cool.network": "share of its host's `network_speed`, where the settings say one; below the hot edge",
    "Imbalance.above": "spread between the fullest and the emptiest host, by processors in use; `100%`: never even out",
    "Imbalance.for": "for so long, without a gap; where load stands still, in the mean of a longer time",
    "Imbalance.minimum_gain": "by so much of itself one move must lessen the spread",
    "Imbalance.ignore_below": "nothing is evened out while the fullest host is below this",
    "CooldownModel.vm": "a VM that was moved stays for so long; also the time in which a move must pay for itself",
    "CooldownModel.no_return": "and does not go back where it came from",
    "CooldownModel.host_settle": "after a move from or to a host its readings mean little",
    "CooldownModel.foreign_move": "after somebody else moved the VM",
    "BudgetModel.in_flight": "its moves at once",
    "BudgetModel.per_hour": "its moves within an hour",
    "BudgetModel.per_day": "its moves within a day",
    "BudgetModel.per_vm_per_day": "moves of one VM within a day",
    # Consolidation
    "ConsolidationModel.kind": "fewer hosts for a while",
    "ConsolidationModel.scope": "which hosts are packed; without it every host",
    "ConsolidationModel.vms": "which VMs it moves: a host with others that run is not emptied; without it every VM",
    "ConsolidationModel.window": "when hosts may be off: times as in a Window's allow, or the name of such a Window",
    "ConsolidationModel.windows": "names of denials within which nothing is packed",
    "ConsolidationModel.fill_to": "how full packing may make a host",
    "ConsolidationModel.spare": "what stays free beside that",
    "ConsolidationModel.power_off": "when one more host may go off",
    "ConsolidationModel.power_on": "when one is woken",
    "ConsolidationModel.cooldown": "how long what was moved is left in peace",
    "ConsolidationModel.budget": "how many moves it may make",
    "ConsolidationModel.mode": "how far it may go",
    "FillTo.cpu": "of the processors that VMs may use; below `power_on.above`",
    "FillTo.memory": "of the memory that VMs may use; below `power_on.above`",
    "FillTo.during": "at which hours: all of the day, or until an hour after the window, if a Balance spreads VMs out then",
    "FillTo.network": "of a host's `network_speed`, where the settings say one",
    "Spare.hosts": "so many of the hosts that stay on, the largest",
    "Spare.share": "and this share of the others",
    "PowerOff.below": "while those that are on use less than this, of the scarcer of processors and memory",
    "PowerOff.for": "for so long, without a gap",
    "PowerOff.minimum_on": "a host that came back stays on for so long",
    "PowerOn.above": "when those that are on use more than this; at least 10 points above `power_off.below`",
    "PowerOn.for": "for so long, without a gap",
    "PowerOn.minimum_off": "a host that went off stays off for so long, unless it is needed at once",
    "PowerOn.ahead_of_window_end": "so long before the window closes all are woken",
    # Placement
    "PlacementModel.kind": "where VMs may live",
    "PlacementModel.vms": "which VMs: all that is given must hold",
    "PlacementModel.rule": "`apart`: no two in one place; `together`: all in one; `on`, `never-on`: only, never on these "
                           "hosts; `pinned`: where they are",
    "PlacementModel.across": "for apart and together: what counts as one place, `host` or a label of the hosts",
    "PlacementModel.hosts": "for on and never-on: names and patterns, or labels",
    "PlacementModel.strength": "`must`: no move of ours breaks it; `should(1)` to `should(100)`: breaking it costs so much",
    "PlacementModel.for": "a rule that has been broken for so long, without a gap, is put right",
    "PlacementModel.cooldown": "how long what was moved is left in peace, rule or not",
    "PlacementModel.budget": "how many moves it may make",
    "PlacementModel.windows": "names of windows in which its moves may start",
    "PlacementModel.mode": "how far a rule that is broken is put right",
    "VmSelectorModel.tag": "VMs with this tag in their metadata",
    "VmSelectorModel.tags": "with all of these",
    "VmSelectorModel.name": "a name or a pattern",
    "VmSelectorModel.names": "any of these names and patterns",
    "VmSelectorModel.group": "VMs of this group",
    # Window
    "WindowModel.kind": "when",
    "WindowModel.allow": "moves may start within it, and not outside",
    "WindowModel.deny": "moves may not start within it; wins over every permission",
    "WindowModel.closing": "what a running move does when it closes",
    "Schedule.days": "weekdays and ranges of them",
    "Schedule.at": "local time of day",
    "Schedule.from": "local date and time, once",
    "Schedule.for": "how long, exact also when clocks change",
    "Schedule.timezone": "an IANA zone",
    "Schedule.cron": "five fields of cron, in the zone's local time: when it begins",
    "Schedule.rrule": "a recurrence rule (RFC 5545) that counts from `start`: when it begins",
    "Schedule.start": "local date and time from which the rule counts",
    "Schedule.ics": "a calendar beside this file, whose events are the window",
    "Schedule.events": "which events: `all`, or titles and patterns",
    # Limits
    "LimitsModel.kind": "how much at once, how fast",
    "LimitsModel.in_flight": "migrations at once",
    "LimitsModel.bandwidth": "what migrations may take of a link",
    "LimitsModel.failover": "what must stay possible if a host or a whole failure domain dies",
    "LimitsModel.evacuations": "hosts being emptied by policy",
    "LimitsModel.blast_radius": "how many faults at once are believed",
    "LimitsModel.freeze": "how many silent hosts make us careful, and stop us",
    "LimitsModel.retries": "how often a VM's move is tried again",
    "LimitsModel.convergence": "migrations of VMs that dirty their memory fast",
    "LimitsModel.power": "hosts that we switched off",
    "LimitsModel.vcpus_per_processor": "so many virtual processors at most, for each of its own, may a host have after a "
                                       "move of ours; without it there is no limit. What leaves a failing host may be more",
    "InFlight.cluster": "in the cluster, strangers' included",
    "InFlight.host_out": "out of one host",
    "InFlight.host_in": "into one host",
    "BandwidthLimits.link_share": "of a host's migration link, all migrations together, each direction",
    "BandwidthLimits.migration_minimum": "a further migration waits if less would be left for each",
    "BandwidthLimits.give_way": "up to which share of a link migrations and others together may fill it, where the settings "
                                "say `link_interfaces`; none: migrations take their share whatever others use",
    "Failover.hosts": "0 or 1: no move may make worse what would be stranded if any one `domain` died",
    "Failover.domain": "what dies together: `host`, or a label of the hosts (all with one value of it)",
    "Evacuations.at_once": "at once; operators' drains do not count",
    "Evacuations.per_hour": "begun within an hour",
    "BlastRadius.share": "more hosts than this share show a fault at once: a site event",
    "BlastRadius.at_least": "but never fewer than so many",
    "BlastRadius.same_sensor": "or one condition turns true on so many hosts within so long",
    "Freeze.caution": "from this share of unknown hosts on only failing hosts are emptied",
    "Freeze.freeze": "from this share on nothing starts",
    "Freeze.at_least": "but never for fewer than so many",
    "Freeze.settle": "how long a freeze or a site event lasts after its cause is gone",
    "Retries.per_move": "failed attempts within a day, beyond the first",
    "Retries.backoff": "pause after a failed attempt, doubling",
    "Convergence.downtime_max": "how long a VM may stand still at the end of its migration, where 100ms, and steps from "
                                "there, do not do; its owner's `downtime` wins",
    "Convergence.auto_converge": "which migrations may slow their VM down: `never`, `saving` (those that empty a host for "
                                 "its health or for an operator), `always`",
    "Convergence.no_progress": "a migration that gets nowhere for so long is called off",
    "PowerLimits.hosts_off": "share of all hosts that may be off by our doing; one is always allowed",
    "PowerLimits.offs_per_10_min": "hosts told to go off within ten minutes",
    "PowerLimits.wakes_per_min": "hosts told to come back within a minute",
    "PowerLimits.cycles_per_day": "how often one host goes off within a day",
    # Profile
    "ProfileModel.kind": "which policies govern, and how far each may go",
    "ProfileModel.name": "what it is called",
    "ProfileModel.description": "for people",
    "ProfileModel.include": "directories and files of policies, counted from this file",
    "ProfileModel.mode": "the mode of every policy that has one",
    "ProfileModel.modes": "the mode of some, by their names; wins over `mode`",
    # examples
    "ExampleModel.name": "a short sentence that says what is shown",
    "ExampleModel.given": "the cluster and what is heard of it",
    "ExampleModel.expect": "when to look, and what should be seen then: `{2m: {...}}`, or `nothing`",
    "GivenModel.cluster": "a saved cluster, counted from this file; instead of hosts and vms",
    "GivenModel.hosts": "how many (h1, h2, ...), or each by its name with the keys of a saved cluster",
    "GivenModel.each": "what every host has: keys of a saved cluster",
    "GivenModel.vms": "how many on each host (h1-vm1, ...), or each by its name with the keys of a saved cluster",
    "GivenModel.begins": "local time and its zone at which it begins",
    "GivenModel.telemetry": "by host, by `metric` or `metric/subject`: a value, or values by the time from which they hold; "
                            "`0 to 9 in 1h` rises, `missing` says nothing",
    "GivenModel.limits": "the limits that temperature sensors declare",
    "GivenModel.load": "by VM: processors it uses, as in telemetry",
    "GivenModel.agents": "by host: `silent` or `speaks`, from when on",
    "GivenModel.hypervisors": "by host: `silent` or `speaks`, from when on",
    "GivenModel.operator": "by time: what an operator asks for, as in `acknowledge h1`",
    "GivenModel.mode": "what the policy's own mode is taken to be",
    "SensorLimits.high": "what they call high, or `none`",
    "SensorLimits.critical": "what they call critical, or `none`",
    "ExpectModel.health": "by host",
    "ExpectModel.conditions": "by Health policy, by host",
    "ExpectModel.power": "by host: where it is on its way off or back",
    "ExpectModel.posture": "the gravest gate, or `acting`",
    "ExpectModel.intents": "all that is wanted, as in `[evacuate h1]`, or `none`",
    "ExpectModel.moves": "all moves that began until then: `none`, how many, or `[web-1 from h1 to h2, 2 from h3]`",
    "ExpectModel.planned": "all moves that are planned and wait, in the same words",
    "ExpectModel.refusals": "among what cannot be: a kind, and a VM or host after it; `none`: nothing at all",
    "ExpectModel.deferrals": "among what may not start yet, in the same way",
    "ExpectModel.targets": "all hosts that may be sent VMs",
    "ExpectModel.cordons": "all hosts whose hooks should be shut",
}

CEILING_OF: dict[str, str] = {
    "BudgetModel.in_flight": str(_C.balance_in_flight), "BudgetModel.per_hour": str(_C.balance_per_hour),
    "BudgetModel.per_day": str(_C.balance_per_day), "BudgetModel.per_vm_per_day": str(_C.balance_per_vm_day),
    "InFlight.cluster": str(_C.in_flight_cluster), "InFlight.host_out": str(_C.in_flight_host_out),
    "InFlight.host_in": str(_C.in_flight_host_in), "BandwidthLimits.link_share": as_percent(_C.link_share),
    "Evacuations.at_once": str(_C.evacuations_at_once), "Evacuations.per_hour": str(_C.evacuations_per_hour),
    "BlastRadius.share": as_percent(_C.blast_share), "Freeze.caution": as_percent(_C.caution_share),
    "BlastRadius.at_least": str(_C.at_least_hosts), "Freeze.at_least": str(_C.at_least_hosts),
    "BlastRadius.same_sensor": f"{_C.at_least_hosts} hosts",
    "Freeze.freeze": as_percent(_C.freeze_share), "Retries.per_move": str(_C.retries_per_move),
    "Convergence.downtime_max": f"{_C.downtime_max_ms}ms",
    "PowerLimits.hosts_off": as_percent(_C.hosts_off_share), "PowerLimits.offs_per_10_min": str(_C.power_offs_per_10_min),
    "PowerLimits.wakes_per_min": str(_C.wakes_per_min), "PowerLimits.cycles_per_day": str(_C.power_cycles_per_day),
}
"""The largest value a key may ever take, compiled in; no policy can raise it."""


def meaning_of(model: type[BaseModel], key: str) -> str:
    """Return what a key means; empty where nobody said."""
    return _found(MEANINGS, model, key)


def ceiling_of(model: type[BaseModel], key: str) -> str:
    """Return the ceiling of a key as an operator writes it; empty where it has none."""
    return _found(CEILING_OF, model, key)


def _found(table: dict[str, str], model: type[BaseModel], key: str) -> str:
    names = (f"{one.__name__}.{key}" for one in model.__mro__)
    return next((table[name] for name in names if name in table), "")
