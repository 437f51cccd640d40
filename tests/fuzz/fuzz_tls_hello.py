"""Bytes as a server's answer to a ClientHello: what comes after it changes nothing."""

from __future__ import annotations

import struct

from huisclos.doors.probes.hello import ANY, NotTlsAnswer, Version, client_hello, read_answer
from huisclos.errors import BadPDU


def server_hello(version: int, suite: int, extensions: bytes | None = b"") -> bytes:
    """A ServerHello in one record."""
    body = struct.pack(">H", version) + bytes(32) + b"\0" + struct.pack(">HB", suite, 0)
    if extensions is not None:
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x02" + len(body).to_bytes(3, "big") + body
    return struct.pack(">BHH", 22, min(version, 0x0303), len(message)) + message


SEEDS: list[bytes] = [
    server_hello(0x0300, 0x0005, None),
    server_hello(0x0302, 0x002F),
    server_hello(0x0303, 0x1301, struct.pack(">HHH", 43, 2, 0x0304)),
    bytes.fromhex("15030100020246"),
    client_hello(Version.TLS_1_2, ANY, bytes(32), "pacs.invalid"),
]


def one(data: bytes) -> str:
    """Read `data`; raises `AssertionError` when what comes after the answer changes it."""
    try:
        answer = read_answer(data)
    except NotTlsAnswer:
        raise BadPDU("no answer of TLS") from None
    if answer is None:
        return "more"
    assert read_answer(data + bytes(8)) == answer
    return type(answer).__name__
