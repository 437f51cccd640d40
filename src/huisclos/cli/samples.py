"""The instances that a demonstration sends itself: files inside the packages pydicom and pydicom-data.

They are found by path. Of files that say they are the same instance one is taken, but for a few
that show what becomes of such a thing: another transfer syntax, other content under the same UID.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from huisclos.dicom.heading import Heading, HeadingReader
from huisclos.dicom.part10 import MAX_META, PREAMBLE, read_part10
from huisclos.dimse.storage import STORAGE
from huisclos.errors import HuisclosError, NotFound

STUDIES: Final = 20
"""Studies that a demonstration has at least."""
MODALITIES: Final = 5
_PACKAGES: Final = ("pydicom", "data_store")
_BEGINNING: Final = MAX_META + 4096
_LARGEST: Final = 4 * 1024**2
_BROKEN: Final = re.compile(
    r"bad|broken|invalid|truncated|too_short|no_meta|mismatch|undefined|dcmd|empty", re.IGNORECASE
)
"""Names of files that are there to be wrong."""
_TWICE: Final = frozenset({"MR_small_RLE.dcm", "SC_rgb_16bit.dcm"})
"""Sent although their UID was sent: one becomes an alternative, the other is listed under "to decide"."""
_UNPICTURED: Final = frozenset({"SR", "RTPLAN", "ECG"})
"""Modalities that say or trace something, and show no picture."""
_PIXELS: Final = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
"""The tag (7FE0,0010), in either byte order."""
_SMALLEST: Final = 16
"""Rows below which a picture shows nothing."""
_PLAIN: Final = "1.2.840.10008.1.2.1"


class Sample(Struct, frozen=True):
    """One file to send."""

    path: Path
    data_offset: int
    """Where the data set begins in the file."""
    transfer_syntax: str
    heading: Heading


def samples() -> list[Sample]:
    """What to send, sorted by study. Raises `NotFound` when the packages hold too little."""
    chosen: dict[str, Sample] = {}
    twice = []
    for sample in sorted(_readable(_files()), key=_preference):
        uid = sample.heading.instance_uid
        if uid not in chosen:
            chosen[uid] = sample
        elif sample.path.name in _TWICE:
            twice.append(sample)
    found = sorted(
        chosen.values(), key=lambda sample: (sample.heading.study_uid, sample.heading.instance_uid)
    )
    studies = {sample.heading.study_uid for sample in found}
    modalities = {sample.heading.modality for sample in found}
    if len(studies) < STUDIES or len(modalities) < MODALITIES:
        raise NotFound(
            "there are too few DICOM files here for a demonstration",
            hint="install pydicom whole, and pydicom-data: pip install pydicom-data",
        )
    return found + twice


def _files() -> Iterator[Path]:
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            yield from sorted(Path(spec.origin).parent.rglob("*"))


def _readable(paths: Iterable[Path]) -> Iterator[Sample]:
    for path in paths:
        if path.is_file() and path.stat().st_size <= _LARGEST and not _BROKEN.search(path.name):
            try:
                sample = _read(path)
            except HuisclosError:
                continue
            if sample is not None:
                yield sample


def _read(path: Path) -> Sample | None:
    """The file as a sample; None if it is not a whole Part 10 file of an instance."""
    content = path.read_bytes()
    if content[PREAMBLE : PREAMBLE + 4] != b"DICM":
        return None
    start = read_part10(content[:_BEGINNING])
    reader = HeadingReader(start.syntax)
    heading = reader.feed(content[start.data_offset :]) or reader.finish()
    if not start.stated or heading.sop_class_uid not in STORAGE or not _shows(heading, content):
        return None
    return Sample(path, start.data_offset, start.syntax.uid, heading)


def _shows(heading: Heading, content: bytes) -> bool:
    """Whether there is something to see: files that were stripped of their pixels make a poor first sight."""
    if heading.modality in _UNPICTURED:
        return True
    return (heading.rows or 0) >= _SMALLEST and any(tag in content for tag in _PIXELS)


def _preference(sample: Sample) -> tuple[bool, int, str]:
    """Of one instance, the plain and large file first: it has the pixels that another may lack."""
    return sample.transfer_syntax != _PLAIN, -sample.path.stat().st_size, sample.path.name
