"""What a VM keeps outside of its memory, and whether a host sees it: asked of libvirt's in-process driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ballastd.adapters.libvirt.storage import Sights, Source, look_for
from ballastd.adapters.libvirt.xml_facts import domain_facts
from tests.unit.adapters.libvirt.domains import domain

libvirt = pytest.importorskip("libvirt")

POOL, PLACE = "default-pool", "/default-pool"


def sources(devices: str = "", os: str = "") -> list[tuple[str, str, str, str]]:
    return [(one.thing, one.place, one.path, one.pool) for one in domain_facts(domain(devices, os=os), ()).sources]


def disk(kind: str, source: str, more: str = "", device: str = "disk") -> str:
    return f"<disk type='{kind}' device='{device}'><source {source}/>{more}<target dev='vda'/></disk>"


READ: dict[str, tuple[str, list[tuple[str, str, str, str]]]] = {
    "a file": (disk("file", "file='/srv/a.raw'"), [("vda", "/srv/a.raw", "/srv/a.raw", "")]),
    "a block device": (disk("block", "dev='/dev/vg/a'"), [("vda", "/dev/vg/a", "/dev/vg/a", "")]),
    "an image in a drive": (disk("file", "file='/srv/x.iso'", device="cdrom"), [("vda", "/srv/x.iso", "/srv/x.iso", "")]),
    "an image that may be missing": (disk("file", "file='/srv/x.iso' startupPolicy='optional'", device="cdrom"), []),
    "an image that is dropped on the way": (disk("file", "file='/srv/x.iso' startupPolicy='requisite'"), []),
    "an image that has to be there": (disk("file", "file='/srv/x.iso' startupPolicy='mandatory'"),
                                      [("vda", "/srv/x.iso", "/srv/x.iso", "")]),
    "an empty drive": ("<disk type='file' device='cdrom'><target dev='sda'/></disk>", []),
    "a volume of a pool": (disk("volume", "pool='p' volume='v'"), [("vda", "p:v", "v", "p")]),
    "an image of RBD": (disk("network", "protocol='rbd' name='vms/a'"), [("vda", "rbd:vms/a", "vms/a", "")]),
    "an export of NBD": (disk("network", "protocol='nbd' name='x'"), [("vda", "nbd:x", "", "")]),
    "a disk with all that it is based on": (
        disk("file", "file='/srv/a'", "<backingStore type='file'><source file='/srv/b'/><backingStore type='block'>"
             "<source dev='/dev/c'/><backingStore/></backingStore></backingStore>"),
        [("vda", "/srv/a", "/srv/a", ""), ("vda's base", "/srv/b", "/srv/b", ""), ("vda's base", "/dev/c", "/dev/c", "")]),
}


@pytest.mark.parametrize(("devices", "found"), READ.values(), ids=READ.keys())
def test_what_has_to_be_seen_wherever_it_runs(devices: str, found: list[tuple[str, str, str, str]]) -> None:
    assert sources(devices) == found


def test_what_it_boots_has_to_be_seen_too() -> None:
    os = ("<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader><nvram>/srv/web_VARS.fd</nvram>"
          "<kernel>/srv/vmlinuz</kernel><initrd>/srv/initrd</initrd>")
    assert [thing for thing, *_ in sources(os=os)] == ["its kernel", "its initrd", "its UEFI variables"], (
        "what comes with the emulator does not")
    os = "<nvram type='network'><source protocol='rbd' name='vms/vars'/></nvram>"
    assert sources(os=os) == [("its UEFI variables", "rbd:vms/vars", "vms/vars", "")]


@pytest.fixture
def conn() -> Iterator[Any]:
    opened = libvirt.open("test:///default")
    pool = opened.storagePoolLookupByName(POOL)
    volume = pool.createXML("<volume><name>a.raw</name><capacity>4096</capacity></volume>")
    yield opened
    if not pool.isActive():
        pool.create()
    if "a.raw" in pool.listVolumes():  # the driver's state is one for all that have it open
        volume.delete()
    opened.close()


def test_what_a_pool_lists_is_seen_and_of_the_rest_nobody_knows(conn: Any) -> None:
    there, elsewhere = Source("vda", f"{PLACE}/a.raw", f"{PLACE}/a.raw"), Source("vdb", "/srv/b.raw", "/srv/b.raw")
    younger, export = Source("vdc", f"{PLACE}/new.raw", f"{PLACE}/new.raw"), Source("vdd", "nbd:x")
    assert look_for(conn, (there, elsewhere, younger, export)) == Sights(unknown=(elsewhere, younger, export)), (
        "a list may be older than a disk")


def test_a_volume_of_a_pool_is_there_or_it_is_not(conn: Any) -> None:
    there, missing, nowhere = (Source("vda", f"{pool}:{name}", name, pool)
                               for pool, name in ((POOL, "a.raw"), (POOL, "b.raw"), ("other", "a.raw")))
    assert look_for(conn, (there,)) == Sights()
    assert look_for(conn, (missing, nowhere)).gone == (
        f"vda {POOL}:b.raw is not there: storage pool {POOL} does not list it",
        "vda other:a.raw is not there: there is no storage pool other")
    conn.storagePoolLookupByName(POOL).destroy()
    assert look_for(conn, (there,)).gone == (f"vda {POOL}:a.raw is not there: storage pool {POOL} is not active",)
