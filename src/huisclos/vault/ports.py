"""What the vault asks of its siblings."""

from __future__ import annotations

from typing import Protocol

from huisclos.access.peers import EchoResult


class Echoer(Protocol):
    """Reception, as the vault sees it."""

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """A C-ECHO to a peer, 10 seconds at most; a failure is an outcome."""

    async def end_peer(self, peer_id: str) -> None:
        """A peer was removed: end its associations now."""

    async def pin(self, certificate: bytes) -> None:
        """A peer with this pinned certificate (DER) was enrolled: let it through the handshake."""
