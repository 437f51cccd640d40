"""People: accounts, tokens, holders, and what waits for an owner."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.access.accounts import Asked, PeerBody, PeerRight, PendingBody, UserBody
from huisclos.access.accounts import Change as Wanted
from huisclos.access.nouns import Proof, ProofKind, Right, Role
from huisclos.access.people import HolderKind, PendingKind
from huisclos.access.ports import Pending
from huisclos.access.sessions import PasswordFault
from huisclos.errors import (
    BadSetting,
    Conflict,
    Locked,
    NotAdmitted,
    NotFound,
    NotGranted,
    WrongPassphrase,
)
from huisclos.seal import seal
from huisclos.vault.users import MAX_NAME, check_name
from tests.vault.world import CONSOLE, NEW_PASSWORD, PASSWORD, World, proof

STORE = frozenset({PeerRight.ECHO, PeerRight.STORE})


@pytest.fixture
async def ann(world: World) -> Proof:
    """The only owner, logged in."""
    world.user("Ann", Role.OWNER)
    return await world.login("Ann")


def _id(world: World, name: str) -> str:
    return world.sessions.users.named(name).id


async def test_names_are_unique_whatever_their_case(world: World, ann: Proof) -> None:
    """Case and the way accents are written do not make another name; two at once make one."""
    await world.people.add(ann, "  Éric Roy ", Role.PHYSICIAN)
    for name in ("éric roy", "E\u0301RIC ROY", "Éric Roy"):
        with pytest.raises(Conflict):
            await world.people.add(ann, name, Role.AUDITOR)
    both = (world.people.add(ann, "Twin", Role.AUDITOR) for _ in range(2))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
    assert [user.name for user in await world.people.users(ann)] == ["Ann", "Twin", "Éric Roy"]


@given(st.text(max_size=MAX_NAME + 5))
def test_a_name_taken_is_visible_and_bounded(name: str) -> None:
    """What check_name lets through is stable, printable and short."""
    try:
        tidy = check_name(name)
    except BadSetting:
        return
    assert 1 <= len(tidy) <= MAX_NAME
    assert check_name(tidy) == tidy
    assert not any(char in tidy for char in "\n\r\t\0\u202e\u2028")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OWNER])
async def test_people_is_for_owners(world: World, role: Role) -> None:
    """Everybody else is refused, and the journal says so."""
    world.user("Else", role)
    shown = await world.login("Else")
    with pytest.raises(NotGranted):
        await world.people.users(shown)
    with pytest.raises(NotGranted):
        await world.people.add(shown, "Friend", Role.OWNER)
    assert world.acts()[-1] == ("refused", "people")


async def test_the_last_owner_stays(world: World, ann: Proof) -> None:
    """Neither removed nor narrowed until somebody else is an owner."""
    me = _id(world, "Ann")
    with pytest.raises(Conflict):
        await world.people.set_role(ann, me, Role.PHYSICIAN)
    with pytest.raises(Conflict):
        await world.people.remove(ann, me)
    await world.people.set_role(ann, world.user("Bea", Role.AUDITOR), Role.OWNER)
    await world.people.remove(ann, me)
    with pytest.raises(NotAdmitted):
        await world.people.users(ann)


async def test_a_role_change_narrows_a_living_session_at_once(world: World, ann: Proof) -> None:
    """No new login is needed for less to be allowed, and who holds grants is told."""
    sam = world.user("Sam", Role.PHYSICIAN)
    told: list[str] = []
    world.people.on_rights_changed = told.append
    shown = await world.login("Sam")
    await world.people.set_role(ann, sam, Role.TECHNICIAN)
    assert not (await world.sessions.actor(shown)).may(Right.READ)
    assert told == [sam]
    with pytest.raises(NotFound):
        await world.people.set_role(ann, "0" * 32, Role.OWNER)


async def test_a_reset_password_is_handed_over_and_changed(world: World, ann: Proof) -> None:
    """Sessions end, the second factor goes, and the new password must be changed."""
    sam = world.user("Sam", Role.PHYSICIAN)
    shown = await world.login("Sam")
    invitation = await world.people.reset(ann, sam)
    assert invitation.password not in repr(invitation)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(shown)
    with pytest.raises(NotAdmitted):
        await world.login("Sam")
    fresh = await world.login("Sam", invitation.password)
    assert (await world.sessions.session(fresh, active=True)).must_change_password


async def test_tokens_are_made_listed_and_taken_away(world: World, ann: Proof) -> None:
    """The secret is shown once; the list tells when it was last used."""
    sam = world.user("Sam", Role.SECRETARY)
    until = world.time.wall + 1000
    made = await world.people.add_token(ann, sam, "scanner", frozenset({Right.STORE}), until)
    assert made.secret.startswith("hc_")
    shown = proof(made.secret, ProofKind.TOKEN)
    assert (await world.sessions.actor(shown)).name == "scanner"
    (listed,) = await world.people.tokens(ann)
    assert (listed.user_name, listed.last_used_at) == ("Sam", world.time.wall)
    with pytest.raises(NotGranted):
        await world.people.add_token(ann, sam, "more", frozenset({Right.READ}), until)
    for may, end in ((frozenset({Right.PEOPLE}), until), (frozenset[Right](), until), (listed.may, 5.0)):
        with pytest.raises(BadSetting):
            await world.people.add_token(ann, sam, "odd", may, end)
    await world.people.remove_token(ann, listed.id)
    await world.people.remove_token(ann, listed.id)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(shown)
    changes = [(entry.what, entry.subject) for entry in world.said() if entry.act == "changed"]
    assert changes == [("token-added", "Sam (scanner)"), ("token-removed", "Sam (scanner)")]


async def test_a_token_is_taken_away_in_the_dark(world: World, ann: Proof) -> None:
    """Narrowing works locked, for the console."""
    sam = world.user("Sam", Role.SECRETARY)
    until = world.time.wall + 1000
    made = await world.people.add_token(ann, sam, "scanner", frozenset({Right.STORE}), until)
    world.lock()
    await world.people.remove_token(CONSOLE, made.token.id)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(proof(made.secret, ProofKind.TOKEN))


async def test_nothing_asked_in_the_dark_has_effect_before_an_owner_says_so(world: World, ann: Proof) -> None:
    """User, token, role and password wait; approving each puts it in force."""
    sam = world.user("Sam", Role.SECRETARY)
    until = world.time.wall + 10_000
    world.lock()
    people = world.people
    assert (await world.named.add("Zénobie", Role.PHYSICIAN, PASSWORD)).pending
    token = await world.named.add_token("sam", "robot", frozenset({Right.STORE}), until)
    await world.named.set_role("Sam", Role.PHYSICIAN)
    await world.named.reset("Sam", "")
    assert token.pending
    assert token.token is not None
    robot = proof(token.token.secret, ProofKind.TOKEN)
    with pytest.raises(NotAdmitted):
        await world.sessions.actor(robot)
    with pytest.raises(Locked):
        people.pending_asked()
    assert people.waiting() == 4
    for pending in world.accounts.pending():
        assert b"nobie" not in pending.body
        assert b"reset-password" not in pending.body
    world.unlock()
    with pytest.raises(NotAdmitted):
        await world.login("Zénobie")
    ann = await world.login("Ann")
    listed = await people.pending(ann)
    assert [(row.kind, row.subject, row.detail) for row in listed] == [
        (PendingKind.USER, "Zénobie", "physician"),
        (PendingKind.TOKEN, "sam", "store"),
        (PendingKind.ROLE, "Sam", "physician"),
        (PendingKind.PASSWORD, "Sam", ""),
    ]
    invitations = [await people.approve(ann, row.id) for row in listed]
    assert invitations[:3] == [None, None, None]
    assert invitations[3] is not None
    assert await people.pending(ann) == ()
    await world.login("Zénobie")
    assert (await world.sessions.actor(robot)).may(Right.STORE)
    assert world.sessions.users.need(sam).body.role is Role.PHYSICIAN
    await world.login("Sam", invitations[3].password)
    with pytest.raises(NotFound):
        await people.approve(ann, listed[0].id)


async def test_a_refused_request_is_gone(world: World, ann: Proof) -> None:
    """It is journalled, and refusing again is harmless."""
    world.lock()
    await world.named.add("Mallory", Role.OWNER, "")
    world.unlock()
    ann = await world.login("Ann")
    (row,) = await world.people.pending(ann)
    await world.people.refuse(ann, row.id)
    await world.people.refuse(ann, row.id)
    assert world.people.waiting() == 0
    assert world.sessions.users.find("Mallory") is None
    assert world.acts()[-1] == ("decided", "user-added")


def _peer(*more: PeerRight) -> PeerBody:
    return PeerBody("CT1", "192.168.1.9", STORE | set(more), 5.0)


async def test_a_peer_that_only_stores_is_known_in_the_dark(world: World, ann: Proof) -> None:
    """Its body lies in clear for the quarantine, and it is enrolled under the same id."""
    world.lock()
    asked = await world.people.ask_peer(CONSOLE, _peer())
    more = await world.people.ask_peer(CONSOLE, _peer(PeerRight.FIND))
    assert world.people.waiting_peers() == [(asked, _peer())]
    world.unlock()
    assert dict(world.people.pending_asked())[more].peer == _peer(PeerRight.FIND)
    ann = await world.login("Ann")
    assert (await world.people.pending(ann))[0].detail == "192.168.1.9, echo, store"
    await world.people.approve(ann, asked)
    assert world.core.ledger.need(PeerBody, asked) == _peer()
    with pytest.raises(Conflict):
        await world.people.approve(ann, more)
    await world.people.withdraw(more)
    assert world.people.waiting_peers() == []


async def test_a_forged_request_gains_nothing(world: World, ann: Proof) -> None:
    """Junk is passed over, a reading peer in clear is not admitted, another peer inside is not approved."""
    sealed = seal(
        msgspec.msgpack.encode(Asked(Wanted.ADD_PEER, 1.0, "console", peer=_peer(PeerRight.GET))),
        [world.core.recipient],
    )
    bodies = (
        b"junk",
        msgspec.msgpack.encode(PendingBody(b"junk", _peer(PeerRight.GET))),
        msgspec.msgpack.encode(PendingBody(sealed, _peer())),
    )
    for number, body in enumerate(bodies):
        world.accounts.put_pending(Pending(str(number), 1.0, body))
    assert world.people.pending_asked() == []
    assert world.people.waiting_peers() == [("2", _peer())]
    with pytest.raises(NotFound):
        await world.people.approve(ann, "2")


async def test_too_many_requests_are_not_kept(world: World) -> None:
    """The list of what waits is bounded."""
    world.lock()
    for number in range(200):
        world.accounts.put_pending(Pending(str(number), 1.0, b"junk"))
    with pytest.raises(Conflict):
        await world.named.add("One More", Role.AUDITOR, "")


async def test_the_console_adds_people_by_name(world: World) -> None:
    """Unlocked, a user with a password of their own logs in with it; a weak one is not taken."""
    assert not (await world.named.add("Ann", Role.OWNER, PASSWORD)).pending
    ann = await world.login("Ann")
    assert not (await world.sessions.session(ann, active=True)).must_change_password
    with pytest.raises(BadSetting, match="too short"):
        await world.named.add("Bea", Role.OWNER, "short")
    assert (await world.named.add("Bea", Role.PHYSICIAN, "")).invitation is not None
    until = world.time.wall + 10
    made = await world.named.add_token("bea", "", frozenset({Right.READ}), until)
    assert made.token is not None
    with pytest.raises(NotFound):
        await world.named.add_token("nobody", "", frozenset({Right.READ}), until)
    with pytest.raises(Conflict):
        await world.named.set_role("Ann", Role.AUDITOR)
    assert not (await world.named.reset("Bea", NEW_PASSWORD)).pending
    await world.login("Bea", NEW_PASSWORD)


async def test_a_users_password_opens_the_archive(world: World, ann: Proof) -> None:
    """A holder's passphrase is what they log in with; a changed one reseals, the old one opens nothing."""
    people, me = world.people, _id(world, "Ann")
    assert await people.add_holder(ann, "short") == (PasswordFault.TOO_SHORT,)
    assert await people.add_holder(ann, PASSWORD) == ()
    first = world.core.ledger.need(UserBody, me).holder_id
    assert world.core.holders.open(PASSWORD)[1] == first
    assert (await world.sessions.account(ann)).holder
    await world.sessions.change_password(ann, PASSWORD, NEW_PASSWORD)
    second = world.core.ledger.need(UserBody, me).holder_id
    assert second != first
    assert world.core.holders.open(NEW_PASSWORD)[1] == second
    with pytest.raises(WrongPassphrase):
        world.core.holders.open(PASSWORD)
    kinds = {holder.kind: holder for holder in await people.holders(ann)}
    assert kinds[HolderKind.PASSPHRASE].user_id == me
    with pytest.raises(BadSetting):
        await people.add_holder(CONSOLE, PASSWORD)


