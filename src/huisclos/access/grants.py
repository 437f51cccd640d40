"""Making and checking grants (P9): a grant is the vault's word, bound by a MAC the finder can check."""

from __future__ import annotations

import hmac
from typing import Final

import msgspec

from huisclos.access.nouns import Grant, Right
from huisclos.errors import NotGranted

LIFE: Final = 15 * 60.0
"""Seconds a grant lives at most."""


def sign(grant: Grant, key: bytes) -> Grant:
    """`grant` with its MAC."""
    return msgspec.structs.replace(grant, mac=_mac(grant, key))


def check(grant: Grant, key: bytes, now: float, *rights: Right, study_id: str = "") -> None:
    """Raises `NotGranted` unless the vault made this grant, it lives, and it is for one of `rights`.

    With `study_id`, a grant bound to another study does not do.
    """
    if not hmac.compare_digest(grant.mac, _mac(grant, key)):
        raise NotGranted("this grant was not made by the vault")
    if now >= grant.until:
        raise NotGranted("this grant has run out", hint="ask again")
    if grant.right not in rights:
        raise NotGranted("this grant is for something else")
    if study_id and grant.study_id and grant.study_id != study_id:
        raise NotGranted("this grant is for another study")


def _mac(grant: Grant, key: bytes) -> bytes:
    # frozensets have no order: rights are sorted so that both ends see the same bytes
    actor = grant.actor
    parts = (
        grant.id,
        actor.kind,
        actor.id,
        actor.name,
        sorted(actor.rights),
        actor.role or "",
        grant.right,
        grant.purpose,
        grant.until,
        grant.study_id,
    )
    return hmac.digest(key, b"huisclos grant v1\0" + msgspec.msgpack.encode(parts), "sha256")
