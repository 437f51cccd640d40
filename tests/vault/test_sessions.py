"""Sessions: who comes in, how long, with which rights, and what ends it."""

from __future__ import annotations

import asyncio

import pyotp
import pytest

from huisclos.access.nouns import Proof, Right, Role
from huisclos.access.sessions import PasswordFault
from huisclos.errors import (
    Conflict,
    Locked,
    NotAdmitted,
    PasswordDue,
    SessionIdle,
    TooManyAttempts,
)
from huisclos.vault.session_table import IDLE, LIFE, MAX_SESSIONS
from huisclos.vault.throttle import LONGEST_WAIT
from tests.vault.world import ADDRESS, NEW_PASSWORD, PASSWORD, World, proof


async def test_a_right_password_opens_a_session_with_the_rights_of_the_role(world: World) -> None:
    """Logging in gives an actor with the role's rights, whatever the case and accents of the name."""
    user_id = world.user("Zoé Martin", Role.SECRETARY)
    who = await world.sessions.actor(await world.login("ZOE\u0301 martin"))
    assert (who.id, who.name, who.role) == (user_id, "Zoé Martin", Role.SECRETARY)
    assert who.may(Right.LIST)
    assert not who.may(Right.READ)
    assert ("logged-in", "password") in world.acts()


@pytest.mark.parametrize("name", ["Zoé Martin", "Nobody At All"])
async def test_a_wrong_name_and_a_wrong_password_say_the_same(world: World, name: str) -> None:
    """The refusal tells nothing about which of the two was wrong, and the journal keeps no typed name."""
    world.user("Zoé Martin", Role.OWNER)
    with pytest.raises(NotAdmitted, match="the name or the password is not right"):
        await world.sessions.login(name, "wrong", ADDRESS)
    entry = world.said()[-1]
    assert (entry.act, entry.what) == ("login-failed", "password")
    assert entry.subject == ("Zoé Martin" if name == "Zoé Martin" else "")


async def test_an_unknown_name_costs_a_digest_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One Argon2id computation is made for known and unknown names alike."""
    world.user("Known", Role.OWNER)
    asked: list[bool] = []
    real = world.sessions.hashing.matches

    async def counted(digest: str, password: str) -> bool:
        asked.append(bool(digest))
        return await real(digest, password)

    monkeypatch.setattr(world.sessions.hashing, "matches", counted)
    for name in ("Known", "Unknown"):
        with pytest.raises(NotAdmitted):
            await world.sessions.login(name, "wrong", ADDRESS)
    assert asked == [True, False]


async def test_waits_grow_per_name_and_a_right_password_must_wait_too(world: World) -> None:
    """After the free attempts each one costs a longer wait, which is in the message."""
    world.user("Ann", Role.OWNER)
    for number in range(4):
        with pytest.raises(NotAdmitted):
            await world.sessions.login("ann", "wrong", f"10.0.0.{number}")
    with pytest.raises(TooManyAttempts, match="wait 2 s"):
        await world.login("Ann", address="10.0.1.1")
    world.time.pass_(2)
    with pytest.raises(NotAdmitted):
        await world.sessions.login("Ann", "wrong", "10.0.2.1")
    with pytest.raises(TooManyAttempts, match="wait 4 s"):
        await world.login("Ann", address="10.0.3.1")
    world.time.pass_(4)
    await world.login("Ann")
    await world.login("Ann")


async def test_an_address_that_tries_many_names_waits(world: World) -> None:
    """Guessing across names is slowed down by the address, an IPv6 site being one."""
    for number in range(12):
        with pytest.raises(NotAdmitted):
            await world.sessions.login(f"name {number}", "wrong", f"fd00::{number:x}")
    with pytest.raises(TooManyAttempts):
        await world.sessions.login("another", "wrong", "fd00::ffff")
    with pytest.raises(NotAdmitted):
        await world.sessions.login("another", "wrong", "10.0.0.1")


async def test_many_attempts_at_once_do_not_slip_past_the_wait(world: World) -> None:
    """Attempts count before they are judged."""
    world.user("Ann", Role.OWNER)
    tries = (world.sessions.login("Ann", "wrong", ADDRESS) for _ in range(20))
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(outcome, TooManyAttempts) for outcome in outcomes) == 16


async def test_an_idle_session_wakes_with_the_password_only(world: World) -> None:
    """After 15 minutes without a deed only confirm, logout and session are answered."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    world.time.pass_(IDLE - 1)
    assert not (await world.sessions.session(ann, active=False)).idle
    world.time.pass_(1)
    with pytest.raises(SessionIdle):
        await world.sessions.actor(ann)
    assert (await world.sessions.session(ann, active=True)).idle
    with pytest.raises(SessionIdle):
        await world.sessions.actor(ann)
    with pytest.raises(NotAdmitted):
        await world.sessions.confirm(ann, "wrong")
    assert not (await world.sessions.confirm(ann, PASSWORD)).idle
    await world.sessions.actor(ann)


