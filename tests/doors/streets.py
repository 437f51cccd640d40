"""A street in network namespaces: a machine on the Internet, a box, and a practice behind it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.tools import need

NET, BOX, PRACTICE = "hcs-net", "hcs-box", "hcs-practice"
FAR, OUTSIDE, INSIDE, HOST = "198.51.100.2", "198.51.100.1", "192.168.78.1", "192.168.78.2"
"""documentation addresses (RFC 5737) play the Internet"""
NEIGHBOUR: Final = "198.51.100.3"
"""another machine of the Internet, that nobody may ask"""


def run(*command: str) -> str:
    """What a command says."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def inside(name: str, *command: str) -> list[str]:
    """A command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


@contextmanager
def street(folder: Path, *forwarded: int) -> Iterator[None]:
    """The street, whose box passes the ports `forwarded` on to the practice's machine."""
    need("ip", "nft")
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    _clear()
    try:
        for name in (NET, BOX, PRACTICE):
            run("ip", "netns", "add", name)
    except subprocess.CalledProcessError:
        pytest.skip("this machine makes no namespaces")
    try:
        for line in (
            f"link add hcs0 netns {NET} type veth peer name hcs1 netns {BOX}",
            f"link add hcs2 netns {BOX} type veth peer name hcs3 netns {PRACTICE}",
            f"-n {NET} addr add {FAR}/24 dev hcs0",
            f"-n {NET} addr add {NEIGHBOUR}/24 dev hcs0",
            f"-n {BOX} addr add {OUTSIDE}/24 dev hcs1",
            f"-n {BOX} addr add {INSIDE}/24 dev hcs2",
            f"-n {PRACTICE} addr add {HOST}/24 dev hcs3",
            *(f"-n {name} link set lo up" for name in (NET, BOX, PRACTICE)),
            f"-n {NET} link set hcs0 up",
            f"-n {BOX} link set hcs1 up",
            f"-n {BOX} link set hcs2 up",
            f"-n {PRACTICE} link set hcs3 up",
            f"-n {PRACTICE} route add default via {INSIDE}",
        ):
            run("ip", *line.split())
        run(*inside(BOX, "sysctl", "-qw", "net.ipv4.ip_forward=1"))
        ports = f"tcp dport {{ {', '.join(map(str, forwarded))} }} dnat to {HOST};" if forwarded else ""
        (folder / "nat").write_text(
            "table ip nat {\n chain prerouting { type nat hook prerouting priority -100;\n"
            f'  iifname "hcs1" {ports}\n }}\n'
            " chain postrouting { type nat hook postrouting priority 100;\n"
            '  oifname "hcs1" masquerade;\n }\n}\n'
            if ports
            else "table ip nat {\n chain postrouting { type nat hook postrouting priority 100;\n"
            '  oifname "hcs1" masquerade;\n }\n}\n'
        )
        run(*inside(BOX, "nft", "-f", str(folder / "nat")))
        yield
    finally:
        _clear()


def _clear() -> None:
    for name in (NET, BOX, PRACTICE):
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
