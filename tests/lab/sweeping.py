"""Taking a lab down by its name alone: whatever it was doing, and whoever else has died."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tests.lab import cgroups, namespaces
from tests.lab.clock import sweep_shared_memory
from tests.lab.processes import end_all, in_network
from tests.lab.state import DEFAULT_ROOT, REGISTRY, directory_of
from tests.lab.volume import thaw_under, unmount_under


def sweep(name: str, spare: frozenset[int] = frozenset()) -> None:
    """Remove every process, namespace, control group and file of the lab; `spare` are processes to let live.

    Only a registered lab has any: the entry is made first and removed last, so that a half-swept lab can be
    swept again, and what bears a like name without an entry is a stranger's and stays.
    """
    directory = directory_of(name)
    if directory is not None:
        _sweep_kernel(f"{name}-", spare, directory)
        sweep_shared_memory()
    for place in {directory or DEFAULT_ROOT / name, DEFAULT_ROOT / name}:
        if place.exists():
            unmount_under(place)
            shutil.rmtree(place)
    (REGISTRY / name).unlink(missing_ok=True)


def _sweep_kernel(prefix: str, spare: frozenset[int], directory: Path) -> None:
    names = namespaces.with_prefix(prefix)
    for netns in names:
        # what waits for a frozen disk cannot be ended; who was freezing one may come to that yet, and not to its thaw
        end_all(namespaces.path_of(netns), spare, partial(thaw_under, directory))
    for netns in names:
        namespaces.delete(netns)
    for group in cgroups.leftovers(prefix):
        cgroups.remove(group)


def leftovers(name: str) -> list[str]:
    """Return everything that is left of a lab, in words; empty when there is nothing."""
    prefix = f"{name}-"
    found = [f"control group {group}" for group in cgroups.leftovers(prefix)]
    for netns in namespaces.with_prefix(prefix):
        found.append(f"namespace {netns}")
        found += [f"process {pid} in {netns}" for pid in in_network(namespaces.path_of(netns))]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if f"/{prefix}" in line.split()[4]]
    if (REGISTRY / name).is_symlink():
        found.append(f"entry {REGISTRY / name}")
    if (DEFAULT_ROOT / name).exists():
        found.append(f"directory {DEFAULT_ROOT / name}")
    return found
