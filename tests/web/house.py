"""The people, machines and books of an invented practice: every port but those of the archive itself."""

from __future__ import annotations

import secrets

import msgspec

from huisclos.access.accounts import PeerRight
from huisclos.access.chronicle import JournalLine
from huisclos.access.gate import DarkReceipt, GateState, RecoveryKey, SetUpState, Stage, Unlocked
from huisclos.access.house import Trust
from huisclos.access.nouns import RIGHTS, Actor, ActorKind, Proof, ProofKind, Right, Role
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
    FastReader,
    Holder,
    HolderKind,
    Invitation,
    NewToken,
    Pending,
    RotationState,
    Token,
    User,
)
from huisclos.access.sessions import Account, Enrolment, Login, PasswordFault, Session, Viewing
from huisclos.archive.layout import new_id
from huisclos.clock import timestamp
from huisclos.errors import (
    Conflict,
    Locked,
    NotAdmitted,
    NotFound,
    NotGranted,
    PasswordDue,
    WeakPassword,
    WrongPassphrase,
)
from tests.archive.world import Finder

PASSWORD = "Correct-Horse-7-Battery"
PASSPHRASE = "lagune tambour cerise volcan orage tulipe ancre"
NOW = timestamp()
HOUR = 3600.0
DAY = 24 * HOUR
WORDS = (
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
)


class House:
    """Door, gate, set-up, people, peers, journal and state, in one table-top vault."""

    def __init__(self, *, clock: float = NOW) -> None:
        self.time = clock
        self.is_locked = False
        self.recovered = True
        self.stage = Stage.DONE
        self.by_command = False
        """Made by `huisclos init`: no one-time link leads in."""
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
        self.fast_readers: dict[str, FastReader] = {}
        self.rotation = RotationState(running=False, waiting=False)
        self.dark: tuple[DarkReceipt, ...] = ()
        self.damaged: tuple[str, ...] = ()
        self.lines: list[JournalLine] = []
        self.holds = True
        self.unnamed: tuple[str, ...] = ()
        self.lan = True
        self.addresses: tuple[str, ...] = ("192.168.1.10",)
        self.last_image = self.time - 4 * 60
        self.trusted = Trust(b"", "AB:CD:EF:01", WORDS[:8], self.time + 3650 * DAY)

    @property
    def by_link(self) -> bool:
        """Whether the one-time link is the way in."""
        return self.stage in (Stage.WHO, Stage.PASSPHRASE) and not self.by_command

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
        if session.must_change_password:
            raise PasswordDue("seen by somebody else")
        user = self.user_list[session.actor.id]
        return Account(
            user.id,
            user.name,
            user.role,
            "",
            user.totp,
            8,
            self.time - 30 * DAY,
            self.time - 5 * HOUR,
            "192.168.1.23",
            1,
            2,
            user.holder,
        )

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

    def __init__(self, house: House, finder: Finder) -> None:
        self.house = house
        self.finder = finder

    async def state(self) -> GateState:
        """See the port."""
        house = self.house
        return GateState(
            house.is_locked,
            house.time - 11 * HOUR,
            house.dark,
            "Cabinet",
            house.time - 26 * HOUR,
            house.damaged,
            0.0,
            not house.by_link,
        )

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
        if ticket != "ticket":
            raise NotAdmitted("begun elsewhere")
        return PASSPHRASE

    async def finish_owner(self, ticket: str, passphrase: str) -> Login:
        """See the port."""
        if len(passphrase) < 12:
            raise WeakPassword("too short")
        if passphrase[:-1] == PASSPHRASE[:-1] and passphrase != PASSPHRASE:
            raise WrongPassphrase("a slip")
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

    async def fast_readers(self, proof: Proof) -> tuple[FastReader, ...]:
        """See the port."""
        return tuple(self.house.fast_readers.values())

    async def confirm_reading(self, proof: Proof, actor_id: str) -> None:
        """See the port."""
        if self.house.fast_readers.pop(actor_id, None) is None:
            raise NotFound("nobody of this id was stopped")

    async def holders(self, proof: Proof) -> tuple[Holder, ...]:
        """See the port."""
        made = self.house.time - 90 * DAY
        return (
            Holder("h" * 32, "Cabinet", HolderKind.PASSPHRASE, damaged=False, created_at=made),
            Holder("i" * 32, "Recovery", HolderKind.RECOVERY, damaged=False, created_at=made),
        )

    async def add_holder(self, proof: Proof, passphrase: str) -> tuple[PasswordFault, ...]:
        """See the port."""
        return (PasswordFault.TOO_SHORT,) if len(passphrase) < 12 else ()

    async def rotation(self, proof: Proof) -> RotationState:
        """See the port."""
        return self.house.rotation

    async def remove_holder(self, proof: Proof, holder_id: str) -> None:
        """See the port."""
        raise Conflict("the last one")


class ThePeers:
    """`Peers` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def listening(self) -> Listening:
        """See the port."""
        plain = ListeningPort(self.house.addresses, 11112, tls=False)
        return Listening(
            "HUISCLOS",
            (plain, ListeningPort(self.house.addresses, 2762, tls=True)),
            self.house.lan,
            ".venv/bin/huisclos serve .run/archive --lan",
        )

    async def peers(self, proof: Proof) -> tuple[Peer, ...]:
        """See the port."""
        return tuple(self.house.peer_list.values())

    async def add(self, proof: Proof, asked: PeerAsked) -> Peer:
        """See the port."""
        if (asked.title, asked.address) in {
            (peer.title, peer.address) for peer in self.house.peer_list.values()
        }:
            raise Conflict("this peer is enrolled already")
        return self.put(asked.title, asked.address, asked.port)

    def put(self, title: str, address: str, port: int = 0, heard: float = 0.0, objects: int = 0) -> Peer:
        """An admitted peer."""
        peer = Peer(
            new_id(),
            title,
            address,
            port,
            frozenset({PeerRight.ECHO, PeerRight.STORE}),
            0.0,
            "",
            0.0,
            approved=True,
            added_at=self.house.time - 60 * DAY,
            last_heard_at=heard,
            objects=objects,
        )
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
            new_id(),
            title,
            "HUISCLOS",
            address,
            tls=False,
            reason=reason,
            code="A-ASSOCIATE-RJ 1/1/3",
            first_at=self.house.time - HOUR,
            last_at=self.house.time - 90,
            count=count,
            admissible=reason is KnockReason.TITLE_UNKNOWN,
        )
        self.house.knock_list[one.id] = one
        return one

    async def admit(self, proof: Proof, knock_id: str) -> Peer:
        """See the port."""
        knock = self.house.knock_list.pop(knock_id)
        return self.put(knock.title, knock.address)

    async def ignore(self, proof: Proof, knock_id: str) -> None:
        """See the port."""
        self.house.knock_list.pop(knock_id, None)

    async def echo(self, proof: Proof, peer_id: str, port: int = 0) -> EchoResult:
        """See the port."""
        peer = self.house.peer_list[peer_id]
        if port:
            peer = self.house.peer_list[peer_id] = msgspec.structs.replace(peer, port=port)
        return EchoResult(EchoOutcome.ANSWERED, 12) if peer.port else EchoResult(EchoOutcome.NO_PORT)