async def test_deeds_keep_a_session_awake_until_its_life_is_over(world: World) -> None:
    """Activity puts idleness off, never the end after twelve hours."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    for _ in range(int(LIFE / 600) - 1):
        world.time.pass_(600)
        await world.sessions.session(ann, active=True)
    world.time.pass_(600)
    with pytest.raises(NotAdmitted):
        await world.sessions.session(ann, active=True)


@pytest.mark.parametrize("clock", ["wall", "steady"])
async def test_a_clock_that_stands_still_does_not_keep_a_session_awake(world: World, clock: str) -> None:
    """A wall clock set back, and a machine asleep, each stop one of the two clocks."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    world.time.wall -= 5000 if clock == "steady" else 0
    setattr(world.time, clock, getattr(world.time, clock) + IDLE)
    with pytest.raises(SessionIdle):
        await world.sessions.actor(ann)


async def test_lock_and_logout_end_sessions(world: World) -> None:
    """A session does not survive a lock, nor its logout; logging out again is harmless."""
    world.user("Ann", Role.OWNER)
    first, second = await world.login("Ann"), await world.login("Ann")
    await world.sessions.logout(first)
    await world.sessions.logout(first)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(first)
    world.lock()
    with pytest.raises(Locked):
        await world.sessions.actor(second)
    with pytest.raises(Locked):
        await world.login("Ann")
    with pytest.raises(Locked):
        await world.sessions.session(second, active=False)
    world.unlock()
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(second)


async def test_the_oldest_session_gives_way(world: World) -> None:
    """One user holds a bounded number of sessions."""
    world.user("Ann", Role.OWNER)
    first = last = await world.login("Ann")
    for _ in range(MAX_SESSIONS):
        world.time.pass_(1)
        last = await world.login("Ann")
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(first)
    assert (await world.sessions.account(last)).sessions == MAX_SESSIONS
    assert await world.sessions.logout_others(last) == MAX_SESSIONS - 1


async def test_an_invited_person_chooses_a_password_first(world: World) -> None:
    """A password that was handed over opens nothing but its own change."""
    world.user("Owner", Role.OWNER)
    invitation = await world.people.add(await world.login("Owner"), "Ann", Role.PHYSICIAN)
    ann = await world.login("Ann", invitation.password.replace("-", " ").upper())
    assert (await world.sessions.session(ann, active=True)).must_change_password
    with pytest.raises(PasswordDue):
        await world.sessions.actor(ann)
    with pytest.raises(PasswordDue):
        await world.sessions.account(ann)
    change = world.sessions.change_password
    assert await change(ann, invitation.password, "short") == (PasswordFault.TOO_SHORT,)
    assert await change(ann, invitation.password, invitation.password) == (PasswordFault.SAME_AS_BEFORE,)
    assert await change(ann, invitation.password, "Password-1234567") == (PasswordFault.GUESSABLE,)
    assert await change(ann, invitation.password, NEW_PASSWORD) == ()
    assert (await world.sessions.actor(ann)).may(Right.READ)
    await world.login("Ann", NEW_PASSWORD)


async def test_changing_the_password_ends_the_other_sessions(world: World) -> None:
    """Whoever had the old password is out; a wrong old one changes nothing."""
    world.user("Ann", Role.OWNER)
    here, there = await world.login("Ann"), await world.login("Ann")
    with pytest.raises(NotAdmitted):
        await world.sessions.change_password(here, "wrong", NEW_PASSWORD)
    assert await world.sessions.change_password(here, PASSWORD, NEW_PASSWORD) == ()
    await world.sessions.actor(here)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(there)
    with pytest.raises(NotAdmitted):
        await world.login("Ann", PASSWORD)
    assert ("changed", "password-changed") in world.acts()


async def _enrol(world: World, ann: Proof) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    enrolment = await world.sessions.begin_totp(ann)
    assert enrolment.uri.startswith("otpauth://totp/huisclos:")
    seed = pyotp.TOTP(enrolment.secret)
    with pytest.raises(NotAdmitted):
        await world.sessions.confirm_totp(ann, "000 000" if _code(world, seed) != "000000" else "111111")
    return seed, await world.sessions.confirm_totp(ann, _code(world, seed))


