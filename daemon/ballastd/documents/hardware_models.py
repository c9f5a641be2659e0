"""The keys of a saved cluster that say what a machine is, and what a VM cannot do without beside ordinary memory."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from ballastd.core.hardware import (
    NUMBERS_MAX,
    Backing,
    Emulator,
    Hardware,
    Needs,
    PagePool,
    numbers_from_words,
    numbers_in_words,
)
from ballastd.core.quantities import Bytes
from ballastd.documents.scalars import Size, Whole, YesNo, shown, size
from ballastd.documents.validation import Strict
from ballastd.documents.written import size as size_text

LIST_MAX = 1024
TEXT_MAX = 255
PAGES_MAX = 1 << 40


def _numbers(value: Any) -> tuple[int, ...]:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else "?"
    try:
        found = numbers_from_words(text) if text else ()
    except ValueError:
        found = ()
    if text and not found:
        raise ValueError(f"{shown(value)} is no set of numbers below {NUMBERS_MAX}; write for example \"0-3,8\"")
    return found


def _page(value: Any) -> int:
    if value == "default":
        return 0
    found = size(value)
    if not found:
        raise ValueError("a page of no size; write for example 2MiB, or default")
    return found


def _short(value: str) -> str:
    if len(value) > TEXT_MAX:
        raise ValueError(f"{shown(value)} is longer than {TEXT_MAX} characters; say it shorter")
    return value


Short = Annotated[str, AfterValidator(_short)]
Numbers = Annotated[tuple[int, ...], BeforeValidator(_numbers), WithJsonSchema({"type": "string", "examples": ["0-3,8"]})]
Page = Annotated[int, BeforeValidator(_page), WithJsonSchema({"type": "string", "examples": ["2MiB"]})]
Shorts = Annotated[list[Short], Field(max_length=LIST_MAX)]


class PoolModel(Strict):
    """Huge pages of one size that a machine has set aside on one NUMA node."""

    size: Annotated[Page, Field(ge=1)]
    pages: Annotated[Whole, Field(ge=0, le=PAGES_MAX)]
    node: Annotated[Whole, Field(ge=0, lt=NUMBERS_MAX)] = 0


class EmulatorModel(Strict):
    """What guests of one architecture may be."""

    arch: Short
    kinds: Shorts = Field(default_factory=list)
    machines: Shorts = Field(default_factory=list)


class HardwareModel(Strict):
    """What a machine is. What is not said is not known."""

    nodes: Numbers = ()
    cpus: Numbers = ()
    huge_pages: Annotated[list[PoolModel], Field(max_length=LIST_MAX)] = Field(default_factory=list)
    processor: Shorts = Field(default_factory=list)
    emulators: Annotated[list[EmulatorModel], Field(max_length=LIST_MAX)] = Field(default_factory=list)

    def hardware(self) -> Hardware:
        """Return it as the mind knows it."""
        return Hardware(
            self.nodes, self.cpus, tuple(sorted(PagePool(Bytes(one.size), one.pages, one.node) for one in self.huge_pages)),
            tuple(self.processor),
            tuple(sorted(Emulator(one.arch, tuple(one.kinds), tuple(one.machines)) for one in self.emulators)))


class BackingModel(Strict):
    """Memory of a VM that comes from huge pages of one size."""

    size: Page = 0
    memory: Size


class NeedsModel(Strict):
    """What a VM cannot do without."""

    huge_pages: Annotated[list[BackingModel], Field(max_length=LIST_MAX)] = Field(default_factory=list)
    nodes: Numbers = ()
    cpus: Numbers = ()
    arch: Short = ""
    machine: Short = ""
    kind: Short = ""
    sees_host: YesNo = False
    likeness: Short = ""

    def needs(self) -> Needs:
        """Return it as the mind knows it."""
        backing = tuple(sorted(Backing(Bytes(one.size), Bytes(one.memory)) for one in self.huge_pages))
        return Needs(backing, self.nodes, self.cpus, self.arch, self.machine, self.kind, self.sees_host, self.likeness)


def hardware_text(hardware: Hardware) -> dict[str, Any]:
    """Return a machine as it stands in a file: what is not known is left out."""
    pools = [{"size": size_text(pool.size), "pages": pool.total, **({"node": pool.node} if pool.node else {})}
             for pool in hardware.pools]
    emulators = [{"arch": one.arch, "kinds": list(one.kinds), "machines": list(one.machines)} for one in hardware.emulators]
    return _said(nodes=numbers_in_words(hardware.nodes), cpus=numbers_in_words(hardware.cpus), huge_pages=pools,
                 processor=list(hardware.processor), emulators=emulators)


def needs_text(needs: Needs) -> dict[str, Any]:
    """Return what a VM needs as it stands in a file."""
    backing = [{"size": size_text(one.size) if one.size else "default", "memory": size_text(one.memory)}
               for one in needs.backing]
    return _said(huge_pages=backing, nodes=numbers_in_words(needs.nodes), cpus=numbers_in_words(needs.cpus),
                 arch=needs.arch, machine=needs.machine, kind=needs.kind, sees_host=needs.sees_host,
                 likeness=needs.likeness)


def _said(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
