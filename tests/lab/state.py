"""What a lab is made of, written down so that other processes can act on it."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.commands import LabError
from tests.lab.processes import Identity

REGISTRY = Path("/run/ballastd-lab")
DEFAULT_ROOT = Path("/var/tmp/ballastd-lab")
HOSTS_MAX = 99
# no hyphen, which ends the prefix: no lab's prefix may begin another's
NAME = re.compile(r"[a-z][a-z0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of one lab, and the names of everything it makes."""

    name: str
    hosts: int
    directory: str
    cpu_quota: float | None = None
    memory_mib: int | None = None
    owner: int = 0
    agents: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise LabError(f"a lab's name is one to ten small letters or digits, not {self.name!r}")
        if not 1 <= self.hosts <= HOSTS_MAX:
            raise LabError(f"a lab has 1 to {HOSTS_MAX} hosts, not {self.hosts}")

    @property
    def path(self) -> Path:
        """The lab's own directory: made by it, removed with it."""
        return Path(self.directory)

    @property
    def prefix(self) -> str:
        """What the names of its namespaces and control groups begin with."""
        return f"{self.name}-"

    @property
    def switch(self) -> str:
        """The namespace that holds the bridge."""
        return f"{self.name}-sw"

    @property
    def controller(self) -> str:
        """The namespace from which the hosts are controlled."""
        return f"{self.name}-ctl"

    def host_names(self) -> list[str]:
        """Return h1, h2, ..."""
        return [f"h{number}" for number in range(1, self.hosts + 1)]

    def host_netns(self, host: str) -> str:
        """Return the network namespace of a host."""
        return f"{self.name}-{host}"

    def host_uuid(self, host: str) -> str:
        """Return the host's UUID: the same after every power cycle, as a board's is."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{host}.{self.name}.lab"))

    def save(self) -> None:
        """Write the plan down and enter it in the registry."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / "lab.json", json.dumps(dataclasses.asdict(self), indent=1))
        REGISTRY.mkdir(exist_ok=True)  # it and the root of all labs stay: another one may be about to use them
        entry = REGISTRY / self.name
        entry.unlink(missing_ok=True)
        entry.symlink_to(self.path)


def load(name: str) -> Plan:
    """Return the plan of the lab of that name; a LabError when there is none."""
    try:
        return Plan(**json.loads((REGISTRY / name / "lab.json").read_text()))
    except FileNotFoundError as absent:
        raise LabError(f"there is no lab named {name!r}: `python -m tests.lab up` makes one") from absent


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes from entering a lab, or from sweeping dead ones, until its keeper is known: before that an entry
    looks like one that a dead lab left."""
    REGISTRY.mkdir(exist_ok=True)
    handle = os.open(REGISTRY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def registered() -> list[str]:
    """Return the names of all labs that were entered and not taken out."""
    return sorted(entry.name for entry in REGISTRY.iterdir()) if REGISTRY.is_dir() else []


def directory_of(name: str) -> Path | None:
    """Return the directory a registered lab said it uses, None when the name is not registered."""
    entry = REGISTRY / name
    return entry.readlink() if entry.is_symlink() else None


def save_keeper(directory: Path, keeper: Identity) -> None:
    """Write down which process watches over the lab."""
    write_whole(directory / "keeper.json", json.dumps(dataclasses.asdict(keeper)))


def load_keeper(directory: Path | None) -> Identity | None:
    """Return the process that watches over the lab, None when it is gone or was never started."""
    if directory is None:
        return None
    try:
        keeper = Identity(**json.loads((directory / "keeper.json").read_text()))
    except FileNotFoundError:
        return None
    return keeper if keeper.alive() else None


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever reads half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
