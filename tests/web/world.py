"""An invented practice in memory: every port of the pages, over real keys and sealed objects.

Storing, sealing and reading are the archive's own; accounts, peers and the journal are simple tables.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from huisclos.access.accounts import PeerRight
from huisclos.access.chronicle import Change, JournalAsked, JournalHead, JournalLine, JournalPage
from huisclos.access.gate import DarkReceipt, GateState, RecoveryKey, SetUpState, Stage, Unlocked
from huisclos.access.house import Certificate, Glance, HouseReport, Separation, Trust
from huisclos.access.nouns import RIGHTS, Actor, ActorKind, Grant, Proof, ProofKind, Right, Role, Source
from huisclos.access.peers import (
    EchoOutcome,
    EchoResult,
    Knock,
    KnockReason,
    Listening,
    ListeningPort,
    Peer,
    PeerAsked,
)
from huisclos.access.people import (
    Holder,
    HolderKind,
    Invitation,
    NewToken,
    Pending,
    PendingKind,
    Token,
    User,
)
from huisclos.access.sessions import Account, Enrolment, Login, PasswordFault, Session, Viewing
from huisclos.archive.layout import new_id
from huisclos.archive.nouns import (
    ArchiveCounts,
    Choice,
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
from huisclos.clock import timestamp
from huisclos.errors import (
    BadQuery,
    Conflict,
    Locked,
    NotAdmitted,
    NotFound,
    NotGranted,
    StudyNotFound,
    WrongPassphrase,
)
from huisclos.stores.memory import MemoryStore
from huisclos.web.gate import GateSite
from huisclos.web.site import Origins, Site
from tests.archive.world import Finder, Study, Vault

PASSWORD = "Correct-Horse-7-Battery"
PASSPHRASE = "lagune tambour cerise volcan orage tulipe ancre"
NOW = timestamp()
HOUR = 3600.0
DAY = 24 * HOUR
WORDS = tuple(
    [
        "abeille",
        "bateau",
        "cabane",
        "dauphin",
        "echelle",
        "fanfare",
        "galet",
        "hameau",
        "igloo",
        "jardin",
        "kayak",
        "lampe",
        "mouette",
        "nuage",
        "olive",
        "panier",
        "quille",
        "radeau",
        "sabot",
        "tartine",
        "usine",
        "valise",
        "wagon",
        "zebre",
    ]
)


class Keys(Vault):
    """The vault's half that reads and stores, with rights."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.opened: list[tuple[str, str]] = []
        self.read: list[tuple[str, int, int]] = []

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
        if not actor.may(Right.READ) or (viewing is not None and viewing.study_id != study_id):
            raise NotGranted("this role may not do this")
        self.opened.append((actor.name, study_id))
        grant = Grant(f"grant-{actor.id}-{study_id}", actor, Right.READ, purpose, 4e9, study_id)
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
            doubts=sum(study.study_uid in (doubt.left.study_uid,) for doubt in self.doubt_list),
        )

    async def studies(self, grant: Grant, query: Query) -> StudyPage:
        """See the port."""
        self._here()
        words = query.text.lower().split()
        rows = [
            row
            for row in self.seen()
            if all(word in f"{row.patient_name} {row.patient_id} {row.study_date}".lower() for word in words)
            and query.match.get("PatientID", row.patient_id) == row.patient_id
        ]
        return StudyPage(len(rows), tuple(rows[query.offset : query.offset + query.limit]))

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
            uid, study.series_ids[uid], first.modality, first.series_number, first.series_description,
            first.body_part, len(stored), cover,
        )  # fmt: skip

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
        return {one: f"the study of {rows[one].study_date}" for one in study_ids if one in rows}

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
    "StudyInstanceUID": "0020000D", "SeriesInstanceUID": "0020000E", "PatientID": "00100020",
    "PatientName": "00100010", "StudyDate": "00080020", "Modality": "00080060", "SOPInstanceUID": "00080018",
}  # fmt: skip


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


