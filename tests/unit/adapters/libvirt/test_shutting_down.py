"""How a guest is asked to shut down by libvirt: agent, then button; never one that would start again by itself."""

from __future__ import annotations

from typing import Any

import pytest

from ballastd.adapters.libvirt.shutting_down import ask
from ballastd.core.quantities import VmId
from ballastd.errors import ShutdownRefused

libvirt = pytest.importorskip("libvirt")

VM = VmId("0000000a-0000-4000-8000-000000000000")
GENTLY = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT | libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN


class Domain:
    """A domain that notes with which flags it is asked: no real driver of libvirt shows them."""

    def __init__(self, after: str = "<on_poweroff>destroy</on_poweroff>", *, active: bool = True) -> None:
        self.after, self.active, self.asked = after, active, list[int]()

    def lookupByUUIDString(self, uuid: str) -> Domain:  # noqa: N802  the binding's name
        assert uuid == VM
        return self

    def isActive(self) -> bool:  # noqa: N802  the binding's name
        return self.active

    def XMLDesc(self, flags: int) -> str:  # noqa: N802  the binding's name
        assert flags == 0
        return f"<domain><name>a</name>{self.after}</domain>"

    def shutdownFlags(self, flags: int) -> int:  # noqa: N802  the binding's name
        self.asked.append(flags)
        return 0


def test_a_guest_is_asked_by_its_agent_and_else_by_its_button() -> None:
    domain = Domain()
    assert ask(domain, VM) is None
    assert domain.asked == [GENTLY]
    domain = Domain(after="")
    assert ask(domain, VM) is None
    assert domain.asked == [GENTLY], "libvirt's default is to be off"


@pytest.mark.parametrize("after", ["restart", "preserve", "rename-restart", "whatever"])
def test_one_that_would_not_stay_off_is_not_asked(after: str) -> None:
    domain = Domain(f"<on_poweroff>{after}</on_poweroff>")
    no = ask(domain, VM)
    assert isinstance(no, ShutdownRefused)
    assert f"on_poweroff is {after}" in str(no)
    assert domain.asked == []


def test_one_whose_definition_cannot_be_read_is_not_asked() -> None:
    domain = Domain("<on_poweroff>")
    assert "cannot be read" in str(ask(domain, VM))
    assert domain.asked == []


def test_one_that_does_not_run_is_not_asked() -> None:
    domain = Domain(active=False)
    assert ask(domain, VM) is None
    assert domain.asked == []


def test_what_libvirt_says_against_it_is_told() -> None:
    connection: Any = libvirt.open("test:///default")
    try:
        [domain] = connection.listAllDomains()
        no = ask(connection, VmId(domain.UUIDString()))
        assert isinstance(no, ShutdownRefused), "this driver knows neither agents nor buttons"
        assert domain.isActive()
        assert ask(connection, VM) is None, "who is not there is not asked"
    finally:
        connection.close()
