"""Bytes as PDUs: what is accepted is written back to bytes that read the same."""

from __future__ import annotations

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.items import (
    AsyncWindow,
    CommonExtendedNegotiation,
    ExtendedNegotiation,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from huisclos.dimse.protocol.pdus import (
    HEADER,
    REFUSED,
    Abort,
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    read_pdu,
    write_pdu,
)

_BOUNDS = Bounds()
_USER = UserInformation(
    max_length=16384,
    async_window=AsyncWindow(1, 1),
    roles=(RoleSelection("1.2.840.10008.5.1.4.1.1.2", scu=True, scp=True),),
    extended=(ExtendedNegotiation("1.2.840.10008.5.1.4.1.2.2.1", b"\x01\x00"),),
    common_extended=(CommonExtendedNegotiation("1.2.3", "1.2.840.10008.4.2", ("1.2.4",)),),
    identity=UserIdentity(2, wants_response=True, primary=b"invented", secondary=b"secret"),
)
REQUEST = AssociateRequest(
    called="HUISCLOS",
    calling="MODALITY",
    contexts=(
        ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),
        ProposedContext(3, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70")),
    ),
    user=_USER,
)
ACCEPT = AssociateAccept(
    called="HUISCLOS",
    calling="MODALITY",
    contexts=(AnsweredContext(1, 0, "1.2.840.10008.1.2"), AnsweredContext(3, 3, "")),
    user=UserInformation(max_length=0, identity_response=b"ticket"),
)
SEEDS: list[bytes] = [
    write_pdu(pdu) for pdu in (REQUEST, ACCEPT, REFUSED, ReleaseRequest(), ReleaseReply(), Abort(2, 6))
]


def one(data: bytes) -> str:
    """Read `data` as one PDU; raises `AssertionError` when it does not read the same once written."""
    if len(data) < HEADER.size:
        return "short"
    kind, _ = HEADER.unpack_from(data)
    pdu = read_pdu(kind, data[HEADER.size :], _BOUNDS)
    written = write_pdu(pdu)
    again_kind, length = HEADER.unpack_from(written)
    assert again_kind == kind
    assert length == len(written) - HEADER.size
    assert read_pdu(kind, written[HEADER.size :], _BOUNDS) == pdu
    return type(pdu).__name__