async def test_the_last_passphrase_stays(world: World, ann: Proof) -> None:
    """A holder goes only while another whole passphrase holder is left; so does its user."""
    people, me = world.people, _id(world, "Ann")
    await people.add_holder(ann, PASSWORD)
    mine = world.core.ledger.need(UserBody, me).holder_id
    world.user("Bea", Role.OWNER)
    bea = await world.login("Bea")
    for refused in (people.remove_holder(ann, mine), people.remove(bea, me), people.reset(bea, me)):
        with pytest.raises(Conflict):
            await refused
    assert world.core.holders.open(PASSWORD)[1] == mine
    await people.add_holder(bea, NEW_PASSWORD)
    await people.remove_holder(bea, mine)
    assert not world.core.ledger.need(UserBody, me).holder_id
    with pytest.raises(NotFound):
        await people.remove_holder(bea, mine)
    changes = [what for act, what in world.acts() if act == "changed"]
    assert changes.count("holder-added") == 2
    assert changes[-1] == "holder-removed"


async def test_a_damaged_holder_does_not_count_and_can_go(world: World, ann: Proof) -> None:
    """What opens nothing any more is not what keeps the door open."""
    await world.people.add_holder(ann, PASSWORD)
    mine = world.core.ledger.need(UserBody, _id(world, "Ann")).holder_id
    world.user("Bea", Role.OWNER)
    bea = await world.login("Bea")
    await world.people.add_holder(bea, NEW_PASSWORD)
    hers = world.core.ledger.need(UserBody, _id(world, "Bea")).holder_id
    world.store.put(f"keys/holders/{mine}.age", b"junk")
    with pytest.raises(Conflict):
        await world.people.remove_holder(bea, hers)
    await world.people.remove_holder(bea, mine)


async def test_what_a_power_loss_left_behind_is_swept(world: World, ann: Proof) -> None:
    """A holder file whose successor is in force goes; one without a successor stays."""
    await world.people.add_holder(ann, PASSWORD)
    user = world.sessions.users.named("Ann")
    left = await world.sessions.holding.seal_to(user, NEW_PASSWORD)
    assert await world.people.sweep() == 1
    assert left not in world.core.holders.ids()
    assert world.core.holders.open(PASSWORD)[1] == user.body.holder_id
    stray = await world.sessions.holding.seal_to(user, NEW_PASSWORD)
    world.store.put(f"keys/holders/{user.body.holder_id}.age", b"junk")
    assert await world.people.sweep() == 0
    assert stray in world.core.holders.ids()


async def test_changes_survive_a_restart(world: World, ann: Proof) -> None:
    """Rows are signed and vouched for as they are written."""
    await world.people.add(ann, "Zoé", Role.AUDITOR)
    world.core.pen.close()
    world.start()
    assert world.core.ledger.ignored == 0
    assert [user.name for user in world.sessions.users.all()] == ["Ann", "Zoé"]
