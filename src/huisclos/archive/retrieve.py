"""Reading a study: nothing leaves it that its manifest does not list, as it lists it.

An open study knows its manifest, proven against what the finder vouches for. Each object is opened
only if its header MAC, payload nonce and length are those of its entry, and each chunk is
authenticated before a byte of it is released: what was swapped, replaced, cut or altered on disk
raises `Tampered` or `WrongObject` and is never served. All methods block; all are safe from
several threads. No file stays open between two reads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from huisclos import clock
from huisclos.archive.layout import instance_place, manifest_place, metadata_place
from huisclos.archive.manifest import check_object, open_manifest, primary
from huisclos.archive.metadata import SeriesMetadata, described, instance_json, open_metadata
from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries, Standing, StudyState
from huisclos.archive.ports import ObjectStore, StudyKey
from huisclos.dicom.bulk import Bulk, find_value
from huisclos.dicom.frames import (
    Pixels,
    cell_unit,
    cut_frame,
    frames,
    opened,
    read_frame,
    read_pixels,
    sign_differs,
)
from huisclos.dicom.heading import Heading, HeadingReader
from huisclos.dicom.places import FrameIndex
from huisclos.dicom.uids import TransferSyntax, transfer_syntax
from huisclos.dicom.values import swapped
from huisclos.dicom.walk import ReadAt
from huisclos.errors import (
    InstanceNotFound,
    Locked,
    NoIdentityMatch,
    NotFound,
    NotGranted,
    SealError,
    StudyNotFound,
    Tampered,
    Unreadable,
    WrongObject,
)
from huisclos.seal import HeaderFacts, Sealed, X25519Identity, open_at

_KEPT_OPEN: Final = 64
"""Objects whose file key is kept, so that reading a frame does not do the key exchange again; 64 KiB each."""
_KEPT_FRAMES: Final = 8
LONGEST_PIECE: Final = 1024**2
"""Bytes of a piece at most, of those that are read one after the other."""
_LOOK: Final = 64 * 1024

_Value = TypeVar("_Value")


class OpenStudy:
    """One study, open for reading.

    Raises `WrongObject`, `Tampered`, `NoIdentityMatch` if the manifest on disk is not the one in
    `state`, `Unreachable` when the store fails.
    """

    def __init__(self, store: ObjectStore, identity: str, state: StudyState, verify_key: bytes) -> None:
        self._store = store
        self.identity = X25519Identity.parse(identity)
        self._until = float("inf")
        self._ended = False
        self._timestamp: Callable[[], float] = clock.timestamp
        self.manifest = _read_manifest(store, self.identity, state, verify_key)
        self._by_uid = {
            entry.sop_instance_uid: entry
            for entry in self.manifest.instances
            if entry.standing is Standing.PRIMARY
        }
        self._opened: _Kept[Sealed] = _Kept(_KEPT_OPEN)
        self._frames: _Kept[Frames] = _Kept(_KEPT_FRAMES)

    @classmethod
    def under(
        cls,
        store: ObjectStore,
        key: StudyKey,
        state: StudyState,
        verify_key: bytes,
        *,
        timestamp: Callable[[], float] = clock.timestamp,
    ) -> OpenStudy:
        """Open under a grant: after its time nothing is read. Raises `NotGranted` for another study's."""
        if key.grant.study_id != state.study_id:
            raise NotGranted("the grant is for another study")
        study = cls(store, key.identity, state, verify_key)
        study._until, study._timestamp = key.grant.until, timestamp
        return study

    def renew(self, key: StudyKey) -> None:
        """Go on under a newer grant for the same study. Raises `NotGranted` for another's."""
        if key.grant.study_id != self.manifest.study_id:
            raise NotGranted("the grant is for another study")
        self._until = key.grant.until

    def series(self, series_uid: str) -> ManifestSeries:
        """A series of the study. Raises `InstanceNotFound`."""
        for series in self.manifest.series:
            if series.series_uid == series_uid:
                return series
        raise InstanceNotFound("the study has no such series")

    def instances(self, series_uid: str = "") -> list[ManifestEntry]:
        """The instances that answer, of one series or of all, in the order people leaf through them."""
        return primary(self.manifest, series_uid)

    def instance(self, sop_instance_uid: str) -> ManifestEntry:
        """The instance that answers for a SOP Instance UID. Raises `InstanceNotFound`."""
        try:
            return self._by_uid[sop_instance_uid]
        except KeyError:
            raise InstanceNotFound("the study has no such instance") from None

    def listed(self, instance_id: str) -> ManifestEntry:
        """An instance that the manifest lists, whatever its standing. Raises `InstanceNotFound`."""
        for entry in self.manifest.instances:
            if entry.instance_id == instance_id:
                return entry
        raise InstanceNotFound("the study has no such instance")

    def read_part10(self, entry: ManifestEntry) -> Iterator[bytes]:
        """The whole Part 10 file in pieces of at most 1 MiB; `entry.length` bytes in all.

        What can be checked at once is checked before this returns.
        """
        return self._open(entry).payload.pieces()

    def read_range(self, entry: ManifestEntry, offset: int, length: int) -> bytes:
        """Bytes of the Part 10 file, fewer than `length` only at its end."""
        return self._open(entry).payload.read_at(offset, length)

    def data_set(self, entry: ManifestEntry) -> DataSet:
        """The data set alone, by range, as it was sent."""
        return DataSet(self._open(entry), entry)

    def heading(self, entry: ManifestEntry) -> Heading:
        """What the instance is found by. Raises as `HeadingReader`."""
        data = self.data_set(entry)
        reader = HeadingReader(data.syntax)
        for offset in range(0, data.size, _LOOK):
            heading = reader.feed(data.read_at(offset, _LOOK))
            if heading is not None:
                return heading
        return reader.finish()

    def known_frames(self, entry: ManifestEntry) -> Frames | None:
        """As `frames`, if they were found a moment ago: does not block."""
        self._check_time()
        return self._frames.get(entry.instance_id)

    def frames(self, entry: ManifestEntry) -> Frames:
        """The frames of the pixel data. Raises `InstanceNotFound` without any, `NotDicom`, `TooLarge`."""
        kept = self.known_frames(entry)
        if kept is not None:
            return kept
        found = Frames(self.data_set(entry))
        return found if found.inflated else self._frames.put(entry.instance_id, found)

    def bulk(self, entry: ManifestEntry, path: str) -> BulkValue:
        """The value at a path of the metadata's `BulkDataURI`. Raises `BadQuery`, `InstanceNotFound`."""
        data = self.data_set(entry)
        source, syntax = opened(data, data.syntax)
        return BulkValue(source, syntax, find_value(source, syntax, path))

    def metadata(self, bulk_base: str, series_uid: str = "") -> Iterator[bytes]:
        """The DICOM JSON of a series, or of all, as one UTF-8 array in pieces (PS3.18 section 10.4.1.1.2).

        From the sealed metadata of each series if it is fresh, else from the objects. `bulk_base`
        is the study's URL, without a slash at its end.
        """
        return _array(self.metadata_runs(bulk_base, series_uid))

    def metadata_runs(self, bulk_base: str, series_uid: str = "") -> Iterator[bytes]:
        """As `metadata`, but for the array itself: runs of whole JSON objects separated by commas."""
        wanted = [self.series(series_uid)] if series_uid else list(self.manifest.series)
        self._check_time()
        return (run for series in wanted for run in self._described(series, bulk_base))

    def instance_metadata(self, entry: ManifestEntry, bulk_base: str) -> bytes:
        """The DICOM JSON of one instance, UTF-8."""
        return instance_json(self.data_set(entry), entry, bulk_base)

    def sealed_metadata(self, series: ManifestSeries) -> SeriesMetadata | None:
        """The sealed metadata of a series; None if there is none, or it tells of other instances."""
        place = metadata_place(self.manifest.study_id, series.series_id)
        try:
            sealed = open_at(_AtPlace(self._store, place, self._check_alive), [self.identity])
            return open_metadata(sealed.payload, self.identity, self.manifest, series)
        except (NotFound, SealError, Unreadable):
            return None  # derived: what is missing, stale or altered is made again from the objects

    def _described(self, series: ManifestSeries, bulk_base: str) -> Iterator[bytes]:
        """Runs of JSON objects separated by commas."""
        kept = self.sealed_metadata(series)
        if kept is not None:
            return kept.pieces(bulk_base)
        return described(self.instances(series.series_uid), self.data_set, bulk_base)

    def _open(self, entry: ManifestEntry) -> Sealed:
        self._check_time()
        kept = self._opened.get(entry.instance_id)
        if kept is not None:
            return kept
        return self._opened.put(
            entry.instance_id,
            open_entry(self._store, self.manifest.study_id, entry, self.identity, self._check_alive),
        )

    def end(self) -> None:
        """The archive was locked: nothing more is read, by a reading that has begun either."""
        self._ended = True
        self._opened.clear()
        self._frames.clear()

    def check(self) -> None:
        """Whether reading may go on, for whoever holds values in memory. Raises `Locked`, `NotGranted`."""
        self._check_alive()
        self._check_time()

    def _check_alive(self) -> None:
        if self._ended:
            raise Locked("the archive was locked meanwhile", hint="unlock it, then open the study again")

    def _check_time(self) -> None:
        if self._timestamp() > self._until:
            raise NotGranted("the grant is over", hint="open the study again")


