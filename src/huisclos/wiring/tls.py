"""TLS contexts of the listeners, and a leaf that may be made anew while the house is open."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Final

_LOOK_EVERY: Final = 2.0
"""Seconds; one stat."""
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for."""


def server_context(leaf: Path) -> ssl.SSLContext:
    """TLS for browsers: 1.2 and up, forward secrecy and authenticated encryption only, our leaf."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.load_cert_chain(leaf)
    return context


def peer_context(leaf: Path) -> ssl.SSLContext:
    """TLS for DICOM peers (PS3.15 annex B.12, BCP 195): 1.2 and up, a client certificate asked for.

    Each pinned certificate is an anchor by itself (partial chain), and its end date is judged by
    admission, since a modality whose certificate ran out must still be able to store.
    """
    context = server_context(leaf)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


class LeafWatch:
    """Loads the leaf again into living contexts when it was made anew: new connections use it.

    It looks at each handshake, since a browser comes back the moment the archive was unlocked, and that is
    when a leaf gets the addresses that are listened on; and now and then, for connections that last.
    """

    def __init__(self, leaf: Path) -> None:
        self._leaf = leaf
        self._seen = leaf.stat().st_ino
        self._contexts: list[ssl.SSLContext] = []

    def context(self) -> ssl.SSLContext:
        """A browser's context that is kept fresh."""
        return self.keep(server_context(self._leaf))

    def keep(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Keep this context fresh as well."""
        self._contexts.append(context)
        context.sni_callback = self._greet
        return context

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            with contextlib.suppress(OSError):  # the one in use serves on until the next can be read
                self._look()

    def _greet(self, connection: ssl.SSLObject, _name: str | None, context: ssl.SSLContext) -> None:
        """A client's hello, with a name or without."""
        with contextlib.suppress(OSError):
            if self._look():
                # This connection was made with the leaf of before. OpenSSL takes the new one from a context
                # that is not the connection's; and back again, for the certificates pinned in its own.
                connection.context = server_context(self._leaf)
                connection.context = context

    def _look(self) -> bool:
        """Whether the leaf was another, and is loaded now."""
        inode = self._leaf.stat().st_ino
        if inode == self._seen:
            return False
        for context in self._contexts:
            context.load_cert_chain(self._leaf)
        self._seen = inode
        return True
