"""Sealing as bytes arrive, for a recipient that may be known only at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from huisclos.seal.chunks import (
    CHUNK,
    SEALED_CHUNK,
    TAG,
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

Room = Callable[[int], memoryview]
"""Gives memory of just that many bytes, to be filled before the next is asked for."""


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
        return self._sealed([self._last()], final=True)

    def update_into(self, piece: bytes | bytearray | memoryview, room: Room) -> int:
        """As `update`, each chunk sealed into the room that is given for it; how many bytes that were.

        Room is asked for in the order of the sealed object, `SEALED_CHUNK` bytes at most: memory that is used
        again and again takes 166 us for 512 KB, and new memory, which the system has to zero, 288.
        """
        if self._finished:
            raise ValueError("this object is finished")
        self.plain_size += len(piece)
        runs = self._regroup.push(piece)
        return sum(self._seal_into(run, room, final=False) for run in runs)

    def finish_into(self, room: Room) -> int:
        """As `finish`, into the room that is given; how many bytes that were."""
        return self._seal_into(self._last(), room, final=True)

    def _last(self) -> bytes | memoryview:
        if self._finished:
            raise ValueError("this object is finished")
        self._finished = True
        return self._regroup.rest()

    def _seal_into(self, run: bytes | memoryview, room: Room, *, final: bool) -> int:
        done = 0
        if not self._begun:
            self._begun = True
            room(len(self.payload_nonce))[:] = self.payload_nonce
            done = len(self.payload_nonce)
        view = memoryview(run)
        for at in range(0, max(1, len(view)), CHUNK):
            plain = view[at : at + CHUNK]
            nonce = chunk_nonce(self._number, last=final and at + CHUNK >= len(view))
            self._aead.encrypt_into(nonce, plain, None, room(len(plain) + TAG))
            self._number += 1
            done += len(plain) + TAG
        return done

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
