"""The DICOM JSON metadata of a series, made once and sealed (PS3.18 annex F).

Derived and rebuildable: it is used only if it tells of exactly the instances that the manifest
lists. Sealing is not authorship, so a MAC under a key that follows from the study's secret proves
that somebody who may read the study wrote it.

    chunks: each a zlib stream of JSON objects separated by commas
    index:  msgpack of `_Index`, then HMAC-SHA256 of it (32 bytes), then its length (4 bytes, big-endian)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from huisclos.archive.manifest import primary
from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries
from huisclos.dicom.json import to_json
from huisclos.dicom.uids import TransferSyntax
from huisclos.dicom.walk import Bounds, Walker, walk_at
from huisclos.errors import NotDicom, Tampered, TooLarge, WrongObject
from huisclos.seal import Payload, X25519Identity, X25519Recipient, seal

MAX_HEAD: Final = 32 * 1024**2
"""Bytes of a data set before its pixel data that are described; values beyond are left out."""
MAX_ELEMENTS: Final = 500_000
"""Elements that are described: 5,000 frames with all that is said of each. They take 250 MB meanwhile."""
_BOUNDS: Final = Bounds(elements=MAX_ELEMENTS)
_CHUNK: Final = 256 * 1024
"""Bytes of JSON after which a chunk is closed."""
_LEVEL: Final = 6
_INSTANCE_UID: Final = "00080018"
_SERIES_UID: Final = "0020000E"
_PIXELS: Final = 0x7FE00000
_MAC: Final = 32
_LENGTH: Final = 4
_DOMAIN: Final = b"huisclos metadata v1\0"


class DataSetAt(Protocol):
    """A data set read by range, with its encoding."""

    size: int
    syntax: TransferSyntax

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the data set, fewer than `length` only at its end."""


class _Chunk(Struct, frozen=True, array_like=True):
    offset: int
    length: int
    digest: bytes


class _Index(Struct, frozen=True):
    study_id: str
    series_id: str
    basis: bytes
    """Which instances it tells of."""
    placeholder: str
    """Random text that stands for the study's URL in what the chunks hold."""
    chunks: tuple[_Chunk, ...]


def instance_json(data: DataSetAt, entry: ManifestEntry, bulk_base: str) -> bytes:
    """The DICOM JSON of one instance, UTF-8, without its pixels.

    An instance that does not read, goes beyond a bound, or is known by other UIDs than those
    inside, is described by its UIDs alone.
    """
    base = f"{bulk_base}/series/{entry.series_uid}/instances/{entry.sop_instance_uid}/bulkdata/"
    try:
        head = head_of(data)
        model = to_json(head, data.syntax, lambda path: base + path, _BOUNDS)
    except (NotDicom, TooLarge):
        model = {}
    known = _by_uids(entry)
    if any(model.get(tag) != known[tag] for tag in (_INSTANCE_UID, _SERIES_UID)):
        model = known
    return msgspec.json.encode(model)


def described(
    entries: Iterable[ManifestEntry], data_set: Callable[[ManifestEntry], DataSetAt], bulk_base: str
) -> Iterator[bytes]:
    """The instances' JSON objects, in runs separated by commas, each run about 256 KiB long."""
    run: list[bytes] = []
    size = 0
    for entry in entries:
        run.append(instance_json(data_set(entry), entry, bulk_base))
        size += len(run[-1])
        if size >= _CHUNK:
            yield b",".join(run)
            run, size = [], 0
    if run:
        yield b",".join(run)


def seal_metadata(
    manifest: Manifest,
    series: ManifestSeries,
    data_set: Callable[[ManifestEntry], DataSetAt],
    identity: X25519Identity,
) -> bytes:
    """The sealed metadata of a series, for its place in the store."""
    placeholder = secrets.token_hex(16)
    entries = primary(manifest, series.series_uid)
    body, chunks = bytearray(), []
    for run in described(entries, data_set, placeholder):
        packed = zlib.compress(run, _LEVEL)
        chunks.append(_Chunk(len(body), len(packed), hashlib.sha256(packed).digest()))
        body += packed
    basis = _basis(manifest, series)
    index = _Index(manifest.study_id, series.series_id, basis, placeholder, tuple(chunks))
    encoded = msgspec.msgpack.encode(index)
    body += encoded + _mac(identity, encoded) + len(encoded).to_bytes(_LENGTH, "big")
    return seal(body, [X25519Recipient(identity.recipient.raw)])


