"""The Balance document, and what it shares with Consolidation: cooldowns and budgets of routine moves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import EVERYWHERE, BalancePolicy, Cooldown, Edge, Mode, MoveBudget
from ballastd.core.quantities import Seconds
from ballastd.documents.limits_model import capped
from ballastd.documents.policy_models import PolicyModel, ScopeModel
from ballastd.documents.scalars import Duration, Lasting, Percent, Share, Whole, as_percent, share
from ballastd.documents.validation import Clash, Strict
from ballastd.documents.vm_selectors import Vms, selector_of

DEFAULT = BalancePolicy("")
EDGES = {edge.resource: edge.above for edge in DEFAULT.hot}


def _edge(value: Any) -> float | None:
    return None if value == "off" else share(value)


HotEdge = Annotated[float | None, BeforeValidator(_edge), WithJsonSchema(
    {"type": "string", "examples": ["80%", "off"]})]


class Hot(Strict):
    """Above any of these a host is hot; ``off`` takes one out."""

    cpu: HotEdge = EDGES["cpu"]
    memory: HotEdge = EDGES["memory"]
    network: HotEdge = EDGES["network"]
    cpu_some: Annotated[HotEdge, Field(alias="cpu.pressure.some")] = EDGES.get("cpu.pressure.some")
    cpu_full: Annotated[HotEdge, Field(alias="cpu.pressure.full")] = EDGES.get("cpu.pressure.full")
    memory_some: Annotated[HotEdge, Field(alias="memory.pressure.some")] = EDGES.get("memory.pressure.some")
    memory_full: Annotated[HotEdge, Field(alias="memory.pressure.full")] = EDGES.get("memory.pressure.full")
    io_some: Annotated[HotEdge, Field(alias="io.pressure.some")] = EDGES.get("io.pressure.some")
    io_full: Annotated[HotEdge, Field(alias="io.pressure.full")] = EDGES.get("io.pressure.full")
    hold: Annotated[Duration, Field(alias="for")] = float(DEFAULT.hot_hold)

    @field_validator("cpu_some", "cpu_full", "memory_some", "memory_full", "io_some", "io_full")
    @classmethod
    def _can_be_passed(cls, value: float | None) -> float | None:
        if value == 1.0:
            raise ValueError("no pressure ever lies above 100%; write off")
        return value

    def edges(self) -> tuple[Edge, ...]:
        """Return the edges that count, in the order of the keys."""
        keys = ((field.alias or name, getattr(self, name)) for name, field in type(self).model_fields.items())
        return tuple(Edge(key, value) for key, value in keys if key != "for" and value is not None)


class Cool(Strict):
    """Down to these a hot host is relieved, and no target may be above them afterwards."""

    cpu: Share = DEFAULT.cool_cpu
    memory: Share = DEFAULT.cool_memory
    network: Share = DEFAULT.cool_network


class Imbalance(Strict):
    """The spread between the fullest and the emptiest host that is worth moving for."""

    above: Share = DEFAULT.imbalance_above
    hold: Annotated[Duration, Field(alias="for")] = float(DEFAULT.imbalance_hold)
    minimum_gain: Share = DEFAULT.minimum_gain
    ignore_below: Percent = DEFAULT.ignore_below

    @field_validator("minimum_gain")
    @classmethod
    def _can_be_gained(cls, value: float) -> float:
        if value >= 1.0:
            raise ValueError("no single move takes the whole spread away; write for example 10%")
        return value


class CooldownModel(Strict):
    """How long what was moved is left in peace. ``vm`` is also how long a move has to pay for itself, so never zero."""

    vm: Lasting = float(Cooldown().vm)
    no_return: Lasting = float(Cooldown().no_return)
    host_settle: Duration = float(Cooldown().host_settle)
    foreign_move: Duration = float(Cooldown().foreign_move)

    def compiled(self) -> Cooldown:
        """Return the cooldown as the mind knows it."""
        return Cooldown(Seconds(self.vm), Seconds(self.no_return), Seconds(self.host_settle), Seconds(self.foreign_move))


class BudgetModel(Strict):
    """How many routine moves a policy may make: at once, within an hour, within a day, of one VM within a day."""

    in_flight: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.in_flight
    per_hour: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_hour
    per_day: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_day
    per_vm_per_day: Annotated[Whole, Field(ge=1)] = DEFAULT.budget.per_vm_per_day

    _i = field_validator("in_flight")(capped(CEILINGS.balance_in_flight, str(CEILINGS.balance_in_flight)))
    _h = field_validator("per_hour")(capped(CEILINGS.balance_per_hour, str(CEILINGS.balance_per_hour)))
    _d = field_validator("per_day")(capped(CEILINGS.balance_per_day, str(CEILINGS.balance_per_day)))
    _v = field_validator("per_vm_per_day")(capped(CEILINGS.balance_per_vm_day, str(CEILINGS.balance_per_vm_day)))

    @model_validator(mode="after")
    def _within_the_day(self) -> BudgetModel:
        for key, moves in (("per_hour", self.per_hour), ("per_vm_per_day", self.per_vm_per_day)):
            # what was not written is a default, and nobody's contradiction
            if moves > self.per_day and {key, "per_day"} <= self.model_fields_set:
                raise Clash((key,), f"{moves} is more than per_day, {self.per_day}: it would never be reached; write "
                            f"{self.per_day} or less")
        return self

    def compiled(self) -> MoveBudget:
        """Return the budget as the mind knows it."""
        return MoveBudget(self.in_flight, self.per_hour, self.per_day, self.per_vm_per_day)


class BalanceModel(PolicyModel):
    """Relieve hot hosts, then even out. Without ``mode`` it only observes."""

    kind: Literal["Balance"]
    scope: ScopeModel | None = None
    vms: Vms | None = None
    hot: Hot = Hot()
    cool: Cool = Cool()
    imbalance: Imbalance = Imbalance()
    cooldown: CooldownModel = CooldownModel()
    budget: BudgetModel = BudgetModel()
    windows: list[str] = Field(default_factory=list)
    mode: Mode = Mode.OBSERVE

    @model_validator(mode="after")
    def _sound(self) -> BalanceModel:
        for key, hot, cool in (("cpu", self.hot.cpu, self.cool.cpu), ("memory", self.hot.memory, self.cool.memory),
                               ("network", self.hot.network, self.cool.network)):
            if hot is not None and cool >= hot:
                raise Clash(("cool", key), f"{as_percent(cool)} is not below {as_percent(hot)}, above which a host is hot: "
                            "what was relieved would be hot again at once")
        # a mark that nobody wrote, and that is none until the settings say what a network carries, is no edge yet
        counts = [edge for edge in self.hot.edges() if edge.resource != "network" or "network" in self.hot.model_fields_set]
        if not counts and self.imbalance.above >= 1.0:
            raise Clash(("hot",), "every edge is off, and no spread lies above 100%: nothing would ever be moved")
        return self

    def compiled(self, source: str) -> BalancePolicy:
        """Return the policy as the mind knows it."""
        return BalancePolicy(
            name=self.name, hot=self.hot.edges(), hot_hold=Seconds(self.hot.hold), cool_cpu=self.cool.cpu,
            cool_memory=self.cool.memory, cool_network=self.cool.network, imbalance_above=self.imbalance.above,
            imbalance_hold=Seconds(self.imbalance.hold), minimum_gain=self.imbalance.minimum_gain,
            ignore_below=self.imbalance.ignore_below, cooldown=self.cooldown.compiled(), budget=self.budget.compiled(),
            windows=tuple(self.windows), scope=self.scope.compiled() if self.scope else EVERYWHERE,
            vms=selector_of(self.vms), mode=self.mode, description=self.description, source=source)
