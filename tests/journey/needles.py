"""Searching bytes for values, however they may be written: encodings, escapes, compressed streams.

The values of the journeys' patients are long and odd enough that none turns up by chance.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import stat
import subprocess
import unicodedata
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tests.journey.patients import Patient

MAX_UNPACKED: Final = 16 * 1024 * 1024
"""Bytes taken from one compressed stream."""
PIECE: Final = 32 * 1024 * 1024
"""Bytes searched at a time; pieces overlap."""
_OVERLAP: Final = 4096
_SHORTEST: Final = 6
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|\x28\xb5\x2f\xfd|PK\x03\x04")
_WIDE: Final = ("utf-16-le", "utf-16-be")


class Needles:
    """What is searched for: each value in every shape, by its first bytes."""

    def __init__(self, patients: Iterable[Patient]) -> None:
        self.values: set[str] = set()
        self._by_start: dict[int, list[tuple[bytes, str]]] = {}
        for patient in patients:
            for value in patient.values():
                self._add(value, _spellings(value), patient.codec)
            for date in patient.dates():
                self._add(date, _date_forms(date), "ascii")
        self._table = np.zeros(65536, dtype=bool)
        for start in self._by_start:
            self._table[start >> 16] = True
        self._starts = np.array(sorted(self._by_start), dtype=np.uint32)

    def _add(self, value: str, spellings: Iterable[str], codec: str) -> None:
        self.values.add(value)
        for spelling in spellings:
            for shape in _shapes(spelling, codec):
                if len(shape) >= _SHORTEST:
                    known = self._by_start.setdefault(int.from_bytes(shape[:4], "big"), [])
                    known.append((shape, value))

    def found_in(self, data: bytes) -> set[str]:
        """The values that are in `data`, or in a compressed stream in it."""
        found = self._plain(data)
        for match in _ZLIB.finditer(data):
            unpacked = _unpack(data, match.start())
            if unpacked:
                found |= self._plain(unpacked)
        return found

    def found_below(self, folder: Path) -> dict[str, set[str]]:
        """Path to the values found in it, of every file below `folder`; names of files are searched too."""
        found: dict[str, set[str]] = {}
        for path in sorted(folder.rglob("*")):
            here = self._plain(str(path.relative_to(folder)).encode())
            if stat.S_ISREG(path.lstat().st_mode):
                here |= self.found_in_file(path)
            if here:
                found[str(path)] = here
        return found

    def found_in_file(self, path: Path) -> set[str]:
        """The values in one file."""
        found: set[str] = set()
        with path.open("rb") as file:
            kept = b""
            while piece := file.read(PIECE):
                found |= self.found_in(kept + piece)
                kept = piece[-_OVERLAP:]
        return found

    def _plain(self, data: bytes) -> set[str]:
        if len(data) < _SHORTEST:
            return set()
        octets = np.frombuffer(data, dtype=np.uint8)
        pairs = octets[:-1].astype(np.uint16) << 8 | octets[1:]
        places = np.flatnonzero(self._table[pairs[:-2]])
        quads = pairs[places].astype(np.uint32) << 16 | pairs[places + 2]
        found = set()
        known = np.isin(quads, self._starts)
        for place, quad in zip(places[known].tolist(), quads[known].tolist(), strict=True):
            for shape, value in self._by_start[quad]:
                if data.startswith(shape, place):
                    found.add(value)
        return found


def _spellings(value: str) -> set[str]:
    plain = "".join(one for one in unicodedata.normalize("NFD", value) if not unicodedata.combining(one))
    spelled = {value, unicodedata.normalize("NFD", value), plain}
    return spelled | {one.lower() for one in spelled} | {one.upper() for one in spelled}


def _date_forms(date: str) -> set[str]:
    year, month, day = date[:4], date[4:6], date[6:]
    return {
        date, f"{year}-{month}-{day}", f"{year}.{month}.{day}", f"{year}/{month}/{day}",
        f"{day}/{month}/{year}", f"{day}.{month}.{year}", f"{month}/{day}/{year}", f"{day}-{month}-{year}",
    }  # fmt: skip


def _shapes(text: str, codec: str) -> Iterator[bytes]:
    """The bytes that `text` may be: encoded, and those bytes escaped."""
    raw = {text.encode(wide) for wide in _WIDE}
    narrow = {text.encode("utf-8")}
    for name in (codec, "latin-1", "iso2022_jp", "shift_jis", "euc_jp", "iso8859_5", "cp1251", "koi8_r"):
        try:
            narrow.add(_core(text.encode(name)))
        except UnicodeEncodeError:
            continue
    yield from raw
    yield from narrow
    for one in raw | narrow:
        yield from _base64(one)
        yield one.hex().encode()
        yield one.hex().upper().encode()
    for one in narrow:
        quoted = urllib.parse.quote_from_bytes(one, safe="")
        for form in {quoted, quoted.replace("%20", "+")}:
            yield form.encode()
            yield re.sub("%..", lambda found: found.group().lower(), form).encode()
    yield json.dumps(text)[1:-1].encode()
    yield text.encode("ascii", "xmlcharrefreplace")


def _core(encoded: bytes) -> bytes:
    """Without the escapes at both ends, which depend on what stands beside (ISO 2022)."""
    return encoded.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B")


def _base64(value: bytes) -> Iterator[bytes]:
    """Base64 of `value` wherever it begins in what is encoded: only the characters it decides alone."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        first = -(-before * 8 // 6)
        last = (before + len(value)) * 8 // 6
        yield encoded[first:last]
        yield encoded[first:last].translate(bytes.maketrans(b"+/", b"-_"))


def _unpack(data: bytes, start: int) -> bytes:
    """What a compressed stream at `start` holds; empty when there is none."""
    if data.startswith(b"\x28\xb5\x2f\xfd", start):
        return _zstd(data[start : start + MAX_UNPACKED])
    window = 31 if data.startswith(b"\x1f\x8b", start) else 15
    if data.startswith(b"PK", start):
        lengths = data[start + 26 : start + 30]
        start += 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
        window = -15
    stream = zlib.decompressobj(window)
    unpacked = bytearray()
    try:
        for at in range(start, len(data), 65536):
            unpacked += stream.decompress(data[at : at + 65536], MAX_UNPACKED)
            if stream.eof or len(unpacked) > MAX_UNPACKED:
                break
    except (zlib.error, gzip.BadGzipFile):
        pass
    return bytes(unpacked)


def _zstd(data: bytes) -> bytes:
    program = shutil.which("zstd")
    if program is None:
        return b""
    ran = subprocess.run([program, "-dcq", "--memory=64MB"], input=data, capture_output=True, check=False)
    return ran.stdout[:MAX_UNPACKED]
