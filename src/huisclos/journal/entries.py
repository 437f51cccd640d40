"""What an entry of the journal says.

An entry names actors and random ids, never a patient: the study it is about is resolved to
words only while somebody with the right to know reads it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from huisclos.errors import JournalBroken


class Act(StrEnum):
    """What was done."""

    STARTED = "started"
    STOPPED = "stopped"
    TICK = "tick"
    """Nothing happened for a while: makes a cut at the end visible."""
    UNLOCKED = "unlocked"
    UNLOCK_FAILED = "unlock-failed"
    LOCKED = "locked"
    LOGGED_IN = "logged-in"
    LOGIN_FAILED = "login-failed"
    LOGGED_OUT = "logged-out"
    GRANTED = "granted"
    """A read may begin (P9)."""
    READ = "read"
    """What was read under a grant, in sum."""
    STORED = "stored"
    EXPORTED = "exported"
    SETTLED = "settled"
    DECIDED = "decided"
    REFUSED = "refused"
    KNOCKED = "knocked"
    """An association or connection was refused."""
    DOOR = "door"
    """A door of the house opened or closed."""
    CHANGED = "changed"
    """Rights, people, peers, tokens, holders, settings."""
    ASKED = "asked"
    """A change that waits for an owner."""
    VERIFIED = "verified"
    REINDEXED = "reindexed"
    BROKEN = "broken"
    """The journal itself was found not to hold."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry."""

    at: float
    """Seconds since the epoch."""
    act: Act
    actor_kind: str = "house"
    """`user`, `token`, `peer`, `console` or `house`."""
    actor_id: str = ""
    actor: str = ""
    """What a person reads: user name, AE title."""
    address: str = ""
    study_id: str = ""
    purpose: str = ""
    what: str = ""
    """The thing acted on or the reason, from a closed list of words."""
    subject: str = ""
    """Whom it was done to: a user's name, an AE title, a holder's label; never patient data."""
    counts: dict[str, int] = {}
    grant_id: str = ""
    instance_ids: tuple[str, ...] = ()
    """Which instances, where a crash may have the same be said twice."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The entry as it is sealed."""
    return _encoder.encode(entry)


def decode_entry(packed: bytes) -> Entry:
    """The entry of these bytes. Raises `JournalBroken`."""
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError as error:
        raise JournalBroken("an entry of the journal does not decode") from error
