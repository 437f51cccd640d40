"""The leaf that the listeners show, made anew while the archive is open."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket

from huisclos.certificates import Authority, describe, make_leaf, unnamed
from huisclos.certificates.authority import RENEW_DAYS
from huisclos.errors import HuisclosError
from huisclos.seal import unseal
from huisclos.vault import places
from huisclos.vault.core import Core
from huisclos.vault.secret import ArchiveSecret


class LeafKeeper:
    """Keeps the leaf of one archive. The authority makes it, and its key is sealed to the archive."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.bound: tuple[str, ...] = ()
        """What the listeners are bound to."""
        self.present: tuple[str, ...] = ()
        """Private addresses this machine had when the house was started: what a house that is served with
        `--lan`, and locked, will be bound to."""

    async def keep_fresh(self, secret: ArchiveSecret) -> None:
        """Make a new leaf if the one there ends soon, or lacks an address; if none can be made, leave it."""
        # an archive that opens is worth more than a fresh leaf; the state page tells what this one is
        with contextlib.suppress(HuisclosError):
            await asyncio.to_thread(self._renew, secret)

    def unnamed(self) -> tuple[str, ...]:
        """The addresses listened on that the leaf does not name: whoever comes there is warned."""
        with contextlib.suppress(HuisclosError):
            return unnamed(describe(self._core.store.read(places.LEAF)).names, self.bound)
        return ()

    def _renew(self, secret: ArchiveSecret) -> None:
        store = self._core.store
        now = dt.datetime.fromtimestamp(self._core.now(), dt.UTC)
        addresses = tuple(dict.fromkeys((*self.bound, *self.present)))
        with contextlib.suppress(HuisclosError):
            leaf = describe(store.read(places.LEAF))
            if leaf.until - now > dt.timedelta(days=RENEW_DAYS) and not unnamed(leaf.names, addresses):
                return
        authority = Authority(store.read(places.CA), unseal(store.read(places.CA_KEY), secret.identities))
        store.put(places.LEAF, make_leaf(authority, socket.gethostname(), addresses, now))
