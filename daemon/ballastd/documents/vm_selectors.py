"""Which VMs a policy speaks of. Nothing, and everything by accident, are mistakes; everything on purpose is a word."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Tag, field_validator, model_validator

from ballastd.core.policies import EVERY_VM, VM_MARK, VmSelector
from ballastd.documents.scalars import shown
from ballastd.documents.validation import Strict

WORD_MAX = 255


def is_everything(pattern: str) -> bool:
    """Return whether a pattern matches every name."""
    return "*" in pattern and not pattern.strip("*?")


def _word(value: str) -> str:
    if not value or value != value.strip() or len(value) > WORD_MAX:
        raise ValueError(f"{shown(value)} is no word, or one that begins or ends in a blank; write it as the VM or host has "
                         "it")
    return value


def _mark(value: str) -> str:
    if not VM_MARK.fullmatch(value):
        raise ValueError(f"{shown(value)} can be no tag or group of a VM: those are letters, digits, dots, dashes and "
                         "underscores, 64 at most; write for example web-server")
    return value


Word = Annotated[str, AfterValidator(_word)]
Mark = Annotated[str, AfterValidator(_mark)]


class VmSelectorModel(Strict):
    """VMs by tag, by name pattern, by group; all that is given must hold. Every VM is the word ``all``."""

    tag: Mark | None = None
    tags: list[Mark] | None = None
    name: Word | None = None
    names: list[Word] | None = None
    group: Mark | None = None

    @field_validator("tags", "names")
    @classmethod
    def _some(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("an empty list selects nothing; write at least one, or take the key out")
        return value

    @field_validator("name", "names")
    @classmethod
    def _not_everything(cls, value: str | list[str] | None) -> str | list[str] | None:
        for pattern in [value] if isinstance(value, str) else value or []:
            if is_everything(pattern):
                raise ValueError(f"{shown(pattern)} is every VM; write vms: all if that is meant, or for example web-*")
        return value

    @model_validator(mode="after")
    def _says_something(self) -> VmSelectorModel:
        for one, many in (("tag", "tags"), ("name", "names")):
            if getattr(self, one) is not None and getattr(self, many) is not None:
                raise ValueError(f"write either {one} or {many}; {many}: [a, b] takes them all")
        if self.compiled() == VmSelector():
            raise ValueError("selects nothing; write tag: web, tags: [web, prod], name: web-*, names: [a, b] or group: shop")
        return self

    def compiled(self) -> VmSelector:
        """Return the selector as the mind knows it, each of its words once and in order."""
        names = self.names or [name for name in (self.name,) if name is not None]
        tags = self.tags or [tag for tag in (self.tag,) if tag is not None]
        return VmSelector(tuple(sorted(set(names))), tuple(sorted(set(tags))), self.group or "")


def _all(value: Any) -> str:
    if value != "all":
        raise ValueError(f"{shown(value)}: write all, or which VMs, for example {{tag: web}}, {{name: web-*}} or "
                         "{group: shop}")
    return "all"


def _how_given(value: Any) -> str:
    return "selector" if isinstance(value, dict | VmSelectorModel) else "word"


Vms = Annotated[
    Annotated[Literal["all"], BeforeValidator(_all), Tag("word")] | Annotated[VmSelectorModel, Tag("selector")],
    Discriminator(_how_given)]


def selector_of(vms: VmSelectorModel | str | None) -> VmSelector:
    """Return the selector as the mind knows it; every VM where nothing is said, or the word all."""
    return vms.compiled() if isinstance(vms, VmSelectorModel) else EVERY_VM
