"""The Part 10 file: preamble, file meta, then the data set (PS3.10 section 7).

What arrives by C-STORE gets a file meta of ours, the same bytes for the same arguments. What
arrives as a file keeps its own; here it is only read, within bounds, also when the preamble
or the whole meta is missing, as old media have it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from struct import pack, unpack_from
from typing import Final

from huisclos.dicom.dictionary import KNOWN_VRS, vr_of
from huisclos.dicom.uids import (
    DEFLATED_LE,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION,
    IMPLICIT_LE,
    TransferSyntax,
    clean_uid,
    transfer_syntax,
)
from huisclos.dicom.walk import Element, Walker
from huisclos.errors import HuisclosError, NotDicom, TooLarge

PREAMBLE: Final = 128
MAGIC: Final = b"DICM"
MAX_META: Final = 64 * 1024
"""Bytes of preamble and file meta at most: give `read_part10` at least these, or the whole file."""
_GROUP_3: Final = 0x00030000
_GROUP_LENGTH: Final = 0x00020000
_CLASS: Final = 0x00020002
_INSTANCE: Final = 0x00020003
_SYNTAX: Final = 0x00020010
_GUESS: Final = 4096
"""Bytes of a data set looked at to tell how it is encoded."""
_FIRST_GROUPS: Final = frozenset({0x0002, 0x0004, 0x0008, 0x0009, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040})

_PREAMBLES: Final = {
    b"MZ": "windows program",
    b"\x7fELF": "linux program",
    b"#!": "script",
    b"\xfe\xed\xfa": "mac program",
    b"\xcf\xfa\xed\xfe": "mac program",
    b"\xca\xfe\xba\xbe": "mac program",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}


@dataclass(frozen=True, slots=True)
class Part10:
    """What comes before the data set of a file."""

    data_offset: int
    """Where the data set begins."""
    syntax: TransferSyntax
    stated: bool
    """Whether the file says its transfer syntax; if not, `syntax` is a careful guess."""
    sop_class_uid: str
    sop_instance_uid: str
    """As in the file meta; "" where it says nothing. The data set's own are the true ones."""
    preamble: str
    """"empty", "none" (no preamble at all), "tiff", "windows program"..., or "other".

    A program in the preamble runs on a machine where someone renames the file (PS3.10 section
    7.5): the file is kept as it is, and this is reported.
    """


def read_part10(head: bytes) -> Part10:
    """Read the beginning of a file: its first `MAX_META` + 4096 bytes, or all of it.

    Raises `NotDicom` if it is not DICOM as far as one can tell, `TooLarge` if the file meta
    is over its bound.
    """
    at, preamble = _start(head)
    meta = head[at : at + MAX_META]
    if meta[:2] != b"\x02\0":
        guessed = guess_syntax(head[at : at + _GUESS])
        if guessed is None:
            raise NotDicom("this is not a DICOM file")
        return Part10(at, guessed, stated=False, sop_class_uid="", sop_instance_uid="", preamble=preamble)
    found, length = _read_meta(meta)
    if length >= MAX_META:
        raise TooLarge(f"the file meta has more than {MAX_META} bytes")
    at += length
    uid = found.get(_SYNTAX, "")
    stated = transfer_syntax(uid) if uid else None
    syntax = _checked(stated, head[at : at + _GUESS])
    return Part10(
        at,
        syntax,
        stated=syntax == stated,
        sop_class_uid=found.get(_CLASS, ""),
        sop_instance_uid=found.get(_INSTANCE, ""),
        preamble=preamble,
    )


