"""An invented practice in memory: every port of the pages, over real keys and sealed objects.

Storing, sealing and reading are the archive's own; accounts, peers and the journal are simple tables.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
from PIL import Image

from huisclos.access.chronicle import Change, JournalLine
from huisclos.access.nouns import Actor, ActorKind, Grant, Proof, Right, Role, Source
from huisclos.access.peers import (
    KnockReason,
)
from huisclos.access.people import (
    Pending,
    PendingKind,
    Token,
)
from huisclos.archive.layout import new_id
from huisclos.archive.nouns import (
    ArchiveCounts,
    Choice,
    Cut,
    Doubt,
    DoubtKind,
    Level,
    Query,
    QueryPage,
    SeriesRow,
    Side,
    Standing,
    StoredObject,
    StudyPage,
    StudyRow,
    StudyState,
    StudyView,
)
from huisclos.archive.ports import StudyKey
from huisclos.archive.receive import Receiver
from huisclos.cage.jobs import Failed, failure
from huisclos.cage.jobs import Outcome as JobOutcome
from huisclos.cage.transcode import transcoded
from huisclos.errors import (
    BadQuery,
    NotFound,
    NotGranted,
    StudyNotFound,
)
from huisclos.finder.text import MAX_WORDS
from huisclos.stores.memory import MemoryStore
from huisclos.web.gate import GateSite
from huisclos.web.site import Origins, Site
from tests.archive.world import Finder, Study, Vault
from tests.web.books import TheChronicle, TheQuarantine, TheState
from tests.web.doors import TheDoors
from tests.web.house import (
    DAY,
    HOUR,
    NOW,
    House,
    TheGate,
    ThePeers,
    ThePeople,
    TheSetUp,
)


class Keys(Vault):
    """The vault's half that reads and stores, with rights."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.opened: list[tuple[str, str]] = []
        self.read: list[tuple[str, int, int]] = []
        self.decisions: list[Choice | None] = []

    async def actor(self, proof: Proof) -> Actor:
        """See the port."""
        return self.house.actor_of(proof)

    async def grant(self, proof: Proof, right: Right, purpose: str) -> Grant:
        """See the port."""
        actor = self.house.actor_of(proof)
        self.house.unlocked()
        if not actor.may(right):
            raise NotGranted("this role may not do this")
        return Grant(new_id(), actor, right, purpose, 4e9)

    async def open_study(self, proof: Proof, study_id: str, purpose: str) -> StudyKey:
        """See the port."""
        actor = self.house.actor_of(proof)
        self.house.unlocked()
        viewing = self.house.viewings.get(proof.secret)
        right = Right.EXPORT if purpose == "export" else Right.READ
        if not actor.may(right) or (viewing is not None and viewing.study_id != study_id):
            raise NotGranted("this role may not do this")
        self.opened.append((actor.name, study_id))
        grant = Grant(f"{purpose}-{actor.id}-{study_id}", actor, right, purpose, 4e9, study_id)
        return StudyKey(str(self.studies[study_id]), grant)

    async def sum_reads(self, grant_id: str, instances: int, octets: int) -> None:
        """See the port."""
        self.read.append((grant_id, instances, octets))

    async def stored_by(self, proof: Proof) -> Source:
        """See the port; a token is known also while locked."""
        actor = self.house.actor_of(proof)
        if not actor.may(Right.STORE):
            raise NotGranted("this role may not do this")
        return Source(actor.kind, actor.id, actor.name, proof.address)

    async def deciding(self, proof: Proof, choice: Choice | None) -> None:
        """See the port."""
        if not self.house.actor_of(proof).may(Right.DECIDE):
            raise NotGranted("this role may not do this")
        self.decisions.append(choice)


