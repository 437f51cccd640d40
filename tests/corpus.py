"""Every DICOM file inside the packages pydicom and pydicom-data, by path and by kind.

The packages' own look-up helpers are never called, since they download what they do not find.
"""

from __future__ import annotations

import hashlib
import importlib.util
import warnings
from functools import cache
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import FileDataset

_PACKAGES: Final = ("pydicom", "data_store")
_PREAMBLE: Final = 128
_BARE: Final = (
    "ExplVR_BigEndNoMeta.dcm",
    "ExplVR_LitEndNoMeta.dcm",
    "OT-PAL-8-face.dcm",
    "no_meta.dcm",
    "rtstruct.dcm",
)
_IDENTIFIED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage (PS3.4 annex B): what a DICOMDIR is."""


@cache
def files() -> tuple[Path, ...]:
    """Every different file that begins as a Part 10 file does (PS3.10 section 7.1), sorted by name.

    Files with the same bytes are given once.
    """
    found: dict[bytes, Path] = {}
    for path in _walk():
        content = path.read_bytes()
        if content[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
            found.setdefault(hashlib.sha256(content).digest(), path)
    return tuple(sorted(found.values(), key=lambda path: (path.name, str(path))))


@cache
def instances() -> tuple[Path, ...]:
    """The files that hold an instance with all its UIDs: what an archive stores, however odd the rest."""
    return tuple(path for path in files() if _is_instance(path))


@cache
def directories() -> tuple[Path, ...]:
    """The DICOMDIR files, complete, empty, reordered or broken (PS3.10 section 8.6)."""
    return tuple(path for path in files() if _class_of(path) == _MEDIA_DIRECTORY)


@cache
def unidentified() -> tuple[Path, ...]:
    """Part 10 files that lack a UID an archive needs, other than DICOMDIR files: refused, and survived."""
    apart = {*instances(), *directories()}
    return tuple(path for path in files() if path not in apart)


@cache
def bare() -> tuple[Path, ...]:
    """Data sets with no preamble or no file meta: not Part 10, and met in the field."""
    known = set(_BARE)
    return tuple(sorted(path for path in _walk() if path.name in known))


def named(name: str) -> Path:
    """The first file called `name`; raises `LookupError` when there is none."""
    for path in (*files(), *bare()):
        if path.name == name:
            return path
    raise LookupError(name)


def media() -> Path:
    """The folder of a whole medium: a DICOMDIR and the instances it names, several patients."""
    for path in directories():
        if path.name == "DICOMDIR" and any(child.is_dir() for child in path.parent.iterdir()):
            return path.parent
    raise LookupError("DICOMDIR with its instances")


def read(path: Path) -> FileDataset:
    """The data set of `path` without its pixels, read as leniently as pydicom can, in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, stop_before_pixels=True, force=True)


def _walk() -> list[Path]:
    found: list[Path] = []
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found += (path for path in Path(spec.origin).parent.rglob("*") if path.is_file())
    return sorted(found)


def _is_instance(path: Path) -> bool:
    dataset = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return all(dataset.get(keyword) for keyword in _IDENTIFIED)


def _class_of(path: Path) -> str:
    return str(read(path).file_meta.get("MediaStorageSOPClassUID", ""))