class House:
    """Door, gate, set-up, people, peers, journal and state, in one table-top vault."""

    def __init__(self, *, clock: float = NOW) -> None:
        self.time = clock
        self.is_locked = False
        self.recovered = True
        self.stage = Stage.DONE
        self.sessions: dict[str, Session] = {}
        self.viewings: dict[str, Viewing] = {}
        self.tickets: dict[str, tuple[str, str, str]] = {}
        self.user_list: dict[str, User] = {}
        self.passwords: dict[str, str] = {}
        self.languages: dict[str, str] = {}
        self.token_list: dict[str, Token] = {}
        self.token_secrets: dict[str, str] = {}
        self.peer_list: dict[str, Peer] = {}
        self.knock_list: dict[str, Knock] = {}
        self.pending_list: dict[str, Pending] = {}
        self.dark: tuple[DarkReceipt, ...] = ()
        self.damaged: tuple[str, ...] = ()
        self.lines: list[JournalLine] = []
        self.holds = True
        self.lan = True
        self.last_image = self.time - 4 * 60
        self.trusted = Trust(b"", "AB:CD:EF:01", WORDS[:8], self.time + 3650 * DAY)

    def put_user(self, name: str, role: Role, *, totp: bool = False, holder: bool = False) -> str:
        """An account whose password is `PASSWORD`."""
        user_id = new_id()
        self.user_list[user_id] = User(
            user_id, name, role, totp, holder, self.time - 90 * DAY, self.time - 5 * HOUR, invited=False
        )
        self.passwords[user_id] = PASSWORD
        return user_id

    def session_for(self, name: str) -> str:
        """A session's secret for a user, without the page."""
        user = next(user for user in self.user_list.values() if user.name == name)
        return self._begin(user).secret

    def actor_of(self, proof: Proof) -> Actor:
        """Who shows this."""
        if proof.kind is ProofKind.TOKEN:
            token = self.token_list.get(self.token_secrets.get(proof.secret, ""))
            if token is None:
                raise NotAdmitted("no such token")
            may = token.may | ({Right.LIST} if Right.READ in token.may else frozenset())
            return Actor(ActorKind.TOKEN, token.id, token.user_name, may)
        viewing = self.viewings.get(proof.secret)
        if viewing is not None:
            return Actor(ActorKind.USER, "viewer", "viewer", frozenset({Right.LIST, Right.READ}))
        return self._session(proof).actor

    def unlocked(self) -> None:
        """Raise `Locked` while it is."""
        if self.is_locked:
            raise Locked("the archive is locked")

    def _session(self, proof: Proof) -> Session:
        session = self.sessions.get(proof.secret)
        if session is None or session.idle:
            raise NotAdmitted("no session")
        self.unlocked()
        return session

    def _begin(self, user: User) -> Session:
        actor = Actor(
            ActorKind.USER, user.id, user.name, RIGHTS[user.role], user.role, self.languages.get(user.id, "")
        )
        session = Session(
            secrets.token_urlsafe(16), actor, self.time + 4e8, must_change_password=user.invited
        )
        self.sessions[session.secret] = session
        return session

    # Door

    async def login(self, name: str, password: str, address: str) -> Login:
        """See the port."""
        self.unlocked()
        for user in self.user_list.values():
            if user.name == name and self.passwords[user.id] == password:
                if user.totp:
                    ticket = secrets.token_hex(8)
                    self.tickets[ticket] = ("login", user.id, "")
                    return Login(ticket=ticket)
                return Login(self._begin(user))
        raise NotAdmitted("not admitted")

    async def finish_login(self, ticket: str, code: str, address: str) -> Session:
        """See the port; the code is 123456."""
        kind, user_id, _ = self.tickets.get(ticket, ("", "", ""))
        if kind != "login" or code != "123456":
            raise NotAdmitted("not admitted")
        return self._begin(self.user_list[user_id])

    async def session(self, proof: Proof, *, active: bool) -> Session:
        """See the port."""
        self.unlocked()
        if proof.secret not in self.sessions:
            raise NotAdmitted("no session")
        return self.sessions[proof.secret]

    async def confirm(self, proof: Proof, password: str) -> Session:
        """See the port."""
        session = self.sessions[proof.secret]
        if self.passwords[session.actor.id] != password:
            raise NotAdmitted("not admitted")
        self.sessions[proof.secret] = msgspec.structs.replace(session, idle=False)
        return self.sessions[proof.secret]

    async def logout(self, proof: Proof) -> None:
        """See the port."""
        self.sessions.pop(proof.secret, None)
        self.viewings.clear()

    async def logout_others(self, proof: Proof) -> int:
        """See the port."""
        return 0

    async def account(self, proof: Proof) -> Account:
        """See the port."""
        session = self.sessions[proof.secret]
        user = self.user_list[session.actor.id]
        return Account(
            user.id, user.name, user.role, "", user.totp, 8, self.time - 30 * DAY, self.time - 5 * HOUR,
            "192.168.1.23", 1, 2, user.holder,
        )  # fmt: skip

    async def change_password(self, proof: Proof, old: str, new: str) -> tuple[PasswordFault, ...]:
        """See the port."""
        session = self.sessions[proof.secret]
        if self.passwords[session.actor.id] != old:
            raise NotAdmitted("not admitted")
        if len(new) < 12:
            return (PasswordFault.TOO_SHORT,)
        self.passwords[session.actor.id] = new
        self.sessions[proof.secret] = msgspec.structs.replace(session, must_change_password=False)
        return ()

    async def begin_totp(self, proof: Proof) -> Enrolment:
        """See the port."""
        secret = "JBSWY3DPEHPK3PXP"
        return Enrolment(f"otpauth://totp/huisclos:Exemple?secret={secret}&issuer=huisclos", secret)

    async def confirm_totp(self, proof: Proof, code: str) -> tuple[str, ...]:
        """See the port."""
        if code != "123456":
            raise NotAdmitted("not admitted")
        return tuple(f"{number:04d}-{number * 7:04d}" for number in range(1001, 1009))

    async def drop_totp(self, proof: Proof, password: str) -> None:
        """See the port."""
        if self.passwords[self.sessions[proof.secret].actor.id] != password:
            raise NotAdmitted("not admitted")

    async def set_language(self, proof: Proof, language: str) -> None:
        """See the port."""
        session = self.sessions[proof.secret]
        self.languages[session.actor.id] = language
        actor = msgspec.structs.replace(session.actor, language=language)
        self.sessions[proof.secret] = msgspec.structs.replace(session, actor=actor)

    async def begin_viewing(self, proof: Proof, study_id: str, study_uid: str) -> str:
        """See the port."""
        if not self._session(proof).actor.may(Right.READ):
            raise NotGranted("no pixels")
        ticket = secrets.token_urlsafe(12)
        self.tickets[ticket] = ("viewing", study_id, study_uid)
        return ticket

    async def exchange(self, ticket: str, address: str) -> Viewing:
        """See the port."""
        kind, study_id, study_uid = self.tickets.pop(ticket, ("", "", ""))
        if kind != "viewing":
            raise NotAdmitted("no such ticket")
        viewing = Viewing(secrets.token_urlsafe(16), study_id, study_uid, 4e9)
        self.viewings[viewing.secret] = viewing
        return viewing

    async def viewing(self, secret: str, address: str, *, active: bool) -> Viewing:
        """See the port."""
        self.unlocked()
        if secret not in self.viewings:
            raise NotAdmitted("no such viewing")
        return self.viewings[secret]