class Books(Finder):
    """The finder's half that searches: plainly, over what is there."""

    doubt_list: tuple[Doubt, ...] = ()

    def seen(self) -> list[StudyRow]:
        """A row for each study, newest first."""
        rows = [self.row(study) for study in self.by_uid.values() if study.objects]
        return sorted(rows, key=lambda row: (row.study_date, row.study_time), reverse=True)

    def row(self, study: Study) -> StudyRow:
        """A study as pages show it."""
        stored = [one for one, standing in study.objects.values() if standing is Standing.PRIMARY]
        first = stored[0].heading
        return StudyRow(
            study.placement.study_id,
            study.study_uid,
            first.patient_name,
            first.patient_id,
            "",
            first.patient_birth_date,
            first.patient_sex,
            first.study_date,
            first.study_time,
            first.accession_number,
            first.study_description,
            first.referring_physician,
            tuple(sorted({one.heading.modality for one in stored if one.heading.modality})),
            len({one.heading.series_uid for one in stored}),
            len(stored),
            NOW - 2 * HOUR,
            doubts=sum(study.study_uid == doubt.left.study_uid for doubt in self.doubt_list),
        )

    async def studies(self, grant: Grant, query: Query) -> StudyPage:
        """See the port."""
        self._here()
        words = query.text.lower().split()
        if len(words) > MAX_WORDS:
            raise BadQuery("a query has too many words")
        rows = [
            row
            for row in self.seen()
            if all(word in f"{row.patient_name} {row.patient_id} {row.study_date}".lower() for word in words)
            and query.match.get("PatientID", row.patient_id) == row.patient_id
        ]
        return StudyPage(len(rows), tuple(rows[query.offset : query.offset + query.limit]))

    async def patient(self, grant: Grant, study_uid: str) -> StudyPage:
        """See the port: everything with its patient number."""
        number = self.row(self.by_uid[study_uid]).patient_id
        rows = tuple(row for row in self.seen() if row.patient_id == number)
        return StudyPage(len(rows), rows)

    async def study(self, grant: Grant, study_uid: str) -> StudyView:
        """See the port."""
        self._here()
        found = self.by_uid.get(study_uid) or self.study_of(study_uid)
        series: dict[str, list[StoredObject]] = {}
        for stored, standing in found.objects.values():
            if standing is Standing.PRIMARY:
                series.setdefault(stored.heading.series_uid, []).append(stored)
        rows = tuple(self._series(found, uid, stored) for uid, stored in series.items())
        return StudyView(self.row(found), rows)

    def _series(self, study: Study, uid: str, stored: list[StoredObject]) -> SeriesRow:
        first = stored[0].heading
        cover = first.instance_uid if first.rows else ""
        return SeriesRow(
            uid,
            study.series_ids[uid],
            first.modality,
            first.series_number,
            first.series_description,
            first.body_part,
            len(stored),
            cover,
        )

    async def query(self, grant: Grant, query: Query) -> QueryPage:
        """See the port: equality and a star at the end, enough for a client."""
        self._here()
        if any(name.lower() == "nonsense" for name in query.match):
            raise BadQuery("no such attribute")
        rows = [row for row in self._rows(query) if _fits(row, query.match)]
        page = rows[query.offset : query.offset + query.limit]
        return QueryPage(len(rows), len(page), json.dumps(page).encode())

    def _rows(self, query: Query) -> list[dict[str, object]]:
        rows: dict[str, dict[str, object]] = {}
        for study in self.by_uid.values():
            for stored, standing in study.objects.values():
                if standing is not Standing.PRIMARY:
                    continue
                heading = stored.heading
                key = {
                    Level.STUDY: heading.study_uid,
                    Level.SERIES: heading.series_uid,
                    Level.INSTANCE: heading.instance_uid,
                }[query.level]
                rows.setdefault(key, _json(stored, query))
        return list(rows.values())

    async def state_of(self, grant: Grant, study_uid: str) -> StudyState:
        """See the port."""
        if study_uid not in self.by_uid:
            raise StudyNotFound("no such study")
        return await super().state_of(grant, study_uid)

    async def doubts(self, grant: Grant, *, decided: bool = False) -> tuple[Doubt, ...]:
        """See the port."""
        return tuple(doubt for doubt in self.doubt_list if (doubt.decided is not None) == decided)

    async def doubt(self, grant: Grant, doubt_id: str) -> Doubt:
        """See the port."""
        for doubt in self.doubt_list:
            if doubt.id == doubt_id:
                return doubt
        raise NotFound("no such doubt")

    async def decide(self, grant: Grant, doubt_id: str, choice: Choice | None) -> Doubt:
        """See the port."""
        for doubt in self.doubt_list:
            if doubt.id == doubt_id:
                settled = msgspec.structs.replace(
                    doubt, decided=choice, decided_by=grant.actor.name, decided_at=NOW
                )
                self.doubt_list = tuple(settled if one.id == doubt_id else one for one in self.doubt_list)
                return settled
        raise NotFound("no such doubt")

    async def resolve(self, grant: Grant, study_ids: tuple[str, ...]) -> dict[str, str]:
        """See the port."""
        rows = {row.study_id: row for row in self.seen()}
        days = {one: rows[one].study_date for one in study_ids if one in rows}
        return {one: f"the study of {day[:4]}-{day[4:6]}-{day[6:]}" for one, day in days.items()}

    async def found_by(self, grant: Grant, text: str) -> tuple[str, ...]:
        """See the port."""
        found = await self.studies(grant, Query(Level.STUDY, text=text, limit=1000))
        return tuple(row.study_id for row in found.rows)

    async def counts(self) -> ArchiveCounts:
        """See the port."""
        self._here()
        rows = self.seen()
        patients = len({row.patient_id for row in rows})
        images, doubts = sum(row.instances for row in rows), len(self.doubt_list)
        return ArchiveCounts(patients, len(rows), sum(row.series for row in rows), images, doubts, NOW)


