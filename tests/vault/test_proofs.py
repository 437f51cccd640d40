"""Proofs: viewings, tokens and the console, judged each time they are shown."""

from __future__ import annotations

import pytest

from huisclos.access.accounts import TokenBody
from huisclos.access.nouns import Actor, Proof, ProofKind, Right, Role
from huisclos.access.passwords import secret_digest
from huisclos.errors import Locked, NotAdmitted, NotGranted
from huisclos.vault.session_table import TICKET_LIFE
from tests.vault.world import ADDRESS, CONSOLE, World, proof

STUDY, OTHER = "1" * 32, "2" * 32


async def test_a_viewing_sees_one_study_and_dies_with_its_session(world: World) -> None:
    """A ticket works once within a minute; its viewing lists and reads that study, nothing else."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    ticket = await world.sessions.begin_viewing(ann, STUDY, "1.2.3")
    viewing = await world.sessions.exchange(ticket, ADDRESS)
    with pytest.raises(NotAdmitted):
        await world.sessions.exchange(ticket, ADDRESS)
    viewer = proof(viewing.secret)
    who = await world.sessions.actor(viewer, study_id=STUDY)
    assert who.rights == {Right.LIST, Right.READ}
    for study_id in ("", OTHER):
        with pytest.raises(NotGranted):
            await world.sessions.actor(viewer, study_id=study_id)
    admitted = await world.sessions.admit(viewer)
    assert (admitted.study_id, admitted.study_uid) == (STUDY, "1.2.3")
    with pytest.raises(NotAdmitted):
        await world.sessions.session(viewer, active=True)
    with pytest.raises(NotAdmitted):
        await world.sessions.begin_viewing(viewer, OTHER, "1.2.4")
    await world.sessions.logout(ann)
    with pytest.raises(NotAdmitted):
        await world.sessions.viewing(viewing.secret, ADDRESS, active=True)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(viewer, study_id=STUDY)


async def test_tickets_and_viewings_run_out(world: World) -> None:
    """A ticket after a minute; a viewing with its session's idleness, which its own deeds put off."""
    world.user("Ann", Role.OWNER)
    ann = await world.login("Ann")
    late = await world.sessions.begin_viewing(ann, STUDY, "1.2.3")
    world.time.pass_(TICKET_LIFE)
    with pytest.raises(NotAdmitted):
        await world.sessions.exchange(late, ADDRESS)
    viewing = await world.sessions.exchange(await world.sessions.begin_viewing(ann, STUDY, "1.2.3"), ADDRESS)
    for _ in range(3):
        world.time.pass_(600)
        await world.sessions.viewing(viewing.secret, ADDRESS, active=True)
    await world.sessions.actor(ann)
    world.time.pass_(600)
    await world.sessions.viewing(viewing.secret, ADDRESS, active=False)
    world.time.pass_(600)
    with pytest.raises(NotAdmitted):
        await world.sessions.viewing(viewing.secret, ADDRESS, active=True)


async def test_a_viewing_needs_read(world: World) -> None:
    """A secretary opens no viewer, and the attempt is in the journal."""
    world.user("Sam", Role.SECRETARY)
    with pytest.raises(NotGranted):
        await world.sessions.begin_viewing(await world.login("Sam"), STUDY, "1.2.3")
    assert ("refused", "read") in world.acts()


def _token(world: World, user_id: str, *may: Right, until: float = 100.0) -> Proof:
    body = TokenBody(user_id, secret_digest("s3cret"), frozenset(may), world.time.wall + until, 0.0)
    world.core.ledger.put(world.secret, body)
    return proof("s3cret", ProofKind.TOKEN)


async def _who(world: World, shown: Proof) -> Actor:
    return await world.sessions.actor(shown)


async def test_a_token_never_exceeds_its_user(world: World) -> None:
    """Its rights are those it was given that its user's role has now; READ brings LIST."""
    world.user("Ann", Role.OWNER)
    sam = world.user("Sam", Role.PHYSICIAN)
    token = _token(world, sam, Right.READ, Right.STORE)
    assert (await _who(world, token)).rights == {Right.READ, Right.LIST, Right.STORE}
    ann = await world.login("Ann")
    await world.people.set_role(ann, sam, Role.SECRETARY)
    assert (await _who(world, token)).rights == {Right.LIST, Right.STORE}
    await world.people.set_role(ann, sam, Role.TECHNICIAN)
    assert (await _who(world, token)).rights == frozenset()


async def test_a_store_token_works_locked_and_no_other(world: World) -> None:
    """The night drop needs no session; reading raises Locked."""
    sam = world.user("Sam", Role.PHYSICIAN)
    token = _token(world, sam, Right.STORE)
    reading = TokenBody(sam, secret_digest("reads"), frozenset({Right.READ}), world.time.wall + 9, 0.0)
    world.core.ledger.put(world.secret, reading)
    world.lock()
    assert (await _who(world, token)).may(Right.STORE)
    with pytest.raises(Locked):
        await _who(world, proof("reads", ProofKind.TOKEN))


async def test_tokens_end(world: World) -> None:
    """At their date, also when the clock is set back afterwards; unknown ones never begin."""
    sam = world.user("Sam", Role.PHYSICIAN)
    world.user("Ann", Role.OWNER)
    token = _token(world, sam, Right.STORE)
    with pytest.raises(NotAdmitted):
        await _who(world, proof("guess", ProofKind.TOKEN))
    world.time.pass_(100)
    with pytest.raises(NotAdmitted):
        await _who(world, token)
    world.time.wall -= 50
    with pytest.raises(NotAdmitted):
        await _who(world, token)
    assert [what for act, what in world.acts() if act == "login-failed"] == ["token", "token-ended"]


async def test_a_removed_users_tokens_end_at_once(world: World) -> None:
    """Removing a person removes what acts for them."""
    sam = world.user("Sam", Role.PHYSICIAN)
    world.user("Ann", Role.OWNER)
    token = _token(world, sam, Right.STORE)
    await world.people.remove(await world.login("Ann"), sam)
    with pytest.raises(NotAdmitted):
        await _who(world, token)


async def test_wrong_tokens_do_not_fill_the_journal(world: World) -> None:
    """A stuck client makes one entry a minute, with a count."""
    world.user("Sam", Role.PHYSICIAN)
    for _ in range(50):
        with pytest.raises(NotAdmitted):
            await _who(world, proof("guess", ProofKind.TOKEN))
    world.time.pass_(60)
    with pytest.raises(NotAdmitted):
        await _who(world, proof("guess", ProofKind.TOKEN))
    assert [entry.counts for entry in world.said()] == [{"attempts": 1}, {"attempts": 50}]


async def test_the_console_is_taken_only_where_its_channel_proves_it(world: World) -> None:
    """And while locked only for what narrows."""
    assert (await world.sessions.actor(CONSOLE)).may(Right.PEOPLE)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(CONSOLE, console=False)
    world.lock()
    with pytest.raises(Locked):
        await world.sessions.actor(CONSOLE)
    assert (await world.sessions.actor(CONSOLE, narrowing=True)).name == "console"


async def test_wrong_tokens_from_one_prefix_count_together(world: World) -> None:
    """One entry a minute, however many addresses of its own prefix a machine shows them from."""
    before = len(world.acts())
    for number in range(50):
        with pytest.raises(NotAdmitted):
            await world.sessions.actor(Proof(ProofKind.TOKEN, "none", f"fe80::{number:x}"))
    assert len(world.acts()) == before + 1