def _start(head: bytes) -> tuple[int, str]:
    """Where the file meta, or the data set, begins; what the preamble holds."""
    if head[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC:
        return PREAMBLE + len(MAGIC), _kind(head[:PREAMBLE])
    if head[: len(MAGIC)] == MAGIC:
        return len(MAGIC), "none"
    return 0, "none"


def _kind(preamble: bytes) -> str:
    if not preamble.strip(b"\0"):
        return "empty"
    return next((kind for magic, kind in _PREAMBLES.items() if preamble.startswith(magic)), "other")


def _read_meta(meta: bytes) -> tuple[dict[int, str], int]:
    """The UIDs of the file meta, and its length, by its group length where that is right."""
    stated = _stated_length(meta)
    if stated is not None:
        try:
            return _walk_meta(meta[:stated])
        except HuisclosError:
            pass  # the group length is wrong: real writers get it wrong; the elements tell
    return _walk_meta(meta)


def _stated_length(meta: bytes) -> int | None:
    if len(meta) < 12 or meta[2:8] != b"\0\0UL\x04\0":  # noqa: PLR2004 - one element of (0002,0000)
        return None
    length = 12 + int(unpack_from("<I", meta, 8)[0])
    follows = meta[length : length + 2]
    return length if length <= len(meta) and follows != b"\x02\0" else None


def _walk_meta(meta: bytes) -> tuple[dict[int, str], int]:
    wanted = frozenset({_CLASS, _INSTANCE, _SYNTAX})
    walker = Walker(transfer_syntax(EXPLICIT_LE), hold=wanted, stop=_GROUP_3)
    found: dict[int, str] = {}
    for element in walker.feed(meta):
        if element.tag in wanted:
            found[element.tag] = clean_uid(walker.value(element).decode("ascii", "replace"))
    if not walker.done:
        walker.finish(len(meta))
    return found, walker.position


def _checked(stated: TransferSyntax | None, data: bytes) -> TransferSyntax:
    """The stated syntax, unless the data set plainly is in another one of the same kind."""
    if stated is not None and (stated.uid == DEFLATED_LE or not data or _reads_as(data, stated)):
        return stated
    guessed = guess_syntax(data) or stated
    if guessed is None:
        raise NotDicom("the file meta has no transfer syntax, and the data set does not tell")
    if stated is None or not stated.encapsulated:
        return guessed
    return replace(stated, implicit=guessed.implicit, big_endian=guessed.big_endian)


def guess_syntax(data: bytes) -> TransferSyntax | None:
    """The native transfer syntax in which the first elements of a data set make sense, or None."""
    for uid in (EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE):
        syntax = transfer_syntax(uid)
        if _reads_as(data, syntax):
            return syntax
    return None


def _reads_as(data: bytes, syntax: TransferSyntax) -> bool:
    """Whether the first elements rise, begin where data sets begin, and state their VRs as `syntax` does."""
    walker = Walker(syntax)
    try:
        top = [element for element in walker.feed(data[:_GUESS]) if element.depth == 0]
    except HuisclosError:
        return False
    if not top or top[0].tag >> 16 not in _FIRST_GROUPS:
        return False
    rising = all(one.tag < other.tag for one, other in pairwise(top))
    return rising and _stating(data, top[0]) is not syntax.implicit and vr_of(top[0].tag) != "UN"


def _stating(data: bytes, first: Element) -> bool:
    return data[first.start + 4 : first.start + 6] in KNOWN_VRS


def file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_aet: str) -> bytes:
    """Preamble and file meta for a data set that came over the network (PS3.10 section 7.1).

    The same arguments give the same bytes: nothing of the moment is in it. `calling_aet` is
    written as the sending application.
    """
    body = b"".join(
        (
            b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01",
            _uid_element(_CLASS, sop_class_uid),
            _uid_element(_INSTANCE, sop_instance_uid),
            _uid_element(_SYNTAX, transfer_syntax_uid),
            _uid_element(0x00020012, IMPLEMENTATION_CLASS_UID),
            _short(0x00020013, b"SH", IMPLEMENTATION_VERSION.encode(), b" "),
            _short(0x00020017, b"AE", calling_aet.encode("ascii", "replace")[:16], b" "),
        )
    )
    return bytes(PREAMBLE) + MAGIC + pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body


def _uid_element(tag: int, uid: str) -> bytes:
    return _short(tag, b"UI", clean_uid(uid).encode(), b"\0")


def _short(tag: int, vr: bytes, value: bytes, pad: bytes) -> bytes:
    value += pad * (len(value) % 2)
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
