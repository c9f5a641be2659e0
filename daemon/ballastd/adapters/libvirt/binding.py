"""libvirt-python, loaded when a host is first needed: who only checks policies does not need it."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

import structlog

from ballastd.errors import ConfigurationError

log = structlog.get_logger(__name__)

_EVENT_LOOP_PAUSE_SECONDS = 1.0

MISSING = (
    "libvirt-python is not installed, and hosts are reached through it; "
    "apt install libvirt-dev pkg-config gcc, then pip install 'ballastd[libvirt]', "
    "or apt install python3-libvirt and a virtual environment with --system-site-packages"
)


@functools.cache
def load_libvirt() -> Any:
    """Return the binding, its event loop already running: that must come before the first connection.

    The loop turns in a daemon thread for the life of the process. It delivers events and keeps connections
    alive even while our own loop is busy; callbacks run in it, and must not call libvirt.

    Raises:
        ConfigurationError: the binding is not installed.
    """
    try:
        import libvirt
    except ImportError as error:
        raise ConfigurationError((MISSING,)) from error
    libvirt.registerErrorHandler(_ignore, None)  # errors reach us as exceptions; it would print them as well
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn, args=(libvirt,), name="libvirt-events", daemon=True).start()
    return libvirt


@functools.cache
def load_agents() -> Any:
    """Return the part of the binding that speaks to guest agents; see ``load_libvirt``."""
    load_libvirt()
    import libvirt_qemu

    return libvirt_qemu


def _ignore(*_: object) -> None:
    pass


def _turn(libvirt: Any) -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            log.exception("libvirt's event loop stumbled; hosts may look silent until it turns again")
            time.sleep(_EVENT_LOOP_PAUSE_SECONDS)
