"""The call that asks a guest to shut down in order. Blocks; runs on a connection of its own: an agent may take its time."""

from __future__ import annotations

from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import NO_DOMAIN
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml, shown
from ballastd.core.quantities import VmId
from ballastd.errors import ShutdownRefused

GOES_OFF = "destroy"
"""What libvirt calls it when a VM whose guest has powered off is simply off."""


def ask(conn: Any, vm: VmId) -> ShutdownRefused | None:
    """Ask by the guest's agent, and by its power button where that is not there or does not answer; return what speaks
    against it. Of one that does not run nothing is asked.

    libvirt makes a reboot of it where the VM is defined to start again once it has powered off: such a one is not asked.
    """
    libvirt = load_libvirt()
    try:
        domain = conn.lookupByUUIDString(vm)
        if not domain.isActive():
            return None
        if (why := _why_not_off(domain.XMLDesc(0))) is not None:
            return ShutdownRefused(why)
        domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT | libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        return None if trouble.code == NO_DOMAIN else ShutdownRefused(str(trouble))
    return None


def _why_not_off(text: str) -> str | None:
    """Return why a guest of this definition would not stay off, or nobody can say; None where it would."""
    try:
        after = (read_xml(text).findtext("on_poweroff") or GOES_OFF).strip()
    except XmlError as error:
        return f"its definition cannot be read: {error}"
    return None if after == GOES_OFF else f"it would not stay off: on_poweroff is {shown(after)}, not {GOES_OFF}"
