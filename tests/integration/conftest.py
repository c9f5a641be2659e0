"""What the tests of this folder share."""

from tests.broker import broker

__all__ = ["broker"]