def _array(runs: Iterator[bytes]) -> Iterator[bytes]:
    yield b"["
    first = True
    for run in runs:
        yield run if first else b"," + run
        first = False
    yield b"]"


def open_entry(
    store: ObjectStore,
    study_id: str,
    entry: ManifestEntry,
    identity: X25519Identity,
    check: Callable[[], None] = lambda: None,
) -> Sealed:
    """Open the sealed object of an entry, and only that one. `check` is called before each read of it.

    Raises `WrongObject` if another lies in its place or nothing does, `Tampered` if it was changed.
    """
    source = _AtPlace(store, instance_place(study_id, entry.instance_id), check)
    try:
        sealed = open_at(source, [identity])
    except NoIdentityMatch:
        raise WrongObject("an object sealed to somebody else lies in its place") from None
    except Unreadable as error:
        raise Tampered("what lies there is no sealed object") from error
    facts = HeaderFacts(sealed.header_length, sealed.header_mac, sealed.payload_nonce)
    check_object(entry, facts, sealed.payload.size)
    return sealed


class DataSet:
    """The data set of an instance, read by range."""

    def __init__(self, sealed: Sealed, entry: ManifestEntry) -> None:
        self._payload = sealed.payload
        self._start = entry.data_set_offset
        self.size = entry.length - entry.data_set_offset
        self.syntax: TransferSyntax = transfer_syntax(entry.transfer_syntax)

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the data set, fewer than `length` only at its end."""
        return self._payload.read_at(self._start + offset, length)


class Frames:
    """The frames of an instance: found without decoding a pixel, read one at a time."""

    def __init__(self, data: DataSet) -> None:
        self._source, self.syntax = opened(data, data.syntax)
        self.inflated = self._source is not data
        """Whether the whole data set is held in memory, since it came deflated."""
        self.pixels: Pixels = read_pixels(self._source, self.syntax)
        self._frames: FrameIndex = frames(self._source, self.pixels)
        native = not self.pixels.encapsulated
        self._unit = cell_unit(self.pixels.bits_allocated, self.pixels.vr, self.syntax) if native else 1

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, number: int) -> bytes:
        """Frame `number`, from 0, as it lies in the object, a native one little endian.

        Raises `InstanceNotFound`, `TooLarge`.
        """
        self.check((number,))
        return read_frame(self._source, self._frames[number], self._unit, self.pixels.offset)

    def check(self, numbers: Iterable[int]) -> None:
        """Whether there are all of these frames, from 0. Raises `InstanceNotFound`."""
        if not all(0 <= number < len(self._frames) for number in numbers):
            raise InstanceNotFound("the instance has no such frame")

    def sign_differs(self, number: int) -> bool:
        """Whether frame `number` says another sign of its samples than the data set does."""
        self.check((number,))
        return sign_differs(self._source, self.pixels, self._frames[number])

    def cut(self, number: int) -> bytes:
        """Frame `number`, from 0, as a small Part 10 file of its own. Raises as `read`."""
        return cut_frame(self._source, self.syntax, self.pixels, self._frames, number)


class BulkValue:
    """The value of one attribute, to be streamed; little endian always (PS3.18 section F.2.6)."""

    def __init__(self, source: ReadAt, syntax: TransferSyntax, found: Bulk) -> None:
        self._source = source
        self._start = found.offset
        self._unit = found.unit if syntax.big_endian and not found.encapsulated else 1
        self.length = found.length
        self.vr = found.vr
        self.encapsulated = found.encapsulated

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes of the value, fewer than `length` only at its end."""
        end = min(offset + length, self.length)
        if offset >= end:
            return b""
        first = offset - offset % self._unit
        last = min(end + -end % self._unit, self.length)
        value = swapped(self._source.read_at(self._start + first, last - first), self._unit)
        return value[offset - first : end - first]

    def pieces(self) -> Iterator[bytes]:
        """The whole value in pieces of at most 1 MiB."""
        for offset in range(0, self.length, LONGEST_PIECE):
            yield self.read_at(offset, LONGEST_PIECE)


