"""``config/ballastd.yaml``: the declared cluster, and everything about us that is no policy."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator, model_validator

from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks
from ballastd.core.policies import ClusterDeclaration, Timing
from ballastd.core.quantities import HostName, Seconds
from ballastd.documents.host_settings import LOCAL_URI, HostDefaults, HostEntry
from ballastd.documents.positions import Document, dotted, parse, read
from ballastd.documents.power_settings import PowerSettings
from ballastd.documents.scalars import (
    AbsolutePath,
    Daily,
    Duration,
    IpNetwork,
    Lasting,
    Whole,
    YesNo,
    Zone,
    listen_address,
    shown,
)
from ballastd.documents.validation import PROBLEMS_MAX, Strict, validate
from ballastd.errors import ConfigurationError

DAY_SECONDS = 86400.0
KEPT_MIN_DAYS = 2

TIMES = Timing()
BROKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-fA-F:.]+(%\w+)?")


class TlsSettings(Strict):
    """How the broker is trusted, and how we show who we are."""

    ca_file: AbsolutePath | None = None
    cert_file: AbsolutePath | None = None
    key_file: AbsolutePath | None = None

    @model_validator(mode="after")
    def _a_pair(self) -> TlsSettings:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together; write both, or neither")
        return self


class MqttSettings(Strict):
    """The broker that carries telemetry and notices."""

    host: str = "127.0.0.1"
    port: Whole = Field(default=1883, ge=1, le=65535)
    prefix: str = "ballastd"
    username: str | None = None
    password_file: AbsolutePath | None = None
    tls: TlsSettings | None = None
    client_id: str = "ballastd"
    keepalive: Whole = Field(default=15, ge=2, le=600)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _no_inline_password(cls, value: Any) -> Any:
        if isinstance(value, dict) and "password" in value:
            raise ValueError("a password does not belong in this file; put it into a file of its own, readable by the "
                             "daemon only, and name it as password_file")
        return value

    @model_validator(mode="after")
    def _whose_password(self) -> MqttSettings:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username beside it; write for example username: ballastd")
        return self

    @field_validator("host")
    @classmethod
    def _a_host(cls, value: str) -> str:
        if not BROKER.fullmatch(value):
            raise ValueError(f"{shown(value)} is no host name or address; write for example mq.example.net, and the port "
                             "as port")
        return value

    @field_validator("prefix")
    @classmethod
    def _a_prefix(cls, value: str) -> str:
        if not value or value.startswith("/") or value.endswith("/") or set(value) & set("+#$\x00 "):
            raise ValueError(f"{shown(value)} cannot begin a topic: no slash at its ends, no +, #, $ or space")
        return value


class LibvirtSettings(Strict):
    """How we talk to libvirt. ``keepalive`` is between us and the hosts, not among the hosts."""

    keepalive_interval: Whole = Field(default=5, ge=1, le=60)
    keepalive_count: Whole = Field(default=5, ge=1, le=60)
    call_deadline: Lasting = 10.0
    unsafe_migration: YesNo = False


def _mode(value: Any) -> int:
    # an unquoted 0660 is the number 660 by YAML 1.2, and nobody means that
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"(0o?)?[0-7]{3}", text):
        raise ValueError(f"{shown(value)} is no file mode; write for example \"0660\"")
    mode = int(text.removeprefix("0o"), 8)
    if mode & 0o007:
        raise ValueError(f"{text} opens the socket to everybody; write for example \"0660\"")
    return mode


class ApiSettings(Strict):
    """The local API, on a unix socket."""

    socket: AbsolutePath = Path("/run/ballastd/api.sock")
    mode: Annotated[int, BeforeValidator(_mode)] = 0o660
    group: str | None = None
    operators: str | None = None


class MetricsSettings(Strict):
    """Where metrics are served, to whoever can reach it; without an address, nowhere."""

    listen: Annotated[tuple[str, int] | None, BeforeValidator(listen_address)] = None


class ChoreSettings(Strict):
    """What is done once a day, at a time of day, or ``never``. ``keep_records``: how long records stay in the
    journal before they are archived beside it; ``keep_archives``: how long archives stay, and
    definitions of VMs that were not moved since."""

    timezone: Zone = ZoneInfo("UTC")
    summary: Daily = time(7, 0)
    wake_test: Daily = None
    retention: Daily = time(3, 30)
    keep_records: Lasting = 30 * DAY_SECONDS
    keep_archives: Lasting = 365 * DAY_SECONDS

    @field_validator("keep_records")
    @classmethod
    def _a_day_is_summed_up(cls, seconds: float) -> float:
        if seconds < KEPT_MIN_DAYS * DAY_SECONDS:
            raise ValueError(f"the summary of a day needs the records of {KEPT_MIN_DAYS} days; write for example 30d")
        return seconds


class RecordingSettings(Strict):
    """What was seen, in files that ``ballastctl replay`` reads. ``directory``: where, or nothing is recorded."""

    directory: AbsolutePath | None = None
    keep: Lasting = 14 * DAY_SECONDS


WITHIN_MIN_SECONDS, WITHIN_MAX_SECONDS = 5.0, 600.0


class ArrivalCheckSettings(Strict):
    """How VMs may be asked, in their owners' ways, whether they answer once they were moved; nobody as shipped. ``agent``:
    by their guest agents; ``networks``: at addresses in these; ``within``: for how long."""

    agent: YesNo = False
    networks: Annotated[list[IpNetwork], Field(max_length=100)] = Field(default_factory=list)
    within: Lasting = float(NOTHING_ALLOWED.within)

    @field_validator("within")
    @classmethod
    def _bounded(cls, seconds: float) -> float:
        if not WITHIN_MIN_SECONDS <= seconds <= WITHIN_MAX_SECONDS:
            raise ValueError(f"between {WITHIN_MIN_SECONDS:g}s and {WITHIN_MAX_SECONDS / 60:g}m; write for example 60s")
        return seconds

    def compiled(self) -> AllowedChecks:
        """Return them as the mind knows them."""
        return AllowedChecks(self.agent, tuple(self.networks), Seconds(self.within))


class LoggingSettings(Strict):
    """Where the log goes is the supervisor's business; how it looks is ours."""

    format: Literal["auto", "json", "pretty"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TimingSettings(Strict):
    """Durations. A lab makes them short; every ceiling on counts and rates stays."""

    pace: Lasting = float(TIMES.pace)
    startup_quiet: Duration = float(TIMES.startup_quiet)
    inventory_interval: Lasting = float(TIMES.inventory_interval)
    inventory_max_age: Lasting = float(TIMES.inventory_max_age)
    second_look: Duration = float(TIMES.second_look)
    late_copy_watch: Duration = float(TIMES.late_copy_watch)
    self_suspect: Duration = float(TIMES.self_suspect)
    lag_max: Lasting = float(TIMES.lag_max)
    load_window: Lasting = float(TIMES.load_window)
    cordon_confirm: Lasting = float(TIMES.cordon_confirm)
    power_off: Lasting = float(TIMES.power_off)
    wake: Lasting = float(TIMES.wake)
    wake_proof: Lasting = float(TIMES.wake_proof)
    recommendation: Lasting = float(TIMES.recommendation)
    rejection: Lasting = float(TIMES.rejection)
    migration_floor: Duration = float(TIMES.migration_floor)
    migration_per_gib: Duration = float(TIMES.migration_per_gib)
    telemetry_stale: Lasting = float(TIMES.telemetry_stale)
    telemetry_samples_min: Whole = Field(default=TIMES.telemetry_samples_min, ge=1, le=100)

    @model_validator(mode="after")
    def _sound(self) -> TimingSettings:
        if self.inventory_max_age <= self.inventory_interval:
            raise ValueError("inventory_max_age must be above inventory_interval, or no host would ever be reachable")
        if self.load_window <= 2 * self.inventory_interval:
            # whose use was not seen for half a window is unknown
            raise ValueError("load_window must be above twice inventory_interval, or no load would ever be known")
        return self

    def compiled(self) -> Timing:
        """Return the durations as the mind knows them."""
        values = self.model_dump()
        samples = values.pop("telemetry_samples_min")
        return Timing(**{name: Seconds(float(value)) for name, value in _numbers(self, values).items()},
                      telemetry_samples_min=samples)


def _numbers(model: TimingSettings, names: dict[str, Any]) -> dict[str, float]:
    return {name: getattr(model, name) for name in names}


class Settings(Strict):
    """The whole file. ``cluster``: the declared cluster once compiled."""

    cluster_name: str = Field(default="cluster", alias="cluster")
    defaults: HostDefaults = HostDefaults()
    hosts: list[HostEntry] = Field(min_length=1, max_length=10_000)
    mqtt: MqttSettings = MqttSettings()
    libvirt: LibvirtSettings = LibvirtSettings()
    timing: TimingSettings = TimingSettings()
    journal: AbsolutePath = Path("/var/lib/ballastd/journal.db")
    api: ApiSettings = ApiSettings()
    policies: AbsolutePath = Path("/etc/ballastd/policies")
    metrics: MetricsSettings = MetricsSettings()
    chores: ChoreSettings = ChoreSettings()
    recording: RecordingSettings = RecordingSettings()
    arrival_checks: ArrivalCheckSettings = ArrivalCheckSettings()
    logging: LoggingSettings = LoggingSettings()
    on_stop: Literal["leave", "abort"] = "leave"

    @property
    def cluster(self) -> ClusterDeclaration:
        """The hosts, sorted by name, our durations, and how VMs may be asked whether they answer."""
        hosts = sorted((host.declared(self.defaults) for host in self.hosts), key=lambda host: host.name)
        return ClusterDeclaration(tuple(hosts), self.timing.compiled(), self.arrival_checks.compiled())

    @property
    def power(self) -> dict[HostName, PowerSettings]:
        """How each host is switched on and off, by name; hosts that we cannot switch are left out."""
        hosts = sorted(self.hosts, key=lambda host: host.name)
        found = ((host.name, host.controller(self.defaults)) for host in hosts)
        return {HostName(name): controller for name, controller in found if controller is not None}


def load_settings(path: Path) -> Settings:
    """Return the settings in a file.

    Raises:
        ConfigurationError: with every problem of the file.
    """
    documents = parse(str(path), read(path))
    if len(documents) != 1:
        raise ConfigurationError((f"{path}: {len(documents)} documents, exactly one is expected; see the commented "
                                  "config/ballastd.yaml",))
    problems: list[str] = []
    settings = validate(Settings, documents[0], problems)
    if settings is not None:
        problems.extend(_twice(settings, documents[0]))
        problems.extend(_unreachable(settings, documents[0]))
        problems.extend(_shared_controllers(settings, documents[0]))
    if problems or settings is None:
        raise ConfigurationError(tuple(problems))
    return settings


def _twice(settings: Settings, document: Document) -> list[str]:
    """Who has no way of his own to his peers is reached by them as by us."""
    problems = []
    for key in ("name", "uri", "peer_uri", "migration_uri"):
        seen: dict[str, int] = {}
        said = [getattr(host, key) for host in settings.hosts]
        known = [host.peer_uri or host.uri for host in settings.hosts] if key == "peer_uri" else said
        for i, value in enumerate(known):
            first = None if value is None else seen.setdefault(value, i)
            if first in (None, i) or (said[i] is None and said[first] is None):
                continue
            at, other = (i, first) if said[i] is not None else (first, i)
            problems.append(f"{document.where(('hosts', at, key))}: hosts.{at}.{key}: {value[:63]} is declared twice "
                            f"({'first as' if other < at else 'also as'} hosts.{other}); each host has its own")
    return problems


def _unreachable(settings: Settings, document: Document) -> list[str]:
    """A local URI is good for us, but to a peer it means the peer itself."""
    if len(settings.hosts) < 2:
        return []
    return [f"{document.where(('hosts', i, key))}: hosts.{i}.{key}: {shown(value)} is this machine for whoever reads it; "
            "write as peer_uri how its peers reach it, for example qemu+tls://kvm-01/system"
            for i, host in enumerate(settings.hosts)
            for key, value in [("peer_uri" if host.peer_uri else "uri", host.peer_uri or host.uri)]
            if LOCAL_URI.fullmatch(value)]


def _shared_controllers(settings: Settings, document: Document) -> list[str]:
    """One controller for two hosts would switch the wrong one off."""
    found: dict[str, None] = {}
    seen: dict[tuple[str, ...], dict[str, str]] = {}
    for i, host in enumerate(settings.hosts):
        controller = host.controller(settings.defaults)
        for key, claim, part in controller.claims() if controller is not None else ():
            path = ("hosts", i, "power", key) if host.power is not None else ("defaults", "power", key)
            others = seen.setdefault((key, *claim), {})
            other = others.get(part) or others.get("") or (None if part else next(iter(others.values()), None))
            if controller is not None and other is not None:
                found[f"{document.where(path)}: {dotted(path)}: {other} and {host.name} would be switched by the same one; "
                      f"{controller.apart()}"] = None
            others.setdefault(part, host.name)
    return list(found)[:PROBLEMS_MAX]
