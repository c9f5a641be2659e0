"""Two weeks of nights with the shipped consolidation policy `nights` in auto: energy, moves, and hosts on against a bound.

    .venv/bin/python -m benchmarks.nights                        the table and benchmarks/results/nights.json (15 min a core)
    .venv/bin/python -m benchmarks.nights --hosts 20 --seeds 1   one size alone

The mind alone, told of generated clusters on a table every minute: 8 VMs a host, 30 % of memory taken, processors at a
quarter on average, in waves and bursts of their own. Of the shipped policies `nights` acts. On weekdays from 8 to 20 o'clock
and on weekends, when it does nothing, machines go on and the mind is not asked, unless `--all-day` says so: only then does
it learn what VMs use at each hour of the day. `--during` is the policy's `fill_to.during`. Each cluster is played in three
settings: as shipped; with half of the hosts allowed off (the ceiling) instead of a fifth, and without the backups' window,
which wakes everything from one to four o'clock; and with that and `even-load` acting beside it.

saved: energy against all hosts on. overload: host-minutes in which VMs asked for more processors than a host has; without:
the same if nobody moves anything. packed, evened: moves by `nights` and by others in the mean night (20 to 8 o'clock);
twice: moves by `nights` beyond the first of a VM in a night. late: host-minutes that a host was not back after packing's
time was over. broken: hosts switched off with something on them, VMs without room, in two places or in none, hosts whose VMs
would fit nowhere if they died.

on: hosts on at the deepest of a night, mean of all nights; bound: the least that could be on then by memory and processors,
each as one divisible heap on the largest hosts: within the policy's fill, its spare, N+1, the share of hosts that may be
off, and the mark below which one more may go; reach: the same with the policy's budget of moves and the pace of switching.
watts: what the hosts that are on draw when idle, over the least that could be on by the same rules (a fraction of a host
counts as that fraction).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from ballastd.core.consolidation import open_until
from ballastd.core.events import InvariantFailed
from ballastd.core.inputs import PoliciesReplaced
from ballastd.core.plans import Order
from ballastd.core.policies import ConsolidationPolicy, During, PolicySet
from ballastd.core.power import PowerOrder
from ballastd.core.saved_cluster import SavedCluster
from ballastd.sim.generating import generate
from benchmarks.driving import EPOCH_WALL, shipped
from benchmarks.night_bounds import Bounds
from benchmarks.night_machines import DAY_PACE, PACE, Nights

DAY, HOUR, JOULES_PER_KWH = 86400.0, 3600.0, 3.6e6
ZONE = ZoneInfo("Europe/Berlin")
VMS_PER_HOST, FILL, LOAD = 8, 0.30, 0.25
HOSTS, SEEDS = (8, 20, 50), (1, 2)
SETTINGS = {"shipped": (None, True, False), "half": (0.5, False, False), "half, evened": (0.5, False, True)}
"""The share of hosts that may be off (None: as shipped), whether backups wake everything, whether load is evened out."""
WIDTHS = {"setting": 12}


@dataclass
class Night:
    """One night of a cluster. ``on``: at its deepest, ``watts``: then, or less; ``bound``, ``reach``, ``watts_bound``: see
    the module; ``packed``: moves by VM, ``others``: by other policies."""

    on: int
    reach: int
    bound: int = 0
    watts: float = float("inf")
    watts_bound: float = 0.0
    idlest: float = float("inf")
    packed: Counter[str] = field(default_factory=Counter)
    others: int = 0


@dataclass
class Fortnight:
    """What two weeks added up to. Energy in kWh; ``overload``, ``late`` in host-minutes."""

    hosts: int
    seed: int
    setting: str
    used: float = 0.0
    spared: float = 0.0
    overload: float = 0.0
    late: float = 0.0
    cycles: int = 0
    moves: int = 0
    step_ms: float = 0.0
    nights: list[Night] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


def policies_of(cluster: SavedCluster, setting: str, wall: float, during: During) -> PolicySet:
    """Return the shipped policies with `nights` as the setting has it, and no packing beside it."""
    share, has_backups, is_evened = SETTINGS[setting]
    policies = shipped(cluster, wall)
    nights = next(policy for policy in policies.consolidation if policy.name == "nights")
    nights = replace(nights, fill_during=during, denials=nights.denials if has_backups else ("year-end-freeze",))
    limits = policies.limits if share is None else replace(policies.limits, hosts_off_share=share)
    return replace(policies, consolidation=(nights,), balance=policies.balance if is_evened else (), limits=limits)


class Watch:
    """Adds up what happens, and says what is broken."""

    def __init__(self, cluster: SavedCluster, policies: PolicySet, driver: Nights, found: Fortnight) -> None:
        self._driver, self._found = driver, found
        self.policies = policies
        self._memory = float(sum(vm.record.memory_max for vm in cluster.vms))
        self._names = {vm.record.vm for vm in cluster.vms}
        self._bounds = Bounds(cluster.hosts, policies)
        self._opened = float("-inf")

    def look(self, seconds: float, ordered: Sequence[Order] = ()) -> None:
        """Take in the time that has passed, and the moves that begin."""
        driver, found, wall = self._driver, self._found, self._driver.now.wall
        for name, host in driver.hosts.items():
            idle, busy = host.saved.declared.idle_watts or 0.0, host.saved.busy_watts or 0.0
            asks = driver.asked[name]
            if driver.down.get(name) != float("inf"):
                found.used += (idle + (busy - idle) * min(1.0, asks / host.saved.cpus)) * seconds / JOULES_PER_KWH
            else:
                found.spared += idle * seconds / JOULES_PER_KWH
            found.overload += (asks > host.saved.cpus) * seconds / 60.0
        found.moves += len(ordered)
        policy = next(iter(self.policies.consolidation), None)
        if policy is not None:
            self._at_night(policy, open_until(policy, self.policies, wall), ordered)
        if driver.seconds % HOUR < PACE:
            self._check()

    def _at_night(self, policy: ConsolidationPolicy, closes: float | None, ordered: Sequence[Order]) -> None:
        driver, found, wall = self._driver, self._found, self._driver.now.wall
        up = [host.saved.declared.idle_watts or 0.0 for name, host in driver.hosts.items()
              if driver.down.get(name) != float("inf")]
        if closes is None:
            found.late += len(driver.down) * PACE / 60.0
        elif wall - self._opened > DAY / 2:
            self._opened = wall
            vms = [len(host.vms) for host in driver.hosts.values()]
            lasts = closes - wall - policy.wake_ahead - policy.minimum_off
            found.nights.append(Night(len(vms), self._bounds.least_by_pace(policy, vms, lasts)))
        if found.nights:
            ours = [order.move.vm for order in ordered if order.move.policy == policy.name]
            found.nights[-1].packed.update(ours)
            found.nights[-1].others += len(ordered) - len(ours)
        if closes is not None:
            night = found.nights[-1]
            night.idlest = min(night.idlest, sum(driver.asked.values()))
            night.on, night.watts = min(night.on, len(up)), min(night.watts, sum(up))
            night.bound = self._bounds.least_on(policy, self._memory, night.idlest)
            night.watts_bound = self._bounds.least_watts(policy, self._memory, night.idlest)

    def switched(self, order: PowerOrder) -> None:
        """Note that a host is told to go off or come on."""
        self._found.cycles += not order.on
        if not order.on and self._driver.hosts[order.host].vms:
            self._found.broken.append(f"{order.host} goes off with VMs on it")

    def _check(self) -> None:
        hosts, found = self._driver.hosts, self._found
        at = Counter(vm for host in hosts.values() for vm, record in host.vms.items() if record.state.runs)
        found.broken.extend(f"{vm} runs {at[vm]} times" for vm in self._names if at[vm] != 1)
        up = {name: host for name, host in hosts.items() if name not in self._driver.down}
        room = {name: host.limit - host.held() for name, host in up.items()}
        found.broken.extend(f"{name} has no room for its VMs" for name, left in room.items() if left < 0)
        found.broken.extend(f"{name} holds VMs and is down" for name in self._driver.down if hosts[name].vms)
        for dying, host in up.items():
            left = {name: bytes_ for name, bytes_ in room.items() if name != dying}
            for size in sorted((record.memory_max for record in host.vms.values()), reverse=True):
                home = next((name for name in left if left[name] >= size), None)
                if home is None:
                    found.broken.append(f"of {dying} a VM would fit nowhere")
                    break
                left[home] -= size


def is_day(wall: float) -> bool:
    """Return whether the mind is not asked."""
    then = datetime.fromtimestamp(wall, ZONE)
    return 8 <= then.hour < 20 or (then.weekday() == 5 and then.hour >= 8) or then.weekday() == 6 or (
        then.weekday() == 0 and then.hour < 8)


def play(hosts: int, seed: int, setting: str, days: int, during: During, *, all_day: bool) -> Fortnight:
    """Play some days of one cluster."""
    made = generate(hosts, VMS_PER_HOST * hosts, seed, fill=FILL, load=LOAD)
    policies = policies_of(made, setting, EPOCH_WALL, during)
    driver, found = Nights(made, policies, seed), Fortnight(hosts, seed, setting)
    watch, ends, spent, steps = Watch(made, policies, driver, found), days * DAY, 0.0, 0
    while driver.seconds < ends:
        if not all_day and is_day(driver.now.wall):
            driver.pass_over()
            watch.look(DAY_PACE)
            continue
        told = driver.tell()
        if driver.seconds > ends / 2 and watch.policies is policies:
            # windows are known for two weeks from when policies were read
            watch.policies = policies_of(made, setting, driver.now.wall, during)
            told = (*told, PoliciesReplaced(watch.policies))
        begun = time.process_time()
        decision = driver.step(*told)
        spent += time.process_time() - begun
        steps += 1
        driver.carry_out(decision)
        driver.hold_shut(decision.cordons)
        for order in decision.power:
            watch.switched(order)
            driver.switch(order)
        found.broken.extend(event.detail for event in decision.events if isinstance(event, InvariantFailed))
        watch.look(PACE, decision.orders)
    found.step_ms = 1000.0 * spent / steps
    return found


def left_alone(hosts: int, seed: int, days: int) -> Fortnight:
    """Play the same days if nobody moves or switches anything."""
    made = generate(hosts, VMS_PER_HOST * hosts, seed, fill=FILL, load=LOAD)
    policies = PolicySet()
    driver, found = Nights(made, policies, seed), Fortnight(hosts, seed, "left alone")
    watch = Watch(made, policies, driver, found)
    while driver.seconds < days * DAY:
        driver.pass_over()
        watch.look(DAY_PACE)
    return found


def row_of(found: Fortnight, control: Fortnight) -> dict[str, float | str]:
    """Return what the table shows."""
    nights = found.nights
    packed = [count for night in nights for count in night.packed.values()]
    on, bound, reach = (sum(counts) for counts in ([night.on for night in nights], [night.bound for night in nights],
                                                   [max(night.bound, night.reach) for night in nights]))
    return {
        "setting": found.setting, "hosts": found.hosts, "seed": found.seed,
        "saved kWh": found.spared, "saved %": 100.0 * found.spared / (found.used + found.spared),
        "overload": found.overload, "without": control.overload, "late": found.late, "off": found.cycles,
        "packed": sum(packed) / len(nights), "evened": sum(night.others for night in nights) / len(nights),
        "twice": sum(count - 1 for count in packed), "broken": len(found.broken),
        "on": on / len(nights), "bound": bound / len(nights), "of bound": on / bound,
        "reach": reach / len(nights), "of reach": on / reach,
        "watts": sum(night.watts for night in nights) / sum(night.watts_bound for night in nights),
        "step ms": found.step_ms}


def main() -> int:
    """Measure; return 1 where something was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=HOSTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=tuple(SETTINGS))
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--all-day", action="store_true")
    parser.add_argument("--during", type=During, choices=tuple(During), default=During.DAY)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/nights.json"))
    options = parser.parse_args()
    rows, broken = [], set[str]()
    with ProcessPoolExecutor(options.jobs) as pool:
        for hosts in options.hosts:
            for seed in options.seeds:
                control = pool.submit(left_alone, hosts, seed, options.days)
                for played in [
                        pool.submit(play, hosts, seed, one, options.days, options.during, all_day=options.all_day)
                        for one in options.settings]:
                    row = row_of(played.result(), control.result())
                    if not rows:
                        print(" ".join(f"{name:>{WIDTHS.get(name, 8)}}" for name in row))
                    rows.append(row)
                    broken |= {f"{hosts} hosts, seed {seed}: {what}" for what in played.result().broken}
                    print(" ".join(_shown(name, value) for name, value in row.items()), flush=True)
    print(*sorted(broken)[:10], sep="\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written: {options.out}")
    return 1 if broken else 0


def _shown(name: str, value: float | str) -> str:
    width = WIDTHS.get(name, 8)
    return f"{value:>{width}}" if isinstance(value, str | int) else f"{value:>{width}.2f}"


if __name__ == "__main__":
    sys.exit(main())
