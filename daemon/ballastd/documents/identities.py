"""Identities of pretend things: the same names give the same UUIDs, so that a file need not carry them."""

from __future__ import annotations

import uuid

from ballastd.core.quantities import VmId

_OURS = uuid.uuid5(uuid.NAMESPACE_URL, "https://ballastd.org/cluster/1")


def vm_id(cluster: str, name: str) -> VmId:
    """Return the id of the VM called ``name`` in the cluster called ``cluster``."""
    return VmId(str(uuid.uuid5(_OURS, f"{cluster}/vm/{name}")))


def machine_id(cluster: str, host: str) -> str:
    """Return the SMBIOS UUID of the host called ``host`` in the cluster called ``cluster``."""
    return str(uuid.uuid5(_OURS, f"{cluster}/host/{host}"))
