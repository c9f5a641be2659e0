"""Certificates in files of ours. A file may lie on a disk of the network: everything here blocks, and may hang."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from ballastd.adapters.certificates.reading import read_certificate
from ballastd.core.certificates import Certificate

FILE_BYTES_MAX = 1 << 20
_PEM = re.compile(r"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(.*?)(?:-----END \1-----|\Z)", re.DOTALL)
"""The three heads that OpenSSL takes for a certificate."""


class Unread(ValueError):
    """A file of ours is of no use, for the reason given, which names it."""


def certificates_in(file: Path) -> list[Certificate]:
    """Return the certificates in a file, at least one.

    Raises:
        Unread: there is none.
    """
    blocks = _PEM.findall(content_of(file).decode("ascii", "replace"))
    if not blocks:
        raise Unread(f"{file}: there is no certificate in it (PEM)")
    try:
        return [read_certificate(base64.b64decode(block)) for _, block in blocks]
    except ValueError as error:
        raise Unread(f"{file}: {error}") from error


def content_of(file: Path) -> bytes:
    """Return what is in a file.

    Raises:
        Unread: it is not there, may not be read, or is too large.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # a name with a zero byte in it is a ValueError
        raise Unread(f"{file}: {(error.strerror if isinstance(error, OSError) else None) or error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise Unread(f"{file}: larger than {FILE_BYTES_MAX} bytes")
    return content
