"""TLS towards the broker: it works, and what goes wrong is named."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ballastd.adapters.mqtt.address import BrokerAddress
from tests.broker import Broker, has_mosquitto
from tests.integration.mqtt_parts import listening
from tests.papers import authority, certificate

pytestmark = [pytest.mark.broker,
              pytest.mark.skipif(not (shutil.which("openssl") and has_mosquitto()), reason="needs openssl, mosquitto")]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; of the first a server's and a client's certificate."""
    place = tmp_path_factory.mktemp("papers")
    for name in ("ca", "other"):
        authority(place, name)
    for name in ("server", "client"):
        certificate(place, name)
    return place


@pytest.fixture
def strict_broker(tmp_path: Path, papers: Path) -> Iterator[Broker]:
    one = Broker(tmp_path, (f"cafile {papers}/ca.pem", f"certfile {papers}/server.pem", f"keyfile {papers}/server.key",
                            "require_certificate true"))
    one.start()
    yield one
    one.stop()


def address_of(broker: Broker, papers: Path) -> BrokerAddress:
    return BrokerAddress(port=broker.port, client_id="tls", tls=True, ca_file=papers / "ca.pem",
                         cert_file=papers / "client.pem", key_file=papers / "client.key")


async def test_both_sides_show_their_papers(strict_broker: Broker, papers: Path) -> None:
    async with listening(address_of(strict_broker, papers)) as listener:
        await listener.until_up()
        assert not listener.down_reasons(), "at the first attempt"


async def reason_of(address: BrokerAddress) -> str:
    async with listening(address) as listener:
        await listener.until(listener.down_reasons, 25)
        return listener.down_reasons()[0]


async def test_a_client_without_a_certificate_is_told_so(strict_broker: Broker, papers: Path) -> None:
    address = dataclasses.replace(address_of(strict_broker, papers), cert_file=None, key_file=None)
    assert "CERTIFICATE_REQUIRED" in await reason_of(address)


async def test_a_broker_of_another_authority_is_not_trusted(strict_broker: Broker, papers: Path) -> None:
    address = dataclasses.replace(address_of(strict_broker, papers), ca_file=papers / "other.pem")
    assert "certificate is not trusted: self-signed certificate in certificate chain" in await reason_of(address)


async def test_a_broker_of_another_name_is_not_trusted(strict_broker: Broker, papers: Path) -> None:
    address = dataclasses.replace(address_of(strict_broker, papers), host="localhost")
    assert "not trusted: Hostname mismatch" in await reason_of(address)


async def test_speaking_plainly_to_a_broker_that_wants_tls_does_not_look_like_success(
        strict_broker: Broker, papers: Path) -> None:
    address = dataclasses.replace(address_of(strict_broker, papers), tls=False)
    assert str(address) in await reason_of(address)


async def test_speaking_tls_to_a_broker_that_does_not_is_named(broker: Broker, papers: Path) -> None:
    assert "does this port speak TLS?" in await reason_of(address_of(broker, papers))


async def test_a_key_that_is_missing_is_named(strict_broker: Broker, papers: Path) -> None:
    address = dataclasses.replace(address_of(strict_broker, papers), key_file=papers / "none.key")
    assert "No such file" in await reason_of(address)
