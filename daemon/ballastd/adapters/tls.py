"""TLS as a client, the same for whoever is spoken to: whom we believe, and what it looks like when nobody speaks it."""

from __future__ import annotations

import ssl
from pathlib import Path

HANDSHAKE_SECONDS = 5.0
CLOSED = "the connection was closed during the TLS handshake: does this port speak TLS?"


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context by which a server is verified, its name as well, TLS 1.2 or later. ``ca_file`` None: the system's
    list, which takes a while to read. Blocks.

    Raises:
        OSError, ssl.SSLError: the file cannot be read, or is not what it should be.
    """
    context = settled(ssl.create_default_context(cafile=None if ca_file is None else str(ca_file)))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def settled(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return a context that believes whom it would with any Python: since 3.13 chains may end in who is no root, and must be
    by the letter of RFC 5280, as many a site's own authority is not. An upgrade must cut off no broker or controller."""
    context.verify_flags &= ~(ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags.VERIFY_X509_STRICT)
    return context


def why(error: Exception) -> str:
    """Return what went wrong with a handshake, or what was to lead to one, in words."""
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return CLOSED
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
