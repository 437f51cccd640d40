"""The ports of the archive: what its flows and faces need from the processes and places around them.

Adapters live in `vault`, `finder`, `cage`, `stores`, `database`; only `wiring` sees both sides.
A docstring here is a contract, and one suite of tests per port runs on every adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

from msgspec import Struct

from huisclos.access.nouns import Actor, Grant, Proof, Right, Source
from huisclos.archive.finder_ports import Upkeep
from huisclos.archive.nouns import (
    ArchiveCounts,
    Choice,
    Cut,
    Deposit,
    Doubt,
    Outcome,
    Placement,
    Query,
    QueryPage,
    QuietSeries,
    StoredObject,
    StudyPage,
    StudyState,
    StudyView,
)
from huisclos.errors import HuisclosError
from huisclos.seal import ReadAt

LONGEST_ROOM: Final = 64 * 1024 + 16
"""Bytes that may be asked room for at once: a sealed chunk."""


class Writing(Protocol):
    """One sealed object on its way to the store. Nothing of it is visible before `commit`.

    `abandon` it in any case, at the end.
    """

    def ready(self) -> None:
        """Do what can be done before there is a byte, so that less is to be waited for later.

        Optional, and blocks. Raises `Full`, `Unreachable`.
        """

    def room(self, length: int) -> memoryview:
        """Where the next `length` payload bytes go, `LONGEST_ROOM` at most: to be filled at once.

        Never blocks: it may be asked for on the event loop while a thread is in `write`.
        """

    def write(self) -> None:
        """Send on what fills the rooms given so far, if it is worth it. Raises `Full`, `Unreachable`."""

    def commit(self, place: str, header: bytes) -> None:
        """Put `header` before the payload, make bytes and directory entry durable at `place`.

        Blocks until both would survive power loss. Raises `Conflict` if `place` exists (nothing
        is overwritten), `Full`, `Unreachable`.
        """

    def abandon(self) -> None:
        """Let go of what was held; no trace is left, but of what was committed. Idempotent."""


class Commit(Struct, frozen=True):
    """A writing that is to be made durable at `place`, with `header` before its payload."""

    writing: Writing
    place: str
    header: bytes


class SealedAt(ReadAt, AbstractContextManager["SealedAt"], Protocol):
    """A sealed object open for reading by range."""


class ObjectStore(Protocol):
    """Where sealed bytes lie. A place is a relative path of random ids (`archive.layout`), nothing else.

    Committed objects carry no useful time stamp. All methods block; all are safe from several
    processes at once.
    """

    def begin(self, room: int) -> Writing:
        """Start an object, leaving `room` bytes free at its start for the header."""

    def commit_all(self, commits: Sequence[Commit]) -> Sequence[HuisclosError | None]:
        """As `Writing.commit` of each, together: what each of them raised, None for what is durable."""

    def put(self, place: str, sealed: bytes) -> None:
        """Write a small sealed object durably and whole, replacing what was there (manifest, keys)."""

    def open(self, place: str) -> SealedAt:
        """Open for reading. Raises `InstanceNotFound`, `Unreachable`."""

    def read(self, place: str) -> bytes:
        """The whole of a small object. Raises `InstanceNotFound`, `Unreachable`."""

    def move(self, place: str, new_place: str) -> None:
        """Rename durably. Raises `Conflict` if `new_place` exists, `InstanceNotFound`."""

    def delete(self, place: str) -> None:
        """Remove durably. Idempotent."""

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """(place, size in bytes) of everything committed under the folder `prefix`, in any order."""

    def sweep(self) -> int:
        """Remove what writings cut short by a crash left behind; how many."""

    def room(self) -> tuple[int, int]:
        """(free, total) bytes."""


class StudyKey(Struct, frozen=True):
    """A study's secret key with the grant it was given under."""

    identity: str
    """`AGE-SECRET-KEY-1...`"""
    grant: Grant

    def __repr__(self) -> str:
        return f"StudyKey({self.grant.study_id})"


class BatchKey(Struct, frozen=True):
    """Where to seal what cannot be placed now: public half only."""

    batch_id: str
    recipient: str


