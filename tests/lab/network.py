"""The lab's network: a bridge in a namespace of its own, a port for each host and one for the controller."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.commands import LabError, run
from tests.lab.namespaces import inside

SUBNET = "10.77.0"
CONTROLLER_ADDRESS = f"{SUBNET}.1"
BRIDGE = "br0"


def host_address(number: int) -> str:
    """Return the address of host hN."""
    return f"{SUBNET}.{10 + number}"


def build_switch(switch: str) -> None:
    """Make the namespace that holds the bridge."""
    run("ip", "netns", "add", switch)
    run("ip", "-n", switch, "link", "add", BRIDGE, "type", "bridge")
    run("ip", "-n", switch, "link", "set", BRIDGE, "up")


@dataclass(frozen=True, slots=True)
class Port:
    """One cable: eth0 in a namespace, its other end a port of the bridge."""

    netns: str
    switch: str
    port: str
    address: str

    def build(self) -> None:
        """Make the namespace, the cable and the address."""
        run("ip", "netns", "add", self.netns)
        run("ip", "-n", self.switch, "link", "add", self.port, "type", "veth",
            "peer", "name", "eth0", "netns", self.netns)
        run("ip", "-n", self.switch, "link", "set", self.port, "master", BRIDGE, "up")
        run("ip", "-n", self.netns, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run("ip", "-n", self.netns, "link", "set", "eth0", "up")
        run("ip", "-n", self.netns, "link", "set", "lo", "up")

    def cut(self) -> None:
        """Pull the cable: no reset is sent, the host sees its carrier go."""
        run("ip", "-n", self.switch, "link", "set", self.port, "down")

    def cut_further(self) -> None:
        """Cut further away: the carrier stays, packets vanish, and TCP backs off as it retries."""
        run("ip", "-n", self.switch, "link", "set", self.port, "nomaster")

    def heal(self) -> None:
        """Undo either cut."""
        run("ip", "-n", self.switch, "link", "set", self.port, "master", BRIDGE, "up")

    def is_cut(self) -> bool:
        """Return whether the cable is cut, here or further away."""
        shown = json.loads(run("ip", "-j", "-n", self.switch, "link", "show", self.port))[0]
        return "UP" not in shown["flags"] or shown.get("master") != BRIDGE

    def shape(self, rate_mbit: float, delay_ms: float = 0.0, loss_percent: float = 0.0) -> None:
        """Limit both directions; delay and loss need a kernel with netem and are refused without it."""
        rate = f"{rate_mbit:g}mbit"
        if delay_ms or loss_percent:
            rule = ["netem", "limit", "100000", "rate", rate]
            rule += ["delay", f"{delay_ms:g}ms", "loss", f"{loss_percent:g}%"]
        else:
            rule = ["tbf", "rate", rate, "burst", "256k", "latency", "50ms"]
        self._discipline(rule)

    def unshape(self) -> None:
        """Take every limit off."""
        for netns, device in ((self.netns, "eth0"), (self.switch, self.port)):
            if "tbf" in (now := run(*inside(netns, "tc", "qdisc", "show", "dev", device))) or "netem" in now:
                run(*inside(netns, "tc", "qdisc", "del", "dev", device, "root"))

    def has_netem(self) -> bool:
        """Return whether this kernel can delay and lose packets; leaves no rule behind."""
        probe = inside(self.netns, "tc", "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "0ms")
        try:
            run(*probe)
        except LabError:
            return False
        run(*inside(self.netns, "tc", "qdisc", "del", "dev", "lo", "root"))
        return True

    def tx_bytes(self) -> int:
        """Return the bytes sent by the host's end: the independent witness for bandwidth."""
        shown = json.loads(run("ip", "-j", "-s", "-n", self.netns, "link", "show", "eth0"))
        return int(shown[0]["stats64"]["tx"]["bytes"])

    def _discipline(self, rule: list[str]) -> None:
        # a queue discipline rules what leaves: one at each end of the cable makes both directions
        for netns, device in ((self.netns, "eth0"), (self.switch, self.port)):
            run(*inside(netns, "tc", "qdisc", "replace", "dev", device, "root", *rule))
