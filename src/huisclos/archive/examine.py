"""What a sealed object says of itself, when nothing else does: for settling, catching up, rebuilding."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from huisclos.access.nouns import ActorKind, Source
from huisclos.archive.intake import FileIntake
from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries, StoredObject
from huisclos.dicom.heading import Heading
from huisclos.errors import NotDicom
from huisclos.seal import Sealed

HOUSE: Final = Source(ActorKind.HOUSE, "house", "")
"""The source of what was found on disk, when nothing tells who sent it."""


class Examined(Struct, frozen=True):
    """What the Part 10 file inside says."""

    heading: Heading
    transfer_syntax: str
    data_set_offset: int
    digest: bytes
    """SHA-256 of the data set, 32 bytes."""
    looked_inside: bool


class Whereabouts(Struct, frozen=True):
    """What the file inside cannot say."""

    instance_id: str
    study_id: str
    source: Source
    received_at: float


def examine(sealed: Sealed) -> Examined:
    """Read the whole of an opened object, chunk by chunk.

    Raises `Tampered` if a chunk was altered, `Unreadable` if what is inside is no instance.
    """
    intake = FileIntake()
    for piece in sealed.payload.pieces():
        for _ in intake.push(piece):
            pass
    for _ in intake.finish():
        pass
    heading = intake.heading
    if heading is None:
        raise NotDicom("a sealed object holds no instance")
    return Examined(heading, intake.syntax.uid, intake.data_set_offset, intake.digest(), intake.looked_inside)


def read_heading_of(sealed: Sealed) -> tuple[Heading, bool]:
    """The heading alone, from as little of the object as it takes; and whether it was looked inside.

    Raises as `examine`, for what it reads.
    """
    intake = FileIntake()
    for piece in sealed.payload.pieces():
        for _ in intake.push(piece):
            pass
        if intake.heading is not None:
            return intake.heading, intake.looked_inside
    for _ in intake.finish():
        pass
    if intake.heading is None:
        raise NotDicom("a sealed object holds no instance")
    return intake.heading, intake.looked_inside


def stored_from(sealed: Sealed, found: Examined, where: Whereabouts) -> StoredObject:
    """The object as the finder is told of it."""
    return StoredObject(
        instance_id=where.instance_id,
        study_id=where.study_id,
        batch_id="",
        transfer_syntax=found.transfer_syntax,
        digest=found.digest,
        length=sealed.payload.size,
        data_set_offset=found.data_set_offset,
        header_mac=sealed.header_mac,
        payload_nonce=sealed.payload_nonce,
        source=where.source,
        received_at=where.received_at,
        heading=found.heading,
        looked_inside=found.looked_inside,
    )


def stored_as_listed(study_id: str, entry: ManifestEntry, heading: Heading, *, looked: bool) -> StoredObject:
    """The object as a manifest lists it, with the heading read from inside."""
    return StoredObject(
        instance_id=entry.instance_id,
        study_id=study_id,
        batch_id="",
        transfer_syntax=entry.transfer_syntax,
        digest=entry.digest,
        length=entry.length,
        data_set_offset=entry.data_set_offset,
        header_mac=entry.header_mac,
        payload_nonce=entry.payload_nonce,
        source=entry.source,
        received_at=entry.received_at,
        heading=heading,
        looked_inside=looked,
    )


def heading_as_listed(manifest: Manifest, entry: ManifestEntry) -> Heading:
    """What a manifest alone says of an instance: which it is, and no word of the person."""
    series = {one.series_uid: one for one in manifest.series}
    said = series.get(entry.series_uid, ManifestSeries("", entry.series_uid, ""))
    return Heading(
        transfer_syntax_uid=entry.transfer_syntax,
        specific_character_set="",
        study_uid=manifest.study_uid,
        series_uid=entry.series_uid,
        instance_uid=entry.sop_instance_uid,
        sop_class_uid=entry.sop_class_uid,
        modality=said.modality,
        series_number=said.number,
        series_description=said.description,
        instance_number=entry.number,
        number_of_frames=entry.frames,
        rows=entry.rows or None,
        columns=entry.columns or None,
    )
