"""One cluster balanced by ProxLB's own calculation, in an interpreter that has ProxLB and need not have ballastd.

Reads ``{"instance": ..., "method": "cpu" | "memory", "is_solver": ..., "seconds": ...}`` from standard input, and prints,
after each pass, one line of JSON: all moves so far in the order in which ProxLB would begin them, and the processor seconds
of its calculation. It is called as its main program calls it, with what that reads from Proxmox given directly. A pass is
what one run of its service decides; the next one begins where that ends, until one moves nothing. ``is_solver``: instead,
one run of the solver that comes with it, for so many ``seconds``.
"""

import json
import logging
import sys
import time
from importlib import import_module
from typing import Any

MIB = 2 ** 20
PASSES = 20
"""As shipped its service runs every twelve hours: these are ten days."""
DISK = 2 ** 40
"""All disks are shared and none is full: of them nothing is decided."""
QUIET = {"pressure_some_percent": 0.0, "pressure_full_percent": 0.0, "pressure_some_spikes_percent": 0.0,
         "pressure_full_spikes_percent": 0.0, "pressure_hot": False}


def nodes(instance: dict[str, Any], at: dict[str, str]) -> dict[str, Any]:
    """Return hosts as ProxLB takes them from Proxmox, with VMs where ``at`` says."""
    used = {host["name"]: [0.0, 0] for host in instance["hosts"]}
    for vm in instance["vms"]:
        used[at[vm["name"]]][0] += vm["cpu_load"]
        used[at[vm["name"]]][1] += vm["memory_mib"] * MIB

    def metric(total: int, taken: float) -> dict[str, Any]:
        share = 100.0 * taken / total
        return {"total": total, "assigned": 0, "used": taken, "free": total - taken, "assigned_percent": 0.0,
                "free_percent": 100.0 - share, "used_percent": share, **QUIET}

    return {host["name"]: {
        "name": host["name"], "pve_version": "9.0", "pressure_hot": False, "maintenance": False,
        "cpu": metric(host["cpus"], used[host["name"]][0]), "disk": metric(DISK, 0.0),
        "memory": metric(host["memory_mib"] * MIB, used[host["name"]][1])} for host in instance["hosts"]}


def guests(instance: dict[str, Any], at: dict[str, str]) -> dict[str, Any]:
    """Return VMs; those of a group carry the tag that keeps them apart. Processors that are used are given in processors, as
    for hosts: ProxLB would take a share of the VM's own from Proxmox and hold it against these, to its own harm."""
    def metric(total: int, taken: float) -> dict[str, Any]:
        return {"total": total, "used": taken, **QUIET}

    found = {}
    for number, vm in enumerate(instance["vms"]):
        tags = [f"plb_anti_affinity_{vm['group']}"] if vm["group"] else []
        memory, cpus = vm["memory_mib"] * MIB, vm.get("vcpus") or max(1, round(vm["cpu_load"]))
        found[vm["name"]] = {
            "name": vm["name"], "id": number, "type": "vm", "cpu": metric(cpus, vm["cpu_load"]), "disk": metric(1, 0.0),
            "memory": metric(memory, memory), "node_current": at[vm["name"]], "node_target": at[vm["name"]],
            "processed": False, "pressure_hot": False, "tags": tags, "pools": [], "ha_rules": [], "affinity_groups": [],
            "anti_affinity_groups": tags, "ignore": False, "node_relationships": [], "node_relationships_strict": True}
    return found


def one_pass(told: dict[str, Any], at: dict[str, str]) -> tuple[list[tuple[str, str, str]], float, str]:
    """Return what one run of ProxLB would move, its processor seconds, and what its solver says of its end."""
    model = import_module("proxlb.utils.proxlb_data").ProxLbData
    calculations = import_module("proxlb.models.calculations").Calculations
    data = model(
        meta={"proxmox_api": {"hosts": [], "user": ""}, "cluster_non_pve9": False,
              "balancing": {"enable": True, "method": told["method"]}},
        nodes=nodes(told["instance"], at), guests=guests(told["instance"], at), pools={}, ha_rules={}, groups={})
    begun = time.process_time()
    data.groups = import_module("proxlb.models.groups").Groups.get_groups(data.guests, data.nodes)
    calculations.set_node_assignments(data)
    calculations.set_node_hot(data)
    calculations.set_guest_hot(data)
    calculations.get_most_free_node(data)
    calculations.validate_affinity_map(data)
    calculations.relocate_guests_on_maintenance_nodes(data)
    calculations.get_balanciness(data)
    calculations.relocate_guests(data)
    if told["is_solver"]:
        cluster = import_module("proxlb_solver.adapter").from_proxlb_data(data)
        solution = import_module("proxlb_solver.solver").solve(cluster, time_limit_s=told["seconds"])
        plan = import_module("proxlb_solver.planner").plan_migrations(cluster, solution)
        moves = [(one.vm, one.source, one.target) for step in plan.steps for one in step.migrations]
        return moves, time.process_time() - begun, str(solution.stats.status)
    moves = [(name, one.node_current, one.node_target) for name, one in data.guests.items()
             if one.node_target != one.node_current]
    return moves, time.process_time() - begun, ""


def main() -> None:
    """Read, balance, print."""
    logging.disable()  # it would write to standard output
    told = json.load(sys.stdin)
    at = {vm["name"]: vm["host"] for vm in told["instance"]["vms"]}
    begun, moves, seconds = time.monotonic(), [], 0.0
    for passes in range(1, PASSES + 1):
        more, took, status = one_pass(told, at)
        moves, seconds = moves + more, seconds + took
        at.update((vm, target) for vm, _, target in more)
        print(json.dumps({"moves": moves, "seconds": seconds, "passes": passes, "is_done": not more, "status": status}),
              flush=True)
        if not more or told["is_solver"] or time.monotonic() - begun > told["seconds"]:
            break


if __name__ == "__main__":
    main()
