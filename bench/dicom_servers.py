"""Many simulated DICOM servers in one process, cheap enough not to be what is measured.

    python bench/dicom_servers.py PORT COUNT MILLISECONDS

Each has an address of its own on loopback, lets everybody in, and answers every message (echo, find, get,
release) MILLISECONDS after it came. It writes `ready` once all listen; and at each SIGUSR1 how many came,
since the one before, while another to the same server stood: `at once N`.
"""

from __future__ import annotations

import heapq
import select
import signal
import socket
import struct
import sys
import time
from typing import Final

_ITEMS_AT: Final = 68
_UID_DCMTK: Final = b"1.2.276.0.7230010.3.0.3.6.7"
_IMPLICIT: Final = b"1.2.840.10008.1.2"
_RELEASED: Final = b"\x06\0\0\0\0\x04\0\0\0\0"
_FIELD: Final = struct.pack("<HHI", 0, 0x0100, 2)
_NUMBER: Final = struct.pack("<HHI", 0, 0x0110, 2)
_GET: Final = 0x0010


def address(number: int) -> str:
    """Where the server `number` listens."""
    return f"127.20.{number // 200}.{number % 200 + 1}"


class Servers:
    """All of them, on one epoll."""

    def __init__(self, port: int, count: int, seconds: float) -> None:
        self.seconds = seconds
        self.at_once = 0
        self.epoll = select.epoll()
        self.listening: dict[int, socket.socket] = {}
        self.standing: dict[int, tuple[socket.socket, int]] = {}
        self.connections: dict[int, int] = {}
        self.due: list[tuple[float, int, int, bytes]] = []
        self.answers: dict[bytes, bytes] = {}
        self.sent = 0
        for number in range(count):
            made = socket.create_server((address(number), port), backlog=16)
            made.setblocking(False)
            self.listening[made.fileno()] = made
            self.epoll.register(made.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        """Until the process ends."""
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else -1
            for descriptor, _ in self.epoll.poll(wait):
                if descriptor in self.listening:
                    self._accept(descriptor)
                else:
                    self._read(descriptor)
            while self.due and self.due[0][0] <= time.monotonic():
                _, _, descriptor, answer = heapq.heappop(self.due)
                if descriptor in self.standing:
                    self._send(descriptor, answer)

    def tell(self) -> None:
        """Write how often one came while another stood, and begin anew."""
        print(f"at once {self.at_once}", flush=True)
        self.at_once = 0

    def _accept(self, descriptor: int) -> None:
        made, _ = self.listening[descriptor].accept()
        made.setblocking(False)
        self.standing[made.fileno()] = made, descriptor
        now = self.connections.get(descriptor, 0) + 1
        self.connections[descriptor] = now
        self.at_once += now > 1
        self.epoll.register(made.fileno(), select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        standing, server = self.standing[descriptor]
        try:
            data = standing.recv(65536)
        except OSError:
            data = b""
        if data:
            answer = self._answer(data)
            if answer and self.seconds:
                self.sent += 1
                heapq.heappush(self.due, (time.monotonic() + self.seconds, self.sent, descriptor, answer))
            elif answer:
                self._send(descriptor, answer)
            return
        del self.standing[descriptor]
        self.connections[server] -= 1
        self.epoll.unregister(descriptor)
        standing.close()

    def _send(self, descriptor: int, answer: bytes) -> None:
        try:
            self.standing[descriptor][0].send(answer)
        except OSError:
            return

    def _answer(self, data: bytes) -> bytes:
        """The answer to one message, which came in one piece: each of the two clients sends it so."""
        if data[0] == 1:
            key = data[6 + _ITEMS_AT :]
            return self.answers.setdefault(key, b"") or self._keep(key, _accept(data[6:]))
        if data[0] == 4:  # noqa: PLR2004 - P-DATA-TF
            key = data[6:100]
            return self.answers.setdefault(key, b"") or self._keep(key, _respond(data))
        return _RELEASED if data[0] == 5 else b""  # noqa: PLR2004 - A-RELEASE-RQ

    def _keep(self, key: bytes, answer: bytes) -> bytes:
        self.answers[key] = answer
        return answer


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _accept(body: bytes) -> bytes:
    """A-ASSOCIATE-AC that accepts every context in implicit little endian (PS3.8 section 9.3.3)."""
    at, answered = _ITEMS_AT, b""
    while at < len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        if kind == 0x20:  # noqa: PLR2004 - a proposed context
            answered += _item(0x21, bytes((body[at + 4], 0, 0, 0)) + _item(0x40, _IMPLICIT))
        at += 4 + length
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, _UID_DCMTK) + _item(0x55, b"OFFIS_DCMTK_367")
    whole = body[:_ITEMS_AT] + _item(0x10, b"1.2.840.10008.3.1.1.1") + answered + _item(0x50, user)
    return b"\x02\0" + struct.pack(">I", len(whole)) + whole


def _respond(data: bytes) -> bytes:
    """Success without a match or a sub-operation (PS3.7 section 9.3)."""
    at = data.index(_FIELD) + 8
    (field,) = struct.unpack_from("<H", data, at)
    (number,) = struct.unpack_from("<H", data, data.index(_NUMBER) + 8)
    values = {0x0002: b"1.2.840.10008.1.1\0", 0x0100: struct.pack("<H", field | 0x8000)}
    values |= {0x0120: struct.pack("<H", number), 0x0800: b"\x01\x01", 0x0900: b"\0\0"}
    if field == _GET:
        values |= dict.fromkeys((0x1021, 0x1022, 0x1023), b"\0\0")
    command = b"".join(struct.pack("<HHI", 0, tag, len(raw)) + raw for tag, raw in sorted(values.items()))
    command = struct.pack("<HHII", 0, 0, 4, len(command)) + command
    fragment = struct.pack(">IBB", len(command) + 2, data[10], 3) + command
    return b"\x04\0" + struct.pack(">I", len(fragment)) + fragment


def main() -> None:
    """Serve until the process is ended."""
    port, count, milliseconds = (int(text) for text in sys.argv[1:])
    servers = Servers(port, count, milliseconds / 1000)
    signal.signal(signal.SIGUSR1, lambda *_: servers.tell())
    print("ready", flush=True)
    servers.serve()


if __name__ == "__main__":
    main()
