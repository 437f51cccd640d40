"""The first words of TLS, written and read by hand: which old versions and weak suites a server still takes.

OpenSSL no longer says SSL 3.0, and says less each year; a server's answer to a ClientHello settles it before
any key is made (RFC 8446 section 4.1, RFC 5246 section 7.4.1, RFC 6101 section 5.6). Pure: bytes in and out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_RECORD: Final = struct.Struct(">BHH")
RECORD_MOST: Final = 16 * 1024 + 2048
"""bytes of one record (RFC 5246 section 6.2.3)"""
_HELLO_MOST: Final = 4 * 1024
"""bytes of a ServerHello: more is none"""
_RANDOM: Final = 32
_SESSION_MOST: Final = 32
_SUPPORTED_VERSIONS: Final = 43
_ALERT, _HANDSHAKE = 21, 22
_CLIENT_HELLO, _SERVER_HELLO = 1, 2


class Version(IntEnum):
    """Versions of the protocol, as they are written on the wire."""

    SSL_3_0 = 0x0300
    TLS_1_0 = 0x0301
    TLS_1_1 = 0x0302
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304


NAMES: Final = {
    Version.SSL_3_0: "SSLv3",
    Version.TLS_1_0: "TLSv1.0",
    Version.TLS_1_1: "TLSv1.1",
    Version.TLS_1_2: "TLSv1.2",
    Version.TLS_1_3: "TLSv1.3",
}

FORWARD: Final = (
    0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9, 0xC009, 0xC00A, 0xC013, 0xC014, 0x0033, 0x0039, 0x009E,
    0x009F,
)  # fmt: skip
"""with forward secrecy: ECDHE and DHE over AES and ChaCha20"""
RSA_ONLY: Final = (0x002F, 0x0035, 0x003C, 0x003D, 0x009C, 0x009D)
"""keys sent under the certificate's own: whoever gets its key later reads all that was recorded"""
_NULL: Final = (0x0001, 0x0002, 0x003B, 0xC006, 0xC010)
_ANONYMOUS: Final = (0x0018, 0x001B, 0x0034, 0x003A, 0xC018, 0xC019)
_EXPORT: Final = (0x0003, 0x0006, 0x0008, 0x000B, 0x000E, 0x0011, 0x0014, 0x0017, 0x0019)
_RC4: Final = (0x0004, 0x0005, 0xC007, 0xC011)
_DES: Final = (0x0009, 0x000C, 0x000F, 0x0012, 0x0015, 0x001A)
_TRIPLE_DES: Final = (0x000A, 0x0013, 0x0016, 0xC008, 0xC012)
WEAK: Final = (*_NULL, *_ANONYMOUS, *_EXPORT, *_RC4, *_DES, *_TRIPLE_DES)
ANY: Final = (*FORWARD, *RSA_ONLY, *WEAK)

_KINDS: Final = {
    "null-cipher": _NULL,
    "anonymous": _ANONYMOUS,
    "export-cipher": _EXPORT,
    "rc4": _RC4,
    "des": _DES,
    "3des": _TRIPLE_DES,
    "no-forward-secrecy": RSA_ONLY,
}


def kind_of(suite: int) -> str | None:
    """The word for what is weak about `suite`; None for one that is not."""
    return next((word for word, suites in _KINDS.items() if suite in suites), None)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A ServerHello: what the server takes of what it was offered."""

    version: int
    suite: int


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert instead (RFC 8446 section 6)."""

    level: int
    description: int


class NotTlsAnswer(ValueError):
    """The bytes are no answer to a ClientHello."""


def client_hello(version: Version, suites: tuple[int, ...], random: bytes, name: str = "") -> bytes:
    """A ClientHello of at most `version`, with the extensions that servers of its time look for.

    `random` is 32 bytes; `name` is the server's, left out when it is an address (RFC 6066 section 3).
    """
    listed = b"".join(struct.pack(">H", suite) for suite in suites)
    body = struct.pack(">H", version) + random + b"\0" + _counted(listed) + b"\x01\0"
    if version > Version.SSL_3_0:
        body += _counted(_extensions(version, name))
    message = bytes((_CLIENT_HELLO,)) + len(body).to_bytes(3, "big") + body
    outer = min(version, Version.TLS_1_0)
    return _RECORD.pack(_HANDSHAKE, outer, len(message)) + message


def _extensions(version: Version, name: str) -> bytes:
    groups = b"".join(struct.pack(">H", group) for group in (29, 23, 24, 25, 256))
    made = [(10, _counted(groups)), (11, b"\x01\0"), (0xFF01, b"\0")]
    if version >= Version.TLS_1_2:
        algorithms = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
        made.append((13, _counted(b"".join(struct.pack(">H", one) for one in algorithms))))
    if name:
        made.append((0, _counted(b"\0" + _counted(name.encode("idna")))))
    return b"".join(struct.pack(">H", kind) + _counted(body) for kind, body in made)


def read_answer(data: bytes) -> Chosen | Alerted | None:
    """What a server says to a ClientHello; None while more of it must come. Raises `NotTlsAnswer`."""
    message, at = b"", 0
    while at + _RECORD.size <= len(data):
        kind, version, length = _RECORD.unpack_from(data, at)
        if kind not in (_ALERT, _HANDSHAKE) or version >> 8 != 3 or not 0 < length <= RECORD_MOST:  # noqa: PLR2004
            raise NotTlsAnswer
        body = data[at + _RECORD.size : at + _RECORD.size + length]
        if kind == _ALERT:
            if message or length != 2:  # noqa: PLR2004 - level, description
                raise NotTlsAnswer
            return Alerted(body[0], body[1]) if len(body) == length else None
        message += body
        if (chosen := _server_hello(message)) is not None:
            return chosen
        if len(body) < length:
            return None
        at += _RECORD.size + length
    return None


def _server_hello(message: bytes) -> Chosen | None:
    """The hello that begins a stream of handshake messages; None while more of it must come."""
    if not message or len(message) < 4:  # noqa: PLR2004 - type and length
        return None
    length = int.from_bytes(message[1:4], "big")
    if message[0] != _SERVER_HELLO or length > _HELLO_MOST:
        raise NotTlsAnswer
    body = message[4 : 4 + length]
    if len(body) < length:
        return None
    head = 2 + _RANDOM + 1
    if length < head or body[head - 1] > _SESSION_MOST:
        raise NotTlsAnswer
    at = head + body[head - 1]
    if length < at + 3:
        raise NotTlsAnswer
    version, suite = int.from_bytes(body[:2], "big"), int.from_bytes(body[at : at + 2], "big")
    if version >> 8 != 3:  # noqa: PLR2004 - every version's first byte
        raise NotTlsAnswer
    return Chosen(_supported(body[at + 3 :]) or version, suite)


def _supported(raw: bytes) -> int:
    """The version in the extension that TLS 1.3 moved it to; 0 without."""
    end = 2 + int.from_bytes(raw[:2], "big")
    if raw and (len(raw) < 2 or end != len(raw)):  # noqa: PLR2004 - the length itself
        raise NotTlsAnswer
    at = 2
    while at < end and raw:
        if end - at < 4:  # noqa: PLR2004 - type and length
            raise NotTlsAnswer
        kind, length = struct.unpack_from(">HH", raw, at)
        at += 4 + length
        if at > end:
            raise NotTlsAnswer
        if kind == _SUPPORTED_VERSIONS and length == 2:  # noqa: PLR2004 - one version
            return int.from_bytes(raw[at - 2 : at], "big")
    return 0


def _counted(raw: bytes) -> bytes:
    return struct.pack(">H", len(raw)) + raw
