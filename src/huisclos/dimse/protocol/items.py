"""The user information item of A-ASSOCIATE and its sub-items (PS3.8 annex D, PS3.7 annex D.3.3).

Items of a type unknown to us are skipped, as PS3.8 section 9.3.1 asks; a known one that is
malformed raises `BadPDU` with the reason A-ABORT gives for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from huisclos.dicom.uids import IMPLEMENTATION_VERSION
from huisclos.dimse.protocol.names import IMPLEMENTATION_UID, UID_LENGTH, read_uid
from huisclos.errors import BadPDU

UNEXPECTED_PARAMETER: Final = 5
INVALID_PARAMETER: Final = 6
"""Reasons of A-ABORT, provider source (PS3.8 table 9-26)."""

PDU_LENGTH_LEAST: Final = 8
"""bytes: below it no fragment of a message fits into a PDU"""

_ITEM = struct.Struct(">BBH")
_SHORT = struct.Struct(">H")
_LONG = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class AsyncWindow:
    """Operations in flight that the sender proposes; 0 is no bound (PS3.7 annex D.3.3.3)."""

    invoked: int
    performed: int


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """Who is user and who is provider of one SOP class (PS3.7 annex D.3.3.4)."""

    sop_class: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """What one service class says of itself, uninterpreted (PS3.7 annex D.3.3.5)."""

    sop_class: str
    information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtendedNegotiation:
    """The service class and the relatives of a SOP class (PS3.7 annex D.3.3.6)."""

    sop_class: str
    service_class: str
    related: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """A user's name and secret, or a token (PS3.7 annex D.3.3.7.1); never shown by `repr`."""

    kind: int
    wants_response: bool
    primary: bytes = field(repr=False)
    secondary: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """All sub-items of one user information item; what the peer did not send is None or empty."""

    max_length: int | None
    """bytes of a P-DATA-TF PDU that its sender takes; 0 is no bound"""
    implementation_uid: str | None = IMPLEMENTATION_UID
    implementation_version: str | None = IMPLEMENTATION_VERSION
    async_window: AsyncWindow | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    common_extended: tuple[CommonExtendedNegotiation, ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = field(default=None, repr=False)


def split_items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each item that `body` is made of; `BadPDU` if the lengths do not add up."""
    at, end = 0, len(body)
    while at < end:
        if end - at < _ITEM.size:
            raise _invalid("an item breaks off")
        kind, _, length = _ITEM.unpack_from(body, at)
        at += _ITEM.size
        if length > end - at:
            raise _invalid("an item is longer than what holds it")
        yield kind, body[at : at + length]
        at += length


def join_item(kind: int, body: bytes) -> bytes:
    """One item, with its header."""
    return _ITEM.pack(kind, 0, len(body)) + body


def read_user_information(body: bytes) -> UserInformation:
    """The sub-items in `body`; the order they come in says nothing."""
    found: dict[str, Any] = {"implementation_uid": None, "implementation_version": None, "max_length": None}
    for kind, item in split_items(body):
        known = _READERS.get(kind)
        if known is None:
            continue
        name, read = known
        if name in _REPEATED:
            found[name] = (*found.get(name, ()), read(item))
        elif found.get(name) is not None:
            raise _invalid("a sub-item comes twice")
        else:
            found[name] = read(item)
    return UserInformation(**found)


def write_user_information(user: UserInformation) -> bytes:
    """The body of the user information item, its sub-items in the order of their types."""
    parts: list[bytes] = []
    if user.max_length is not None:
        parts.append(join_item(0x51, _LONG.pack(user.max_length)))
    if user.implementation_uid is not None:
        parts.append(join_item(0x52, user.implementation_uid.encode("latin-1")))
    if user.async_window is not None:
        window = user.async_window
        parts.append(join_item(0x53, _SHORT.pack(window.invoked) + _SHORT.pack(window.performed)))
    parts += [
        join_item(0x54, _counted_text(role.sop_class) + bytes((role.scu, role.scp))) for role in user.roles
    ]
    if user.implementation_version is not None:
        parts.append(join_item(0x55, user.implementation_version.encode("latin-1")))
    parts += [join_item(0x56, _counted_text(one.sop_class) + one.information) for one in user.extended]
    parts += [join_item(0x57, _write_common(one)) for one in user.common_extended]
    if user.identity is not None:
        who = user.identity
        head = bytes((who.kind, who.wants_response))
        parts.append(join_item(0x58, head + _counted(who.primary) + _counted(who.secondary)))
    if user.identity_response is not None:
        parts.append(join_item(0x59, _counted(user.identity_response)))
    return b"".join(parts)


def uid_field(raw: bytes) -> str:
    """The text of a UID in an item; `BadPDU` over 64 characters."""
    uid = read_uid(raw)
    if len(uid) > UID_LENGTH:
        raise _invalid("a UID is too long")
    return uid


class _Fields:
    """The fields of one sub-item, taken from its front; `BadPDU` when it breaks off."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def take(self, length: int) -> bytes:
        if length > len(self._body) - self._at:
            raise _invalid("a sub-item breaks off")
        self._at += length
        return self._body[self._at - length : self._at]

    def counted(self) -> bytes:
        (length,) = _SHORT.unpack(self.take(2))
        return self.take(length)

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def ended(self) -> bool:
        return self._at == len(self._body)

    def end(self) -> None:
        if not self.ended:
            raise _invalid("a sub-item is longer than its fields")


def _read_max_length(body: bytes) -> int:
    if len(body) != _LONG.size:
        raise _invalid("the maximum length is not four bytes")
    (length,) = _LONG.unpack(body)
    if 0 < length < PDU_LENGTH_LEAST:
        raise _invalid("no message fits into PDUs this short")
    return int(length)


def _read_version(body: bytes) -> str:
    # PS3.7 says 16 characters; some send more, and it is only ever shown.
    if len(body) > UID_LENGTH:
        raise _invalid("the implementation version is too long")
    return body.decode("latin-1").rstrip("\0 ")


def _read_window(body: bytes) -> AsyncWindow:
    fields = _Fields(body)
    (invoked,), (performed,) = _SHORT.unpack(fields.take(2)), _SHORT.unpack(fields.take(2))
    fields.end()
    return AsyncWindow(invoked, performed)


def _read_role(body: bytes) -> RoleSelection:
    fields = _Fields(body)
    sop_class = uid_field(fields.counted())
    scu, scp = fields.take(2)
    fields.end()
    return RoleSelection(sop_class, scu != 0, scp != 0)


def _read_extended(body: bytes) -> ExtendedNegotiation:
    fields = _Fields(body)
    return ExtendedNegotiation(uid_field(fields.counted()), fields.rest())


def _read_common(body: bytes) -> CommonExtendedNegotiation:
    fields = _Fields(body)
    sop_class, service_class = uid_field(fields.counted()), uid_field(fields.counted())
    relatives = _Fields(fields.counted())
    # What follows is reserved for later editions (PS3.7 table D.3-12).
    related: list[str] = []
    while not relatives.ended:
        related.append(uid_field(relatives.counted()))
    return CommonExtendedNegotiation(sop_class, service_class, tuple(related))


def _write_common(one: CommonExtendedNegotiation) -> bytes:
    related = b"".join(_counted_text(uid) for uid in one.related)
    return _counted_text(one.sop_class) + _counted_text(one.service_class) + _counted(related)


def _read_identity(body: bytes) -> UserIdentity:
    fields = _Fields(body)
    kind, wants_response = fields.take(2)
    primary, secondary = fields.counted(), fields.counted()
    fields.end()
    return UserIdentity(kind, wants_response != 0, primary, secondary)


def _read_identity_response(body: bytes) -> bytes:
    fields = _Fields(body)
    response = fields.counted()
    fields.end()
    return response


def _counted(raw: bytes) -> bytes:
    return _SHORT.pack(len(raw)) + raw


def _counted_text(text: str) -> bytes:
    return _counted(text.encode("latin-1"))


def _invalid(message: str) -> BadPDU:
    return BadPDU(message, reason=INVALID_PARAMETER)


_READERS: Final[dict[int, tuple[str, Callable[[bytes], object]]]] = {
    0x51: ("max_length", _read_max_length),
    0x52: ("implementation_uid", uid_field),
    0x53: ("async_window", _read_window),
    0x54: ("roles", _read_role),
    0x55: ("implementation_version", _read_version),
    0x56: ("extended", _read_extended),
    0x57: ("common_extended", _read_common),
    0x58: ("identity", _read_identity),
    0x59: ("identity_response", _read_identity_response),
}
_REPEATED: Final = frozenset({"roles", "extended", "common_extended"})
