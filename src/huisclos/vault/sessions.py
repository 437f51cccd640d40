"""Logging in, sessions and viewings. Implements `Door`, and judges every proof for the other services."""

from __future__ import annotations

from collections.abc import Callable

from huisclos import clock
from huisclos.access.nouns import Proof, Right
from huisclos.access.sessions import Login, Session, Viewing
from huisclos.errors import NotAdmitted
from huisclos.journal.entries import Act
from huisclos.vault import totp
from huisclos.vault.core import Core
from huisclos.vault.own_account import OwnAccount
from huisclos.vault.proofs import NOBODY
from huisclos.vault.session_table import LastTime, Live, Look
from huisclos.vault.users import Known

_WRONG = "the name or the password is not right"


class Sessions(OwnAccount):
    """The door of the house."""

    def __init__(self, core: Core, steady: Callable[[], float] = clock.steady) -> None:
        super().__init__(core, steady)
        self._failed: dict[str, int] = {}
        """User id to wrong passwords since the last login, since the start."""

    async def login(self, name: str, password: str, address: str) -> Login:
        """See `Door`."""
        self._demand_unlocked()
        self._throttle.enter(name, address)
        user = self.users.find(name)
        digest = user.secret.password if user is not None and not user.body.disabled else ""
        right = await self.hashing.matches(digest, password)
        if user is None or not right:
            await self._failed_login(user, "password", address)
            raise NotAdmitted(_WRONG, hint="capital letters matter")
        self._throttle.right(name, address)
        return await self.begin(user.id, address, digest=digest)

    async def begin(self, user_id: str, address: str, *, digest: str = "") -> Login:
        """Go on for a user whose password was right: a session, or the question for the second factor.

        With `digest`, the password must still be the one it was. Raises `NotAdmitted`, `Locked`.
        """
        async with self.users.changing:
            user = self._admissible(user_id)
            if digest and user.secret.password != digest:
                raise NotAdmitted(_WRONG)
            if user.secret.totp:
                return Login(ticket=self._table.ask(user_id))
            return Login(await self._start(user, "password", address))

    async def open_for(self, user_id: str, address: str) -> Session | None:
        """The session of a user whose passphrase has just unlocked; None when a code is asked for too."""
        return (await self.begin(user_id, address)).session

    async def finish_login(self, ticket: str, code: str, address: str) -> Session:
        """See `Door`."""
        self._demand_unlocked()
        question = self._table.question(ticket)
        if question is None:
            raise NotAdmitted("this login took too long", hint="type name and password again")
        user = self._admissible(question.user_id)
        self._throttle.enter(user.name, address)
        async with self.users.changing:
            user = self._admissible(question.user_id)
            how = ""
            if self._table.question(ticket) is question:
                how, user = self._second(user, code)
            if how:
                self._table.answered(ticket, rightly=True)
                self._throttle.right(user.name, address)
                return await self._start(user, how, address)
        self._table.answered(ticket, rightly=False)
        await self._failed_login(user, "code", address)
        raise NotAdmitted("this code is not right", hint="each code is taken once: wait for the next one")

    async def session(self, proof: Proof, *, active: bool) -> Session:
        """See `Door`."""
        live = self._own(proof)
        user = self._person(live)
        if active and not self._table.idle(live):
            self._table.touch(live)
        return self._shown(proof.secret, live, user)

    async def confirm(self, proof: Proof, password: str) -> Session:
        """See `Door`."""
        live = self._own(proof)
        user = self._person(live)
        await self._check_own_password(user, password, proof.address, "confirm")
        user = self._person(self._own(proof))
        await self._core.journal(
            self._core.entry(Act.LOGGED_IN, user.actor, address=proof.address, what="confirm")
        )
        self._table.touch(live)
        return self._shown(proof.secret, live, user)

    async def logout(self, proof: Proof) -> None:
        """See `Door`. Locked, there is nothing to end."""
        live = self._table.find(proof.secret)
        if live is None or self._core.locked:
            return
        self._table.end(live)
        user = self.users.get(live.user_id)
        actor = NOBODY if user is None else user.actor
        await self._core.journal(self._core.entry(Act.LOGGED_OUT, actor, address=proof.address))

    async def logout_others(self, proof: Proof) -> int:
        """See `Door`."""
        live = self._own(proof)
        user = self._awake(live)
        ended = self._table.end_user(user.id, keep=live)
        if ended:
            entry = self._core.entry(
                Act.LOGGED_OUT, user.actor, address=proof.address, what="others", counts={"sessions": ended}
            )
            await self._core.journal(entry)
        return ended

    async def begin_viewing(self, proof: Proof, study_id: str, study_uid: str) -> str:
        """See `Door`."""
        live = self._own(proof)
        user = self._awake(live)
        await self._core.demand(user.actor, Right.READ, address=proof.address)
        return self._table.make_ticket(live, study_id, study_uid)

    async def exchange(self, ticket: str, address: str) -> Viewing:
        """See `Door`."""
        self._demand_unlocked()
        spent = self._table.spend_ticket(ticket)
        if spent is None:
            raise NotAdmitted("this link was used, or is too old", hint="open the study from the list again")
        secret, look = spent
        return self._viewed(secret, look)

    async def viewing(self, secret: str, address: str, *, active: bool) -> Viewing:
        """See `Door`."""
        self._demand_unlocked()
        look = self._table.look(secret)
        if look is None:
            raise NotAdmitted("this viewing has ended", hint="open the study from the list again")
        if active:
            self._table.touch(look.session)
        return self._viewed(secret, look)

    def _viewed(self, secret: str, look: Look) -> Viewing:
        user = self._awake(look.session)
        if not user.actor.may(Right.READ):
            raise NotAdmitted("this viewing has ended")
        left = self._table.renew(look)
        return Viewing(secret, look.study_id, look.study_uid, self._core.now() + left)

    def _admissible(self, user_id: str) -> Known:
        user = self.users.get(user_id)
        if user is None or user.body.disabled:
            raise NotAdmitted(_WRONG)
        return user

    def _second(self, user: Known, code: str) -> tuple[str, Known]:
        """Which second factor `code` is, spent from now on; an empty word when it is none."""
        step = totp.step_of(user.secret.totp, code, self._core.now(), user.secret.totp_used)
        if step:
            return "code", self.users.change(user, totp_used=step)
        digest = totp.recovery_digest(code)
        if digest in user.secret.recovery:
            left = tuple(other for other in user.secret.recovery if other != digest)
            return "recovery-code", self.users.change(user, recovery=left)
        return "", user

    async def _start(self, user: Known, how: str, address: str) -> Session:
        before = LastTime(
            user.secret.last_login_at, user.secret.last_login_from, self._failed.pop(user.id, 0)
        )
        await self._core.journal(self._core.entry(Act.LOGGED_IN, user.actor, address=address, what=how))
        user = self.users.change(user, last_login_at=self._core.now(), last_login_from=address)
        self._throttle.clear(user.name)
        secret, live = self._table.begin(user.id, before)
        return self._shown(secret, live, user)

    async def _failed_login(self, user: Known | None, what: str, address: str) -> None:
        # what was typed as a name is not kept when it is none: it may be a password
        if user is not None:
            self._failed[user.id] = self._failed.get(user.id, 0) + 1
        subject = user.name if user is not None else ""
        await self._core.journal(
            self._core.entry(Act.LOGIN_FAILED, NOBODY, address=address, what=what, subject=subject)
        )

    def _shown(self, secret: str, live: Live, user: Known) -> Session:
        return Session(
            secret=secret,
            actor=user.actor,
            until=self._core.now() + self._table.left(live),
            idle=self._table.idle(live),
            must_change_password=user.secret.invited,
        )