def _json(stored: StoredObject, query: Query) -> dict[str, object]:
    heading = stored.heading
    row: dict[str, object] = {
        "00080020": {"vr": "DA", "Value": [heading.study_date]},
        "00080060": {"vr": "CS", "Value": [heading.modality]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": heading.patient_name}]},
        "00100020": {"vr": "LO", "Value": [heading.patient_id]},
        "0020000D": {"vr": "UI", "Value": [heading.study_uid]},
    }
    url = f"{query.base}/studies/{heading.study_uid}"
    if query.level is not Level.STUDY:
        row["0020000E"] = {"vr": "UI", "Value": [heading.series_uid]}
        url += f"/series/{heading.series_uid}"
    if query.level is Level.INSTANCE:
        row["00080016"] = {"vr": "UI", "Value": [heading.sop_class_uid]}
        row["00080018"] = {"vr": "UI", "Value": [heading.instance_uid]}
        url += f"/instances/{heading.instance_uid}"
    row["00081190"] = {"vr": "UR", "Value": [url]}
    return row


_TAGS = {
    "StudyInstanceUID": "0020000D",
    "SeriesInstanceUID": "0020000E",
    "PatientID": "00100020",
    "PatientName": "00100010",
    "StudyDate": "00080020",
    "Modality": "00080060",
    "SOPInstanceUID": "00080018",
}


def _fits(row: dict[str, object], match: dict[str, str]) -> bool:
    for name, wanted in match.items():
        held = row.get(_TAGS.get(name, name), {})
        value = held.get("Value", [""])[0] if isinstance(held, dict) else ""
        text = value.get("Alphabetic", "") if isinstance(value, dict) else str(value)
        if wanted.strip("*") and not (
            text.startswith(wanted[:-1])
            if wanted.endswith("*")
            else text in wanted.replace("\\", ",").split(",")
        ):
            return False
    return True


class Picture:
    """A `Renderer` that hands back one invented picture and the octets of a frame; it does transcode."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[int, int] | None]] = []
        self.regions: list[tuple[float, float, float, float] | None] = []
        self.windows: list[tuple[float, float, str] | None] = []
        self.transcoded = 0

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
        """See the port."""
        self.asked.append((frame, size))
        self.regions.append(region)
        self.windows.append(window)
        made = io.BytesIO()
        Image.new("L", (8, 8), 90).save(made, "JPEG" if media == "image/jpeg" else "PNG")
        return made.getvalue()

    async def decode_frame(self, part10: bytes, *, frame: int) -> bytes:
        """See the port."""
        return b"samples" + bytes([frame])

    async def transcode(self, part10: bytes, *, transfer_syntax: str) -> bytes:
        """See the port; what ends a cage is told as broken."""
        self.transcoded += 1
        try:
            return b"".join(transcoded(part10, transfer_syntax))
        except Failed as failed:
            raise failure(failed.outcome) from None
        except RuntimeError:
            raise failure(JobOutcome.BROKEN) from None


class World:
    """A practice: its site, and what tests and pictures change in it."""

    def __init__(self, *, origins: Origins | None = None, viewer: Path | None = None) -> None:
        self.store = MemoryStore()
        self.house = House()
        self.keys = Keys(self.house)
        self.books = Books(self.keys, self.store)
        self.picture = Picture()
        self.peers = ThePeers(self.house)
        self.doors = TheDoors(self.house)
        self.quarantine = TheQuarantine(self.house)
        self.set_up = TheSetUp(self.house)
        self.gate = TheGate(self.house, self.books)
        self.receiver = Receiver(self.store, self.books, self.keys)
        self.site = Site(
            door=self.house,
            gate=self.gate,
            set_up=self.set_up,
            people=ThePeople(self.house),
            peers=self.peers,
            quarantine=self.quarantine,
            chronicle=TheChronicle(self.house),
            house=TheState(self.house),
            watched=self.doors,
            keeper=self.keys,
            catalog=self.books,
            renderer=self.picture,
            store=self.store,
            receiver=self.receiver,
            attester=self.keys.verify_key,
            origins=origins or Origins(),
            viewer=viewer,
        )
        self.owner = self.house.put_user("Camille Exemple", Role.OWNER, holder=True)
        self.house.put_user("Dr Martin", Role.PHYSICIAN)
        self.house.put_user("Lou Accueil", Role.SECRETARY)
        self.house.put_user("Sam Technique", Role.TECHNICIAN)
        self.house.put_user("Noa Controle", Role.AUDITOR)

    @property
    def gate_site(self) -> GateSite:
        """The gate's own."""
        return GateSite(self.gate, self.site.house, self.site.origins)

    def with_renderer(self, renderer: object) -> Site:
        """The site with another renderer."""
        return replace(self.site, renderer=renderer)  # type: ignore[arg-type]

    def token(self, *may: Right) -> str:
        """A token's secret."""
        secret = secrets.token_urlsafe(16)
        token = Token(new_id(), self.owner, "Camille Exemple", "test", frozenset(may), NOW, NOW + DAY, 0.0)
        self.house.token_list[token.id] = token
        self.house.token_secrets[secret] = token.id
        return secret

    async def put(self, content: bytes) -> StoredObject:
        """One file into the archive."""
        reception = self.receiver.begin_file(Source(ActorKind.PEER, "aa" * 16, "CT01"))
        try:
            reception.write(content)
            return (await reception.finish()).stored
        finally:
            reception.abandon()

    async def put_all(self, paths: Iterable[Path]) -> int:
        """Many files; how many were taken."""
        taken = 0
        for path in paths:
            await self.put(path.read_bytes())
            taken += 1
        return taken

    def study_ids(self) -> list[str]:
        """Random ids of all studies, newest first."""
        return [row.study_id for row in self.books.seen()]

    def furnish(self) -> None:
        """Peers, knocks, journal lines, a doubt, a pending request: a house in use."""
        time = self.house.time
        self.peers.put("CT01", "192.168.1.20", 104, time - 240, 12_430)
        self.peers.put("ECHO1", "192.168.1.21", 0, time - 3 * HOUR, 812)
        self.peers.put("PANO", "192.168.1.22", 104, time - 9 * DAY, 77)
        self.peers.knock("IRM2", "192.168.1.30", KnockReason.TITLE_UNKNOWN, 4)
        self.peers.knock("", "192.168.1.99", KnockReason.NOT_DICOM)
        one = Pending(new_id(), PendingKind.PEER, "MAMMO", "find, move", time - 9 * HOUR, "console")
        self.house.pending_list[one.id] = one
        self.house.lines = self._lines(self.study_ids()[:1])
        self.books.doubt_list = (self._doubt(), *self.books.doubt_list, self._waiting())

    def _lines(self, study_ids: list[str]) -> list[JournalLine]:
        time, study = self.house.time, study_ids[0] if study_ids else ""
        user, peer, house = ActorKind.USER, ActorKind.PEER, ActorKind.HOUSE
        return [
            JournalLine(9, time - 600, "granted", user, "u1", "Dr Martin", "192.168.1.23", study, "viewer"),
            JournalLine(
                8,
                time - 590,
                "read",
                user,
                "u1",
                "Dr Martin",
                "",
                study,
                counts={"instances": 24, "octets": 12_600_000},
            ),
            JournalLine(
                7,
                time - 900,
                "stored",
                peer,
                "p1",
                "CT01",
                "192.168.1.20",
                counts={"instances": 24, "octets": 12_600_000},
            ),
            JournalLine(
                6,
                time - 1800,
                "changed",
                user,
                "u0",
                "Camille Exemple",
                what=Change.PEER_ADDED,
                subject="CT01",
            ),
            JournalLine(
                5,
                time - 2000,
                "knocked",
                house,
                "",
                "",
                "192.168.1.30",
                subject="IRM2",
                what="title-unknown",
                counts={"attempts": 4},
            ),
            JournalLine(4, time - DAY, "login-failed", user, "u3", "Lou Accueil", "192.168.1.24"),
            JournalLine(3, time - DAY - 60, "unlocked", user, "u0", "Camille Exemple", "127.0.0.1"),
            JournalLine(2, time - 2 * DAY, "verified", house, "house", "house"),
            JournalLine(1, time - 2 * DAY - 5, "started", house, "house", "house"),
        ]

    async def rivals(self, content: bytes, other: bytes, *, cut: Cut = Cut.NEITHER) -> Doubt:
        """Two contents under one SOP Instance UID, and the doubt about them."""
        first, second = await self.put(content), await self.put(other)
        sides = [
            Side(
                stored.heading.study_uid,
                stored.heading.instance_uid,
                stored.heading.patient_name,
                stored.heading.patient_id,
                stored.heading.patient_birth_date,
                stored.heading.patient_sex,
                stored.heading.study_date,
                stored.heading.series_description,
                stored.heading.modality,
                stored.source.label,
                received_at,
                instance_id=stored.instance_id,
            )
            for stored, received_at in ((first, NOW - DAY), (second, NOW - HOUR))
        ]
        choices = (Choice.KEEP_FIRST, Choice.KEEP_SECOND)
        kind = DoubtKind.SAME_UID_OTHER_CONTENT
        doubt = Doubt(new_id(), kind, NOW - HOUR, sides[0], sides[1], choices, cut=cut)
        self.books.doubt_list = (*self.books.doubt_list, doubt)
        return doubt

    def _waiting(self) -> Doubt:
        side = Side(
            source="NEWCT",
            source_id=new_id(),
            address="192.168.1.40",
            instances=24,
            octets=12_600_000,
            received_at=NOW - 9 * HOUR,
        )
        self.quarantine.waiting[side.source_id] = (side.source, side.instances)
        choices = (Choice.ADMIT, Choice.LEAVE, Choice.REFUSE)
        return Doubt(new_id(), DoubtKind.QUARANTINE, NOW - 9 * HOUR, side, Side(), choices)

    def _doubt(self) -> Doubt:
        known = [row.study_uid for row in self.books.seen()]
        left = Side(
            known[-1] if known else "",
            "",
            "EXEMPLE^CAMILLE",
            "P-0001",
            "19620314",
            "F",
            "20240229",
            "Thorax",
            "CT",
            "CT01",
            NOW - DAY,
        )
        right = Side(
            known[0] if known else "",
            "",
            "EXEMPLE^KAMIL",
            "P-0001",
            "19620413",
            "M",
            "20240301",
            "Thorax",
            "CT",
            "CT01",
            NOW - HOUR,
        )
        choices = (Choice.SAME_PERSON, Choice.OTHER_PERSON)
        return Doubt(new_id(), DoubtKind.SAME_ID_OTHER_PERSON, NOW, left, right, choices)
