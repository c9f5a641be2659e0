"""What holds a guest where it is: each reason with its kind, the thing and a cure."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.pins import PINS_MAX
from ballastd.adapters.libvirt.xml_facts import domain_facts
from ballastd.core.inventory import Pin, PinKind
from ballastd.core.vouching import entry_of, takes_in, vouches_for_file
from tests.unit.adapters.libvirt.domains import LOCKED_DISK, VOUCHED, domain


def pins(devices: str = LOCKED_DISK, *, os: str = "", extra: str = "") -> tuple[Pin, ...]:
    return domain_facts(domain(devices, os=os, extra=extra), VOUCHED).pins


def disk(source: str = "file='/srv/vms/a.raw'", *, kind: str = "file", fmt: str = "raw", device: str = "disk",
         more: str = "") -> str:
    return (f"<disk type='{kind}' device='{device}'><driver name='qemu' type='{fmt}'/><source {source}/>"
            f"<target dev='vda'/>{more}</disk>")


def disk_of(protocol: str, name: str, *servers: str) -> str:
    hosts = "".join(f"<host name='{server}' port='1'/>" for server in servers)
    return (f"<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
            f"<source protocol='{protocol}' name='{name}'>{hosts}</source><target dev='vda'/></disk>")


ACCEPTED = {
    "a raw file on vouched storage": disk(),
    "a qcow2 file on vouched storage": disk("file='/srv/vms/deep/er/a.qcow2'", fmt="qcow2"),
    "a read-only disk anywhere": disk("file='/var/lib/libvirt/images/a.img'", more="<readonly/>"),
    "a read-only block device": disk("dev='/dev/sda'", kind="block", more="<readonly/>"),
    "a cdrom": disk("file='/home/me/x.iso'", device="cdrom"),
    "an empty drive": "<disk type='file' device='cdrom'><target dev='sda'/></disk>",
    "an empty floppy": "<disk type='file' device='floppy'><target dev='fda'/></disk>",
    "a console on a pty": "<serial type='pty'><source path='/dev/pts/3'/></serial><console type='pty'/>",
    "an agent channel": "<channel type='unix'><source mode='bind'/></channel>",
    "a bridge": "<interface type='bridge'><source bridge='br0'/></interface>",
    "usb redirection over spice": "<redirdev bus='usb' type='spicevmc'/>",
    "a virtio gpu": "<video><model type='virtio'/></video>",
    "a plain dimm": "<memory model='dimm'><target><size>1</size></target></memory>",
    "a tablet": "<input type='tablet' bus='usb'/>",
}

PINNED: dict[str, tuple[str, PinKind]] = {
    "a shareable disk": (disk(more="<shareable/>"), PinKind.DISK_UNLOCKED),
    "a transient disk": (disk(more="<transient/>"), PinKind.DISK_LOCAL),
    "a file that nobody vouched for": (disk("file='/data/a.raw'"), PinKind.DISK_UNLOCKED),
    "a file in the default pool": (disk("file='/var/lib/libvirt/images/a.raw'"), PinKind.DISK_LOCAL),
    "a vmdk on vouched storage": (disk(fmt="vmdk"), PinKind.DISK_UNLOCKED),
    "a file without a driver": (
        "<disk type='file'><source file='/srv/vms/a'/><target dev='vda'/></disk>", PinKind.DISK_UNLOCKED),
    "a path that climbs out": (disk("file='/srv/vms/../../etc/a.raw'"), PinKind.DISK_UNLOCKED),
    "a path beside the prefix": (disk("file='/srv/vms2/a.raw'"), PinKind.DISK_UNLOCKED),
    "a relative path": (disk("file='srv/vms/a.raw'"), PinKind.DISK_UNLOCKED),
    "an nbd export": (disk("protocol='nbd' name='x'", kind="network"), PinKind.DISK_UNLOCKED),
    "an rbd image": (disk("protocol='rbd' name='pool/x'", kind="network"), PinKind.DISK_UNLOCKED),
    "a block device": (disk("dev='/dev/mapper/lun0'", kind="block"), PinKind.DISK_UNLOCKED),
    "a scsi lun": (disk("dev='/dev/sdb'", kind="block", device="lun"), PinKind.DISK_UNLOCKED),
    "a pool volume": (disk("pool='p' volume='v'", kind="volume"), PinKind.DISK_UNLOCKED),
    "a directory": (disk("dir='/srv/vms/d'", kind="dir"), PinKind.DISK_UNLOCKED),
    "a writable floppy": (disk("file='/tmp/f.img'", device="floppy"), PinKind.DISK_UNLOCKED),
    "an nvme device": (disk("type='pci'", kind="nvme"), PinKind.PASSTHROUGH),
    "a block copy": (disk(more="<mirror type='file' job='copy'/>"), PinKind.BLOCK_JOB),
    "a pci device": ("<hostdev mode='subsystem' type='pci'><alias name='gpu0'/></hostdev>", PinKind.PASSTHROUGH),
    "a mediated device": ("<hostdev mode='subsystem' type='mdev' model='vfio-pci'/>", PinKind.PASSTHROUGH),
    "an sr-iov interface": ("<interface type='hostdev'/>", PinKind.PASSTHROUGH),
    "a vdpa interface": ("<interface type='vdpa'/>", PinKind.PASSTHROUGH),
    "a vhost-user interface": ("<interface type='vhostuser'/>", PinKind.SHARED_MEMORY),
    "a vhost-user gpu": ("<video><driver name='vhostuser'/></video>", PinKind.SHARED_MEMORY),
    "shared memory": ("<shmem name='s'/>", PinKind.SHARED_MEMORY),
    "virtiofs": ("<filesystem type='mount'><driver type='virtiofs'/></filesystem>", PinKind.SHARED_FILESYSTEM),
    "an emulated tpm": ("<tpm model='tpm-crb'><backend type='emulator'/></tpm>", PinKind.TPM_STATE),
    "the host's tpm": ("<tpm><backend type='passthrough'/></tpm>", PinKind.PASSTHROUGH),
    "a host's serial port": ("<serial type='dev'><source path='/dev/ttyS0'/></serial>", PinKind.PASSTHROUGH),
    "a host's keyboard": ("<input type='evdev'/>", PinKind.PASSTHROUGH),
    "an nvdimm": ("<memory model='nvdimm'><source><path>/x</path></source></memory>", PinKind.DISK_LOCAL),
}


@pytest.mark.parametrize("devices", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_nothing_pins_a_guest_with(devices: str) -> None:
    assert pins(devices) == ()


@pytest.mark.parametrize(("devices", "kind"), PINNED.values(), ids=PINNED.keys())
def test_a_guest_is_pinned_by(devices: str, kind: PinKind) -> None:
    found = pins(devices)
    assert [pin.kind for pin in found] == [kind]
    assert all(pin.thing and pin.cure for pin in found)


def test_the_pin_names_the_disk_and_its_path() -> None:
    assert pins(disk("file='/data/a.raw'"))[0].thing == "vda /data/a.raw"


@pytest.mark.parametrize(("os", "pinned"), [
    ("<nvram>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram>", True),
    ("<nvram type='file'><source file='/var/lib/x_VARS.fd'/></nvram>", True),
    ("<nvram type='network'><source protocol='iscsi' name='iqn:x/0'/></nvram>", True),
    ("<nvram>/srv/vms/nvram/web_VARS.fd</nvram>", False),
    ("<nvram type='file'><source file='/srv/vms/web_VARS.fd'/></nvram>", False),
    ("<loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>", False),
])
def test_uefi_variables_pin_unless_they_are_shared(os: str, pinned: bool) -> None:
    assert [pin.kind for pin in pins(os=os)] == ([PinKind.FIRMWARE_STATE] if pinned else [])


def test_a_confidential_guest_stays() -> None:
    assert [pin.kind for pin in pins(extra="<launchSecurity type='sev'/>")] == [PinKind.PASSTHROUGH]


def test_raw_arguments_of_qemu_pin_because_they_may_hide_a_disk() -> None:
    extra = "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'>{}</q:commandline>"
    assert [pin.kind for pin in pins(extra=extra.format("<q:arg value='-drive'/>"))] == [PinKind.DISK_UNLOCKED]
    assert pins(extra=extra.format("")) == ()


def test_metadata_cannot_vouch_for_a_disk() -> None:
    text = domain(disk("file='/data/a.raw'"),
                  metadata='<ballastd xmlns="https://ballastd.org/1" pinned="no" vouched="/data"/>')
    assert [pin.kind for pin in domain_facts(text, VOUCHED).pins] == [PinKind.DISK_UNLOCKED]


def test_ten_thousand_devices_give_few_pins() -> None:
    many = "".join(f"<hostdev><alias name='h{n}'/></hostdev>" for n in range(10_000))
    assert len(pins(many)) == PINS_MAX


DEVICES = ("/dev/vg_san", "/dev/mapper/san-*")

VOUCHED_FOR: dict[str, tuple[tuple[str, ...], str]] = {
    "a logical volume": (DEVICES, disk("dev='/dev/vg_san/web'", kind="block")),
    "a multipath device by how its name begins": (DEVICES, disk("dev='/dev/mapper/san-7'", kind="block", fmt="qcow2")),
    "a logical volume by two slashes": (DEVICES, disk("dev='//dev/vg_san/web'", kind="block")),
    "a disk by what it calls itself": (("/dev/disk/by-id/wwn-0x5*",), disk("dev='/dev/disk/by-id/wwn-0x50'", kind="block")),
    "devices whose names only look counted": (("/dev/drbd*", "/dev/san*", "/dev/mdata", "/dev/md/vms", "/dev/rbd/pool"),
                                              disk("dev='/dev/drbd0'", kind="block")),
    "one device": (("/dev/mapper/lun0",), disk("dev='/dev/mapper/lun0'", kind="block")),
    "an image of a pool of RBD": (("rbd:vms",), disk("protocol='rbd' name='vms/a'", kind="network")),
    "an image of a namespace of RBD": (("rbd:vms/ns",), disk("protocol='rbd' name='vms/ns/a'", kind="network")),
    "a LUN of a target": (("iscsi:iqn.2026-01.org.example:vms",),
                          disk("protocol='iscsi' name='iqn.2026-01.org.example:vms/1'", kind="network")),
    "an export of a server": (("nbd:10.0.0.9",), disk_of("nbd", "x", "10.0.0.9")),
    "one export": (("nbd:10.0.0.9/x",), disk_of("nbd", "x", "10.0.0.9")),
    "a volume of Gluster by all of its servers": (("gluster:a/vms", "gluster:b/vms"), disk_of("gluster", "vms/a", "a", "b")),
    "a file of NFS": (("nfs:10.0.0.9/export",), disk_of("nfs", "/export/a.raw", "10.0.0.9")),
}
NOT_VOUCHED_FOR: dict[str, tuple[tuple[str, ...], str]] = {
    "a device under what is vouched for as files": (("/", "/srv"), disk("dev='/dev/vg_san/web'", kind="block")),
    "a device given as a file": (("/", *DEVICES), disk("file='/dev/vg_san/web'")),
    "a device beside": (DEVICES, disk("dev='/dev/vg_sandbox/web'", kind="block")),
    "a device below one whose name begins so": (DEVICES, disk("dev='/dev/mapper/san-7/x'", kind="block")),
    "a device by a path that climbs out": (DEVICES, disk("dev='/dev/vg_san/../sda'", kind="block")),
    "a device as a LUN": (DEVICES, disk("dev='/dev/vg_san/web'", kind="block", device="lun")),
    "a shareable device": (DEVICES, disk("dev='/dev/vg_san/web'", kind="block", more="<shareable/>")),
    "a vmdk on a device": (DEVICES, disk("dev='/dev/vg_san/web'", kind="block", fmt="vmdk")),
    "an image of a pool beside": (("rbd:vms",), disk("protocol='rbd' name='vms2/a'", kind="network")),
    "an image that climbs out": (("rbd:vms",), disk("protocol='rbd' name='vms/../other/a'", kind="network")),
    "an image of another protocol": (("rbd:vms",), disk("protocol='sheepdog' name='vms/a'", kind="network")),
    "an export of another server": (("nbd:10.0.0.9",), disk_of("nbd", "x", "10.0.0.91")),
    "an export of a socket": (("nbd:10.0.0.9",), disk("protocol='nbd' name='10.0.0.9'", kind="network")),
    "a volume of Gluster by one of its servers": (("gluster:a/vms",), disk_of("gluster", "vms/a", "a", "b")),
    "a volume of a pool": (("/", "rbd:p"), disk("pool='p' volume='v'", kind="volume")),
}


@pytest.mark.parametrize(("entries", "devices"), VOUCHED_FOR.values(), ids=VOUCHED_FOR.keys())
def test_the_operator_vouches_by_kind(entries: tuple[str, ...], devices: str) -> None:
    assert [entry_of(entry) for entry in entries] == list(entries)
    assert domain_facts(domain(devices), entries).pins == ()
    assert [pin.kind for pin in domain_facts(domain(devices), ()).pins] == [PinKind.DISK_UNLOCKED], "nothing is by itself"


@pytest.mark.parametrize(("entries", "devices"), NOT_VOUCHED_FOR.values(), ids=NOT_VOUCHED_FOR.keys())
def test_nobody_vouched_for(entries: tuple[str, ...], devices: str) -> None:
    [pin] = domain_facts(domain(devices), entries).pins
    assert pin.kind is PinKind.DISK_UNLOCKED
    assert pin.cure


def test_uefi_variables_may_lie_on_any_kind_of_storage_that_is_vouched_for() -> None:
    os = "<nvram type='network'><source protocol='rbd' name='vms/vars'/></nvram>"
    assert domain_facts(domain("", os=os), ("rbd:vms",)).pins == ()
    assert [pin.kind for pin in domain_facts(domain("", os=os), ("rbd:other",)).pins] == [PinKind.FIRMWARE_STATE]


@pytest.mark.parametrize(("path", "prefixes", "under"), [
    ("/srv/vms/a", ("/srv/vms",), True),
    ("/srv/vms/a", ("/srv/vms/",), True),
    ("/dev/vg/a", ("/",), False),
    ("/srv//vms/./a", ("/srv/vms",), True),
    ("//srv/vms/a", ("/srv/vms",), True),
    ("//dev/vg/a", ("/",), False),
    ("/srv/vms", ("/srv/vms",), False),
    ("/srv/vmsx/a", ("/srv/vms",), False),
    ("/a", ("/",), True),
    ("/srv/vms/a", ("srv/vms",), False),
    ("/srv/vms/a", ("rbd:srv",), False),
    ("/srv/vms/a", (), False),
    ("", ("/",), False),
])
def test_a_prefix_is_taken_by_whole_components(path: str, prefixes: tuple[str, ...], under: bool) -> None:
    assert vouches_for_file(prefixes, path) is under


@pytest.mark.parametrize(("entry", "other", "whole"), [
    ("/srv", "/srv", True), ("/srv", "/srv/vms", True), ("/srv/vms", "/srv", False), ("/srv", "/srvx", False),
    ("/", "/srv", True), ("/", "/dev/vg", False), ("/dev/vg", "/dev/vg/web", True), ("/dev/vg", "/srv", False),
    ("/dev/mapper/san-*", "/dev/mapper/san-7", True), ("/dev/mapper/san-*", "/dev/mapper/san-a*", True),
    ("/dev/mapper/san-a*", "/dev/mapper/san-*", False), ("rbd:vms", "rbd:vms/ns", True), ("rbd:vms", "rbd:vms2", False),
    ("rbd:vms", "nbd:vms", False), ("/", "rbd:vms", False), ("nbd:10.0.0.9", "nbd:10.0.0.9/x", True),
])
def test_an_entry_takes_in_what_is_below_it(entry: str, other: str, whole: bool) -> None:
    assert takes_in(entry, other) is whole
