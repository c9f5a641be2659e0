"""Whether a host may receive VMs: every reason against it, in words. Silence is neither idle nor sick."""

from __future__ import annotations

from ballastd.core.ledger import Ledger
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import Health
from ballastd.core.power import STANDING_BY, PowerPhase
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import CLOCK_SKEW_SECONDS, Telemetry

_K = RefusalKind
_PHASES = {PowerPhase.EMPTYING: "being emptied to be switched off", PowerPhase.CLOSING: "about to be switched off",
           PowerPhase.GOING_OFF: "going off", PowerPhase.OFF: "switched off", PowerPhase.WAKING: "being woken",
           PowerPhase.FAILED: "its power failed"}


def reasons_to_avoid(host: HostName, health: Health, reachable: bool, why_unreachable: str, telemetry: Telemetry,
                     fresh: bool, quarantined: bool, ledger: Ledger, now: Instant) -> tuple[Refusal, ...]:
    """Return why nothing may land on ``host`` now; empty means that it may receive. ``fresh``: whether it speaks."""
    found: list[tuple[RefusalKind, str]] = []
    power = ledger.power.get(host)
    stands_by = power is not None and power.phase in STANDING_BY
    if power is not None:
        found.append((_K.HOST_STANDBY, f"{_PHASES[power.phase]}: {power.because}"))
    if host in ledger.confirmed_dead:
        found.append((_K.HOST_UNREACHABLE, f"confirmed dead by {ledger.confirmed_dead[host].by}"))
    elif not reachable and not stands_by:
        found.append((_K.HOST_UNREACHABLE, why_unreachable))
    if health is not Health.HEALTHY:
        found.append((_K.HOST_NOT_HEALTHY, f"is {health.name.lower()}"))
    if not stands_by:
        found.extend(_doubts(host, telemetry) if fresh else _silence(host, telemetry, now))
    if host in ledger.cordoned:
        found.append((_K.HOST_CORDONED, f"cordoned by {ledger.cordoned[host].by}{_why(ledger.cordoned[host].reason)}"))
    if host in ledger.drains:
        found.append((_K.HOST_DRAINING, f"drained for {ledger.drains[host].by}{_why(ledger.drains[host].reason)}"))
    elif host in ledger.evacuating:
        found.append((_K.HOST_DRAINING, f"being emptied by {ledger.evacuating[host].policy}"))
    elif quarantined and health is Health.HEALTHY:
        found.append((_K.HOST_CORDONED, "quarantined by policy"))
    found.extend((_K.HOST_FROZEN, f"{seen.vm_name} was seen running on {' and '.join(seen.hosts)}")
                 for _, seen in sorted(ledger.duplicates.items()) if host in seen.hosts)
    return tuple(Refusal(kind, detail, host=host) for kind, detail in found)


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


def _silence(host: HostName, telemetry: Telemetry, now: Instant) -> list[tuple[RefusalKind, str]]:
    age, heard = telemetry.age(host, now), telemetry.heard(host)
    if age is None:
        return [(_K.HOST_SILENT, "no telemetry was ever heard")]
    if heard < telemetry.samples_min:
        return [(_K.HOST_WARMING_UP, f"{heard} of {telemetry.samples_min} reports heard since it was silent")]
    return [(_K.HOST_SILENT, f"last heard {age:.0f} s ago")]


def _doubts(host: HostName, telemetry: Telemetry) -> list[tuple[RefusalKind, str]]:
    if not telemetry.has_skewed_clock(host):
        return []
    # it is not ahead: reports of a clock that is are not taken at all
    return [(_K.HOST_CLOCK, f"its reports come more than {CLOCK_SKEW_SECONDS:g} s late, or its clock is behind; "
                            f"{telemetry.samples_min} in a row have to come in time")]
