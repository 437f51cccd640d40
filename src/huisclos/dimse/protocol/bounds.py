"""What a peer may ask of us: every size, count and time, with its unit."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from huisclos.errors import BadSetting

CONTEXTS_MAX: Final = 128
"""Presentation contexts one association can name: the odd numbers of a byte (PS3.8 section 9.3.2.2)."""
ARTIM_MAX: Final = 10.0
"""Seconds; a peer that says nothing must not hold a place for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds of an association and of all of them; `BadSetting` when one cannot be.

    Senders that honour `announced_pdu_length` send PDUs of 128 KiB instead of 16, an eighth of the
    work. Those that do not are taken up to `pdu_length`, which costs no memory: data is handed on
    as it arrives, and no PDU that carries data is ever held whole.
    """

    announced_pdu_length: int = 128 * 1024
    """bytes: what we ask the peer to keep to (PS3.8 annex D.1)"""
    pdu_length: int = 1024 * 1024
    """bytes: a P-DATA-TF PDU over it ends the association"""
    associate_length: int = 256 * 1024
    """bytes: of an A-ASSOCIATE PDU, the only one that is gathered whole"""
    contexts: int = CONTEXTS_MAX
    """presentation contexts in one request"""
    transfer_syntaxes: int = 64
    """transfer syntaxes in one presentation context"""
    command_length: int = 64 * 1024
    """bytes: of a command set"""
    identifier_length: int = 1024 * 1024
    """bytes: of a data set that is not an instance to store"""
    object_length: int = 4 * 1024**3
    """bytes: of an instance"""
    associations: int = 64
    """in all, at one time"""
    associations_per_address: int = 16
    """from one address, at one time"""
    turned_away: int = 8
    """associations over the two bounds above that are told so; what comes on top is closed unread"""
    artim_seconds: float = ARTIM_MAX
    """seconds: to ask for an association once connected, to hang up once it is over (PS3.8 section 9.1.5)"""
    idle_seconds: float = 120.0
    """seconds: without a byte from a peer whose turn it is"""
    total_seconds: float = 4 * 3600.0
    """seconds: of a whole association"""
    refusal_seconds: float = 0.1
    """seconds: every rejection takes this long at least, so that its time says nothing of its reason"""

    def __post_init__(self) -> None:
        """Refuse a bound that bounds nothing."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name not in ("refusal_seconds", "turned_away")):
                raise BadSetting(f"{field.name} must be more than nothing")
        if self.contexts > CONTEXTS_MAX:
            raise BadSetting(f"contexts cannot be over {CONTEXTS_MAX} (PS3.8)")
        if self.artim_seconds > ARTIM_MAX:
            raise BadSetting(f"artim_seconds cannot be over {ARTIM_MAX:.0f}")
        if self.announced_pdu_length > self.pdu_length:
            raise BadSetting("announced_pdu_length cannot be over pdu_length")
