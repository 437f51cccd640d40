"""What the vault asks of reception: a test echo, an end to a peer's associations, a pinned certificate."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final

from huisclos.access.peers import EchoOutcome, EchoResult
from huisclos.dimse.acceptor import Acceptor
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import VERIFICATION
from huisclos.dimse.requestor import Timeouts, associate
from huisclos.errors import (
    AssociationEnded,
    AssociationRejected,
    HuisclosError,
    OperationFailed,
    PeerError,
    PeerUnreachable,
)
from huisclos.reception.handler import PeerHandler

_LOG: Final = logging.getLogger(__name__)
_PATIENCE: Final = Timeouts(connect=4.0, associate=4.0, idle=4.0, release=1.0, total=6.0)
"""10 seconds in all: `total` counts from the connection on."""


class Echoing:
    """The vault's `Echoer`. Made before reception itself, since the vault may call at once."""

    def __init__(self) -> None:
        self._acceptor: Acceptor | None = None
        self._context: ssl.SSLContext | None = None

    def attend(self, acceptor: Acceptor, context: ssl.SSLContext) -> None:
        """From now on there are associations, and TLS handshakes with `context`."""
        self._acceptor, self._context = acceptor, context

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        if not port:
            return EchoResult(EchoOutcome.NO_PORT)
        loop = asyncio.get_running_loop()
        began, established = loop.time(), False
        try:
            async with associate(
                address,
                port,
                calling=calling,
                called=called,
                contexts=[Proposal(VERIFICATION)],
                timeouts=_PATIENCE,
            ) as association:
                established = True
                await association.echo()
                took = loop.time() - began
        except HuisclosError as error:
            return _failed(error, established=established)
        return EchoResult(EchoOutcome.ANSWERED, round(took * 1000))

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""
        if self._acceptor is not None:
            self._acceptor.end(
                lambda association: (
                    isinstance(association.handler, PeerHandler) and association.handler.peer_id == peer_id
                )
            )

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`. Before there is a context, nothing is missed: the start asks for all."""
        if self._context is None:
            return
        try:
            self._context.load_verify_locations(cadata=certificate)
        except ssl.SSLError:
            # The handshake goes on refusing it; it must not keep the others outside.
            _LOG.warning("a pinned certificate is none that OpenSSL reads")


def _failed(error: HuisclosError, *, established: bool) -> EchoResult:
    match error:
        case PeerUnreachable():
            return EchoResult(EchoOutcome.UNREACHABLE)
        case AssociationRejected():
            return EchoResult(
                EchoOutcome.REFUSED, code=f"A-ASSOCIATE-RJ {error.result}/{error.source}/{error.reason}"
            )
        case AssociationEnded() if not established:
            return EchoResult(EchoOutcome.REFUSED, code="A-ABORT")
        case OperationFailed():
            return EchoResult(EchoOutcome.NO_ECHO, code=f"C-ECHO-RSP {error.status:04X}H")
        case PeerError() if established:
            return EchoResult(EchoOutcome.NO_ECHO)
        case _:
            return EchoResult(EchoOutcome.UNREACHABLE)