class TheGate:
    """`Gate` over a house."""

    def __init__(self, house: House, finder: Books) -> None:
        self.house = house
        self.finder = finder

    async def state(self) -> GateState:
        """See the port."""
        house = self.house
        set_up = house.stage not in (Stage.WHO, Stage.PASSPHRASE)
        return GateState(
            house.is_locked, house.time - 11 * HOUR, house.dark, "Cabinet", house.time - 26 * HOUR, house.damaged,
            0.0, set_up,
        )  # fmt: skip

    async def unlock(self, passphrase: str, name: str, address: str) -> Unlocked:
        """See the port."""
        if passphrase != PASSPHRASE:
            raise WrongPassphrase("wrong")
        self.house.is_locked = self.finder.away = False
        session = None
        for user in self.house.user_list.values():
            if name and user.name == name:
                session = self.house._begin(user)
        return Unlocked("Cabinet", self.house.dark, session, len(self.house.pending_list))

    async def lock(self, proof: Proof) -> None:
        """See the port."""
        self.house._session(proof)
        self.house.is_locked = self.finder.away = True
        self.house.sessions.clear()


class TheSetUp:
    """`SetUp` over a house."""

    LINK = "the-link"

    def __init__(self, house: House) -> None:
        self.house = house
        self.name = ""
        self.code = False

    async def state(self) -> SetUpState:
        """See the port."""
        return SetUpState(self.house.stage, link=True, console_code=self.code, name=self.name)

    async def check(self, secret: str, console_code: str, address: str) -> str:
        """See the port."""
        if secret != self.LINK:
            raise NotAdmitted("no such link")
        return "ticket"

    async def who(self, ticket: str, name: str, password: str, language: str) -> tuple[PasswordFault, ...]:
        """See the port."""
        if len(password) < 12:
            return (PasswordFault.TOO_SHORT,)
        self.name, self.house.stage = name, Stage.PASSPHRASE
        return ()

    async def suggest(self, ticket: str) -> str:
        """See the port."""
        return PASSPHRASE

    async def finish_owner(self, ticket: str, passphrase: str) -> Login:
        """See the port."""
        self.house.put_user(self.name, Role.OWNER, holder=True)
        self.house.stage = Stage.RECOVERY
        return Login(self.house.sessions[self.house.session_for(self.name)])

    async def recovery(self, proof: Proof) -> RecoveryKey:
        """See the port."""
        return RecoveryKey(
            WORDS, "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQEXAMPLE"
        )

    async def confirm_recovery(self, proof: Proof, typed: str) -> None:
        """See the port."""
        if typed.split() != list(WORDS):
            raise WrongPassphrase("not it")
        self.house.recovered, self.house.stage = True, Stage.MODALITY

    async def finish(self, proof: Proof) -> None:
        """See the port."""
        self.house.stage = Stage.DONE


