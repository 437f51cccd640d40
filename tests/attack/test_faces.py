"""A face that was taken over: what the vault answers it, and what it cannot make up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from huisclos.access.admission import AssociationAsked
from huisclos.access.nouns import ActorKind, Proof, ProofKind, Role, Source
from huisclos.access.peers import PeerAsked
from huisclos.archive.nouns import Deposit
from huisclos.archive.ports import Keeper
from huisclos.channel.frames import CALL, FAULT, Frame
from huisclos.channel.remote import methods_of
from tests.attack.house import Vault
from tests.vault.world import CONSOLE, proof

PEER = Source(ActorKind.PEER, "9" * 32, "CT1", "192.168.1.30")
HOUSE = Source(ActorKind.HOUSE, "house", "house")
NOBODY = Source(ActorKind.USER, "8" * 32, "Dr Ann Roy", "192.168.1.31")


async def _ask(vault: Vault, role: str, method: str, *args: Any) -> Frame:
    request, _ = methods_of(Keeper)[method]
    body = msgspec.msgpack.encode(request(*args))
    return await vault.face(role).answer(Frame(CALL, 1, f"Keeper.{method}", body))


def _deposit(source: Source) -> Deposit:
    return Deposit(source, "5" * 32, "", 1, 1, bytes(32))


@pytest.mark.parametrize("role", ["web", "reception"])
@pytest.mark.parametrize("source", [PEER, HOUSE, NOBODY])
async def test_nobody_deposits_for_a_source_they_made_up(vault: Vault, role: str, source: Source) -> None:
    """Receipts in the journal, and batches, are for sources that the vault named to a face."""
    before = vault.acts()
    assert (await _ask(vault, role, "deposited", (_deposit(source),))).kind == FAULT
    assert (await _ask(vault, role, "batch", source)).kind == FAULT
    assert vault.acts() == before
    assert list(vault.store.list("batches")) == []


async def test_web_deposits_for_people_and_reception_for_peers(vault: Vault) -> None:
    """What the vault has named is taken from the face it named it to, and from no other."""
    vault.user("Ann", Role.PHYSICIAN)
    session = await vault.services.sessions.login("Ann", "Kestrel-7-among-Walnuts", "192.168.1.20")
    assert session.session is not None
    mine = await vault.services.keeper.stored_by(proof(session.session.secret))
    await vault.services.peers.add(CONSOLE, PeerAsked("CT1", "192.168.1.30"))
    asked = AssociationAsked("CT1", "HUISCLOS", "192.168.1.30")
    peers = (await vault.services.doorkeeper.admit(asked)).source
    assert peers is not None
    assert (await _ask(vault, "web", "deposited", (_deposit(mine),))).kind != FAULT
    assert (await _ask(vault, "reception", "deposited", (_deposit(peers),))).kind != FAULT
    assert (await _ask(vault, "reception", "deposited", (_deposit(mine),))).kind == FAULT
    assert (await _ask(vault, "web", "deposited", (_deposit(peers),))).kind == FAULT
    assert (await _ask(vault, "web", "batch", peers)).kind == FAULT


async def test_no_face_is_the_console(vault: Vault) -> None:
    """The console's proof is its channel: shown over another it is refused, wherever it stands."""
    console = Proof(ProofKind.CONSOLE)
    for role in ("web", "gate", "reception", "finder", "scribe"):
        for method in ("actor", "stored_by"):
            assert (await _ask(vault, role, method, console)).kind == FAULT


_TRADES = {
    "gate": "Gate.state Gate.unlock HouseState.glance HouseState.trust PeerDoor.turned_away",
    "reception": "Keeper.batch Keeper.deposited Keeper.reserve "
    "PeerDoor.admit PeerDoor.heard PeerDoor.pinned PeerDoor.turned_away",
    "scribe": "HouseKeys.batch_empty HouseKeys.batch_key HouseKeys.compared HouseKeys.doubled "
    "HouseKeys.settled HouseKeys.study_key",
    "finder": "FinderOpening.finder_keys Signer.sign StudyKeys.new_study",
    "auditor": "Looking.begin Looking.looked",
    "cage": "",
    "": "",
}


@pytest.mark.parametrize("role", _TRADES)
async def test_each_process_has_its_own_trade(vault: Vault, role: str) -> None:
    """The tables of methods, by role: one more is a decision, and is written here too."""
    assert vault.face(role).names() == frozenset(_TRADES[role].split())


@pytest.mark.parametrize("role", ["web", "gate", "reception"])
async def test_no_face_has_the_console_or_the_house_keys(vault: Vault, role: str) -> None:
    """What asks for no proof is answered on the channels of who needs none."""
    ports = {name.partition(".")[0] for name in vault.face(role).names()}
    assert not ports & {"Console", "HouseKeys", "StudyKeys", "Signer", "FinderOpening"}


async def test_study_ids_are_no_paths(vault: Vault) -> None:
    """A worker that asks for the key of a made-up study gets no other file of the archive."""
    vault.user("Ann", Role.PHYSICIAN)
    session = await vault.services.sessions.login("Ann", "Kestrel-7-among-Walnuts", "192.168.1.20")
    assert session.session is not None
    mine = proof(session.session.secret)
    for study_id in ("./../keys/recovery", "../keys/index", "", "a", "5" * 32, "AA/../../keys/ca", "\0" * 32):
        answer = await _ask(vault, "web", "open_study", mine, study_id, "viewer")
        assert answer.kind == FAULT
        assert b"AGE-SECRET" not in answer.body
