"""Host-to-host keepalive from libvirt's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.agent.keepalive import read_keepalive


@pytest.mark.parametrize(("files", "expected"), [
    ({}, None),
    ({"qemu.conf": ""}, (5, 5)),
    ({"qemu.conf": "#keepalive_interval = 99\n"}, (5, 5)),
    ({"qemu.conf": "keepalive_interval = 5\nkeepalive_count = 24\n"}, (5, 24)),
    ({"qemu.conf": "keepalive_interval=5 # short\n keepalive_count\t=\t24\n"}, (5, 24)),
    ({"qemu.conf": "keepalive_interval = 5\nkeepalive_count = 24\n", "libvirtd.conf": ""}, (5, 5)),
    ({"qemu.conf": "keepalive_interval = 5\nkeepalive_count = 24\n", "libvirtd.conf": "keepalive_interval = 10\n"},
     (10, 5)),
    ({"qemu.conf": "keepalive_interval = -1\n"}, None),
    ({"qemu.conf": "keepalive_interval = -1\n", "libvirtd.conf": "keepalive_count = 24\n"}, (5, 24)),
    ({"qemu.conf": 'keepalive_interval = "x"\nkeepalive_count = 24\nkeepalive_count = 30\n'}, (5, 30)),
])
def test_the_more_impatient_side_counts(files: dict[str, str], expected: tuple[int, int] | None,
                                        tmp_path: Path) -> None:
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "etc/libvirt" / name).write_text(text)
    assert read_keepalive(tmp_path) == expected
