"""The quarantine, for whoever decides about a sender that is not approved.

Written against by the pages, implemented by the vault. The vault judges the proof, as in `people`:
both need PEOPLE, since they admit or refuse a peer. Each raises `NotAdmitted`, `NotGranted` (journalled),
`Locked`, and `Unreachable` when the vault does not answer.
"""

from __future__ import annotations

from typing import Protocol

from huisclos.access.nouns import Proof


class Quarantine(Protocol):
    """What waits of senders who asked to be admitted while the archive was locked.

    A sender is named by the id of its request, which is that of its `Source` too.
    """

    async def admit(self, proof: Proof, source_id: str) -> str:
        """Admit the sender for good; its AE title. What waits of it is settled within seconds.

        A request that was refused or withdrawn meanwhile does not stand in the way: the sender is
        admitted to echo and store, as it sent. Raises `NotFound` when nothing waits of it.
        """

    async def discard(self, proof: Proof, source_id: str) -> int:
        """Refuse the sender and destroy all that waits of it; how many objects. Nothing undoes this.

        It may send no more when this returns. Journalled first, with counts. Raises `NotFound` when
        nothing waits of it.
        """