def _code(world: World, seed: pyotp.TOTP) -> str:
    return pyotp.HOTP(seed.secret).at(int(world.time.wall // 30))


async def test_a_second_factor_is_asked_for_and_each_code_opens_once(world: World) -> None:
    """The code of enrolment does not log in, nor does one code twice, even at the same moment."""
    world.user("Ann", Role.OWNER)
    seed, _ = await _enrol(world, await world.login("Ann"))
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    with pytest.raises(NotAdmitted):
        await world.sessions.finish_login(ticket, _code(world, seed), ADDRESS)
    world.time.pass_(3601)  # by then the throttle has forgotten
    tickets = [(await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket for _ in range(2)]
    code = _code(world, seed)
    finish = world.sessions.finish_login
    outcomes = await asyncio.gather(*(finish(t, code, ADDRESS) for t in tickets), return_exceptions=True)
    assert sum(isinstance(outcome, NotAdmitted) for outcome in outcomes) == 1


async def test_recovery_codes_are_spent(world: World) -> None:
    """Each recovery code replaces one code, once, however it is typed."""
    world.user("Ann", Role.OWNER)
    _, codes = await _enrol(world, await world.login("Ann"))
    assert len(set(codes)) == 10
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    session = await world.sessions.finish_login(ticket, codes[3].lower().replace("-", " "), ADDRESS)
    assert (await world.sessions.account(proof(session.secret))).recovery_codes == 9
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    with pytest.raises(NotAdmitted):
        await world.sessions.finish_login(ticket, codes[3], ADDRESS)
    assert ("logged-in", "recovery-code") in world.acts()


async def test_codes_cannot_be_tried_out(world: World) -> None:
    """A right password does not free the throttle until the second factor was right too."""
    world.user("Ann", Role.OWNER)
    await _enrol(world, await world.login("Ann"))
    for _ in range(2):
        ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
        with pytest.raises(NotAdmitted):
            await world.sessions.finish_login(ticket, "12345", ADDRESS)
    with pytest.raises(TooManyAttempts):
        await world.sessions.login("Ann", PASSWORD, ADDRESS)


async def test_a_right_password_does_not_make_its_own_code_wait(world: World) -> None:
    """After many mistakes too: the wait before a code outlasted the question, and nobody came in again."""
    world.user("Ann", Role.OWNER)
    seed, _ = await _enrol(world, await world.login("Ann"))
    for _ in range(12):
        world.time.pass_(LONGEST_WAIT)
        with pytest.raises(NotAdmitted):
            await world.sessions.login("Ann", "wrong", ADDRESS)
    with pytest.raises(TooManyAttempts):
        await world.sessions.login("Ann", PASSWORD, ADDRESS)
    world.time.pass_(LONGEST_WAIT)
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    with pytest.raises(NotAdmitted):
        await world.sessions.finish_login(ticket, "12345", ADDRESS)
    with pytest.raises(TooManyAttempts):
        await world.sessions.finish_login(ticket, _code(world, seed), ADDRESS)
    world.time.pass_(LONGEST_WAIT)
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    world.time.pass_(10)
    assert (await world.sessions.finish_login(ticket, _code(world, seed), ADDRESS)).secret


async def test_a_question_for_the_second_factor_runs_out(world: World) -> None:
    """Five minutes after the password it is asked for again."""
    world.user("Ann", Role.OWNER)
    seed, _ = await _enrol(world, await world.login("Ann"))
    ticket = (await world.sessions.login("Ann", PASSWORD, ADDRESS)).ticket
    world.time.pass_(300)
    with pytest.raises(NotAdmitted, match="too long"):
        await world.sessions.finish_login(ticket, _code(world, seed), ADDRESS)


async def test_a_second_factor_goes_with_the_password_only(world: World) -> None:
    """Neither replaced nor taken away by whoever found an open screen."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    await _enrol(world, ann)
    with pytest.raises(Conflict):
        await world.sessions.begin_totp(ann)
    with pytest.raises(NotAdmitted):
        await world.sessions.drop_totp(ann, "wrong")
    await world.sessions.drop_totp(ann, PASSWORD)
    assert not (await world.sessions.account(ann)).totp
    assert (await world.sessions.login("Ann", PASSWORD, ADDRESS)).session is not None


async def test_the_account_tells_what_happened_since(world: World) -> None:
    """A person sees the login before this one, and the wrong passwords since."""
    user_id = world.user("Ann", Role.OWNER)
    await world.login("Ann", address="192.168.1.7")
    before = world.time.wall
    world.time.pass_(100)
    with pytest.raises(NotAdmitted):
        await world.sessions.login("Ann", "wrong", ADDRESS)
    ann = await world.login("Ann")
    await world.sessions.set_language(ann, "fr")
    account = await world.sessions.account(ann)
    assert (account.user_id, account.last_login_at) == (user_id, before)
    assert account.last_login_from == "192.168.1.7"
    assert (account.failed_since, account.language, account.sessions) == (1, "fr", 2)