class Keeper(Protocol):
    """The vault as faces see it. It judges proofs itself, and journals before it answers.

    All raise `Unreachable` when the vault does not answer; those that need the archive
    identity raise `Locked` while it is locked.
    """

    async def actor(self, proof: Proof) -> Actor:
        """Who shows this proof. Raises `NotAdmitted`. A store token is known also while locked."""

    async def grant(self, proof: Proof, right: Right, purpose: str) -> Grant:
        """A list grant for the finder. Raises `NotAdmitted`, `NotGranted` (journalled), `Locked`."""

    async def open_study(self, proof: Proof, study_id: str, purpose: str) -> StudyKey:
        """A study's key under a grant for READ; the entry is durable before this returns (P9).

        The same actor asking again for the same study while its grant lives gets that grant
        and makes no second entry. Raises `NotAdmitted`, `NotGranted`, `StudyNotFound`, `Locked`.
        """

    async def sum_reads(self, grant_id: str, instances: int, octets: int) -> None:
        """Add what was read under a grant; summed in the journal within a second and at the end."""

    async def batch(self, source: Source) -> BatchKey:
        """The open batch for this source; works locked. Quarantined sources have batches of their own.

        Raises `Full` when nothing more is kept of one of those (`quarantine_images`, `quarantine_bytes`).
        """

    async def reserve(self, source: Source, octets: int) -> None:
        """One object of so many sealed bytes of a quarantined source is about to be made durable.

        Asked once for each, before it is. Raises `Full`, journalled, when it is not to be kept.
        """

    async def deposited(self, deposits: tuple[Deposit, ...]) -> None:
        """Journal what was stored, in sum. Works locked."""

    async def stored_by(self, proof: Proof) -> Source:
        """The source to record for a web deposit; works locked for tokens.

        Raises `NotAdmitted`, `NotGranted`.
        """

    async def deciding(self, proof: Proof, choice: Choice | None) -> None:
        """Journal that a doubt is about to be settled, or a decision taken back (None).

        Raises `NotAdmitted`, `NotGranted`, `Locked`.
        """


class Catalog(Protocol):
    """The finder as faces see it: only there while the archive is unlocked, else `Locked`.

    Every reading method checks the grant's MAC, right and time: raises `NotGranted`.
    """

    async def place(self, study_uid: str) -> Placement:
        """The study an instance belongs to, made now if it is new (its key is durable first)."""

    async def register_all(self, stored: tuple[StoredObject, ...]) -> tuple[Outcome | None, ...]:
        """Tell of objects already durable in their studies, in order; searchable when this returns.

        None for one whose study is not there any more. Idempotent by instance id. On `DUPLICATE` the
        caller deletes its copy.
        """

    async def holds(self, sop_instance_uid: str, digest: bytes) -> bool:
        """Whether this very data set is registered and not erased: asked when a sender repeats itself."""

    async def query(self, grant: Grant, query: Query) -> QueryPage:
        """Search; exact total. Raises `BadQuery`."""

    async def studies(self, grant: Grant, query: Query) -> StudyPage:
        """The study list for the pages: `query.text` understands names, ids, accession numbers, dates."""

    async def study(self, grant: Grant, study_uid: str) -> StudyView:
        """One study with its series, by its UID or by its random study id. Raises `StudyNotFound`.

        Pages name a study by its random id: what an address bar keeps must not name a patient (P1).
        """

    async def patient(self, grant: Grant, study_uid: str) -> StudyPage:
        """Every study of this study's patient, newest first, itself among them; at most 1,000.

        The same patient id and issuer with another name, birth date or sex is another patient, until a
        person decides that they are the same. Raises `StudyNotFound`.
        """

    async def state_of(self, grant: Grant, study_uid: str) -> StudyState:
        """Settle the study's manifest on disk, then say what must be found there. Raises `StudyNotFound`."""

    async def resolve(self, grant: Grant, study_ids: tuple[str, ...]) -> dict[str, str]:
        """A short description of each known study, for the journal's sentences (needs JOURNAL or LIST).

        The day in it is ISO 8601: the page writes it as its reader does.
        """

    async def found_by(self, grant: Grant, text: str) -> tuple[str, ...]:
        """Ids of the studies that free words find, for the journal's filter (needs JOURNAL or LIST).

        1,000 at most. Raises `BadQuery` for more words than a search takes.
        """

    async def doubts(self, grant: Grant, *, decided: bool = False) -> tuple[Doubt, ...]:
        """The cards under "to decide", newest first."""

    async def doubt(self, grant: Grant, doubt_id: str) -> Doubt:
        """One card, decided or not. Raises `NotFound`."""

    async def decide(self, grant: Grant, doubt_id: str, choice: Choice | None) -> Doubt:
        """Settle a doubt, or undo with None.

        Raises `NotFound`, `BadQuery` for a choice it does not offer, `NotGranted` for whoever may not
        admit a peer, `Conflict` when what was decided cannot be undone.
        """

    async def counts(self) -> ArchiveCounts:
        """Totals; no grant needed: numbers only."""


