"""What the tests of this folder share."""

from tests.broker import broker
from tests.integration.daemon_parts import stand
from tests.integration.libvirt_parts import lab, tell

__all__ = ["broker", "lab", "stand", "tell"]
