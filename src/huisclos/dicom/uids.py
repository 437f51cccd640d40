"""UIDs (PS3.5 section 9) and the transfer syntaxes (PS3.6 annex A) as one table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from huisclos.errors import BadIdentifier

IMPLEMENTATION_CLASS_UID: Final = "2.25.315346401214679301484575934544051318498"
"""Ours in every association and file meta (PS3.7 annex D.3.3.2): fixed, derived from one random UUID."""
IMPLEMENTATION_VERSION: Final = "HUISCLOS_1"
MAX_UID: Final = 64
"""Characters in a UID at most."""

_RANDOM: Final = 16
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LE: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
GE_PIXELS: Final = "1.2.840.113619.5.2"
"""GE's private syntax: implicit little endian, only its pixel data big endian."""
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
RLE: Final = "1.2.840.10008.1.2.5"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set is encoded (PS3.5 section 10 and annex A)."""

    uid: str
    name: str
    implicit: bool = False
    big_endian: bool = False
    deflated: bool = False
    encapsulated: bool = False
    lossy: bool = False
    frame_media: str = "application/octet-stream"
    """Media type of one frame as it lies in the object (PS3.18 section 8.7.3)."""


def _native(
    uid: str, name: str, *, implicit: bool = False, big: bool = False, deflated: bool = False
) -> TransferSyntax:
    return TransferSyntax(uid, name, implicit, big, deflated)


def _coded(number: str, name: str, media: str, *, lossy: bool) -> TransferSyntax:
    return TransferSyntax(
        f"1.2.840.10008.1.2.{number}", name, encapsulated=True, lossy=lossy, frame_media=media
    )


_TABLE = (
    _native(IMPLICIT_LE, "Implicit VR Little Endian", implicit=True),
    _native(EXPLICIT_LE, "Explicit VR Little Endian"),
    _native(DEFLATED_LE, "Deflated Explicit VR Little Endian", deflated=True),
    _native(EXPLICIT_BE, "Explicit VR Big Endian", big=True),
    _native(GE_PIXELS, "GE Private Implicit VR, Big Endian pixels", implicit=True),
    _coded(
        "1.98", "Encapsulated Uncompressed Explicit VR Little Endian", "application/octet-stream", lossy=False
    ),
    _coded("4.50", "JPEG Baseline", "image/jpeg", lossy=True),
    _coded("4.51", "JPEG Extended", "image/jpeg", lossy=True),
    _coded("4.57", "JPEG Lossless", "image/jpeg", lossy=False),
    _coded("4.70", "JPEG Lossless SV1", "image/jpeg", lossy=False),
    _coded("4.80", "JPEG-LS Lossless", "image/jls", lossy=False),
    _coded("4.81", "JPEG-LS Near Lossless", "image/jls", lossy=True),
    _coded("4.90", "JPEG 2000 Lossless", "image/jp2", lossy=False),
    _coded("4.91", "JPEG 2000", "image/jp2", lossy=True),
    _coded("4.92", "JPEG 2000 Multi-component Lossless", "image/jpx", lossy=False),
    _coded("4.93", "JPEG 2000 Multi-component", "image/jpx", lossy=True),
    _coded("4.100", "MPEG2 Main Profile Main Level", "video/mpeg2", lossy=True),
    _coded("4.100.1", "MPEG2 Main Profile Main Level, fragmentable", "video/mpeg2", lossy=True),
    _coded("4.101", "MPEG2 Main Profile High Level", "video/mpeg2", lossy=True),
    _coded("4.101.1", "MPEG2 Main Profile High Level, fragmentable", "video/mpeg2", lossy=True),
    _coded("4.102", "MPEG-4 AVC High Profile 4.1", "video/mp4", lossy=True),
    _coded("4.102.1", "MPEG-4 AVC High Profile 4.1, fragmentable", "video/mp4", lossy=True),
    _coded("4.103", "MPEG-4 AVC BD-compatible 4.1", "video/mp4", lossy=True),
    _coded("4.103.1", "MPEG-4 AVC BD-compatible 4.1, fragmentable", "video/mp4", lossy=True),
    _coded("4.104", "MPEG-4 AVC High Profile 4.2 for 2D", "video/mp4", lossy=True),
    _coded("4.104.1", "MPEG-4 AVC High Profile 4.2 for 2D, fragmentable", "video/mp4", lossy=True),
    _coded("4.105", "MPEG-4 AVC High Profile 4.2 for 3D", "video/mp4", lossy=True),
    _coded("4.105.1", "MPEG-4 AVC High Profile 4.2 for 3D, fragmentable", "video/mp4", lossy=True),
    _coded("4.106", "MPEG-4 AVC Stereo High 4.2", "video/mp4", lossy=True),
    _coded("4.106.1", "MPEG-4 AVC Stereo High 4.2, fragmentable", "video/mp4", lossy=True),
    _coded("4.107", "HEVC Main Profile 5.1", "video/H265", lossy=True),
    _coded("4.108", "HEVC Main 10 Profile 5.1", "video/H265", lossy=True),
    _coded("4.110", "JPEG XL Lossless", "image/jxl", lossy=False),
    _coded("4.111", "JPEG XL JPEG Recompression", "image/jxl", lossy=True),
    _coded("4.112", "JPEG XL", "image/jxl", lossy=True),
    _coded("4.201", "HTJ2K Lossless", "image/jphc", lossy=False),
    _coded("4.202", "HTJ2K Lossless RPCL", "image/jphc", lossy=False),
    _coded("4.203", "HTJ2K", "image/jphc", lossy=True),
    _coded("5", "RLE Lossless", "image/dicom-rle", lossy=False),
    _coded("8.1", "Deflated Image Frame", "application/octet-stream", lossy=False),
)

TRANSFER_SYNTAXES: Final = {entry.uid: entry for entry in _TABLE}


def transfer_syntax(uid: str) -> TransferSyntax:
    """The syntax of `uid`.

    One that the table does not know reads as explicit little endian with encapsulated
    pixels: all transfer syntaxes but the four named in the Standard are (PS3.5 section A.4).
    """
    known = TRANSFER_SYNTAXES.get(uid)
    return known or TransferSyntax(uid, "unknown", encapsulated=True)


def clean_uid(text: str) -> str:
    """`text` without the padding that real senders put around a UID; "" stays "".

    Raises `BadIdentifier` for anything but digits and dots, or over 64 characters: a UID
    never becomes a path or a query by accident.
    """
    uid = text.strip(" \0\t\r\n")
    if uid and (len(uid) > MAX_UID or _UID.fullmatch(uid) is None):
        raise BadIdentifier("a UID has characters other than digits and dots, or more than 64 of them")
    return uid


def new_uid(random_bytes: bytes) -> str:
    """A fresh UID under 2.25 from 16 random bytes, as a version 4 UUID (PS3.5 section B.2)."""
    if len(random_bytes) != _RANDOM:
        raise ValueError("a UID is made from 16 random bytes")
    number = int.from_bytes(random_bytes, "big")
    number = number & ~(0xF << 76) | 4 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"
