"""``ballastd agent``: the host agent on the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import click

HELP = """Watch this host and report it over MQTT.

Reads load, memory errors, temperatures, fans and power supplies from /proc and /sys, publishes them under
PREFIX/v1/HOST/metrics, and at once under .../events when an error is counted, an alarm flips or a critical
limit is crossed. Keeps the cordon flag that the daemon asks for. What a host does not have is simply not
reported; what cannot be read is logged and left out.

\b
Look first, without a broker:      ballastd agent --once
Let libvirt enforce cordons:       ballastd agent --install-hook
Run (systemd does it for you):     ballastd agent --broker mq.example.net --host kvm-01

Every option can be given in the environment: BALLASTD_AGENT_BROKER for --broker, and so on. A password is
read from a file, never from the command line.

Exit status: 0 done, or stopped in order; 1 failed; 2 wrong usage.
"""


@click.command("agent", help=HELP, context_settings={"auto_envvar_prefix": "BALLASTD_AGENT",
                                                     "help_option_names": ["-h", "--help"],
                                                     "max_content_width": 110})
@click.option("--host", default=socket.gethostname, show_default="this machine's name",
              help="Name of this host, as the daemon's settings declare it.")
@click.option("--broker", "broker_host", default="127.0.0.1", show_default=True, help="Address of the MQTT broker.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Its port.  [default: 1883, with TLS 8883]")
@click.option("--prefix", default="ballastd", show_default=True, help="First part of every topic.")
@click.option("--username", default=None, help="User name for the broker.")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="File with the password.")
@click.option("--tls", is_flag=True, help="Speak TLS; implied by the next three.")
@click.option("--ca-file", type=click.Path(path_type=Path, dir_okay=False),
              help="Authorities to trust.  [default: the system's]")
@click.option("--cert-file", type=click.Path(path_type=Path, dir_okay=False), help="Our certificate.")
@click.option("--key-file", type=click.Path(path_type=Path, dir_okay=False), help="Its key.")
@click.option("--client-id", default=None, help="Must be ours alone.  [default: ballastd-agent-HOST]")
@click.option("--keepalive", type=click.IntRange(2, 600), default=15, show_default=True,
              help="Seconds; a dead agent shows after one and a half times this.")
@click.option("--protocol", type=click.Choice(["auto", "5", "3.1.1"]), default="auto", show_default=True,
              help="MQTT version.")
@click.option("--interval", type=click.FloatRange(0.1, 600), default=10.0, show_default=True,
              help="Seconds between reports.")
@click.option("--sample-interval", type=click.FloatRange(0.05, 60), default=1.0, show_default=True,
              help="Seconds between looks.")
@click.option("--read-deadline", type=click.FloatRange(0.05, 60), default=2.0, show_default=True,
              help="Seconds one source may take before the rest goes on without it.")
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=Path("/"), show_default=True,
              help="Where the host's /proc, /sys and /etc are.")
@click.option("--processes", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Where the host's processes are, to count emulators.  [default: proc under the root]")
@click.option("--cordon-file", type=click.Path(path_type=Path, dir_okay=False), default=Path("/run/libvirt/cordon"),
              show_default=True, help="The flag that the libvirt hook looks at.")
@click.option("--once", is_flag=True, help="Print one report as JSON, with what was refused and why; then exit.")
@click.option("--install-hook", is_flag=True, help="Install the libvirt hook that enforces cordons; then exit.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
              show_default=True)
def agent_command(**options: Any) -> None:
    """Watch this host; see HELP."""
    _configure_logging(options["log_level"])
    if options["install_hook"]:
        _install_hook(options["root"], options["cordon_file"])
    elif options["once"]:
        asyncio.run(_once(options))
    else:
        _check(options)
        asyncio.run(_serve(options))


def _install_hook(root: Path, flag: Path) -> None:
    from ballastd.agent.hook import HookRefused, install

    try:
        click.echo(install(root, flag))
    except HookRefused as error:
        raise click.ClickException(str(error)) from error


def _settings(options: dict[str, Any]) -> Any:
    from ballastd.adapters.mqtt.topics import is_host_name
    from ballastd.agent.agent import AgentSettings
    from ballastd.core.quantities import HostName

    if not is_host_name(options["host"]):
        raise click.BadParameter(f"{options['host']!r} cannot be part of a topic", param_hint="--host")
    return AgentSettings(HostName(options["host"]), options["root"], options["interval"],
                         options["sample_interval"], options["read_deadline"], options["cordon_file"],
                         options["processes"])


def _check(options: dict[str, Any]) -> None:
    if bool(options["cert_file"]) != bool(options["key_file"]):
        raise click.UsageError("--cert-file and --key-file belong together")
    if options["password_file"] and not options["username"]:
        raise click.UsageError("--password-file needs --username")
    prefix = options["prefix"]
    if not prefix or prefix.startswith("/") or prefix.endswith("/") or set(prefix) & set("+#$"):
        raise click.BadParameter(f"{prefix!r}: no slash at the ends, no +, # or $", param_hint="--prefix")


def _address(options: dict[str, Any]) -> Any:
    from ballastd.adapters.mqtt.address import BrokerAddress

    tls = bool(options["tls"] or options["ca_file"] or options["cert_file"])
    return BrokerAddress(
        host=options["broker_host"], port=options["port"] or (8883 if tls else 1883), prefix=options["prefix"],
        username=options["username"], password_file=options["password_file"], tls=tls, ca_file=options["ca_file"],
        cert_file=options["cert_file"], key_file=options["key_file"],
        client_id=options["client_id"] or f"ballastd-agent-{options['host']}", keepalive=options["keepalive"],
        protocol=options["protocol"])


async def _once(options: dict[str, Any]) -> None:
    from ballastd.adapters.clock import SystemClock
    from ballastd.adapters.mqtt.wire import encode_report
    from ballastd.agent.agent import look_once

    settings, clock = _settings(options), SystemClock()
    findings = await look_once(settings, clock)
    report = json.loads(encode_report(host=settings.host, boot_id="once", sequence=0, sent_at=clock.now().wall,
                                      interval=settings.interval, samples=findings.samples))
    report["refused"] = [f"{one.where}: {one.reason}" for one in findings.refused]
    click.echo(json.dumps(report, indent=1, ensure_ascii=False))


async def _serve(options: dict[str, Any]) -> None:
    from ballastd.adapters.clock import SystemClock
    from ballastd.agent.agent import Agent

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # loops of other systems know no signals; there the default, which ends us, has to do
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await Agent(_settings(options), _address(options), SystemClock()).run(stop)


def _configure_logging(level: str) -> None:
    import structlog

    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.format_exc_info,
                    renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr), cache_logger_on_first_use=True)


if __name__ == "__main__":
    agent_command()
