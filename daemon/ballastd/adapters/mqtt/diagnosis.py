"""Words for an operator: why the broker could not be reached."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import tls_context
from ballastd.adapters.tls import CLOSED, HANDSHAKE_SECONDS
from ballastd.errors import Unreachable

ALERT_SECONDS = 1.0


async def explain(error: Exception, address: BrokerAddress) -> str:
    """Return the reason to show. With TLS, shake hands once more on our own: the client library turns every
    alert into a time-out."""
    if address.tls and not isinstance(error, (ssl.SSLError, Unreachable)):
        alert = await _tls_alert(address)
        if alert:
            return f"{address}: {alert}"
    text = _words(error)
    return text if str(address) in text else f"{address}: {text}"


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "message iteration" in text:
        return f"the connection was lost: {error.__cause__ or 'closed'}"
    if "timed out" in text:
        return "no answer"
    return text


async def _tls_alert(address: BrokerAddress) -> str | None:
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls_context(address))
    except ssl.SSLCertVerificationError as error:
        return f"the broker's certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"TLS handshake failed: {error.reason or error}"
    except (ConnectionResetError, ConnectionAbortedError):
        return CLOSED
    except (OSError, TimeoutError):
        return None
    try:
        # TLS 1.3 reports a missing or unwanted client certificate only after the handshake
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALERT_SECONDS):
                await reader.read(1)
    except ssl.SSLError as error:
        return f"the broker refuses our certificate: {error.reason or error}"
    except OSError:
        return None
    finally:
        writer.transport.abort()
    return None
