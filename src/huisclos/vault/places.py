"""Where the vault's files lie under ARCHIVE, and nowhere else."""

from __future__ import annotations

from typing import Final

RECIPIENT: Final = "keys/archive.recipient"
SIGNING: Final = "keys/signing.pub"
RECORD_KEY: Final = "keys/index.age"
CA_KEY: Final = "keys/ca.age"
CONFIRMED: Final = "keys/recovery.confirmed"
HOLDERS: Final = "keys/holders"
ROTATION: Final = "keys/rotation.age"
ROTATION_WANTED: Final = "keys/rotation.wanted"
RECOVERY: Final = "keys/recovery.age"
JOURNAL: Final = "journal"
JOURNAL_KEY: Final = "journal/key.age"
CA: Final = "tls/ca.pem"
LEAF: Final = "tls/leaf.pem"
DOORS: Final = "doors.age"


def holder(holder_id: str) -> str:
    """The archive's secret, sealed to this holder."""
    return f"{HOLDERS}/{holder_id}.age"


def holder_key(holder_id: str) -> str:
    """The holder's identity, sealed to a passphrase."""
    return f"{HOLDERS}/{holder_id}.key.age"


def holder_digest(holder_id: str) -> str:
    """SHA-256 of these files, so that damage is told apart from a wrong passphrase."""
    return f"{HOLDERS}/{holder_id}.sha256"


def holder_about(holder_id: str) -> str:
    """Whose it is, sealed to the archive."""
    return f"{HOLDERS}/{holder_id}.about.age"
