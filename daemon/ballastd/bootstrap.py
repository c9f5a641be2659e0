"""The composition root: the only file that knows everybody. Settings in, a running daemon out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from ballastd import __version__
from ballastd.adapters.asking.routing import Probes
from ballastd.adapters.blocking import Lanes
from ballastd.adapters.calendar import WallCalendar
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.definitions import FileDefinitions
from ballastd.adapters.journal import SqliteJournal
from ballastd.adapters.libvirt.connections import LibvirtOptions
from ballastd.adapters.libvirt.hypervisor import LibvirtHypervisor
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.publisher import MqttNotices
from ballastd.adapters.mqtt.telemetry import MqttTelemetry
from ballastd.adapters.power.command import CommandOptions, CommandPower
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.adapters.power.routing import PowerDriver, PowerDrivers
from ballastd.adapters.recording import FileRecording
from ballastd.adapters.systemd import sd_notify
from ballastd.core.quantities import HostName
from ballastd.documents import (
    MqttSettings,
    PowerCommandSettings,
    PowerSettings,
    Settings,
    load_settings,
)
from ballastd.documents.policy_files import PolicyFiles
from ballastd.errors import ConfigurationError, JournalError
from ballastd.ports.running import Blocking
from ballastd.service.chores import ChoreTimes
from ballastd.service.daemon import Daemon, Parts
from ballastd.web.app import create_app
from ballastd.web.metrics import Meter
from ballastd.web.metrics_server import MetricsServer, Serving, Together
from ballastd.web.server import ApiServer

EXIT_CONFIGURATION = 78
EXIT_FAILED = 1
NEWEST_NOISE = ("uvicorn", "httpx", "asyncio")


def run(config: Path, *, policies: Path | None = None, log_format: str | None = None) -> int:
    """Run the daemon until it is asked to stop; return its exit status.

    Raises:
        ConfigurationError: settings or policies cannot be used.
    """
    settings = load_settings(config)
    configure_logging(log_format or settings.logging.format, settings.logging.level)
    log = structlog.get_logger("ballastd")
    try:
        asyncio.run(_live(settings, policies or settings.policies))
    except (BaseExceptionGroup, ConfigurationError, JournalError) as trouble:
        cause = _first(trouble, (ConfigurationError, JournalError))
        if isinstance(cause, ConfigurationError):
            raise cause from None
        if isinstance(cause, JournalError):
            log.critical("the journal cannot be used", reason=str(cause))
            return EXIT_FAILED
        raise
    return 0


def _first(trouble: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """Return the first exception of one of ``kinds``, however deep in groups it lies."""
    if isinstance(trouble, kinds):
        return trouble
    inner = trouble.exceptions if isinstance(trouble, BaseExceptionGroup) else ()
    return next((found for one in inner if (found := _first(one, kinds)) is not None), None)


async def _live(settings: Settings, policies: Path) -> None:
    clock, blocking = SystemClock(), Lanes()
    source = PolicyFiles(policies, settings.cluster)
    source.load(clock.now().wall)
    hosts = [host.name for host in settings.cluster.hosts]
    holder = f"{socket.gethostname()}:{settings.journal}"
    address = broker_address(settings.mqtt, holder)
    hypervisor = LibvirtHypervisor(settings.cluster, blocking, clock, libvirt_options(settings))
    # a driver asks which machine its host is; only the daemon, made of drivers among others, will know
    made: list[Daemon] = []
    drivers = {host: power_driver(host, power, blocking, partial(_machine, made, host))
               for host, power in settings.power.items()}
    daemon = Daemon(Parts(
        cluster=settings.cluster,
        policies=source,
        hypervisor=hypervisor,
        power=PowerDrivers(drivers),
        telemetry=MqttTelemetry(replace(address, client_id=f"{address.client_id}-telemetry"), hosts, clock),
        notices=MqttNotices(replace(address, client_id=f"{address.client_id}-notices"), clock),
        journal=SqliteJournal(settings.journal),
        blocking=blocking,
        clock=clock,
        tell_supervisor=sd_notify,
        holder=holder,
        version=__version__,
        abort_on_stop=settings.on_stop == "abort",
        calendar=WallCalendar(settings.chores.timezone),
        chores=ChoreTimes(settings.chores.summary, settings.chores.wake_test, settings.chores.retention,
                          settings.chores.keep_records, settings.chores.keep_archives),
        recording=None if settings.recording.directory is None else FileRecording(
            settings.recording.directory, settings.recording.keep, blocking, clock),
        definitions=FileDefinitions(settings.journal.parent / "definitions", blocking),
        probe=Probes(settings.cluster.arrival_checks, hypervisor),
    ))
    made.append(daemon)
    app = create_app(daemon, blocking=blocking, operators=settings.api.operators)
    server = ApiServer(app, settings.api.socket, settings.api.mode, settings.api.group)
    server.bind()
    servers: list[Serving] = [server]
    try:
        if settings.metrics.listen is not None:
            metrics = MetricsServer(Meter(daemon), settings.metrics.listen)
            metrics.bind()
            servers.append(metrics)
        daemon.wire_signals()
        await daemon.run(Together(servers))
    finally:
        server.release()


def broker_address(mqtt: MqttSettings, holder: str) -> BrokerAddress:
    """Return the adapter's address of the broker that the settings name.

    ``holder``: who we are, the same over restarts. It is part of the client id, so that a second daemon on the
    cluster by mistake is noticed as a rival instead of throwing the first one off the broker.
    """
    tls, suffix = mqtt.tls, hashlib.sha256(holder.encode()).hexdigest()[:8]
    return BrokerAddress(
        host=mqtt.host, port=mqtt.port, prefix=mqtt.prefix, username=mqtt.username, password_file=mqtt.password_file,
        tls=tls is not None, ca_file=tls.ca_file if tls else None, cert_file=tls.cert_file if tls else None,
        key_file=tls.key_file if tls else None, client_id=f"{mqtt.client_id}-{suffix}", keepalive=mqtt.keepalive,
        protocol=mqtt.protocol)


def _machine(made: list[Daemon], host: HostName) -> str:
    return made[0].machine(host) if made else ""


def power_driver(host: HostName, power: PowerSettings, blocking: Blocking, machine: Callable[[], str]) -> PowerDriver:
    """Return the driver that one host's settings name. ``machine``: the host's UUID, empty while nobody knows."""
    if isinstance(power, PowerCommandSettings):
        return CommandPower(host, CommandOptions(power.on, power.off, power.status, power.deadline), machine)
    return RedfishPower(host, RedfishOptions(power.url, power.username, power.password_file, power.system, power.ca_file,
                                             power.insecure_tls, power.deadline), blocking)


def libvirt_options(settings: Settings) -> LibvirtOptions:
    """Return the adapter's options that the settings amount to."""
    options = settings.libvirt
    return LibvirtOptions(
        keepalive_interval=options.keepalive_interval, keepalive_count=options.keepalive_count,
        call_deadline_s=options.call_deadline, unsafe=options.unsafe_migration)


def configure_logging(form: str, level: str) -> None:
    """Send our logs, and the libraries' warnings, to stderr: JSON, or for people where a terminal looks on."""
    pretty = form in ("pretty", "console") or (form == "auto" and sys.stderr.isatty())
    number = logging.getLevelName(level.upper())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(ensure_ascii=False))
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_logger_name, structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.format_exc_info]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared,
                    structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for noisy in NEWEST_NOISE:
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))
