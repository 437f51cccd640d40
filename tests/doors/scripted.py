"""A server that does as its script says, whatever that is, on a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Script = Callable[[socket.socket], None]


_ESTABLISHED = 1


@dataclass
class Scripted:
    """The server's port, and what came."""

    port: int = 0
    connections: int = 0
    most_at_once: int = 0
    """Connections that stood at the same moment, by the system's own account."""
    live: set[socket.socket] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def scripted(script: Script, port: int = 0, address: str = "127.0.0.1") -> Iterator[Scripted]:
    """Until the end, each connection is handed to `script`, then closed; `port` 0 is any free one."""
    made, stop = Scripted(), threading.Event()

    def serve(connection: socket.socket) -> None:
        with made.lock:
            made.connections += 1
            made.live.add(connection)
            made.most_at_once = max(made.most_at_once, sum(map(_stands, made.live)))
        try:
            connection.settimeout(10.0)
            with contextlib.suppress(OSError):
                script(connection)
        finally:
            with made.lock:
                made.live.remove(connection)
            connection.close()

    with socket.create_server((address, port)) as server:
        server.settimeout(0.05)
        made.port = server.getsockname()[1]

        def accept() -> None:
            threads = []
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    threads.append(threading.Thread(target=serve, args=(server.accept()[0],), daemon=True))
                    threads[-1].start()
            for thread in threads:
                thread.join(15.0)

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield made
        finally:
            stop.set()
            accepting.join()


def _stands(connection: socket.socket) -> bool:
    """Whether neither end has hung up: a script notices that later than the system does (tcp(7)).

    A script that speaks TLS has taken the descriptor over, and may end it meanwhile: it is not counted.
    """
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
    except OSError:
        return False


def item(kind: int, body: bytes) -> bytes:
    """An item of an A-ASSOCIATE PDU."""
    return struct.pack(">BBH", kind, 0, len(body)) + body


def accept_all(request: bytes, version: bytes = b"SCRIPTED") -> bytes:
    """A-ASSOCIATE-AC that accepts every context of `request`, a whole PDU, and names its maker `version`."""
    body, at, answered = request[6:], 68, b""
    while at < len(body):
        kind, _, length = struct.unpack_from(">BBH", body, at)
        if kind == 0x20:
            answered += item(0x21, bytes((body[at + 4], 0, 0, 0)) + item(0x40, b"1.2.840.10008.1.2"))
        at += 4 + length
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3.4") + item(0x55, version)
    whole = body[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + answered + item(0x50, user)
    return b"\x02\0" + struct.pack(">I", len(whole)) + whole


def message(context: int, *, data: bytes | None = None, **elements: bytes) -> bytes:
    """A DIMSE message in one PDU; elements by the number of their tag, as `_0100`."""
    values = {int(name[1:], 16): raw for name, raw in elements.items()}
    values[0x0800] = b"\x01\x01" if data is None else b"\x01\0"
    command = b"".join(struct.pack("<HHI", 0, tag, len(raw)) + raw for tag, raw in sorted(values.items()))
    command = struct.pack("<HHII", 0, 0, 4, len(command)) + command
    parts = struct.pack(">IBB", len(command) + 2, context, 3) + command
    if data is not None:
        parts += struct.pack(">IBB", len(data) + 2, context, 2) + data
    return b"\x04\0" + struct.pack(">I", len(parts)) + parts


def field_of(request: bytes) -> int:
    """Command Field of a request, a whole PDU."""
    at = request.index(struct.pack("<HHI", 0, 0x0100, 2)) + 8
    return int.from_bytes(request[at : at + 2], "little")


def number_of(request: bytes) -> bytes:
    """Message ID of a request, a whole PDU."""
    at = request.index(struct.pack("<HHI", 0, 0x0110, 2)) + 8
    return request[at : at + 2]


def success(request: bytes) -> bytes:
    """The response that says success, to `request`."""
    field = (field_of(request) | 0x8000).to_bytes(2, "little")
    return message(request[10], _0002=b"1.2\0", _0100=field, _0120=number_of(request), _0900=b"\0\0")
