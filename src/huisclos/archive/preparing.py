"""What the next instance needs, made while there is nothing to do but wait: its sealer, header and file."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import Final

from msgspec import Struct

from huisclos.archive.ports import ObjectStore, Writing
from huisclos.errors import StoreError
from huisclos.seal import X25519_HEADER_LENGTH, Sealer, X25519Recipient

_AHEAD: Final = 4
"""Instances that are prepared for."""


class Prepared(Struct, frozen=True):
    """A fresh sealer, with the header for the recipient that is likely."""

    sealer: Sealer
    recipient: str = ""
    header: bytes = b""

    def header_for(self, recipient: str) -> bytes:
        """The header, made now for another recipient than was thought."""
        if recipient == self.recipient:
            return self.header
        return self.sealer.header([_recipient(recipient)])


class Preparing:
    """What one process has ready."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._sealers: list[Prepared] = []
        self._writings: list[Writing] = []

    def sealer(self) -> Prepared:
        """A sealer for one instance, for nobody in particular if none was made ready."""
        return self._sealers.pop() if self._sealers else Prepared(Sealer())

    def writing(self) -> Writing:
        """Where one instance is written, its file made already or not."""
        return self._writings.pop() if self._writings else self._store.begin(X25519_HEADER_LENGTH)

    def make_sealer(self, recipient: str) -> None:
        """Make a sealer, and its header, which takes 0.1 ms: two operations on the curve."""
        if len(self._sealers) < _AHEAD:
            sealer = Sealer()
            self._sealers.append(Prepared(sealer, recipient, sealer.header([_recipient(recipient)])))

    def make_file(self) -> None:
        """Make a file, which takes 0.1 ms and sometimes much longer; for a thread."""
        if len(self._writings) < _AHEAD:
            writing = self._store.begin(X25519_HEADER_LENGTH)
            try:
                with contextlib.suppress(StoreError):  # who is to write will be told
                    writing.ready()
            finally:
                self._writings.append(writing)

    def rest(self) -> None:
        """Nothing is expected soon: no file lies about."""
        while self._writings:
            with contextlib.suppress(StoreError):  # an association ends on a broken disk, too
                self._writings.pop().abandon()


@lru_cache(maxsize=1024)
def _recipient(text: str) -> X25519Recipient:
    return X25519Recipient.parse(text)
