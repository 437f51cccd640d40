"""A passphrase as recipient and identity (C2SP age.md, "The scrypt recipient type"; RFC 7914)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from huisclos.errors import BadSetting, TooLarge, Unreadable
from huisclos.seal import raw64
from huisclos.seal.header import Stanza
from huisclos.seal.keys import KEY, check_wrapped, unwrap, wrap

KIND: Final = "scrypt"
WORK_FACTOR: Final = 18
"""Two to this power rounds; 256 MiB and about 0.7 s, the stock program's own choice."""
MAX_WORK_FACTOR: Final = 20
"""The most work an unknown header may ask of us by default: 1 GiB and about 3 s."""

_SALT: Final = 16
_ARGUMENTS: Final = 3
_LABEL: Final = b"age-encryption.org/v1/scrypt"
_DECIMAL: Final = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)


class ScryptRecipient:
    """A passphrase to seal to; it must be the only recipient."""

    __slots__ = ("_passphrase", "_work_factor")

    def __init__(self, passphrase: str, work_factor: int = WORK_FACTOR) -> None:
        """Raises `BadSetting` for an empty passphrase or a work factor outside 1 to 20."""
        if not passphrase or not 1 <= work_factor <= MAX_WORK_FACTOR:
            raise BadSetting("a passphrase must not be empty, and its work factor lies between 1 and 20")
        self._passphrase = passphrase.encode()
        self._work_factor = work_factor

    def wrap(self, file_key: bytes) -> list[Stanza]:
        """One stanza, with a fresh salt; takes as long as the work factor asks."""
        salt = os.urandom(_SALT)
        wrap_key = _stretch(self._passphrase, salt, self._work_factor)
        args = (KIND, raw64.encode(salt).decode("ascii"), str(self._work_factor))
        return [Stanza(args, wrap(wrap_key, file_key))]

    def __repr__(self) -> str:
        return f"ScryptRecipient(work_factor={self._work_factor})"


class ScryptIdentity:
    """A passphrase to unseal with."""

    __slots__ = ("_max_work_factor", "_passphrase")

    def __init__(self, passphrase: str, max_work_factor: int = MAX_WORK_FACTOR) -> None:
        self._passphrase = passphrase.encode()
        self._max_work_factor = max_work_factor

    def unwrap(self, stanzas: Sequence[Stanza]) -> bytes | None:
        """The file key if the passphrase is right, None if it is not or no passphrase was used.

        Raises `Unreadable` for a scrypt stanza that is not alone or not well formed, and
        `TooLarge` if it asks for more work than this identity is willing to do.
        """
        if not any(stanza.kind == KIND for stanza in stanzas):
            return None
        if len(stanzas) != 1:
            raise Unreadable("a passphrase stanza that is not alone in its header")
        salt, work_factor = self._arguments(stanzas[0])
        check_wrapped(stanzas[0].body)
        return unwrap(_stretch(self._passphrase, salt, work_factor), stanzas[0].body)

    def _arguments(self, stanza: Stanza) -> tuple[bytes, int]:
        if len(stanza.args) != _ARGUMENTS or not _DECIMAL.fullmatch(stanza.args[2]):
            raise Unreadable("a passphrase stanza without a salt and a decimal work factor")
        salt = raw64.decode(stanza.args[1].encode("ascii"))
        if len(salt) != _SALT:
            raise Unreadable("a passphrase stanza whose salt is not 16 bytes long")
        work_factor = int(stanza.args[2])
        if work_factor > self._max_work_factor:
            raise TooLarge(f"a passphrase stanza that asks for a work factor over {self._max_work_factor}")
        return salt, work_factor

    def __repr__(self) -> str:
        return f"ScryptIdentity(max_work_factor={self._max_work_factor})"


def _stretch(passphrase: bytes, salt: bytes, work_factor: int) -> bytes:
    return Scrypt(salt=_LABEL + salt, length=KEY, n=1 << work_factor, r=8, p=1).derive(passphrase)
