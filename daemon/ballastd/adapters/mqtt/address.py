"""Where the broker is and who we are to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ProtocolChoice = Literal["auto", "5", "3.1.1"]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker, one client of it.

    ``prefix``: first levels of every topic, without a slash at either end. ``password_file``: read anew at
    each attempt, so that a password can be changed without a restart. ``ca_file`` None: the system's
    authorities. ``cert_file`` and ``key_file``: our own certificate, both or neither. ``client_id`` must be
    ours alone: a broker throws out the elder of two. ``keepalive``: seconds.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    prefix: str = "ballastd"
    username: str | None = None
    password_file: Path | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    client_id: str = "ballastd"
    keepalive: int = 15
    protocol: ProtocolChoice = "auto"

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"