class SeriesMetadata:
    """Sealed metadata that was found true and fresh."""

    def __init__(self, payload: Payload, index: _Index) -> None:
        self._payload = payload
        self._index = index

    def pieces(self, bulk_base: str) -> Iterator[bytes]:
        """Runs of JSON objects separated by commas. Raises `Tampered`; nothing of that run is released."""
        placeholder, base = self._index.placeholder.encode(), bulk_base.encode()
        for chunk in self._index.chunks:
            packed = self._payload.read_at(chunk.offset, chunk.length)
            if hashlib.sha256(packed).digest() != chunk.digest:
                raise Tampered("the sealed metadata of a series was altered")
            yield zlib.decompress(packed, bufsize=_CHUNK * 2).replace(placeholder, base)


def open_metadata(
    payload: Payload, identity: X25519Identity, manifest: Manifest, series: ManifestSeries
) -> SeriesMetadata:
    """The metadata in an opened object, if it is this series' and fresh.

    Raises `Tampered` if nobody who may read the study wrote it, `WrongObject` if it is another
    series' or tells of other instances than the manifest lists.
    """
    tail = payload.read_at(max(payload.size - _MAC - _LENGTH, 0), _MAC + _LENGTH)
    length = int.from_bytes(tail[_MAC:], "big")
    start = payload.size - _MAC - _LENGTH - length
    if len(tail) != _MAC + _LENGTH or start < 0:
        raise Tampered("the sealed metadata of a series is cut off")
    encoded = payload.read_at(start, length)
    if not hmac.compare_digest(_mac(identity, encoded), tail[:_MAC]):
        raise Tampered("nobody who may read the study wrote this metadata")
    try:
        index = msgspec.msgpack.decode(encoded, type=_Index)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Tampered("the sealed metadata of a series does not read") from error
    if (index.study_id, index.series_id) != (manifest.study_id, series.series_id):
        raise WrongObject("the metadata of another series lies here")
    if index.basis != _basis(manifest, series):
        raise WrongObject("the metadata tells of other instances than the series has now")
    return SeriesMetadata(payload, index)


def _basis(manifest: Manifest, series: ManifestSeries) -> bytes:
    """Which instances answer for a series, in which order; 32 bytes."""
    total = hashlib.sha256(series.series_uid.encode() + b"\0")
    for entry in primary(manifest, series.series_uid):
        total.update(bytes.fromhex(entry.instance_id) + entry.header_mac + entry.payload_nonce)
    return total.digest()


def _mac(identity: X25519Identity, encoded: bytes) -> bytes:
    return hmac.digest(hmac.digest(identity.raw, _DOMAIN, "sha256"), encoded, "sha256")


def head_of(data: DataSetAt) -> bytes:
    """The data set up to its pixel data, with the header of that; whole if it came deflated."""
    if data.syntax.deflated:
        return data.read_at(0, data.size)
    walker = Walker(data.syntax, bounds=_BOUNDS, stop=_PIXELS)
    try:
        for _ in walk_at(data, data.syntax, walker):
            if walker.position > MAX_HEAD:
                break
    except NotDicom:
        if not walker.position:
            raise
    # Enough for the header of each element of group 7FE0 that may come before the pixel data.
    return data.read_at(0, min(walker.position + _AFTER_HEAD, MAX_HEAD))


_AFTER_HEAD: Final = 4096


def _by_uids(entry: ManifestEntry) -> dict[str, Any]:
    return {
        "00080016": {"vr": "UI", "Value": [entry.sop_class_uid]},
        _INSTANCE_UID: {"vr": "UI", "Value": [entry.sop_instance_uid]},
        _SERIES_UID: {"vr": "UI", "Value": [entry.series_uid]},
    }
