"""A check-up of certificates against a real broker and a real controller: who ends when, by whom, and what is against it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballastd.cli.checkup import document, show
from ballastd.core.checkup import judge
from ballastd.core.readiness import Site
from ballastd.doctor import examine
from ballastd.documents import load_settings
from tests.broker import Broker, has_mosquitto
from tests.papers import authority, dated
from tests.redfish import Emulator

pytest.importorskip("libvirt")

pytestmark = [pytest.mark.broker,
              pytest.mark.skipif(not (shutil.which("openssl") and has_mosquitto()), reason="needs openssl, mosquitto")]


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("papers")
    authority(place, "other")
    dated(place, "ca", by="ca", until=500.0)
    dated(place, "server", until=400.0)
    dated(place, "client", until=12.5)
    dated(place, "expired", since=-10.0, until=-2.5)
    return place


@pytest.fixture
def served(tmp_path: Path, papers: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker that shows a certificate and demands one."""
    one = Broker(tmp_path, (f"cafile {papers}/ca.pem", f"certfile {papers}/{request.param}.pem",
                            f"keyfile {papers}/{request.param}.key", "require_certificate true"))
    one.start()
    yield one
    one.stop()


def examined(home: Path, mqtt: dict[str, Any], seconds: float = 1.0, **host: Any) -> tuple[Site, dict[str, Any]]:
    """Return what a check-up of a cluster with this broker finds, and the document that is made of it."""
    file = home / "doctor.yaml"
    file.write_text(json.dumps({"cluster": "c", "mqtt": mqtt, "hosts": [{"name": "h1", "uri": "test:///default", **host}]}))
    site = examine(load_settings(file), seconds=seconds)
    return site, document("c", site, judge(site))


def mqtt_of(broker: Broker, papers: Path, ca: str = "ca", host: str = "127.0.0.1") -> dict[str, Any]:
    return {"host": host, "port": broker.port, "tls": {
        "ca_file": f"{papers}/{ca}.pem", "cert_file": f"{papers}/client.pem", "key_file": f"{papers}/client.key"}}


def about(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["grade"], one["words"]) for one in found["findings"] if one["area"] == "certificate"]


@pytest.mark.parametrize("served", ["server"], indirect=True)
def test_what_is_well_is_shown_and_what_ends_is_told_in_time(
        served: Broker, papers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site, found = examined(tmp_path, mqtt_of(served, papers))
    left = {(one["service"], one["role"]): (one["days_left"], one["issuer"], one["flaw"]) for one in found["certificates"]}
    assert left == {("broker", "server"): (399, "ca", None), ("broker", "client"): (12, "ca", None),
                    ("broker", "authority"): (499, "ca", None)}
    [(grade, words)] = about(found)
    assert grade == "warning"
    assert words.startswith(f"our certificate for the broker ({papers}/client.pem) is good for 12 days more")
    assert not [one for one in found["findings"] if "broker is not reached" in one["words"]]
    show("c", site, judge(site))
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("broker ")]
    assert [(row[1], row[-1]) for row in rows] == [("client", "12"), ("server", "399"), ("authority", "499")]


@pytest.mark.parametrize("served", ["expired"], indirect=True)
def test_why_a_broker_is_not_reached_is_told_with_the_day(served: Broker, papers: Path, tmp_path: Path) -> None:
    found = examined(tmp_path, mqtt_of(served, papers))[1]
    faults = [words for grade, words in about(found) if grade == "fault"]
    place = f"the certificate that the broker shows at 127.0.0.1:{served.port}"
    assert any(words.startswith(f"{place} expired on ") and words.endswith("issued by ca") for words in faults), faults
    assert f"{place} is not believed: certificate has expired" in faults


@pytest.mark.parametrize("served", ["server"], indirect=True)
def test_another_name_and_another_authority_are_told_apart(served: Broker, papers: Path, tmp_path: Path) -> None:
    for mqtt, words in ((mqtt_of(served, papers, host="localhost"), "is not good for localhost, only for 127.0.0.1"),
                        (mqtt_of(served, papers, "other"), "is not believed, issued by ca")):
        assert any(grade == "fault" and words in said for grade, said in about(examined(tmp_path, mqtt)[1]))


@pytest.mark.parametrize("served", ["server"], indirect=True)
def test_a_broker_that_is_not_asked_shows_nothing(served: Broker, papers: Path, tmp_path: Path) -> None:
    assert examined(tmp_path, mqtt_of(served, papers), 0.0)[1]["certificates"] == []


def test_a_controller_over_https_is_looked_at(papers: Path, tmp_path: Path) -> None:
    with Emulator(tmp_path, settings={"SUSHY_EMULATOR_SSL_CERT": f"{papers}/expired.pem",
                                      "SUSHY_EMULATOR_SSL_KEY": f"{papers}/expired.key"}) as emulator:
        power = {"driver": "redfish", "url": emulator.url}
        checked = examined(tmp_path, {}, 0.0, power=power | {"ca_file": f"{papers}/ca.pem"})[1]
        trusting = examined(tmp_path, {}, 0.0, power=power | {"insecure_tls": True})[1]
    place = f"the certificate that the power controller shows at 127.0.0.1:{emulator.port}"
    assert [(grade, words.partition(" on ")[0]) for grade, words in about(checked)] == [
        ("fault", f"{place} expired"), ("fault", f"{place} is not believed: certificate has expired")]
    assert about(trusting) == [("warning", f"{place} is not checked: whoever answers there is believed")]
    [one] = trusting["certificates"]
    assert (one["hosts"], one["days_left"]) == (["h1"], -3)
