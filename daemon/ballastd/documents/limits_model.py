"""The Limits document: how much at once and how fast, each below its ceiling."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import AutoConverge, Limits
from ballastd.core.quantities import Seconds
from ballastd.documents.policy_models import PolicyModel
from ballastd.documents.scalars import (
    Bandwidth,
    Duration,
    Lasting,
    Moment,
    Percent,
    Processors,
    Whole,
    as_percent,
    lasting,
    shown,
)
from ballastd.documents.validation import Clash, Strict
from ballastd.documents.vm_selectors import Word

DEFAULT = Limits()


def capped(ceiling: float, show: str) -> Any:
    """Return a check of a field that refuses what is above ``ceiling``, shown as ``show``."""

    def check(value: float) -> float:
        if value > ceiling:
            raise ValueError(f"above the ceiling of {show}, which no policy can raise")
        return value

    return check


class InFlight(Strict):
    """Migrations at once."""

    cluster: Annotated[Whole, Field(ge=1)] = DEFAULT.in_flight_cluster
    host_out: Annotated[Whole, Field(ge=1)] = DEFAULT.in_flight_host_out
    host_in: Annotated[Whole, Field(ge=1)] = DEFAULT.in_flight_host_in

    _c = field_validator("cluster")(capped(CEILINGS.in_flight_cluster, str(CEILINGS.in_flight_cluster)))
    _o = field_validator("host_out")(capped(CEILINGS.in_flight_host_out, str(CEILINGS.in_flight_host_out)))
    _i = field_validator("host_in")(capped(CEILINGS.in_flight_host_in, str(CEILINGS.in_flight_host_in)))

    @model_validator(mode="after")
    def _hosts_within_the_cluster(self) -> InFlight:
        for key, at_once in (("host_out", self.host_out), ("host_in", self.host_in)):
            # what was not written is a default, and nobody's contradiction
            if at_once > self.cluster and {key, "cluster"} <= self.model_fields_set:
                raise Clash((key,), f"{at_once} is more than in the whole cluster at once, {self.cluster}; write "
                            f"{self.cluster} or less")
        return self


class BandwidthLimits(Strict):
    """What migrations may take of a link."""

    link_share: Percent = DEFAULT.link_share
    migration_minimum: Bandwidth = DEFAULT.migration_minimum_mib_s
    give_way: Percent | None = DEFAULT.give_way

    _s = field_validator("link_share")(capped(CEILINGS.link_share, "80%"))

    @field_validator("link_share")
    @classmethod
    def _some(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("must be above zero, or no migration could ever begin; write for example 60%")
        return value


    @model_validator(mode="after")
    def _room_for_others(self) -> BandwidthLimits:
        if self.give_way is not None and self.give_way < self.link_share:
            raise Clash(("give_way",), f"{as_percent(self.give_way)} is less than migrations may take by themselves "
                        f"(link_share: {as_percent(self.link_share)}): they would never have their share; write that or "
                        "more, for example 90%")
        return self


class Failover(Strict):
    """What may die at once and its VMs still fit: nothing, or any one host or failure domain."""

    hosts: Annotated[Whole, Field(ge=0, le=1)] = DEFAULT.failover_hosts
    domain: Word = DEFAULT.failover_domain

    @model_validator(mode="after")
    def _domain_counts(self) -> Failover:
        if self.hosts == 0 and "domain" in self.model_fields_set:
            raise Clash(("domain",), "with hosts: 0 no room is kept, so it would do nothing; take it out, or write hosts: 1")
        return self


class Evacuations(Strict):
    """Hosts being emptied."""

    at_once: Annotated[Whole, Field(ge=1)] = DEFAULT.evacuations_at_once
    per_hour: Annotated[Whole, Field(ge=1)] = DEFAULT.evacuations_per_hour

    _a = field_validator("at_once")(capped(CEILINGS.evacuations_at_once, str(CEILINGS.evacuations_at_once)))
    _h = field_validator("per_hour")(capped(CEILINGS.evacuations_per_hour, str(CEILINGS.evacuations_per_hour)))


_SAME_SENSOR = re.compile(r"([0-9]{1,6}) in (\S+)")


def _same_sensor(value: Any) -> tuple[int, float]:
    found = _SAME_SENSOR.fullmatch(str(value).strip())
    if found is None or int(found[1]) < 2:
        raise ValueError(f"{shown(value)}: write hosts and a time, for example 3 in 5m")
    if int(found[1]) > CEILINGS.at_least_hosts:
        raise ValueError(f"{shown(value)}: above the ceiling of {CEILINGS.at_least_hosts} hosts, which no policy can raise")
    return int(found[1]), lasting(found[2])


class BlastRadius(Strict):
    """How many alarms are believed at once."""

    share: Percent = DEFAULT.blast_share
    at_least: Annotated[Whole, Field(ge=1, le=CEILINGS.at_least_hosts)] = DEFAULT.blast_at_least
    same_sensor: Annotated[tuple[int, float], BeforeValidator(_same_sensor), WithJsonSchema({"type": "string"})] = (
        DEFAULT.same_sensor_hosts, float(DEFAULT.same_sensor_within))

    _s = field_validator("share")(capped(CEILINGS.blast_share, "34%"))


class Freeze(Strict):
    """How many silent hosts make us careful, and how many make us stop."""

    caution: Percent = DEFAULT.caution_share
    freeze: Percent = DEFAULT.freeze_share
    at_least: Annotated[Whole, Field(ge=1, le=CEILINGS.at_least_hosts)] = DEFAULT.unknown_at_least
    settle: Duration = float(DEFAULT.settle_after_freeze)

    _c = field_validator("caution")(capped(CEILINGS.caution_share, "20%"))
    _f = field_validator("freeze")(capped(CEILINGS.freeze_share, "34%"))

    @model_validator(mode="after")
    def _careful_first(self) -> Freeze:
        if self.caution > self.freeze:
            raise ValueError("caution comes before freeze: it must not be above it; for example {caution: 10%, freeze: 20%}")
        return self


class Retries(Strict):
    """How often a VM's move is tried again."""

    per_move: Annotated[Whole, Field(ge=0)] = DEFAULT.retries_per_move
    backoff: Duration = float(DEFAULT.retry_backoff)

    _p = field_validator("per_move")(capped(CEILINGS.retries_per_move, str(CEILINGS.retries_per_move)))


