"""A vault with all its services, as a face or a neighbour meets it."""

from __future__ import annotations

from pathlib import Path

from huisclos.access.peers import EchoOutcome, EchoResult
from huisclos.channel.calls import Methods
from huisclos.vault.service import VaultServices
from tests.vault.world import World

LINK = "set-up-secret"
"""What opens a `World`: its set-up link."""


class Deaf:
    """A reception that is not asked for anything here."""

    async def echo(self, address: str, port: int, called: str, calling: str) -> EchoResult:
        """See `Echoer`."""
        return EchoResult(EchoOutcome.UNREACHABLE)

    async def end_peer(self, peer_id: str) -> None:
        """See `Echoer`."""

    async def pin(self, certificate: bytes) -> None:
        """See `Echoer`."""


class Vault(World):
    """A `World` with the services around it."""

    services: VaultServices

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.serve()

    def serve(self) -> None:
        """Put the services around the core that is there now."""
        self.services = VaultServices(self.core, self.store, Deaf(), _announce)

    def restart(self, *, unlocked: bool = True) -> None:
        """As after a restart of the machine."""
        self.core.pen.close()
        self.start()
        if not unlocked:
            self.lock()
        self.serve()

    def face(self, role: str) -> Methods:
        """What a face of this role may call."""
        return self.services.methods(role)


async def _announce(word: str) -> None:
    del word
