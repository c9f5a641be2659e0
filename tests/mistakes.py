"""Wrong policies and what is said of them: ``tests/data/mistakes`` and its golden file.

``python -m tests.mistakes`` writes the golden file anew: review the difference as an operator at three in the morning would
read it. Each document holds one mistake, and one line is expected of it; those in ``several`` hold more. Those in ``doubts``
are taken, with a warning.
"""

from __future__ import annotations

from pathlib import Path

from ballastd.core.policies import ClusterDeclaration
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

FOLDER = Path(__file__).parent / "data" / "mistakes"
GOLDEN = FOLDER / "expected.txt"
NOW = 1_795_400_000.0
"""In November 2026."""


def documents() -> list[str]:
    """Return the wrong documents, as they are called in the golden file."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml"))


def cluster() -> ClusterDeclaration:
    """Return the cluster against which they are held: four hosts in two racks, which can be switched."""
    builder = a_cluster()
    for i, rack in enumerate(("r1", "r1", "r2", "r2"), 1):
        builder = builder.host(f"kvm-0{i}", rack=rack, power="redfish")
    return builder.build()


def said(name: str) -> list[str]:
    """Return what is said of a document, from the line on."""
    path = FOLDER / name
    try:
        told = [f"warning: {text}" for text in load_policies(path, cluster(), NOW).warnings]
    except ConfigurationError as error:
        told = list(error.problems)
    return [text.replace(f"{path}:", "").replace(f"{FOLDER}/", "") for text in told]


def expected() -> dict[str, list[str]]:
    """Return the golden file."""
    found: dict[str, list[str]] = {}
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            found[next(reversed(found))].append(line[2:])
        elif line:
            found[line] = []
    return found


def main() -> None:
    """Write the golden file as it is now."""
    blocks = ("\n".join([name, *(f"  {line}" for line in said(name))]) for name in documents())
    GOLDEN.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
