"""Every IPv4 packet that passes one interface of a namespace, read from the wire itself."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

ALL: Final = 0x0003
"""ETH_P_ALL"""
OUTGOING: Final = 4
TCP, UDP = 6, 17
SYN, ACK = 0x02, 0x10


class Packet(NamedTuple):
    """What is read of one packet."""

    outgoing: bool
    protocol: int
    source: str
    destination: str
    port: int
    """of the destination"""
    flags: int
    payload: bytes

    @property
    def opens(self) -> bool:
        """Whether it begins a TCP connection, or is a datagram."""
        return self.protocol == UDP or (self.flags & (SYN | ACK)) == SYN


def main() -> None:
    """Print until told to end."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    sock.bind((sys.argv[1], 0))
    print("ready", flush=True)
    while True:
        raw, where = sock.recvfrom(65536)
        if where[1] == 0x0800:
            print(int(where[2] == OUTGOING), raw.hex(), flush=True)


@contextmanager
def captured(namespace: str, interface: str, file: Path) -> Iterator[None]:
    """What passes `interface`, into `file`, until the end."""
    inside = ["ip", "netns", "exec", namespace, sys.executable, str(Path(__file__)), interface]
    with file.open("wb") as out:
        process = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=out)
        try:
            while not file.read_bytes().startswith(b"ready"):
                if process.poll() is not None:
                    raise RuntimeError("nothing can be captured here")
            yield
        finally:
            process.terminate()
            process.wait(10)


def packets(file: Path) -> Sequence[Packet]:
    """What was captured."""
    return [_read(line) for line in file.read_text().splitlines()[1:] if line.count(" ") == 1]


def _read(line: str) -> Packet:
    outgoing, text = line.split()
    raw = bytes.fromhex(text)
    start, end = (raw[0] & 15) * 4, int.from_bytes(raw[2:4])
    inner = raw[start:end]
    head = (inner[12] >> 4) * 4 if raw[9] == TCP else 8
    return Packet(
        outgoing == "1",
        raw[9],
        socket.inet_ntoa(raw[12:16]),
        socket.inet_ntoa(raw[16:20]),
        int.from_bytes(inner[2:4]),
        inner[13] if raw[9] == TCP else 0,
        inner[head:],
    )


if __name__ == "__main__":
    main()
