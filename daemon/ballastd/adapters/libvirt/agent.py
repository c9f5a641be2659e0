"""A guest's agent, asked through libvirt whether it is there. Blocks, for as long as libvirt waits for it."""

from __future__ import annotations

from typing import Any

from ballastd.adapters.libvirt.binding import load_agents, load_libvirt
from ballastd.adapters.libvirt.errors_map import AGENT_UNRESPONSIVE, AGENT_UNSYNCED, ARGUMENT_UNSUPPORTED, NO_DOMAIN
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.core.quantities import VmId

PING = '{"execute":"guest-ping"}'
PING_SECONDS = 2
SYNC_SECONDS = 5
"""So long libvirt lets an agent find its feet, before it passes anything on."""
DEADLINE_SECONDS = PING_SECONDS + SYNC_SECONDS + 1.0
_WHY = {ARGUMENT_UNSUPPORTED: "it has no channel for an agent", AGENT_UNRESPONSIVE: "its agent does not answer",
        AGENT_UNSYNCED: "its agent does not answer", NO_DOMAIN: "it is not there"}
"""All that libvirt may say of the guest; anything else it says is of itself."""


def ping(conn: Any, vm: VmId) -> str:
    """Return why the agent of ``vm`` does not answer, empty where it does. What it answers is not looked at.

    Raises:
        libvirtError: nobody knows whether it does.
    """
    libvirt = load_libvirt()
    try:
        load_agents().qemuAgentCommand(conn.lookupByUUIDString(vm), PING, PING_SECONDS, 0)
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection or trouble.code not in _WHY:
            raise
        return f"{_WHY[trouble.code]}: {trouble}"
    return ""
