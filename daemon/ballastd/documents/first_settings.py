"""A first settings file, written from what hosts said of themselves: what is known stands there, what only people know is
left as a comment with an example."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName, human_bytes
from ballastd.core.readiness import HostSurvey, count
from ballastd.core.vouching import entry_of
from ballastd.documents.host_settings import HOST_NAME, LOCAL_URI
from ballastd.documents.positions import parse
from ballastd.errors import ConfigurationError

SHARED_KINDS = ("netfs", "gluster")
"""Storage pools that are a network's by their kind; a directory is shared where several hosts have it, perhaps."""


def first_settings(cluster: str, hosts: Sequence[DeclaredHost], surveys: Mapping[HostName, HostSurvey]) -> str:
    """Return the text of a settings file of these hosts, all of which answered. It is complete: ``ballastd run --check``
    takes it, and with it nothing with a disk is moved, for storage is nobody's to vouch for but the operator's."""
    names = _names(hosts, surveys)
    lines = [
        "# Written from what the hosts said of themselves. Read it, say what they could not know, then:",
        "#   ballastctl doctor -c THIS-FILE        what has to be put right, and how",
        "#   ballastd run --check -c THIS-FILE",
        "# Every key with its default: config/ballastd.yaml.",
        f"cluster: {_quoted(cluster)}",
        "",
        "defaults:",
        "  # Speed of the network that carries guest memory; the slowest part of the way counts.",
        "  link_speed: 1Gbit/s",
        "  # Speed of the network that VMs use, both directions together. Without it no network counts as full.",
        "  # network_speed: 1Gbit/s",
        "  # Memory of each host that VMs never get.",
        "  memory_reserve: 4GiB",
        *_storage([surveys[host.name] for host in hosts]),
        "",
        "hosts:",
    ]
    for host in hosts:
        lines.extend(_host(names[host.name], host, surveys[host.name], several=len(hosts) > 1))
    lines += [
        "",
        "# The broker that carries the agents' telemetry. Without it every host is unknown, and nothing is moved.",
        "mqtt:",
        "  host: 127.0.0.1",
        "  # port: 8883",
        "  # username: ballastd",
        "  # password_file: /etc/ballastd/secrets/mqtt",
        "  # tls: {ca_file: /etc/ballastd/ca.pem}",
    ]
    return "\n".join(lines) + "\n"


def _names(hosts: Sequence[DeclaredHost], surveys: Mapping[HostName, HostSurvey]) -> dict[str, str]:
    """Return what each host is to be called: by its own name as long as that is short, fit and nobody else's."""
    found: dict[str, str] = {}
    for host in hosts:
        said = surveys[host.name].name.lower()
        # what the URI of another one says is his, whoever calls himself by it
        others = {"localhost", *found.values(), *(other.name for other in hosts if other is not host)}
        fit = [name for name in (said.partition(".")[0], said) if HOST_NAME.fullmatch(name) and name not in others]
        found[host.name] = fit[0] if fit else host.name
    return found


def _quoted(text: str) -> str:
    """Return a text as a word of YAML, whatever is in it."""
    return '"' + "".join(sign if sign.isprintable() and sign not in '"\\' else f"\\U{ord(sign):08x}" for sign in text) + '"'


def _word(text: str) -> str:
    """Return a text without quotes where it is read as itself all the same, as ``101``, ``null`` and ``a: b`` are not."""
    try:
        documents = parse("", f"word: {text}")
    except ConfigurationError:
        return _quoted(text)
    return text if [document.value for document in documents] == [{"word": text}] else _quoted(text)


def _comment(text: str) -> str:
    """Return what a host said fit for a comment, which ends with its line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _storage(surveys: Sequence[HostSurvey]) -> list[str]:
    at: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for survey in surveys:
        for pool in survey.pools:
            if _may_be_vouched_for(pool.path) and (pool.is_active or pool.kind in SHARED_KINDS):
                at[pool.path].append((survey.host, pool.kind))
    shared = {path: some for path, some in at.items()
              if len(some) == len(surveys) and (len(some) > 1 or some[0][1] in SHARED_KINDS)}
    lines = ["  # Storage whose disk locks you have SEEN refuse a second opener on another host. Until you say so, no VM",
             "  # with a disk that it writes to is ever moved."]
    for path, some in sorted(shared.items()):
        kinds = _comment(", ".join(sorted({kind for _, kind in some})))
        lines.append(f"  # {path} ({kinds}) is a storage pool on all hosts: is it one storage, and are its locks sound?")
    example = sorted(shared)[:1] or ["/srv/vms"]
    return [*lines, f"  # vouched_storage: [{example[0]}]"]


def _may_be_vouched_for(path: str) -> bool:
    """Return whether settings take a pool's path: of some pools it is where all devices of a host are."""
    try:
        return bool(path and entry_of(path))
    except ValueError:
        return False


def _host(name: str, host: DeclaredHost, survey: HostSurvey, *, several: bool) -> list[str]:
    cpu = _comment(" ".join(survey.cpu[:1])) or "processor unknown"
    lines = [
        f"  # {survey.processors} processors ({cpu}), {human_bytes(survey.memory_total)}, "
        f"{count(survey.guests, 'VM')}, "
        f"QEMU {'.'.join(map(str, survey.emulator))}, libvirt {'.'.join(map(str, survey.libvirt))}",
        f"  - name: {_word(name)}",
        f"    uri: {_word(host.uri)}",
    ]
    if several and LOCAL_URI.fullmatch(host.uri):
        lines.append(f"    peer_uri: qemu+tls://{name}/system   # how the others reach it: is that right?")
    return [*lines, "    # labels: {rack: r1, cooling: aisle-a, power: feed-1}"]
