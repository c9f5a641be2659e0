"""Whether a target sees a guest's disks, on real hosts: who lost its storage is found out, who cannot say is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import HostName
from ballastd.errors import MigrationRefused
from tests.contracts.lab_world import LibvirtWorld
from tests.contracts.worlds import an_order
from tests.integration.libvirt_parts import Tell, lab, tell
from tests.lab import Lab, LabError, missing

__all__ = ["lab", "tell"]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]

H1, H2 = HostName("h1"), HostName("h2")


@contextmanager
def pooled(lab: Lab, host: HostName) -> Iterator[None]:
    """Have a storage pool on the directory of all disks for a while."""
    lab.hosts[host].virsh("pool-create-as", "disks", "dir", "--target", str(lab.plan.path / "disks"))
    try:
        yield
    finally:
        with suppress(LabError):
            lab.hosts[host].virsh("pool-destroy", "disks")


@contextmanager
def hidden(lab: Lab, host: HostName) -> Iterator[None]:
    """Have a host see an empty directory where all disks are: what is mounted over it is mounted there alone."""
    disks = str(lab.plan.path / "disks")
    assert lab.hosts[host].run(["mount", "-t", "tmpfs", "nothing", disks]).wait(5.0) == 0
    try:
        yield
    finally:
        lab.hosts[host].run(["umount", disks]).wait(5.0)


def test_a_target_that_lost_its_storage_is_refused_and_one_that_has_it_is_not(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="locked")
        disk = f"vdb {lab.plan.path}/disks/{world.guests[vm].name}.raw"
        with pooled(lab, H2):
            seen = await world.hypervisor.examine(an_order(vm))
            assert seen.refusals == ()
            assert disk not in seen.unknown
            with hidden(lab, H2):
                [no] = (await world.hypervisor.examine(an_order(vm))).refusals
            assert (no.kind, no.host) == (RefusalKind.STORAGE, H2)
            assert no.detail == f"{disk} is not there: storage pool disks lists it, and it is gone"
            assert (await world.hypervisor.examine(an_order(vm))).refusals == (), "it is back"

    tell(story)


def test_where_no_pool_answers_nothing_is_refused_but_by_libvirt_itself(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="locked")
        disk = f"vdb {lab.plan.path}/disks/{world.guests[vm].name}.raw"
        with hidden(lab, H2):
            found = await world.hypervisor.examine(an_order(vm))
            assert found.refusals == ()
            assert disk in found.unknown
            with pytest.raises(MigrationRefused, match="Cannot access storage file"):
                await world.hypervisor.migrate(an_order(vm))
        await world.hypervisor.migrate(an_order(vm))

    tell(story)


def test_a_disk_that_is_younger_than_the_list_is_not_known_to_be_missing(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        (lab.plan.path / "disks").mkdir(exist_ok=True)
        with pooled(lab, H2):
            vm = await world.start_guest(H1, memory_mib=8, disk="locked")
            found = await world.hypervisor.examine(an_order(vm))
            assert found.refusals == ()
            assert f"disks/{world.guests[vm].name}.raw" in found.unknown
            await world.hypervisor.migrate(an_order(vm))

    tell(story)
