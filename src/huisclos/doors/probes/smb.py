"""SMB 2 as far as the door: who is let in as a guest, told by a name that nobody has (MS-SMB2, MS-NLMP).

Three messages: negotiate, and the two of a session. No tree is opened, no list and no file is asked for.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from typing import Final

MAX_MESSAGE: Final = 64 * 1024
"""bytes of an answer"""
PREFIX: Final = 4
"""bytes of the length before each message (MS-SMB2 section 2.1)"""
_MAGIC: Final = b"\xfeSMB"
_HEADER: Final = 64
_DIALECTS: Final = (0x0202, 0x0210, 0x0300)
_NEGOTIATE, _SESSION = 0, 1
_MORE: Final = 0xC0000016
_GUEST: Final = 0x0001
_SIGNING_REQUIRED: Final = 0x02
_NTLM: Final = b"NTLMSSP\0"
_FLAGS: Final = 0x00088207
"""Unicode, OEM, request target, NTLM, always sign, extended session security (MS-NLMP section 2.2.2.5)"""
_CHALLENGE: Final = 48
"""bytes of the fixed part of a challenge (MS-NLMP section 2.2.1.2)"""
_TOLD_MOST: Final = 16 * 1024
"""bytes of what a challenge tells of its server, which our answer repeats: a few names"""
_TIME: Final = 132_000_000_000_000_000
"""a moment in 2019, in tenths of microseconds since 1601: nobody compares it"""
REFUSALS: Final = frozenset(
    (0xC000006D, 0xC0000022, 0xC000006E, 0xC0000072, 0xC0000064, 0xC000006A, 0xC0000234)
)
"""Statuses by which a server says that this name gets no session (MS-ERREF section 2.3)."""


class NotSmb(Exception):
    """The answer is not SMB 2's."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    status: int
    session: int
    body: bytes

    @property
    def more(self) -> bool:
        """Whether the session wants another message."""
        return self.status == _MORE

    @property
    def guest(self) -> bool:
        """Whether the session was given to a guest (MS-SMB2 section 2.2.6)."""
        return self.status == 0 and len(self.body) >= 4 and bool(self.body[2] & _GUEST)  # noqa: PLR2004 - size and flags

    @property
    def signing(self) -> bool:
        """Whether the negotiation demands signatures (MS-SMB2 section 2.2.4)."""
        return len(self.body) >= 4 and bool(self.body[2] & _SIGNING_REQUIRED)  # noqa: PLR2004 - size and mode

    @property
    def token(self) -> bytes:
        """The security buffer of a session's answer."""
        if len(self.body) < 8:  # noqa: PLR2004 - the fixed part
            raise NotSmb
        at, length = struct.unpack_from("<HH", self.body, 4)
        return self.body[at - _HEADER : at - _HEADER + length] if at >= _HEADER else b""


def negotiate() -> bytes:
    """The first message (MS-SMB2 section 2.2.3)."""
    body = struct.pack("<HHHHI16sQ", 36, len(_DIALECTS), 1, 0, 0, secrets.token_bytes(16), 0)
    return _message(_NEGOTIATE, 0, 0, body + struct.pack(f"<{len(_DIALECTS)}H", *_DIALECTS))


def ask() -> bytes:
    """The second: who we are will be said in NTLM (MS-NLMP section 2.2.1.1)."""
    return _session(1, 0, _NTLM + struct.pack("<II16x", 1, _FLAGS))


def name(said: Said, user: str) -> bytes:
    """The third: a name that nobody has, and no password (MS-NLMP section 2.2.1.3).

    The response is random: whoever checks it knows the name, and nobody does.
    """
    token = said.token
    if not token.startswith(_NTLM) or len(token) < _CHALLENGE:
        raise NotSmb
    length, _, offset = struct.unpack_from("<HHI", token, 40)
    told = token[offset : offset + length] or bytes(4)
    if len(told) > _TOLD_MOST:
        raise NotSmb
    response = struct.pack("<BB6xQ8s4x", 1, 1, _TIME, secrets.token_bytes(8)) + told + bytes(4)
    fields = (bytes(24), secrets.token_bytes(16) + response, b"", user.encode("utf-16-le"), b"", b"")
    at, heads, tail = 64, b"", b""
    for one in fields:
        heads += struct.pack("<HHI", len(one), len(one), at + len(tail))
        tail += one
    return _session(2, said.session, _NTLM + struct.pack("<I", 3) + heads + struct.pack("<I", _FLAGS) + tail)


def length_of(prefix: bytes) -> int:
    """Bytes of the message that follows. Raises `NotSmb`."""
    length = int.from_bytes(prefix[1:], "big")
    if len(prefix) != PREFIX or prefix[0] != 0 or not _HEADER <= length <= MAX_MESSAGE:
        raise NotSmb
    return length


def read(raw: bytes) -> Said:
    """An answer without its length. Raises `NotSmb`."""
    if len(raw) < _HEADER or not raw.startswith(_MAGIC) or not raw[16] & 1:
        raise NotSmb
    (status,) = struct.unpack_from("<I", raw, 8)
    (session,) = struct.unpack_from("<Q", raw, 40)
    return Said(status, session, raw[_HEADER:])


def _session(number: int, session: int, token: bytes) -> bytes:
    body = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, _HEADER + 24, len(token), 0)
    return _message(_SESSION, number, session, body + token)


def _message(command: int, number: int, session: int, body: bytes) -> bytes:
    header = struct.pack(
        "<4sHHIHHIIQIIQ16x", _MAGIC, _HEADER, 0, 0, command, 1, 0, 0, number, 0, 0, session
    )  # fmt: skip
    message = header + body
    return len(message).to_bytes(PREFIX, "big") + message
