"""Taking a lab down by its name alone: whatever it was doing, and whoever else has died."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from tests.lab import cgroups, namespaces
from tests.lab.processes import end_all, in_network
from tests.lab.state import DEFAULT_ROOT, REGISTRY, directory_of


def sweep(name: str, spare: frozenset[int] = frozenset()) -> None:
    """Remove every process, namespace, control group and file of the lab; `spare` are processes to let live.

    Hosts end before their namespaces go, and files go last: a half-swept lab can be swept again.
    """
    prefix = f"{name}-"
    for netns in namespaces.with_prefix(prefix):
        end_all(namespaces.path_of(netns), spare)
    for netns in namespaces.with_prefix(prefix):
        namespaces.delete(netns)
    for group in cgroups.leftovers(prefix):
        cgroups.remove(group)
    directory = directory_of(name)
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=not directory.exists())
    (REGISTRY / name).unlink(missing_ok=True)
    for shared in (REGISTRY, DEFAULT_ROOT):
        with suppress(FileNotFoundError, OSError):  # another lab's entries are in it
            shared.rmdir()


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
