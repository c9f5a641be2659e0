"""Whom we believe does not change with the Python that asks, and what tests show stands up to the strictest of them."""

from __future__ import annotations

import shutil
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ballastd.adapters.power.redfish_http import BoundedSession
from ballastd.adapters.tls import client_context
from tests.papers import authority, certificate, dated, serving

NEWER = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags.VERIFY_X509_STRICT


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts as the standard library and urllib3 make them since Python 3.13."""
    made = ssl.create_default_context

    def strict(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        context = made(*args, **kwargs)
        context.verify_flags |= NEWER
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setattr("urllib3.util.ssl_.sys", SimpleNamespace(version_info=(3, 13)))


@pytest.mark.usefixtures("newer")
def test_whom_we_believe_does_not_hang_on_the_python_that_asks() -> None:
    assert not client_context(None).verify_flags & NEWER
    for is_checked in (True, False):
        adapter: Any = BoundedSession("https://bmc", is_checked).get_adapter("https://bmc")
        context = adapter.poolmanager.connection_pool_kw["ssl_context"]
        assert not context.verify_flags & NEWER
        assert (context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname) == (is_checked, is_checked)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_papers_are_by_the_letter(tmp_path: Path) -> None:
    authority(tmp_path, "ca")
    certificate(tmp_path, "server")
    dated(tmp_path, "root", by="root")
    dated(tmp_path, "middle", by="root", names="DNS:middle", vouches=True)
    dated(tmp_path, "leaf", by="middle")
    (tmp_path / "middle.pem").write_bytes((tmp_path / "middle.pem").read_bytes() + (tmp_path / "root.pem").read_bytes())
    for shown, believed in (("server", "ca"), ("leaf", "middle")):
        context = ssl.create_default_context(cafile=str(tmp_path / f"{believed}.pem"))
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        with (serving(tmp_path, shown) as port, socket.create_connection(("127.0.0.1", port)) as plain,
              context.wrap_socket(plain, server_hostname="127.0.0.1") as secured):
            assert secured.version()
