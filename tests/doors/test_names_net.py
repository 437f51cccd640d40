"""A name that leads elsewhere the second time it is looked up, with a resolver of the test's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.doors.capture import captured, packets
from tests.doors.streets import BOX, INSIDE, NEIGHBOUR, PRACTICE, inside, street
from tests.peers.house import program as huisclos

NAME = "pacs.example"
RESOLVER = """
import socket, struct, sys
first, later, seen = sys.argv[1], sys.argv[2], open(sys.argv[3], "w")
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
address = first
while True:
    asked, sender = server.recvfrom(4096)
    end = asked.index(0, 12) + 5
    kind = struct.unpack(">H", asked[end - 4 : end - 2])[0]
    answer = b""
    if kind == 1:
        answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + socket.inet_aton(address)
        print(address, file=seen, flush=True)
        address = later
    counts = struct.pack(">HHHH", 1, bool(answer), 0, 0)
    server.sendto(asked[:2] + b"\\x81\\x80" + counts + asked[12:end] + answer, sender)
"""
"""Answers the first question for an address with one, each later one with another, for no time at all."""


@contextmanager
def _resolver(folder: Path, first: str, later: str) -> Iterator[Path]:
    """In the practice's namespace; the file of what it answered."""
    answered = folder / "answered"
    command = inside(PRACTICE, sys.executable, "-c", RESOLVER, first, later, str(answered))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        yield answered
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _probe(folder: Path, *targets: str) -> int:
    """`doors probe` in the practice, where names are asked of the test's resolver; its exit code."""
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    (folder / "nsswitch.conf").write_text("hosts: dns\n")
    mounts = "".join(
        f"mount --bind {folder / name} /etc/{name}; " for name in ("resolv.conf", "nsswitch.conf")
    )
    command = ["unshare", "-m", "sh", "-c", mounts + 'exec "$@"', "sh"]
    asked = [huisclos(), "doors", "probe", *targets, "--consent", "A. Martin, owner"]
    ran = subprocess.run(
        inside(PRACTICE, *command, *asked),
        check=False,
        capture_output=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
    )
    assert b"Traceback" not in ran.stderr
    return ran.returncode


@pytest.mark.parametrize("target", [NAME, f"http://{NAME}:8042/", f"{NAME}:8042"])
def test_a_name_is_pinned_to_its_first_address(tmp_path: Path, target: str) -> None:
    """It leads to the box at first, and then to a stranger of the Internet: nothing goes there."""
    with street(tmp_path):
        serve = ["-m", "http.server", "8042", "--bind", INSIDE, "--directory", str(tmp_path)]
        server = subprocess.Popen(
            inside(BOX, sys.executable, *serve),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with (
                _resolver(tmp_path, INSIDE, NEIGHBOUR) as answered,
                captured(PRACTICE, "hcs3", tmp_path / "packets"),
            ):
                _probe(tmp_path, target)
                assert [INSIDE] == answered.read_text().split(), "it was looked up once"
        finally:
            server.terminate()
            server.wait(10)
    sent = [one for one in packets(tmp_path / "packets") if one.outgoing]
    assert any(one.opens for one in sent)
    assert {INSIDE} == {one.destination for one in sent}


def test_a_name_that_leads_out_is_not_asked(tmp_path: Path) -> None:
    """At first to a stranger: exit code 3, and no packet, also when another target was in scope."""
    with (
        street(tmp_path),
        _resolver(tmp_path, INSIDE, NEIGHBOUR),
        captured(PRACTICE, "hcs3", tmp_path / "packets"),
    ):
        assert 3 == _probe(tmp_path, NAME, f"{NAME}:8042")
    assert [] == [one for one in packets(tmp_path / "packets") if one.outgoing and one.opens]
