"""Redfish on a real emulator in trouble: wrong passwords, wrong certificates, wrong systems, death and hanging."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable
from tests.redfish import Emulator, uuid_of

HOST = HostName("kvm-01")
USER, PASSWORD = "ballastd", "correct horse"
DEADLINE_SECONDS = 6.0


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    one = Lanes()
    yield one
    await one.close()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Two machines, no password."""
    with Emulator(tmp_path_factory.mktemp("open"), 2) as one:
        yield one


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One machine behind a password, which cannot be switched off."""
    place = tmp_path_factory.mktemp("guarded")
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (place / "users").write_text(f"{USER}:{digest}\n")
    with Emulator(place, 1, {"SUSHY_EMULATOR_AUTH_FILE": str(place / "users"),
                             "SUSHY_EMULATOR_DISABLE_POWER_OFF": True}) as one:
        yield one


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the loopback, and one of somebody else."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    place = tmp_path_factory.mktemp("papers")
    for name in ("bmc", "other"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.pem"], check=True, capture_output=True)
    return place


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, papers: Path) -> Iterator[Emulator]:
    """One machine behind TLS."""
    with Emulator(tmp_path_factory.mktemp("sealed"), 1, {"SUSHY_EMULATOR_SSL_CERT": f"{papers}/bmc.pem",
                                                         "SUSHY_EMULATOR_SSL_KEY": f"{papers}/bmc.key"}) as one:
        yield one


def a_driver(lanes: Lanes, url: str, **options: Any) -> RedfishPower:
    return RedfishPower(HOST, RedfishOptions(url, **{"deadline": DEADLINE_SECONDS, **options}), lanes)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


async def test_of_several_systems_the_one_meant_must_be_named(lanes: Lanes, emulator: Emulator) -> None:
    with pytest.raises(PowerRefused, match=r"it has 2 systems .*; write the one meant as power\.system") as no:
        await a_driver(lanes, emulator.url).status()
    assert emulator.system(0) in str(no.value)
    assert emulator.system(1) in str(no.value)


async def test_a_system_that_is_named_is_the_one_that_is_asked(lanes: Lanes, emulator: Emulator) -> None:
    status = await a_driver(lanes, emulator.url, system=emulator.system(1)).status()
    assert (status.state, status.identity) == (PowerState.ON, uuid_of(1))


async def test_a_system_that_is_not_there_is_named(lanes: Lanes, emulator: Emulator) -> None:
    with pytest.raises(PowerRefused, match=r"/redfish/v1/Systems/none not found; look at power\.system"):
        await a_driver(lanes, emulator.url, system="/redfish/v1/Systems/none").status()


async def test_only_an_orderly_shutdown_is_ever_asked_for(lanes: Lanes, emulator: Emulator) -> None:
    driver = a_driver(lanes, emulator.url, system=emulator.system(0))
    await driver.power_off()
    async with asyncio.timeout(20):
        while (await driver.status()).state is not PowerState.OFF:
            await asyncio.sleep(0.1)
    await driver.power_on()
    assert emulator.orders(0) == ["GracefulShutdown", "On"]


async def test_the_right_password_opens(lanes: Lanes, guarded: Emulator, password_file: Path) -> None:
    status = await a_driver(lanes, guarded.url, username=USER, password_file=password_file).status()
    assert status.identity == uuid_of(0)


async def test_a_wrong_password_is_refused_and_not_told_to_anybody(lanes: Lanes, guarded: Emulator,
                                                                   password_file: Path) -> None:
    password_file.write_text("open sesame")
    driver = a_driver(lanes, guarded.url, username=USER, password_file=password_file)
    with pytest.raises(PowerRefused, match="refused username and password") as no:
        await driver.status()
    assert "sesame" not in str(no.value)


async def test_a_password_that_was_refused_is_not_tried_again_until_its_file_changes(
        lanes: Lanes, guarded: Emulator, password_file: Path) -> None:
    password_file.write_text("open sesame")
    driver = a_driver(lanes, guarded.url, username=USER, password_file=password_file)
    for _ in range(3):
        with pytest.raises(PowerRefused):
            await driver.status()
    log = guarded.log()
    with pytest.raises(PowerRefused, match=r"tried again in \d+ s, so that the account is not locked"):
        await driver.status()
    assert guarded.log() == log
    password_file.write_text(PASSWORD)
    assert (await driver.status()).state is PowerState.ON


async def test_no_password_where_one_is_wanted_is_refused(lanes: Lanes, guarded: Emulator) -> None:
    with pytest.raises(PowerRefused, match="refused username and password"):
        await a_driver(lanes, guarded.url).status()


async def test_a_password_file_that_is_not_there_is_named(lanes: Lanes, guarded: Emulator, tmp_path: Path) -> None:
    with pytest.raises(PowerRefused, match=r"password_file: .*/nowhere"):
        await a_driver(lanes, guarded.url, username=USER, password_file=tmp_path / "nowhere").status()


async def test_a_refused_shutdown_says_why_in_the_controllers_words(lanes: Lanes, guarded: Emulator,
                                                                    password_file: Path) -> None:
    with pytest.raises(PowerRefused, match="answered 400: Can not request power off transition"):
        await a_driver(lanes, guarded.url, username=USER, password_file=password_file).power_off()


async def test_a_controller_known_by_its_authority_is_believed(lanes: Lanes, sealed: Emulator, papers: Path) -> None:
    assert (await a_driver(lanes, sealed.url, ca_file=papers / "bmc.pem").status()).state is PowerState.ON


@pytest.mark.parametrize("ca_file", [None, "other.pem"])
async def test_a_controller_of_an_unknown_authority_is_not(lanes: Lanes, sealed: Emulator, papers: Path,
                                                           ca_file: str | None) -> None:
    with pytest.raises(PowerRefused, match=r"CERTIFICATE_VERIFY_FAILED.*look at url, ca_file"):
        await a_driver(lanes, sealed.url, ca_file=papers / ca_file if ca_file else None).status()


async def test_a_laboratory_may_believe_anybody(lanes: Lanes, sealed: Emulator) -> None:
    assert (await a_driver(lanes, sealed.url, insecure_tls=True).status()).state is PowerState.ON


@pytest.mark.parametrize("content", [None, "this is no certificate"])
async def test_an_authority_that_cannot_be_read_is_named(lanes: Lanes, sealed: Emulator, tmp_path: Path,
                                                         content: str | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(PowerRefused, match="ca_file"):
        await a_driver(lanes, sealed.url, ca_file=tmp_path / "ca.pem").status()


async def test_https_to_a_port_that_speaks_http_is_refused(lanes: Lanes, emulator: Emulator) -> None:
    with pytest.raises(PowerRefused, match="WRONG_VERSION_NUMBER"):
        await a_driver(lanes, emulator.url.replace("http:", "https:")).status()


async def test_one_that_hangs_is_unreachable_and_leaves_no_thread_behind(lanes: Lanes, emulator: Emulator) -> None:
    driver = a_driver(lanes, emulator.url, system=emulator.system(1), deadline=1.5)
    await driver.status()
    with emulator.frozen(), pytest.raises(Unreachable, match="timed out"):
        await driver.power_off()
    assert lanes.abandoned() == 0
    assert (await driver.status()).identity == uuid_of(1)


async def test_one_that_died_is_unreachable_and_heard_again_when_it_is_back(lanes: Lanes, tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    driver = a_driver(lanes, emulator.url)
    with emulator:
        await driver.status()
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="Connection refused"):
        await driver.status()
    assert time.monotonic() - begun < DEADLINE_SECONDS
    with emulator:
        assert (await driver.status()).state is PowerState.ON


async def test_a_controller_known_by_an_authority_of_the_system_is_believed(
        lanes: Lanes, sealed: Emulator, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(papers / "bmc.pem"))
    assert (await a_driver(lanes, sealed.url).status()).state is PowerState.ON