class ThePeople:
    """`People` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def users(self, proof: Proof) -> tuple[User, ...]:
        """See the port."""
        return tuple(sorted(self.house.user_list.values(), key=lambda user: user.name))

    async def add(self, proof: Proof, name: str, role: Role) -> Invitation:
        """See the port."""
        if any(user.name == name for user in self.house.user_list.values()):
            raise Conflict("taken")
        user_id = self.house.put_user(name, role)
        self.house.user_list[user_id] = msgspec.structs.replace(self.house.user_list[user_id], invited=True)
        return Invitation(user_id, name, "Premier-Mot-De-Passe-42")

    async def set_role(self, proof: Proof, user_id: str, role: Role) -> None:
        """See the port."""
        user = self.house.user_list[user_id]
        if user.role is Role.OWNER and role is not Role.OWNER:
            raise Conflict("the last owner")
        self.house.user_list[user_id] = msgspec.structs.replace(user, role=role)

    async def reset(self, proof: Proof, user_id: str) -> Invitation:
        """See the port."""
        return Invitation(user_id, self.house.user_list[user_id].name, "Premier-Mot-De-Passe-43")

    async def remove(self, proof: Proof, user_id: str) -> None:
        """See the port."""
        del self.house.user_list[user_id]

    async def tokens(self, proof: Proof) -> tuple[Token, ...]:
        """See the port."""
        return tuple(self.house.token_list.values())

    async def add_token(
        self, proof: Proof, user_id: str, label: str, may: frozenset[Right], until: float
    ) -> NewToken:
        """See the port."""
        token = Token(
            new_id(), user_id, self.house.user_list[user_id].name, label, may, self.house.time, until, 0.0
        )
        secret = secrets.token_urlsafe(24)
        self.house.token_list[token.id] = token
        self.house.token_secrets[secret] = token.id
        return NewToken(token, secret)

    async def remove_token(self, proof: Proof, token_id: str) -> None:
        """See the port."""
        self.house.token_list.pop(token_id, None)

    async def pending(self, proof: Proof) -> tuple[Pending, ...]:
        """See the port."""
        return tuple(self.house.pending_list.values())

    async def approve(self, proof: Proof, pending_id: str) -> Invitation | None:
        """See the port."""
        self.house.pending_list.pop(pending_id)
        return None

    async def refuse(self, proof: Proof, pending_id: str) -> None:
        """See the port."""
        self.house.pending_list.pop(pending_id, None)

    async def holders(self, proof: Proof) -> tuple[Holder, ...]:
        """See the port."""
        made = self.house.time - 90 * DAY
        return (
            Holder("h" * 32, "Cabinet", HolderKind.PASSPHRASE, damaged=False, created_at=made),
            Holder("i" * 32, "Recovery", HolderKind.RECOVERY, damaged=False, created_at=made),
        )

    async def add_holder(self, proof: Proof, passphrase: str) -> tuple[PasswordFault, ...]:
        """See the port."""
        return ()

    async def remove_holder(self, proof: Proof, holder_id: str) -> None:
        """See the port."""
        raise Conflict("the last one")


class ThePeers:
    """`Peers` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def listening(self) -> Listening:
        """See the port."""
        plain = ListeningPort(("192.168.1.10",), 11112, tls=False)
        return Listening(
            "HUISCLOS", (plain, ListeningPort(("192.168.1.10",), 2762, tls=True)), self.house.lan
        )

    async def peers(self, proof: Proof) -> tuple[Peer, ...]:
        """See the port."""
        return tuple(self.house.peer_list.values())

    async def add(self, proof: Proof, asked: PeerAsked) -> Peer:
        """See the port."""
        return self.put(asked.title, asked.address, asked.port)

    def put(self, title: str, address: str, port: int = 0, heard: float = 0.0, objects: int = 0) -> Peer:
        """An admitted peer."""
        peer = Peer(
            new_id(), title, address, port, frozenset({PeerRight.ECHO, PeerRight.STORE}), 0.0, "", 0.0,
            approved=True, added_at=self.house.time - 60 * DAY, last_heard_at=heard, objects=objects,
        )  # fmt: skip
        self.house.peer_list[peer.id] = peer
        return peer

    async def remove(self, proof: Proof, peer_id: str) -> None:
        """See the port."""
        self.house.peer_list.pop(peer_id, None)

    async def knocks(self, proof: Proof) -> tuple[Knock, ...]:
        """See the port."""
        return tuple(self.house.knock_list.values())

    def knock(self, title: str, address: str, reason: KnockReason, count: int = 1) -> Knock:
        """Somebody was refused."""
        one = Knock(
            new_id(), title, "HUISCLOS", address, tls=False, reason=reason, code="A-ASSOCIATE-RJ 1/1/3",
            first_at=self.house.time - HOUR, last_at=self.house.time - 90, count=count,
            admissible=reason is KnockReason.TITLE_UNKNOWN,
        )  # fmt: skip
        self.house.knock_list[one.id] = one
        return one

    async def admit(self, proof: Proof, knock_id: str) -> Peer:
        """See the port."""
        knock = self.house.knock_list.pop(knock_id)
        return self.put(knock.title, knock.address)

    async def ignore(self, proof: Proof, knock_id: str) -> None:
        """See the port."""
        self.house.knock_list.pop(knock_id, None)

    async def echo(self, proof: Proof, peer_id: str) -> EchoResult:
        """See the port."""
        peer = self.house.peer_list[peer_id]
        return EchoResult(EchoOutcome.ANSWERED, 12) if peer.port else EchoResult(EchoOutcome.NO_PORT)