class HouseCatalog(Upkeep, Protocol):
    """The finder as the scribe and the bulk commands see it: no grant, and a channel of its own.

    All raise `Unreachable` or `Locked` when the finder is not there.
    """

    async def place(self, study_uid: str) -> Placement:
        """As `Catalog.place`."""

    async def register(self, stored: StoredObject) -> Outcome:
        """As `Catalog.register_all`, for one. Raises `StudyNotFound`, `Conflict`."""

    async def quiet_series(self, seconds: float) -> tuple[QuietSeries, ...]:
        """Series unchanged for `seconds` and not `described` since; their manifests are settled first.

        At most 100 at a time, the longest quiet first.
        """

    async def described(self, series: QuietSeries) -> None:
        """The sealed metadata of this series is written; it is not quiet anew until it changes."""

    async def states(self, after: str = "", limit: int = 500) -> tuple[StudyState, ...]:
        """Studies by growing study id, beginning behind `after`; their manifests are settled first."""

    async def rows(self, study_id: str) -> tuple[str, ...]:
        """The instance ids that the index has for a study; empty for an unknown one."""


class BatchSecret(Struct, frozen=True):
    """What opens a batch, and what is known of all that lies in it."""

    batch_id: str
    identity: str
    """`AGE-SECRET-KEY-1...`"""
    source: Source
    """As it stands now: `quarantine` is false once the sender is approved."""
    opened_at: float
    """Seconds since the epoch; stands for the time each object was received."""
    full_since: float = 0.0
    """Of a quarantined source: since when objects of it were refused, its quota being full; 0 for never."""

    def __repr__(self) -> str:
        return f"BatchSecret({self.batch_id})"


class HouseKeys(Protocol):
    """The vault as the house's own work sees it: keys under grants of the house, journalled in sum.

    All raise `Locked` while the archive is locked, `Unreachable` when the vault is away.
    """

    async def study_key(self, study_id: str) -> str:
        """`AGE-SECRET-KEY-1...` of a study.

        Raises `StudyNotFound` without a key, `SealError` if the key's file does not open.
        """

    async def batch_key(self, batch_id: str) -> BatchSecret:
        """What opens a batch. Raises `NotFound` without a key, `SealError` if its file does not open."""

    async def settled(self, deposits: tuple[Deposit, ...]) -> None:
        """Journal, in sum, what went from a batch to its study."""

    async def doubled(self, study_id: str, instance_ids: tuple[str, ...]) -> None:
        """Journal that these objects of a study, found in its folder, were there already; then delete them.

        Somebody may have journalled them as stored: what came is that much less. One that is told of again
        counts once.
        """

    async def compared(self, study_id: str, cut: Cut) -> None:
        """Journal which of two rivals the house lets answer: the whole one, or of two alike the first."""

    async def batch_empty(self, batch_id: str) -> None:
        """Nothing lies in this batch now; the vault removes its key once nothing can be on its way to it."""


class Renderer(Protocol):
    """The cage as faces see it (P8): one object in, one picture out, in a throw-away process.

    Raises `UnknownTransferSyntax`, `Unreadable` (no picture in it, broken), `TooLarge`.
    """

    async def render(
        self,
        part10: bytes,
        *,
        frame: int,
        window: tuple[float, float, str] | None,
        size: tuple[int, int] | None,
        media: str,
        quality: int,
        region: tuple[float, float, float, float] | None = None,
    ) -> bytes:
        """A JPEG or PNG of one frame (0-based); `size` bounds width and height, aspect kept.

        `window` is centre, width and VOI LUT function (PS3.3 section C.11.2.1).

        `region` is the part of the image to show, in its pixels: left, top, width, height; a negative
        width or height turns it round. What lies beyond the image is left out; raises `BadQuery`
        when nothing remains.
        """

    async def decode_frame(self, part10: bytes, *, frame: int) -> bytes:
        """One frame decoded to native little-endian samples."""

    async def transcode(self, part10: bytes, *, transfer_syntax: str) -> bytes:
        """The whole Part 10 file in another transfer syntax: Explicit VR Little Endian, for now.

        Pixel data is decoded to native, all frames, and what describes it is made true: its colour
        model (YBR becomes RGB unless it was coded without loss), planes, loss, no offset tables. The
        file meta is the archive's, the preamble empty. All other values stay as they are, byte for
        byte but for the order of bytes in numbers; private ones become UN where their VR was not
        said. The same file gives the same bytes. An instance without pixel data is transcoded too.

        In and out at most 512 MiB, held whole. Raises `UnknownTransferSyntax` for another target and
        for pixel data that nobody here decodes, another `Unreadable` for what is broken, `TooLarge`.
        """
