"""Event-driven policy daemon for clusters of libvirt/KVM hosts."""

__version__ = "0.1.0"
