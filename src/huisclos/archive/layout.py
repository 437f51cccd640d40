"""Where sealed objects lie, as places made of random ids alone.

Nothing from the wire is ever part of a place: a place is built from ids that were checked to be
ids, and what is found on disk is read back by the same rules or reported as foreign.
"""

from __future__ import annotations

import re
import secrets
from enum import StrEnum
from typing import Final

from msgspec import Struct

from huisclos.errors import BadIdentifier

OBJECTS: Final = "objects"
BATCHES: Final = "batches"
KEYRING: Final = "keyring"

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_IN_STUDY: Final = re.compile(r"objects/([0-9a-f]{2})/(\1[0-9a-f]{30})/([0-9a-z.]+)", re.ASCII)
_IN_BATCH: Final = re.compile(r"batches/([0-9a-f]{32})/([0-9a-z.]+)", re.ASCII)
_IN_KEYRING: Final = re.compile(r"keyring/([0-9a-f]{2})/(\1[0-9a-f]{30})\.age", re.ASCII)
_INSTANCE: Final = ".dcm.age"
_METADATA: Final = ".meta.age"
_MANIFEST: Final = "manifest.age"
_BATCH_KEY: Final = "batch.age"


def new_id() -> str:
    """A fresh id: 16 random bytes as 32 lower-case hex digits; never derived from anything."""
    return secrets.token_hex(16)


def check_id(value: str) -> str:
    """`value` if it is an id. Raises `BadIdentifier`; the value is not part of the message."""
    if not _ID.fullmatch(value):
        raise BadIdentifier("an id of the archive is 32 lower-case hex digits")
    return value


def study_folder(study_id: str) -> str:
    """The folder of a study's sealed objects."""
    return f"{OBJECTS}/{check_id(study_id)[:2]}/{study_id}"


def instance_place(study_id: str, instance_id: str) -> str:
    """Where a settled instance lies."""
    return f"{study_folder(study_id)}/{check_id(instance_id)}{_INSTANCE}"


def manifest_place(study_id: str) -> str:
    """Where a study's manifest lies."""
    return f"{study_folder(study_id)}/{_MANIFEST}"


def metadata_place(study_id: str, series_id: str) -> str:
    """Where the derived metadata of a series lies."""
    return f"{study_folder(study_id)}/{check_id(series_id)}{_METADATA}"


def key_place(study_id: str) -> str:
    """Where a study's secret key lies, sealed to the archive."""
    return f"{KEYRING}/{check_id(study_id)[:2]}/{study_id}.age"


def batch_folder(batch_id: str) -> str:
    """The folder of what was received into a batch."""
    return f"{BATCHES}/{check_id(batch_id)}"


def batch_place(batch_id: str, instance_id: str) -> str:
    """Where an instance lies until it is settled."""
    return f"{batch_folder(batch_id)}/{check_id(instance_id)}{_INSTANCE}"


def batch_key_place(batch_id: str) -> str:
    """Where a batch's secret key lies, sealed to the archive."""
    return f"{batch_folder(batch_id)}/{_BATCH_KEY}"


class PlaceKind(StrEnum):
    """What lies at a place."""

    INSTANCE = "instance"
    MANIFEST = "manifest"
    METADATA = "metadata"
    KEY = "key"
    BATCH_INSTANCE = "batch-instance"
    BATCH_KEY = "batch-key"
    FOREIGN = "foreign"
    """Nothing the archive puts there."""


class Place(Struct, frozen=True):
    """A place read back: what it is and whose."""

    kind: PlaceKind
    owner_id: str = ""
    """Study id or batch id."""
    id: str = ""
    """Instance id or series id, where there is one."""


def parse_place(place: str) -> Place:
    """What lies at `place`; `FOREIGN` for whatever the functions above cannot have made."""
    if found := _IN_STUDY.fullmatch(place):
        return _in_study(found[2], found[3])
    if found := _IN_BATCH.fullmatch(place):
        return _in_batch(found[1], found[2])
    if found := _IN_KEYRING.fullmatch(place):
        return Place(PlaceKind.KEY, found[2])
    return Place(PlaceKind.FOREIGN)


def _in_study(study_id: str, name: str) -> Place:
    if name == _MANIFEST:
        return Place(PlaceKind.MANIFEST, study_id)
    for suffix, kind in ((_INSTANCE, PlaceKind.INSTANCE), (_METADATA, PlaceKind.METADATA)):
        stem = name.removesuffix(suffix)
        if stem != name and _ID.fullmatch(stem):
            return Place(kind, study_id, stem)
    return Place(PlaceKind.FOREIGN)


def _in_batch(batch_id: str, name: str) -> Place:
    if name == _BATCH_KEY:
        return Place(PlaceKind.BATCH_KEY, batch_id)
    stem = name.removesuffix(_INSTANCE)
    if stem != name and _ID.fullmatch(stem):
        return Place(PlaceKind.BATCH_INSTANCE, batch_id, stem)
    return Place(PlaceKind.FOREIGN)
