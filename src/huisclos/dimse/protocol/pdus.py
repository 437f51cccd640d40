"""The PDUs of the upper layer (PS3.8 section 9.3), but for P-DATA-TF, which `reader` streams.

What `read_pdu` accepts, `write_pdu` writes back to bytes that read the same. Reserved fields are
not tested, as the Standard asks, and are written as zero.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.items import (
    INVALID_PARAMETER,
    UserInformation,
    join_item,
    read_user_information,
    split_items,
    uid_field,
    write_user_information,
)
from huisclos.dimse.protocol.names import APPLICATION_CONTEXT, read_ae_title, write_ae_title
from huisclos.errors import BadPDU

HEADER: Final = struct.Struct(">BxI")
"""Type and length of every PDU."""
PROTOCOL_VERSION: Final = 1
_ASSOCIATE = struct.Struct(">Hxx16s16s32x")
_FOUR: Final = 4


class Kind(IntEnum):
    """The types of PDU (PS3.8 section 9.3.1)."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class Item(IntEnum):
    """The types of item in an A-ASSOCIATE PDU (PS3.8 sections 9.3.2 and 9.3.3)."""

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    ANSWERED_CONTEXT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50


class ContextAnswer(IntEnum):
    """What became of a proposed presentation context (PS3.8 table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class AbortSource(IntEnum):
    """Who ended it (PS3.8 table 9-26)."""

    USER = 0
    PROVIDER = 2


class AbortReason(IntEnum):
    """Why the provider ended it (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """An abstract syntax and the transfer syntaxes its sender can write, as they came."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """The answer to one proposed context; `transfer_syntax` counts only if accepted."""

    id: int
    answer: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ (PS3.8 section 9.3.2)."""

    called: str
    calling: str
    contexts: tuple[ProposedContext, ...]
    user: UserInformation
    application_context: str = APPLICATION_CONTEXT
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC (PS3.8 section 9.3.3); the titles only repeat the request's."""

    called: str
    calling: str
    contexts: tuple[AnsweredContext, ...]
    user: UserInformation
    application_context: str = APPLICATION_CONTEXT
    version: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 section 9.3.4, table 9-21)."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ (PS3.8 section 9.3.6)."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE-RP (PS3.8 section 9.3.7)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 section 9.3.8)."""

    source: int
    reason: int


PDU = AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseReply | Abort

REFUSED: Final = AssociateReject(1, 1, 1)
"""Permanent, service user, no reason given: the one answer to every identity that is not admitted,
be it the title, the address or the certificate, so that guessing learns nothing."""
WRONG_APPLICATION_CONTEXT: Final = AssociateReject(1, 1, 2)
WRONG_VERSION: Final = AssociateReject(1, 2, 2)
CONGESTED: Final = AssociateReject(2, 3, 1)
"""Transient, service provider (presentation), temporary congestion: try again later."""
LIMIT_EXCEEDED: Final = AssociateReject(2, 3, 2)
"""Transient, service provider (presentation), local limit exceeded."""


def read_pdu(kind: int, body: bytes, bounds: Bounds) -> PDU:
    """The PDU of type `kind` in `body`, its header taken off.

    Raises `BadPDU` with the reason A-ABORT gives, and `BadIdentifier` when only an AE title is off.
    """
    if kind == Kind.ASSOCIATE_RQ:
        return _read_request(body, bounds)
    if kind == Kind.ASSOCIATE_AC:
        return _read_accept(body, bounds)
    if kind not in _SHORT_KINDS:
        raise BadPDU("a PDU of unknown type", reason=AbortReason.UNRECOGNIZED_PDU)
    if len(body) != _FOUR:
        raise _invalid("a PDU has not the length of its type")
    if kind == Kind.ASSOCIATE_RJ:
        return AssociateReject(body[1], body[2], body[3])
    if kind == Kind.ABORT:
        return Abort(body[2], body[3])
    return ReleaseRequest() if kind == Kind.RELEASE_RQ else ReleaseReply()


def write_pdu(pdu: PDU) -> bytes:
    """The bytes of `pdu`, header and all. Raises `BadIdentifier` for an AE title that is none."""
    match pdu:
        case AssociateRequest():
            items = [_write_proposed(context) for context in pdu.contexts]
            return _write_associate(Kind.ASSOCIATE_RQ, pdu, items)
        case AssociateAccept():
            items = [_write_answered(context) for context in pdu.contexts]
            return _write_associate(Kind.ASSOCIATE_AC, pdu, items)
        case AssociateReject(result, source, reason):
            return _with_header(Kind.ASSOCIATE_RJ, bytes((0, result, source, reason)))
        case ReleaseRequest():
            return _with_header(Kind.RELEASE_RQ, bytes(_FOUR))
        case ReleaseReply():
            return _with_header(Kind.RELEASE_RP, bytes(_FOUR))
        case Abort(source, reason):
            return _with_header(Kind.ABORT, bytes((0, 0, source, reason)))


def _read_request(body: bytes, bounds: Bounds) -> AssociateRequest:
    version, called, calling, parts = _read_associate(body, Item.PROPOSED_CONTEXT)
    if len(parts.contexts) > bounds.contexts:
        raise _invalid("too many presentation contexts")
    contexts = tuple(_read_proposed(item, bounds) for item in parts.contexts)
    _check_ids([context.id for context in contexts])
    if not contexts:
        raise _invalid("a request without a presentation context")
    return AssociateRequest(
        called=read_ae_title(called),
        calling=read_ae_title(calling),
        contexts=contexts,
        user=parts.user,
        application_context=parts.application_context,
        version=version,
    )


def _read_accept(body: bytes, bounds: Bounds) -> AssociateAccept:
    version, called, calling, parts = _read_associate(body, Item.ANSWERED_CONTEXT)
    if len(parts.contexts) > bounds.contexts:
        raise _invalid("too many presentation contexts")
    contexts = tuple(_read_answered(item) for item in parts.contexts)
    _check_ids([context.id for context in contexts])
    return AssociateAccept(
        called=_read_repeated_title(called),
        calling=_read_repeated_title(calling),
        contexts=contexts,
        user=parts.user,
        application_context=parts.application_context,
        version=version,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    application_context: str
    contexts: list[bytes]
    user: UserInformation


def _read_associate(body: bytes, context_kind: int) -> tuple[int, bytes, bytes, _Parts]:
    if len(body) < _ASSOCIATE.size:
        raise _invalid("an A-ASSOCIATE PDU breaks off")
    version, called, calling = _ASSOCIATE.unpack_from(body)
    application_context: str | None = None
    user: UserInformation | None = None
    contexts: list[bytes] = []
    for kind, item in split_items(body[_ASSOCIATE.size :]):
        if kind == context_kind:
            contexts.append(item)
        elif kind == Item.APPLICATION_CONTEXT and application_context is None:
            application_context = uid_field(item)
        elif kind == Item.USER_INFORMATION and user is None:
            user = read_user_information(item)
        elif kind in (Item.APPLICATION_CONTEXT, Item.USER_INFORMATION):
            raise _invalid("an item comes twice")
    if application_context is None or user is None:
        raise _invalid("an item is missing")
    return version, called, calling, _Parts(application_context, contexts, user)


def _read_proposed(item: bytes, bounds: Bounds) -> ProposedContext:
    identifier, syntaxes = _read_context(item)
    abstract = [text for kind, text in syntaxes if kind == Item.ABSTRACT_SYNTAX]
    transfer = tuple(text for kind, text in syntaxes if kind == Item.TRANSFER_SYNTAX)
    if len(abstract) != 1 or not transfer:
        raise _invalid("a presentation context without its syntaxes")
    if len(transfer) > bounds.transfer_syntaxes:
        raise _invalid("too many transfer syntaxes")
    return ProposedContext(identifier, abstract[0], transfer)


def _read_answered(item: bytes) -> AnsweredContext:
    identifier, syntaxes = _read_context(item)
    answer = item[2]
    transfer = [text for kind, text in syntaxes if kind == Item.TRANSFER_SYNTAX]
    if answer == ContextAnswer.ACCEPTANCE and len(transfer) != 1:
        raise _invalid("an accepted context without its transfer syntax")
    # A refused context's syntax is not significant, and often left out (PS3.8 section 9.3.3.2).
    accepted = answer == ContextAnswer.ACCEPTANCE
    return AnsweredContext(identifier, answer, transfer[0] if accepted else "")


def _read_context(item: bytes) -> tuple[int, list[tuple[int, str]]]:
    if len(item) < _FOUR:
        raise _invalid("a presentation context breaks off")
    return item[0], [(kind, uid_field(raw)) for kind, raw in split_items(item[_FOUR:])]


def _read_repeated_title(raw: bytes) -> str:
    # Reserved in an answer: "shall not be tested when received" (PS3.8 section 9.3.3).
    return raw.decode("latin-1").strip(" ")


def _check_ids(ids: list[int]) -> None:
    if any(number % 2 == 0 for number in ids) or len(set(ids)) != len(ids):
        raise _invalid("the numbers of presentation contexts are odd and each is given once")


def _write_associate(kind: Kind, pdu: AssociateRequest | AssociateAccept, contexts: list[bytes]) -> bytes:
    if kind == Kind.ASSOCIATE_RQ:
        titles = write_ae_title(pdu.called), write_ae_title(pdu.calling)
    else:
        titles = pdu.called.encode("latin-1").ljust(16), pdu.calling.encode("latin-1").ljust(16)
    return _with_header(
        kind,
        _ASSOCIATE.pack(pdu.version, *titles)
        + join_item(Item.APPLICATION_CONTEXT, pdu.application_context.encode("latin-1"))
        + b"".join(contexts)
        + join_item(Item.USER_INFORMATION, write_user_information(pdu.user)),
    )


def _write_proposed(context: ProposedContext) -> bytes:
    syntaxes = join_item(Item.ABSTRACT_SYNTAX, context.abstract_syntax.encode("latin-1"))
    syntaxes += b"".join(
        join_item(Item.TRANSFER_SYNTAX, uid.encode("latin-1")) for uid in context.transfer_syntaxes
    )
    return join_item(Item.PROPOSED_CONTEXT, bytes((context.id, 0, 0, 0)) + syntaxes)


def _write_answered(context: AnsweredContext) -> bytes:
    syntax = join_item(Item.TRANSFER_SYNTAX, context.transfer_syntax.encode("latin-1"))
    return join_item(Item.ANSWERED_CONTEXT, bytes((context.id, 0, context.answer, 0)) + syntax)


def _with_header(kind: Kind, body: bytes) -> bytes:
    return HEADER.pack(kind, len(body)) + body


def _invalid(message: str) -> BadPDU:
    return BadPDU(message, reason=INVALID_PARAMETER)


_SHORT_KINDS: Final = frozenset({Kind.ASSOCIATE_RJ, Kind.RELEASE_RQ, Kind.RELEASE_RP, Kind.ABORT})