class Convergence(Strict):
    """What is done about a migration whose VM dirties its memory nearly as fast as it is copied, or faster."""

    downtime_max: Moment = DEFAULT.downtime_max_ms
    auto_converge: AutoConverge = DEFAULT.auto_converge
    no_progress: Lasting = float(DEFAULT.no_progress)

    _d = field_validator("downtime_max")(capped(CEILINGS.downtime_max_ms, f"{CEILINGS.downtime_max_ms}ms"))


class PowerLimits(Strict):
    """How many hosts we may have switched off, and how fast."""

    hosts_off: Percent = DEFAULT.hosts_off_share
    offs_per_10_min: Annotated[Whole, Field(ge=1)] = DEFAULT.power_offs_per_10_min
    wakes_per_min: Annotated[Whole, Field(ge=1)] = DEFAULT.wakes_per_min
    cycles_per_day: Annotated[Whole, Field(ge=1)] = DEFAULT.power_cycles_per_day

    _s = field_validator("hosts_off")(capped(CEILINGS.hosts_off_share, "50%"))
    _o = field_validator("offs_per_10_min")(capped(CEILINGS.power_offs_per_10_min, str(CEILINGS.power_offs_per_10_min)))
    _w = field_validator("wakes_per_min")(capped(CEILINGS.wakes_per_min, str(CEILINGS.wakes_per_min)))
    _c = field_validator("cycles_per_day")(capped(CEILINGS.power_cycles_per_day, str(CEILINGS.power_cycles_per_day)))

    @field_validator("hosts_off")
    @classmethod
    def _some(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("must be above zero; to keep every host on, let no Consolidation be in mode auto")
        return value


class LimitsModel(PolicyModel):
    """How much at once, and how fast."""

    kind: Literal["Limits"]
    in_flight: InFlight = InFlight()
    bandwidth: BandwidthLimits = BandwidthLimits()
    failover: Failover = Failover()
    evacuations: Evacuations = Evacuations()
    blast_radius: BlastRadius = BlastRadius()
    freeze: Freeze = Freeze()
    retries: Retries = Retries()
    convergence: Convergence = Convergence()
    power: PowerLimits = PowerLimits()
    vcpus_per_processor: Processors | None = DEFAULT.vcpus_per_processor

    def compiled(self) -> Limits:
        """Return the limits as the mind knows them."""
        return Limits(
            in_flight_cluster=self.in_flight.cluster, in_flight_host_out=self.in_flight.host_out,
            in_flight_host_in=self.in_flight.host_in, link_share=self.bandwidth.link_share,
            migration_minimum_mib_s=self.bandwidth.migration_minimum, give_way=self.bandwidth.give_way,
            failover_hosts=self.failover.hosts, failover_domain=self.failover.domain,
            evacuations_at_once=self.evacuations.at_once, evacuations_per_hour=self.evacuations.per_hour,
            blast_share=self.blast_radius.share, blast_at_least=self.blast_radius.at_least,
            same_sensor_hosts=self.blast_radius.same_sensor[0],
            same_sensor_within=Seconds(self.blast_radius.same_sensor[1]), caution_share=self.freeze.caution,
            freeze_share=self.freeze.freeze, unknown_at_least=self.freeze.at_least,
            settle_after_freeze=Seconds(self.freeze.settle), retries_per_move=self.retries.per_move,
            retry_backoff=Seconds(self.retries.backoff), downtime_max_ms=self.convergence.downtime_max,
            auto_converge=self.convergence.auto_converge, no_progress=Seconds(self.convergence.no_progress),
            hosts_off_share=self.power.hosts_off,
            power_offs_per_10_min=self.power.offs_per_10_min, wakes_per_min=self.power.wakes_per_min,
            power_cycles_per_day=self.power.cycles_per_day, vcpus_per_processor=self.vcpus_per_processor)
