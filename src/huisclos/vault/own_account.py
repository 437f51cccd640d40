"""What a person does to their own account: password, second factor, language."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from huisclos import clock
from huisclos.access.chronicle import Change
from huisclos.access.nouns import Proof, Role
from huisclos.access.sessions import Account, Enrolment, PasswordFault
from huisclos.errors import BadSetting, Conflict, NotAdmitted, SessionIdle
from huisclos.journal.entries import Act
from huisclos.vault import totp
from huisclos.vault.core import Core
from huisclos.vault.hashing import canonical
from huisclos.vault.holding import Holding
from huisclos.vault.proofs import NOBODY, Proofs
from huisclos.vault.users import Known

LANGUAGES = frozenset({"", "fr", "en"})


class OwnAccount(Proofs):
    """The part of `Door` that changes the asking person's own account."""

    def __init__(self, core: Core, steady: Callable[[], float] = clock.steady) -> None:
        super().__init__(core, steady)
        self.holding = Holding(core)

    async def account(self, proof: Proof) -> Account:
        """See `Door`."""
        live = self._own(proof)
        user = self._awake(live)
        return Account(
            user_id=user.id,
            name=user.name,
            role=Role(user.body.role),
            language=user.secret.language,
            totp=bool(user.secret.totp),
            recovery_codes=len(user.secret.recovery),
            password_changed_at=user.secret.password_changed_at,
            last_login_at=live.before.at,
            last_login_from=live.before.address,
            failed_since=live.before.failed,
            sessions=len(self._table.of(user.id)),
            holder=bool(user.body.holder_id),
        )

    async def change_password(self, proof: Proof, old: str, new: str) -> tuple[PasswordFault, ...]:
        """See `Door`."""
        live = self._own(proof)
        user = self._person(live)
        if self._table.idle(live):
            raise SessionIdle("nothing was done here for a while", hint="type your password to go on")
        await self._check_own_password(user, old, proof.address, "password-change")
        if canonical(new) == canonical(old):
            return (PasswordFault.SAME_AS_BEFORE,)
        faults = await self.hashing.faults(new, user.name)
        if not faults:
            await self.set_password(user, new, proof.address, holder=bool(user.body.holder_id))
            self._table.end_user(user.id, keep=live)
        return faults

    async def set_password(self, user: Known, new: str, address: str, *, holder: bool) -> None:
        """Give a user the password they chose; with `holder` it opens the archive too.

        The new holder file is there before the old one goes, so that a power loss leaves one that opens.
        """
        digest = await self.hashing.digest(new)
        holder_id = await self.holding.seal_to(user, new) if holder else ""
        async with self.users.changing:
            now = self.users.get(user.id)
            if now is None or now.body.disabled:
                await self.holding.remove(holder_id)
                raise NotAdmitted("this account has been closed")
            await self._changed(now, Change.PASSWORD_CHANGED, address)
            secret = msgspec.structs.replace(
                now.secret, password=digest, invited=False, password_changed_at=self._core.now()
            )
            self.users.put(now.id, msgspec.structs.replace(now.body, holder_id=holder_id), secret)
        await self.holding.remove(now.body.holder_id)

    async def begin_totp(self, proof: Proof) -> Enrolment:
        """See `Door`. Raises `Conflict` when a second factor is in force."""
        live = self._own(proof)
        user = self._awake(live)
        if user.secret.totp:
            raise Conflict("a second factor is in force", hint="take it away first, with your password")
        live.enrolling = totp.new_seed()
        return Enrolment(totp.uri(live.enrolling, user.name), live.enrolling)

    async def confirm_totp(self, proof: Proof, code: str) -> tuple[str, ...]:
        """See `Door`."""
        live = self._own(proof)
        self._awake(live)
        async with self.users.changing:
            user = self._person(live)
            step = totp.step_of(live.enrolling, code, self._core.now(), 0) if live.enrolling else 0
            if not step:
                raise NotAdmitted("this code does not belong to the secret shown", hint="take the next one")
            if user.secret.totp:
                raise Conflict("a second factor is in force", hint="take it away first, with your password")
            codes = totp.new_recovery_codes()
            self.users.change(
                user, totp=live.enrolling, totp_used=step, recovery=totp.recovery_digests(codes)
            )
            live.enrolling = ""
            await self._changed(user, Change.SECOND_FACTOR_ON, proof.address)
        return codes

    async def drop_totp(self, proof: Proof, password: str) -> None:
        """See `Door`."""
        live = self._own(proof)
        await self._check_own_password(self._awake(live), password, proof.address, "second-factor-off")
        async with self.users.changing:
            user = self._person(live)
            if user.secret.totp:
                await self._changed(user, Change.SECOND_FACTOR_OFF, proof.address)
                self.users.change(user, totp="", totp_used=0, recovery=())

    async def set_language(self, proof: Proof, language: str) -> None:
        """See `Door`."""
        live = self._own(proof)
        self._awake(live)
        if language not in LANGUAGES:
            raise BadSetting("the house speaks French and English", hint="fr, en, or nothing")
        async with self.users.changing:
            user = self._person(live)
            if user.secret.language != language:
                self.users.change(user, language=language)

    async def _check_own_password(self, user: Known, password: str, address: str, what: str) -> None:
        """Raises `NotAdmitted`, `TooManyAttempts` unless `password` is this user's."""
        self._throttle.enter(user.name, address)
        if not await self.hashing.matches(user.secret.password, password):
            await self._core.journal(
                self._core.entry(Act.LOGIN_FAILED, NOBODY, address=address, what=what, subject=user.name)
            )
            raise NotAdmitted("this is not your password")
        self._throttle.right(user.name, address)
        self._throttle.clear(user.name)

    async def _changed(self, user: Known, what: Change, address: str) -> None:
        await self._core.journal(
            self._core.entry(Act.CHANGED, user.actor, address=address, what=what, subject=user.name)
        )
