"""Sealing as bytes arrive, for a recipient that may be known only at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable

from huisclos.seal.chunks import (
    CHUNK,
    SEALED_CHUNK,
    Regroup,
    chunk_nonce,
    filled,
    payload_aead,
    seal_run,
    sealed_size,
)
from huisclos.seal.header import PAYLOAD_NONCE
from huisclos.seal.keys import new_file_key
from huisclos.seal.parties import Recipient, make_header


def new_nonce() -> bytes:
    """A payload nonce for one object."""
    return os.urandom(PAYLOAD_NONCE)


class Sealer:
    """One object being sealed: a fresh file key, a fresh payload nonce.

    The sealed object is `header(...)` followed by all that `update` and `finish` return, in
    order. The payload's nonce comes with the first bytes they return, so a writer who seals
    to one X25519 recipient leaves `X25519_HEADER_LENGTH` bytes free, writes what comes, and
    fills in the header last. Memory is bounded by one chunk, and twice the piece given.
    """

    def __init__(self) -> None:
        self._file_key = new_file_key()
        self.payload_nonce = new_nonce()
        self.plain_size = 0
        """Bytes sealed so far."""
        self._aead = payload_aead(self._file_key, self.payload_nonce)
        self._regroup = Regroup(CHUNK)
        self._number = 0
        self._begun = False
        self._finished = False

    def header(self, recipients: Iterable[Recipient]) -> bytes:
        """The header for these recipients, at any time, also after `finish`.

        Raises `Usage` or `TooLarge`, as `parties.make_header`.
        """
        return make_header(self._file_key, recipients).encode()

    def update(self, piece: bytes | bytearray | memoryview) -> bytes:
        """The sealed bytes that `piece` completes: nonce and whole chunks, often nothing.

        `piece` may be used again by the caller once this returns.
        """
        if self._finished:
            raise ValueError("this object is finished")
        self.plain_size += len(piece)
        runs = self._regroup.push(piece)
        return self._sealed(runs, final=False) if runs else b""

    def finish(self) -> bytes:
        """The last chunk. Nothing may be added afterwards."""
        if self._finished:
            raise ValueError("this object is finished")
        self._finished = True
        return self._sealed([self._regroup.rest()], final=True)

    def _sealed(self, runs: list[bytes | memoryview], *, final: bool) -> bytes:
        lead = b"" if self._begun else self.payload_nonce
        self._begun = True
        if not lead and len(runs) == 1 and len(runs[0]) <= CHUNK:  # one chunk: nothing to put together
            self._number += 1
            return self._aead.encrypt(chunk_nonce(self._number - 1, last=final), runs[0], None)

        def fill(out: memoryview) -> None:
            out[: len(lead)] = lead
            at = len(lead)
            for run in runs:
                size = sealed_size(len(run))
                seal_run(self._aead, self._number, run, out[at : at + size], final=final)
                at += size
                self._number += size // SEALED_CHUNK

        return filled(len(lead) + sum(sealed_size(len(run)) for run in runs), fill)