class _AtPlace:
    """Reads a place by range and holds no file open in between."""

    def __init__(self, store: ObjectStore, place: str, check: Callable[[], None]) -> None:
        self._store = store
        self._place = place
        self._check = check
        with store.open(place) as sealed:
            self.size = sealed.size

    def read_at(self, offset: int, length: int) -> bytes | memoryview:
        """See `ReadAt`."""
        self._check()
        with self._store.open(self._place) as sealed:
            return sealed.read_at(offset, length)


class _Kept(OrderedDict[str, _Value]):
    """The most recently used of something, up to a bound; safe from several threads."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._lock = threading.Lock()

    def get(self, key: str) -> _Value | None:  # type: ignore[override]  # a miss is None, always
        with self._lock:
            if key not in self:
                return None
            self.move_to_end(key)
            return self[key]

    def put(self, key: str, value: _Value) -> _Value:
        """Keep `value`, and give it back."""
        with self._lock:
            self[key] = value
            if len(self) > self._most:
                self.popitem(last=False)
        return value


def _read_manifest(
    store: ObjectStore, identity: X25519Identity, state: StudyState, verify_key: bytes
) -> Manifest:
    if not state.version:
        raise StudyNotFound("the study has no manifest yet")
    try:
        sealed = store.read(manifest_place(state.study_id))
    except InstanceNotFound:
        raise Tampered("the study's manifest is gone") from None
    return open_manifest(sealed, identity, verify_key, state)
