"""What speaks against setting the autostart of a VM, and against moving one whose autostart is not what was written down."""

from __future__ import annotations

from ballastd.core.inventory import HostInventory, JobKind, VmRecord
from ballastd.core.plans import AutostartOrder, Order, Refusal, RefusalKind


def why_changed(order: Order, here: VmRecord | None, *, written: bool) -> tuple[Refusal, ...]:
    """Return a refusal where a VM starts with its host, or not, otherwise than is ``written``: what is lost on the way is
    given back by that."""
    if here is None or here.autostart is written:
        return ()
    changed = "starts with its host now" if here.autostart else "does not start with its host any more"
    return (Refusal(RefusalKind.WORLD_CHANGED, f"{changed}: planned otherwise", order.move.vm),)


def why_not_set(order: AutostartOrder, seen: HostInventory) -> Refusal | None:
    """Return why what a host shows does not allow it, or None."""
    here = seen.find(order.vm)
    if not seen.complete or here is None or not here.persistent:
        return Refusal(RefusalKind.VM_GONE, f"is not seen defined for good on {order.host}", order.vm, order.host)
    if here.job is not JobKind.NONE:
        return Refusal(RefusalKind.VM_BUSY, f"a {here.job.value} job holds it now", order.vm, order.host)
    if not order.on and here.state.holds_memory:
        return Refusal(RefusalKind.WORLD_CHANGED, f"is {here.state.value} on {order.host} again", order.vm, order.host)
    return None
