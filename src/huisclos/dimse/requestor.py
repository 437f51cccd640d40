"""Asking a peer for an association, over TCP or TLS.

Used by the forwarder and by the auditor's probes. Whatever happens, the association is released or
aborted and its transport closed, and nothing outlasts its deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from huisclos.dimse.protocol.bounds import CONTEXTS_MAX, Bounds
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.items import RoleSelection, UserIdentity, UserInformation
from huisclos.dimse.protocol.machine import Machine, Side
from huisclos.dimse.protocol.names import write_ae_title
from huisclos.dimse.protocol.pdus import AssociateRequest, ProposedContext
from huisclos.dimse.requested import RequestedAssociation, deadline
from huisclos.dimse.wire import Wire
from huisclos.errors import (
    BadSetting,
    PeerUnreachable,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a peer may take, in seconds; over it `PeerTooSlow` is raised."""

    connect: float = 10.0
    """to open the connection, TLS included"""
    associate: float = 10.0
    """to answer the request for an association"""
    idle: float = 60.0
    """between two signs of life while an operation waits for the peer"""
    release: float = 5.0
    """to answer the release; then the association is aborted instead, and nothing is raised"""
    total: float = 3600.0
    """for everything, from the request to the release"""


@contextlib.asynccontextmanager
async def associate(  # noqa: PLR0913 - the parts of an address, each by its name
    host: str,
    port: int,
    *,
    calling: str,
    called: str,
    contexts: Sequence[Proposal],
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    identity: UserIdentity | None = None,
    timeouts: Timeouts | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[RequestedAssociation]:
    """An association with the peer at `host`, released when the block ends and aborted when it fails.

    Raises `PeerUnreachable`, `PeerTooSlow`, `AssociationRejected` and `AssociationEnded`, and
    `BadIdentifier` or `BadSetting` for titles and proposals that the Standard does not allow.
    """
    timeouts = timeouts or Timeouts()
    bounds = replace(bounds or Bounds(), idle_seconds=timeouts.idle)
    request = _request(calling, called, contexts, identity, bounds)
    wire = await _connect(host, port, request, bounds, timeouts, tls, server_hostname)
    association = RequestedAssociation(wire, request)
    try:
        async with deadline(timeouts.total):
            async with deadline(timeouts.associate):
                await association.establish()
            yield association
            await association.release(timeouts.release)
    finally:
        wire.machine.abort()
        wire.settle()
        wire.close()


def _request(
    calling: str,
    called: str,
    contexts: Sequence[Proposal],
    identity: UserIdentity | None,
    bounds: Bounds,
) -> AssociateRequest:
    if not 0 < len(contexts) <= CONTEXTS_MAX:
        raise BadSetting(f"an association proposes 1 to {CONTEXTS_MAX} presentation contexts")
    for title in (calling, called):
        write_ae_title(title)
    roles = {
        one.abstract_syntax: RoleSelection(one.abstract_syntax, True, True) for one in contexts if one.scp
    }
    return AssociateRequest(
        called=called,
        calling=calling,
        contexts=tuple(
            ProposedContext(2 * at + 1, one.abstract_syntax, one.transfer_syntaxes)
            for at, one in enumerate(contexts)
        ),
        user=UserInformation(
            max_length=bounds.announced_pdu_length, roles=tuple(roles.values()), identity=identity
        ),
    )


async def _connect(
    host: str,
    port: int,
    request: AssociateRequest,
    bounds: Bounds,
    timeouts: Timeouts,
    tls: ssl.SSLContext | None,
    server_hostname: str | None,
) -> Wire:
    machine = Machine(Side.REQUESTOR, bounds)
    machine.ask(request)
    try:
        async with deadline(timeouts.connect):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(machine), host, port, ssl=tls, server_hostname=server_hostname
            )
    except OSError as error:
        # The system's words name the address, not more.
        raise PeerUnreachable(
            f"no connection to the peer: {error.strerror or type(error).__name__}"
        ) from None
    return wire