class TheChronicle:
    """`JournalReader` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def entries(self, proof: Proof, asked: JournalAsked) -> JournalPage:
        """See the port."""
        lines = [
            line
            for line in self.house.lines
            if asked.actor_id in ("", line.actor_id)
            and asked.study_id in ("", line.study_id)
            and (not asked.until or asked.since <= line.at < asked.until)
        ]
        actors = tuple({line.actor_id: line.actor for line in self.house.lines}.items())
        return JournalPage(len(lines), tuple(lines[asked.offset : asked.offset + asked.limit]), actors)

    async def head(self, proof: Proof) -> JournalHead:
        """See the port."""
        return JournalHead(self.house.holds, len(self.house.lines), WORDS[:6], self.house.time - HOUR, 17)

    async def verify(self, proof: Proof) -> JournalHead:
        """See the port."""
        return await self.head(proof)


class TheState:
    """`HouseState` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def glance(self) -> Glance:
        """See the port."""
        house = self.house
        return Glance(
            house.is_locked,
            house.stage not in (Stage.WHO, Stage.PASSPHRASE),
            house.recovered,
            len(house.peer_list),
            house.last_image,
            knocks=len(house.knock_list),
            pending=len(house.pending_list),
            journal_holds=house.holds,
        )

    async def report(self, proof: Proof) -> HouseReport:
        """See the port."""
        house = self.house
        return HouseReport(
            await self.glance(), house.time - 5 * HOUR, "Cabinet", Separation.PARTIAL, ("landlock",), 412 * 10**9,
            1000 * 10**9, 2, house.time - 60 * DAY,
            JournalHead(house.holds, len(house.lines), WORDS[:6], house.time - HOUR), house.time - 3 * DAY,
            (("PANO", house.time - 9 * DAY),),
            (Certificate("ca", (), house.time + 3650 * DAY), Certificate("leaf", ("localhost",), house.time + 80 * DAY)),
            (("http", "127.0.0.1:8443"), ("gate", "127.0.0.1:8444"), ("viewer", "127.0.0.1:8445"), ("dicom", "127.0.0.1:11112")),
            0, "0.1.0", {"python": "3.11", "openssl": "3.0", "viewer": "3.13.2"}, house.time - 5 * HOUR,
        )  # fmt: skip

    async def trust(self) -> Trust:
        """See the port."""
        return self.house.trusted


