"""Domain XML for the tests, as libvirt 9.0 prints it, with what a test wants changed."""

from __future__ import annotations

VOUCHED = ("/srv/vms",)

LOCKED_DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source file='/srv/vms/web.qcow2'/><target dev='vda' bus='virtio'/></disk>"""


def domain(devices: str = LOCKED_DISK, *, os: str = "", extra: str = "", metadata: str = "", name: str = "web-1",
           memory: str = "<memory unit='KiB'>2097152</memory>", vcpu: str = "<vcpu placement='static'>4</vcpu>",
           cpu: str = "<cpu mode='custom' match='exact'><model fallback='forbid'>Haswell</model></cpu>") -> str:
    """Return a running domain with ``devices`` and the rest as given."""
    return f"""<domain type='kvm' id='7'>
  <name>{name}</name><uuid>4DEA22B3-1D52-D8F3-2516-782E98AB3FA0</uuid>
  <metadata>{metadata}</metadata>
  {memory}<currentMemory unit='KiB'>1048576</currentMemory>{vcpu}
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>{os}</os>
  <features><acpi/></features>{cpu}{extra}
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}</devices>
</domain>"""
