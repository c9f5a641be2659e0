"""The Placement document: where VMs may live, as a rule that holds or as a wish that weighs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from ballastd.core.policies import EVERY_VM, EVERYWHERE, Mode, PlacementPolicy, Rule, Scope, VmSelector
from ballastd.core.quantities import Seconds
from ballastd.documents.balance_models import BudgetModel, CooldownModel
from ballastd.documents.policy_models import PolicyModel, ScopeModel, named_hosts
from ballastd.documents.scalars import Duration, shown
from ballastd.documents.validation import Clash
from ballastd.documents.vm_selectors import Vms, Word, selector_of

DEFAULT = PlacementPolicy("", EVERY_VM, Rule.APART)
WISH_WEIGHT = 10
WEIGHT_MAX = 100
COMPANY = (Rule.APART, Rule.TOGETHER)
PLACES = (Rule.ON, Rule.NEVER_ON)
_WISH = re.compile(r"should(?:\s*\(\s*([0-9]{1,9})\s*\))?", re.ASCII)


def _strength(value: Any) -> int | None:
    found = _WISH.fullmatch(value.strip()) if isinstance(value, str) else None
    if value == "must":
        return None
    if found is None:
        raise ValueError(f"{shown(value)}: write must, should, or should with a weight, for example should(5)")
    weight = int(found[1] or WISH_WEIGHT)
    if not 1 <= weight <= WEIGHT_MAX:
        raise ValueError(f"{shown(value)}: a weight is 1 to {WEIGHT_MAX}, and should alone means {WISH_WEIGHT}")
    return weight


Strength = Annotated[int | None, BeforeValidator(_strength), WithJsonSchema(
    {"type": "string", "pattern": r"^(must|should(\([0-9]+\))?)$", "examples": ["must", "should(5)"]})]


def _hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{shown(value)}: write a list of host names and patterns, for example [rack1-*], or "
                         "{labels: {rack: r1}}")
    return named_hosts(value, "a rule about all of them is no rule; write for example [rack1-*]")


def _how_given(value: Any) -> str:
    return "scope" if isinstance(value, dict | ScopeModel) else "names"


Hosts = Annotated[
    Annotated[tuple[str, ...], BeforeValidator(_hosts), WithJsonSchema(
        {"type": "array", "items": {"type": "string"}, "minItems": 1}), Tag("names")]
    | Annotated[ScopeModel, Tag("scope")], Discriminator(_how_given)]


class PlacementModel(PolicyModel):
    """A rule about where VMs may live. Without ``strength`` it must hold, without ``mode`` its breach is only shown."""

    kind: Literal["Placement"]
    vms: Vms
    rule: Rule
    across: Word | None = None
    hosts: Hosts | None = None
    strength: Strength = None
    hold: Annotated[Duration, Field(alias="for")] = float(DEFAULT.hold)
    cooldown: CooldownModel = CooldownModel()
    budget: BudgetModel = BudgetModel()
    windows: list[str] = Field(default_factory=list)
    mode: Mode = Mode.OBSERVE

    @model_validator(mode="after")
    def _sound(self) -> PlacementModel:
        rule = self.rule.value
        if self.across is not None and self.rule not in COMPANY:
            raise Clash(("across",), f"it belongs to apart and together, and would do nothing for {rule}; take it out")
        if self.hosts is not None and self.rule not in PLACES:
            raise Clash(("hosts",), f"it belongs to on and never-on, and would do nothing for {rule}; take it out")
        if self.hosts is None and self.rule in PLACES:
            raise Clash(("hosts",), f"{rule} needs the hosts it speaks of; write for example [rack1-*]")
        if self.host_scope == EVERYWHERE and self.rule in PLACES:
            raise Clash(("hosts",), f"{rule} all hosts is no rule; write for example [rack1-*]")
        if self.rule is Rule.PINNED and not self.must:
            raise Clash(("strength",), "what is pinned is moved by nobody but an operator; write must, or take it out")
        if self.rule is Rule.PINNED and self.mode is not Mode.OBSERVE:
            raise Clash(("mode",), "a pin cannot be broken, so there is nothing to put right; take it out")
        for key, field in (("for", "hold"), ("cooldown", "cooldown"), ("budget", "budget"), ("windows", "windows")):
            if self.rule is Rule.PINNED and field in self.model_fields_set:
                raise Clash((key,), "a pin cannot be broken, so there is nothing to put right; take it out")
        return self

    @property
    def host_scope(self) -> Scope:
        """The hosts it speaks of; every host where it speaks of none."""
        if self.hosts is None:
            return EVERYWHERE
        return self.hosts.compiled() if isinstance(self.hosts, ScopeModel) else Scope(self.hosts)

    @property
    def selector(self) -> VmSelector:
        """The VMs it speaks of."""
        return selector_of(self.vms)

    @property
    def must(self) -> bool:
        """Whether no move of ours may break it."""
        return self.strength is None

    @property
    def places(self) -> str:
        """What apart and together count as one place: ``host`` or a label."""
        return self.across or "host"

    def compiled(self, source: str) -> PlacementPolicy:
        """Return the policy as the mind knows it."""
        return PlacementPolicy(
            name=self.name, vms=self.selector, rule=self.rule, across=self.places, hosts=self.host_scope,
            weight=self.strength, hold=Seconds(self.hold), cooldown=self.cooldown.compiled(),
            budget=self.budget.compiled(), windows=tuple(self.windows), mode=self.mode, description=self.description,
            source=source)