class Picture:
    """A `Renderer` that hands back one invented picture and the octets of a frame."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[int, int] | None]] = []

    async def render(
        self,
        part10: bytes,
        *,
        frame: int,
        window: tuple[float, float] | None,
        size: tuple[int, int] | None,
        media: str,
        quality: int,
    ) -> bytes:
        """See the port."""
        self.asked.append((frame, size))
        return b"\xff\xd8\xff\xe0picture" if media == "image/jpeg" else b"\x89PNG\r\n\x1a\npicture"

    async def decode_frame(self, part10: bytes, *, frame: int) -> bytes:
        """See the port."""
        return b"samples" + bytes([frame])


class World:
    """A practice: its site, and what tests and pictures change in it."""

    def __init__(self, *, origins: Origins | None = None, viewer: Path | None = None) -> None:
        self.store = MemoryStore()
        self.house = House()
        self.keys = Keys(self.house)
        self.books = Books(self.keys, self.store)
        self.picture = Picture()
        self.peers = ThePeers(self.house)
        self.set_up = TheSetUp(self.house)
        self.gate = TheGate(self.house, self.books)
        self.receiver = Receiver(self.store, self.books, self.keys)
        self.site = Site(
            door=self.house,
            gate=self.gate,
            set_up=self.set_up,
            people=ThePeople(self.house),
            peers=self.peers,
            chronicle=TheChronicle(self.house),
            house=TheState(self.house),
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
        self.books.doubt_list = (self._doubt(),)

    def _lines(self, study_ids: list[str]) -> list[JournalLine]:
        time, study = self.house.time, study_ids[0] if study_ids else ""
        user, peer, house = ActorKind.USER, ActorKind.PEER, ActorKind.HOUSE
        return [
            JournalLine(9, time - 600, "granted", user, "u1", "Dr Martin", "192.168.1.23", study, "viewer"),
            JournalLine(8, time - 590, "read", user, "u1", "Dr Martin", "", study, counts={"instances": 24, "octets": 12_600_000}),
            JournalLine(7, time - 900, "stored", peer, "p1", "CT01", "192.168.1.20", counts={"instances": 24, "octets": 12_600_000}),
            JournalLine(6, time - 1800, "changed", user, "u0", "Camille Exemple", what=Change.PEER_ADDED, subject="CT01"),
            JournalLine(5, time - 2000, "knocked", peer, "p9", "IRM2", "192.168.1.30", what="title-unknown", counts={"attempts": 4}),
            JournalLine(4, time - DAY, "login-failed", user, "u3", "Lou Accueil", "192.168.1.24"),
            JournalLine(3, time - DAY - 60, "unlocked", user, "u0", "Camille Exemple", "127.0.0.1"),
            JournalLine(2, time - 2 * DAY, "verified", house, "house", "house"),
            JournalLine(1, time - 2 * DAY - 5, "started", house, "house", "house"),
        ]  # fmt: skip

    def _doubt(self) -> Doubt:
        left = Side(
            "1.2.3",
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
            "1.2.4",
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
        choices = (Choice.SAME_PERSON, Choice.OTHER_PERSON, Choice.LEAVE)
        return Doubt(new_id(), DoubtKind.SAME_ID_OTHER_PERSON, NOW, left, right, choices)


__all__ = ["NOW", "PASSPHRASE", "PASSWORD", "WORDS", "House", "StudyNotFound", "World"]
