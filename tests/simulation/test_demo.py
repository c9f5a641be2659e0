"""The demo's site: a real broker and the unmodified daemon around pretend hosts, in real time; and its command."""

from __future__ import annotations

import builtins
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ballastd.cli.client import Daemon
from ballastd.cli.ctl import main
from ballastd.cli.demo.chapters import Cast
from ballastd.cli.demo.command import is_acting
from ballastd.cli.demo.telling import Narrator, wait_for
from ballastd.core.acts import Act
from ballastd.demo import site as site_module
from ballastd.demo.broker import EmbeddedBroker
from ballastd.demo.policies import TIMING, by_day
from ballastd.demo.site import Site
from ballastd.documents.recordings import load_recording
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.settings import TimingSettings
from ballastd.errors import ConfigurationError

CLUSTER = Path(site_module.__file__).with_name("site.yaml")
LIBVIRT_IN_SIGHT = "import sys; from ballastd.cli.demo import command; print('libvirt' in sys.modules)"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, load_cluster(CLUSTER), TimingSettings.model_validate(TIMING).compiled(), by_day(),
                tmp_path / "seen")
    made.start()
    yield made
    made.stop()


def error(site: Site, host: str, errors: int) -> None:
    site.do(Act(0.0, "reading", host=host, metric="ecc.uncorrected", subject="D1", value=float(errors)))


def running(site: Site) -> list[str]:
    return sorted(name for vms in site.truth().hosts.values() for name in vms)


def test_an_error_travels_over_the_broker_and_the_host_is_emptied(site: Site) -> None:
    daemon = Daemon(str(site.socket))
    assert wait_for(lambda: is_acting(daemon), 40.0)
    for host in site.truth().hosts:
        error(site, host, 0)
    assert wait_for(lambda: Cast(Narrator(), site, daemon).load()["fir"] > 0.0, 30.0)
    time.sleep(2.5)
    before = site.truth()
    error(site, "fir", 1)
    # a VM that is handed over runs nowhere for a moment
    assert wait_for(lambda: not site.truth().hosts["fir"] and len(running(site)) == len(site.truth().trails), 60.0), \
        daemon.get("plan")
    after = site.truth()
    assert running(site) == sorted(after.trails)
    assert {name for name, trail in after.trails.items() if len(trail) > 1} == set(before.hosts["fir"])
    assert after.copies_max == 1
    assert after.violations == ()


def test_what_it_saves_and_records_can_be_rehearsed_on(site: Site, tmp_path: Path) -> None:
    assert wait_for(lambda: is_acting(Daemon(str(site.socket))), 40.0)
    saved = tmp_path / "saved.yaml"
    ran = CliRunner().invoke(main, ["--socket", str(site.socket), "cluster", "save", str(saved)])
    assert ran.exit_code == 0, ran.output
    declared = load_cluster(CLUSTER)
    assert [(host.name, host.machine) for host in load_cluster(saved).hosts] == [(h.name, h.machine) for h in declared.hosts]
    site.stop()
    seen = load_recording(tmp_path / "seen")
    assert [vm.record.name for vm in seen.cluster.vms] == [vm.record.name for vm in declared.vms]


def test_nothing_of_it_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    made = Site(tmp_path, load_cluster(CLUSTER), TimingSettings.model_validate(TIMING).compiled(), by_day())
    made.start()
    port = made.port
    made.stop()
    with socket.socket() as door:
        assert door.connect_ex(("127.0.0.1", port)) != 0
    assert not made.socket.exists()
    assert not [thread for thread in set(threading.enumerate()) - before if not thread.daemon]
    made.stop()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_amqtt(name: str, *rest: Any) -> Any:
        if name.startswith("amqtt"):
            raise ImportError("No module named 'amqtt'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_amqtt)
    with pytest.raises(ConfigurationError) as told:
        EmbeddedBroker().start()
    assert "pip install 'ballastd[demo]'" in told.value.problems[0]


def test_it_needs_no_libvirt() -> None:
    done = subprocess.run([sys.executable, "-c", LIBVIRT_IN_SIGHT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("number", "code", "said"), [
    (signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, ""), (signal.SIGHUP, 129, "")])
def test_interrupted_it_cleans_up(number: signal.Signals, code: int, said: str) -> None:
    short = Path(tempfile.mkdtemp(prefix="blst-demo-", dir="/tmp"))  # a unix socket's path is short
    # whoever runs the tests may have SIGINT ignored, and a child inherits that
    command = ("env", "--default-signal=INT", str(Path(sys.executable).with_name("ballastd")), "demo", "--no-story")
    running = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={"TMPDIR": str(short), "PATH": "/usr/bin:/bin"})
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if "until Ctrl-C" in line:
                break
        running.send_signal(number)
        rest, _ = running.communicate(timeout=30.0)
        assert running.returncode == code, rest
        assert said in rest
        assert "Traceback" not in rest
        assert list(short.iterdir()) == []
    finally:
        running.kill()
        running.wait()
        shutil.rmtree(short)


def test_whoever_stops_listening_leaves_nothing_behind() -> None:
    short = Path(tempfile.mkdtemp(prefix="blst-demo-", dir="/tmp"))
    running = subprocess.Popen((str(Path(sys.executable).with_name("ballastd")), "demo", "--no-story"), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={"TMPDIR": str(short), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"})
    try:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(60.0) != 0
        assert running.stderr is not None
        assert "Traceback" not in running.stderr.read()
        assert list(short.iterdir()) == []
    finally:
        running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()
        shutil.rmtree(short)
