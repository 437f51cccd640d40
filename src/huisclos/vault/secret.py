"""The archive's secret: what a holder's file opens, and all that unlocking gives."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from huisclos.errors import Tampered
from huisclos.seal import X25519Identity


class Document(msgspec.Struct, frozen=True):
    """The archive's secret as it lies in a holder's file: one line of JSON, for a person to use too."""

    identity: str
    """`AGE-SECRET-KEY-1...`: opens the keyring with the stock `age` program."""
    signing: str
    """Ed25519 private key, raw, hex."""
    retired: tuple[str, ...] = ()
    """Identities that rotation has replaced, oldest first: old journal entries open with nothing else."""

    def __repr__(self) -> str:
        return "Document(...)"


class ArchiveSecret:
    """The archive's secret in use."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.identity = X25519Identity.parse(document.identity)
        retired = (X25519Identity.parse(line) for line in reversed(document.retired))
        self.identities = (self.identity, *retired)
        """The identity in force, and those before it, newest first."""
        self.signing = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(document.signing))

    def __repr__(self) -> str:
        return "ArchiveSecret(...)"

    @classmethod
    def generate(cls) -> ArchiveSecret:
        """A fresh secret for a new archive."""
        signing = Ed25519PrivateKey.generate().private_bytes_raw().hex()
        return cls(Document(str(X25519Identity.generate()), signing))

    def rotated(self) -> ArchiveSecret:
        """The same archive with a fresh identity, the one in force retired. The signing key stays (ADR 9)."""
        retired = (*self.document.retired, self.document.identity)
        return ArchiveSecret(Document(str(X25519Identity.generate()), self.document.signing, retired))

    @property
    def recipient(self) -> str:
        """The archive's recipient, `age1...`."""
        return str(self.identity.recipient)

    @property
    def signing_public(self) -> str:
        """Ed25519 public key, raw, hex."""
        return self.signing.public_key().public_bytes_raw().hex()

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for `purpose`, the same after each unlock."""
        return hmac.digest(
            self.signing.private_bytes_raw(), b"huisclos derive v1\0" + purpose.encode(), "sha256"
        )

    def encode(self) -> bytes:
        """The document as it is sealed."""
        return msgspec.json.encode(self.document)


def decode_secret(plain: bytes) -> ArchiveSecret:
    """The secret of an opened holder's file. Raises `Tampered`."""
    try:
        return ArchiveSecret(msgspec.json.decode(plain, type=Document))
    except (msgspec.DecodeError, ValueError) as error:
        raise Tampered("a holder's file opens, and holds no archive secret") from error


def fingerprint(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()
