"""The Consolidation document: when VMs are packed together, and when emptied hosts go off and come back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from ballastd.core.policies import EVERYWHERE, ConsolidationPolicy, During, Mode
from ballastd.core.quantities import Seconds
from ballastd.documents.balance_models import BudgetModel, CooldownModel
from ballastd.documents.policy_models import PolicyModel, ScopeModel
from ballastd.documents.scalars import Duration, Percent, Share, Whole, as_percent, shown
from ballastd.documents.validation import Clash, Strict
from ballastd.documents.vm_selectors import Vms, selector_of
from ballastd.documents.window_models import Schedule, Several, as_schedules

DEFAULT = ConsolidationPolicy("", "")
POWER_GAP = 0.10
"""At least so far apart are the load below which a host goes off and the one above which a host is woken."""


def _window(value: Any) -> Any:
    if not isinstance(value, str | dict | Schedule | list | tuple):
        raise ValueError(f'{shown(value)}: write the name of a Window, or its times, for example {{days: [mon-fri], at: '
                         '"22:00", for: 7h, timezone: Europe/Berlin}')
    return value


def _how_given(value: Any) -> str:
    return "name" if isinstance(value, str) else "several" if isinstance(value, list | tuple) else "times"


OwnWindow = Annotated[
    Annotated[str, Tag("name")] | Annotated[Schedule, Tag("times")] | Annotated[Several, Tag("several")],
    Discriminator(_how_given), BeforeValidator(_window)]


class FillTo(Strict):
    """How full packing may make a host."""

    cpu: Share = DEFAULT.fill_cpu
    memory: Share = DEFAULT.fill_memory
    during: During = DEFAULT.fill_during
    network: Share = DEFAULT.fill_network


class Spare(Strict):
    """What stays free beside that."""

    hosts: Annotated[Whole, Field(ge=0, le=1000)] = DEFAULT.spare_hosts
    share: Percent = DEFAULT.spare_share

    @field_validator("share")
    @classmethod
    def _leaves_something(cls, value: float) -> float:
        if value >= 1.0:
            raise ValueError("with everything kept free nothing could ever be packed; write for example 10%")
        return value


class PowerOff(Strict):
    """When one more host may go off, and how long it must have been on."""

    below: Share = DEFAULT.power_off_below
    hold: Annotated[Duration, Field(alias="for")] = float(DEFAULT.power_off_hold)
    minimum_on: Duration = float(DEFAULT.minimum_on)


class PowerOn(Strict):
    """When a host is woken, and how long it must have been off."""

    above: Share = DEFAULT.power_on_above
    hold: Annotated[Duration, Field(alias="for")] = float(DEFAULT.power_on_hold)
    minimum_off: Duration = float(DEFAULT.minimum_off)
    ahead_of_window_end: Duration = float(DEFAULT.wake_ahead)

    @field_validator("above")
    @classmethod
    def _can_be_passed(cls, value: float) -> float:
        if value >= 1.0:
            raise ValueError("no load lies above 100%, nothing would ever be woken; write for example 81%")
        return value


class PackingBudget(BudgetModel):
    """The same, with more room: a cluster is packed in one evening."""

    in_flight: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.in_flight
    per_hour: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_hour
    per_day: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_day
    per_vm_per_day: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_vm_per_day


class ConsolidationModel(PolicyModel):
    """Pack VMs within a window, and switch emptied hosts off. Without ``mode`` it only observes."""

    kind: Literal["Consolidation"]
    scope: ScopeModel | None = None
    vms: Vms | None = None
    window: OwnWindow
    windows: list[str] = Field(default_factory=list)
    fill_to: FillTo = FillTo()
    spare: Spare = Spare()
    power_off: PowerOff = PowerOff()
    power_on: PowerOn = PowerOn()
    cooldown: CooldownModel = CooldownModel()
    budget: PackingBudget = PackingBudget()
    mode: Mode = Mode.OBSERVE

    @model_validator(mode="after")
    def _sound(self) -> ConsolidationModel:
        woken = self.power_on.above
        for key, full in (("cpu", self.fill_to.cpu), ("memory", self.fill_to.memory)):
            if full >= woken:
                raise Clash(("fill_to", key), f"{as_percent(full)} is not below power_on.above, {as_percent(woken)}: "
                            "packing would wake a host at once")
        if self.power_off.below > woken - POWER_GAP + 1e-9:
            raise Clash(("power_off", "below"), f"{as_percent(self.power_off.below)} is less than 10 points below "
                        f"power_on.above, {as_percent(woken)}: hosts would go off and on; write for example 45% and 81%")
        return self

    @property
    def shortest_use(self) -> float:
        """A window must last longer than this for a host to stay off as long as it must and be woken ahead of the end."""
        return self.power_on.minimum_off + self.power_on.ahead_of_window_end

    @property
    def window_name(self) -> str:
        """The window's name. One of its own has a dot in it, which no Window document's name has."""
        return self.window if isinstance(self.window, str) else f"{self.name}.window"

    @property
    def own_times(self) -> tuple[Schedule, ...]:
        """The times that stand here; none where a window is named."""
        return () if isinstance(self.window, str) else as_schedules(self.window)

    def compiled(self, source: str) -> ConsolidationPolicy:
        """Return the policy as the mind knows it."""
        off, on = self.power_off, self.power_on
        return ConsolidationPolicy(
            name=self.name, window=self.window_name, denials=tuple(self.windows),
            fill_cpu=self.fill_to.cpu, fill_memory=self.fill_to.memory, fill_network=self.fill_to.network,
            fill_during=self.fill_to.during,
            spare_hosts=self.spare.hosts, spare_share=self.spare.share, power_off_below=off.below,
            power_off_hold=Seconds(off.hold), minimum_on=Seconds(off.minimum_on), power_on_above=on.above,
            power_on_hold=Seconds(on.hold), minimum_off=Seconds(on.minimum_off),
            wake_ahead=Seconds(on.ahead_of_window_end), cooldown=self.cooldown.compiled(), budget=self.budget.compiled(),
            scope=self.scope.compiled() if self.scope else EVERYWHERE, vms=selector_of(self.vms), mode=self.mode,
            description=self.description, source=source)
