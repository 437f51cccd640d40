"""Rotation: whoever was taken away opens nothing more, whoever stays loses nothing, killed at any step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from huisclos.access.accounts import PendingBody
from huisclos.access.nouns import ActorKind, Role, Source
from huisclos.archive.layout import batch_key_place, key_place
from huisclos.database import SqlAccounts
from huisclos.errors import (
    Conflict,
    DamagedHolder,
    Full,
    HuisclosError,
    NoIdentityMatch,
    Tampered,
    WrongPassphrase,
)
from huisclos.journal.entries import Act
from huisclos.seal import ScryptRecipient, X25519Identity, seal, unseal
from huisclos.stores.memory import MemoryStore
from huisclos.vault import holders as holders_module
from huisclos.vault import places
from huisclos.vault.core import CONSOLE as ACTOR
from huisclos.vault.holder_files import About, HolderKind, read_about
from huisclos.vault.leaf import LeafKeeper
from huisclos.vault.recovery import Recovery
from huisclos.vault.secret import ArchiveSecret, fingerprint
from huisclos.vault.signed_key import open_key
from tests.vault.world import CONSOLE, World, quick

STAYS, GOES, THIRD = (
    "lantern oyster granite velvet",
    "copper meadow thistle anchor",
    "raven sugar pilot hollow",
)


class Killed(BaseException):
    """The process ended there."""


class MortalStore(MemoryStore):
    """A store whose process dies before the change number `left`."""

    left: int | None = None

    def put(self, place: str, sealed: bytes) -> None:
        """See the port."""
        self._live()
        super().put(place, sealed)

    def delete(self, place: str) -> None:
        """See the port."""
        self._live()
        super().delete(place)

    def _live(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class Filled:
    """An archive with two passphrases, a recovery key, studies, a batch, a request; unlocked."""

    def __init__(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.vault.world.MemoryStore", MortalStore)
            self.world = World(folder)
        assert isinstance(self.world.store, MortalStore)
        self.store: Final = self.world.store
        core, secret = self.world.core, self.world.secret
        self.old = secret
        now = core.now()
        self.stays = core.holders.add(secret, STAYS, HolderKind.PASSPHRASE, "Stays", now)
        self.goes = core.holders.add(secret, GOES, HolderKind.PASSPHRASE, "Goes", now)
        self.recovery = X25519Identity.generate()
        self.store.put(places.RECOVERY, seal(str(self.recovery).encode(), [secret.identity.recipient]))
        self.paper = core.holders.add(secret, str(self.recovery.recipient), HolderKind.RECOVERY, "paper", now)
        for about in core.holders.everyone(secret):
            if about.kind is HolderKind.SET_UP:
                core.holders.remove(about.holder_id)
        self.studies: dict[str, str] = {}
        self.batch = ""

    async def fill(self) -> None:
        """Studies, a batch, a request, an entry."""
        world = self.world
        for _ in range(3):
            study_id = (await world.keeper.new_study()).study_id
            self.studies[study_id] = await world.keeper.study_key(study_id)
        source = Source(ActorKind.PEER, "p", "CT1")
        self.batch = (await world.keeper.batch(source)).batch_id
        world.lock()
        await world.named.add("Zoe", Role.AUDITOR, "")
        world.unlock()
        await world.core.journal(world.core.entry(Act.TICK))

    def again(self, opener: str = STAYS) -> ArchiveSecret:
        """After a restart, unlocked with `opener`."""
        world = self.world
        world.core.pen.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.vault.world.OPENER", opener)
            world.start()
        return world.core.secret

    async def finish(self) -> None:
        """Until the rotation under way is over."""
        rotation = self.world.rotation
        await rotation.settled()
        if rotation.state().running or rotation.state().waiting:
            await rotation.resume()
            await rotation.settled()

    async def check_opens(self) -> None:
        """Every study's key opens with the identity in force alone."""
        for study_id, key in self.studies.items():
            sealed = self.store.read(key_place(study_id))
            assert unseal(sealed, [self.world.core.secret.identity]).decode().strip() == key

    async def check(self) -> None:
        """Everything opens with the identity in force alone, and is what it was."""
        core = self.world.core
        secret = core.secret
        alone = ArchiveSecret(msgspec.structs.replace(secret.document, retired=()))
        assert secret.document.retired[-1] == self.old.document.identity
        assert self.store.read(places.RECIPIENT).decode().strip() == secret.recipient
        for study_id, key in self.studies.items():
            assert unseal(self.store.read(key_place(study_id)), [alone.identity]).decode().strip() == key
            with pytest.raises(NoIdentityMatch):
                unseal(self.store.read(key_place(study_id)), [self.old.identity])
        assert (await self.world.keeper.batch_key(self.batch)).batch_id == self.batch
        unseal(self.store.read(batch_key_place(self.batch)), [alone.identity])
        for place in (places.RECORD_KEY, places.CA_KEY, places.JOURNAL_KEY, places.RECOVERY):
            unseal(self.store.read(place), [alone.identity])
        for pending in core.accounts.pending():
            unseal(msgspec.msgpack.decode(pending.body, type=PendingBody).sealed, [alone.identity])
        for holder_id in core.holders.ids():
            assert read_about(self.store, alone, holder_id).vouched(alone)
        assert core.holders.damaged() == ()
        assert (await self.world.chronicle.verify_now()).holds
        assert Act.BROKEN not in {line.act for line in await self.world.chronicle.lines(0, 100)}
        assert not [place for place, _ in self.store.list("keys") if "rotation" in place]


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Filled]:
    """Ready to be rotated."""
    with quick():
        made = Filled(tmp_path / "journal")
        await made.fill()
        yield made
        made.world.core.pen.close()


async def test_a_rotation_gives_everybody_the_new_key(filled: Filled) -> None:
    """Each holder opens as before, to the new identity; old entries of the journal still open."""
    await filled.world.people.rotate(CONSOLE)
    await filled.finish()
    await filled.check()
    record_key = filled.world.core.record_key()
    for opener in (STAYS, GOES, str(filled.recovery)):
        secret, _ = filled.world.core.holders.open(opener)
        assert secret.document == filled.world.core.secret.document
    filled.again()
    await filled.check()
    assert filled.world.core.record_key() == record_key
    await filled.world.people.rotate(CONSOLE)
    await filled.finish()
    assert len(filled.world.core.secret.document.retired) == 2
    changes = [line.what for line in await filled.world.chronicle.lines(0, 100) if line.act == "changed"]
    assert changes == ["identity-rotated", "keys-resealed"] * 2


async def test_who_was_taken_away_opens_nothing(filled: Filled) -> None:
    """Neither with the passphrase, nor with a copy of the old holder files put back, nor with the old key."""
    old = {place: filled.store.read(place) for place, _ in filled.store.list("keys/holders")}
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.finish()
    await filled.check()
    with pytest.raises(WrongPassphrase):
        filled.world.core.holders.open(GOES)
    for place, content in old.items():
        if filled.goes in place:
            filled.store.put(place, content)
    with pytest.raises(Tampered):
        filled.world.core.holders.open(GOES)
    study_id = (await filled.world.keeper.new_study()).study_id
    with pytest.raises(NoIdentityMatch):
        unseal(filled.store.read(key_place(study_id)), [filled.old.identity])
    with pytest.raises(HuisclosError):
        open_key(filled.old, b"huisclos record key v1\0", filled.store.read(places.RECORD_KEY))


async def _remove(filled: Filled) -> None:
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.world.rotation.settled()


async def _count(filled: Filled) -> int:
    """How many changes of files a removal makes."""
    filled.store.left = 10_000
    await _remove(filled)
    return 10_000 - filled.store.left


async def test_killed_at_any_step(tmp_path: Path) -> None:
    """Before each change of a file: whoever stays opens, it is finished then, and who goes opens no more."""
    with quick():
        first = Filled(tmp_path / "count")
        await first.fill()
        steps = await _count(first)
        assert steps > 20
        for step in range(steps):
            filled = Filled(tmp_path / str(step))
            await filled.fill()
            filled.store.left = step
            with pytest.raises(Killed):
                await _remove(filled)
            filled.store.left = None
            gone = filled.goes not in filled.world.core.holders.ids()
            opener = (STAYS, str(filled.recovery))[step % 2]
            filled.again(opener)
            if gone:
                # between its secret and its digests, as if somebody deleted the secret, until it is finished
                with pytest.raises((WrongPassphrase, DamagedHolder)):
                    filled.world.core.holders.open(GOES)
            else:
                await filled.world.people.remove_holder(CONSOLE, filled.goes)
            await filled.finish()
            if not filled.world.core.secret.document.retired:
                await filled.world.people.rotate(CONSOLE)
                await filled.finish()
            with pytest.raises(WrongPassphrase):
                filled.world.core.holders.open(GOES)
            await filled.check()
            for known in (STAYS, str(filled.recovery)):
                secret, _ = filled.world.core.holders.open(known)
                assert secret.document == filled.world.core.secret.document
            filled.world.core.pen.close()


async def test_a_lock_on_the_way_is_gone_on_from(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the keyring: the rest is done at the next unlock."""
    monkeypatch.setattr("huisclos.vault.rotation.SLICE", 1)
    await filled.world.people.rotate(CONSOLE)
    await filled.world.rotation.stop()
    assert filled.world.rotation.state().waiting
    filled.world.lock()
    filled.again()
    await filled.finish()
    await filled.check()


async def test_a_full_disk_on_the_way_is_gone_on_from(filled: Filled) -> None:
    """In the middle of the holders, then of the keys: what is asked again takes up where it stopped."""
    put = filled.store.put

    def full(place: str, sealed: bytes) -> None:
        if place.startswith(stuck):
            raise Full("the disk is full")
        put(place, sealed)

    filled.store.put = full  # type: ignore[method-assign]
    stuck = places.RECIPIENT
    with pytest.raises(Full):
        await filled.world.people.rotate(CONSOLE)
    with pytest.raises(Conflict):
        await filled.world.people.add_passphrase(CONSOLE, "Third", THIRD)
    stuck = "keyring"
    await filled.world.people.rotate(CONSOLE)
    await filled.world.rotation.settled()
    assert filled.world.rotation.state().waiting
    stuck = "nothing"
    await filled.finish()
    assert len(filled.world.core.secret.document.retired) == 1
    await filled.check()


async def test_a_holder_goes_in_the_dark_and_the_key_follows(filled: Filled) -> None:
    """Locked, the file goes at once; the last passphrase and the recovery key stay."""
    filled.world.lock()
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    for holder_id in (filled.stays, filled.paper):
        with pytest.raises(Conflict):
            await filled.world.people.remove_holder(CONSOLE, holder_id)
    assert filled.world.rotation.state().waiting
    filled.again()
    await filled.finish()
    await filled.check()


async def test_a_holder_added_meanwhile_has_the_new_key(filled: Filled) -> None:
    """Also when who adds still has the old one in hand."""
    await filled.world.people.rotate(CONSOLE)
    filled.world.core.holders.add(filled.old, THIRD, HolderKind.PASSPHRASE, "Third", 1.0)
    await filled.finish()
    filled.again(THIRD)
    await filled.check()


async def test_a_forged_rotation_is_none(filled: Filled) -> None:
    """Neither one that the archive did not sign, nor an old one put back, nor a recipient slipped in."""
    evil = X25519Identity.generate()
    about = read_about(filled.store, filled.old, filled.goes)
    forged = msgspec.structs.replace(about, recipient=str(evil.recipient))
    sealed = seal(msgspec.json.encode(forged), [filled.old.identity.recipient])
    filled.store.put(places.holder_about(filled.goes), sealed)
    with pytest.raises(Conflict):
        await filled.world.people.rotate(CONSOLE)
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.finish()
    filled.store.put(places.ROTATION, seal(b"x" * 200, [filled.world.core.recipient]))
    with pytest.raises(Tampered):
        filled.world.core.holders.open(STAYS)


def _old_layout(filled: Filled, holder_id: str, opener: str) -> None:
    """The files as they were before holders had keys of their own."""
    secret, store = filled.old, filled.store
    about = read_about(store, secret, holder_id)
    old = About(holder_id, about.kind, about.name, about.made_at)
    packed = msgspec.json.encode(
        {
            key: value
            for key, value in msgspec.structs.asdict(old).items()
            if key not in {"recipient", "signature"}
        }
    )
    store.put(places.holder_about(holder_id), seal(packed, [secret.identity.recipient]))
    if opener:
        sealed = seal(secret.encode(), [ScryptRecipient(opener, work_factor=10)])
        store.put(places.holder(holder_id), sealed)
    store.put(
        places.holder_digest(holder_id), fingerprint(store.read(places.holder(holder_id))).encode() + b"\n"
    )
    store.delete(places.holder_key(holder_id))


@pytest.fixture
def aged(filled: Filled) -> Filled:
    """An archive of the old layout."""
    for holder_id, opener in ((filled.stays, STAYS), (filled.goes, GOES), (filled.paper, "")):
        _old_layout(filled, holder_id, opener)
    return filled


async def test_an_older_archive_is_upgraded_as_holders_unlock(aged: Filled) -> None:
    """Each at their own unlock, the recovery key at the first; until then nothing can be rotated."""
    holders = aged.world.core.holders
    assert holders.damaged() == ()
    assert set(holders.unready(aged.old)) == {aged.stays, aged.goes, aged.paper}
    for opener, holder_id in ((STAYS, aged.stays), (GOES, aged.goes)):
        secret, opened = holders.open(opener)
        assert opened == holder_id
        assert holders.upgrade(secret, opened, opener, 1.0)
        assert not holders.upgrade(secret, opened, opener, 1.0)
        if opener == STAYS:
            assert holders.unready(aged.old) == (aged.goes,)
            with pytest.raises(Conflict):
                await aged.world.people.rotate(CONSOLE)
    await aged.world.people.rotate(CONSOLE)
    await aged.finish()
    await aged.check()
    assert holders.open(str(aged.recovery))[1] == aged.paper


async def test_a_removal_waits_for_those_of_an_older_archive(aged: Filled) -> None:
    """The file goes at once; the new key comes when everybody who stays has unlocked."""
    await aged.world.people.remove_holder(CONSOLE, aged.goes)
    with pytest.raises(WrongPassphrase):
        aged.world.core.holders.open(GOES)
    state = aged.world.rotation.state()
    assert (state.running, state.waiting, set(state.unready)) == (False, True, {aged.stays, aged.paper})
    aged.world.core.holders.upgrade(aged.old, aged.stays, STAYS, 1.0)
    await aged.finish()
    await aged.check()


async def test_an_upgrade_killed_at_any_step(tmp_path: Path) -> None:
    """The passphrase opens whatever was written, and the next unlock goes on."""
    with quick():
        for step in range(6):
            filled = Filled(tmp_path / str(step))
            _old_layout(filled, filled.stays, STAYS)
            holders = filled.world.core.holders
            filled.store.left = step
            try:
                holders.upgrade(filled.old, filled.stays, STAYS, 1.0)
            except Killed:
                filled.store.left = None
            assert holders.damaged() == ()
            secret, opened = holders.open(STAYS)
            assert opened == filled.stays
            holders.upgrade(secret, opened, STAYS, 1.0)
            assert filled.stays not in holders.unready(secret)
            assert holders.open(STAYS)[1] == filled.stays
            filled.world.core.pen.close()


@pytest.mark.parametrize("file", [places.holder, places.holder_key])
def test_a_damaged_file_is_told_apart(filled: Filled, file: Callable[[str], str]) -> None:
    """Secret or key: the passphrase is not at fault."""
    sealed = filled.store.read(file(filled.stays))
    for damaged in (sealed[:-1] + bytes([sealed[-1] ^ 1]), None):
        if damaged is None:
            filled.store.delete(file(filled.stays))
        else:
            filled.store.put(file(filled.stays), damaged)
        if file is places.holder and damaged is None:
            assert filled.stays not in filled.world.core.holders.ids()
        else:
            assert filled.world.core.holders.damaged() == (filled.stays,)


async def test_a_new_recovery_key_ends_the_old_one_for_good(filled: Filled) -> None:
    """Whoever saw the old card knew the old archive key."""
    recovery = Recovery(filled.world.core, filled.world.rotation, LeafKeeper(filled.world.core))
    made = await recovery.make(ACTOR)
    await filled.finish()
    await filled.check()
    with pytest.raises(WrongPassphrase):
        filled.world.core.holders.open(str(filled.recovery))
    assert filled.world.core.holders.open(made.line)[0].document == filled.world.core.secret.document
    assert holders_module.is_recovery_key(made.line)


async def test_with_the_real_accounts_a_waiting_request_is_no_stop(tmp_path: Path) -> None:
    """What waits for an owner is sealed anew too, and opens afterwards, in the database as it is."""
    with quick():
        filled = Filled(tmp_path / "journal")
        real = SqlAccounts(tmp_path / "accounts.sqlite")
        filled.world.core.accounts = real
        await filled.fill()
        assert len(real.pending()) == 1
        await filled.world.people.rotate(CONSOLE)
        await filled.world.rotation.settled()
        assert not filled.world.rotation.state().waiting
        await filled.check()
        ((request_id, asked),) = filled.world.people.pending_asked()
        assert asked.name == "Zoe"
        await filled.world.people.refuse(CONSOLE, request_id)
        real.close()
        filled.world.core.pen.close()


def _kept(filled: Filled, holder_id: str) -> dict[str, bytes]:
    """A copy of everything that lies there of a holder."""
    return {
        place: filled.store.read(place)
        for place, _ in filled.store.list(places.HOLDERS)
        if holder_id in place
    }


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_files_of_who_was_taken_away_put_back(filled: Filled, *, wanted: bool) -> None:
    """The next rotation gives them nothing: what describes them is of before. It waits, and says for whom."""
    files = _kept(filled, filled.goes)
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.finish()
    for place, content in files.items():
        filled.store.put(place, content)
    if wanted:
        filled.store.put(places.ROTATION_WANTED, b"forged\n")
    filled.again()
    await filled.world.rotation.resume()
    with pytest.raises(Conflict):
        await filled.world.people.rotate(CONSOLE)
    assert filled.store.read(places.holder(filled.goes)) == files[places.holder(filled.goes)]
    with pytest.raises(Tampered):
        filled.world.core.holders.open(GOES)
    assert filled.world.core.holders.unready(filled.world.core.secret) == (filled.goes,)
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.finish()
    assert not filled.world.rotation.state().waiting
    assert filled.goes not in filled.world.core.holders.ids()


async def test_files_of_two_holders_exchanged(filled: Filled) -> None:
    """Nobody opens as somebody else; where one's own files are in order too, they are what counts."""
    first, second = _kept(filled, filled.stays), _kept(filled, filled.goes)
    both = ((filled.stays, filled.goes, first), (filled.goes, filled.stays, second))
    for taken, given, files in both:
        for place, content in files.items():
            if not place.endswith(".about.age"):
                filled.store.put(place.replace(taken, given), content.replace(taken.encode(), given.encode()))
    assert filled.world.core.holders.damaged() == ()
    for opener in (STAYS, GOES):
        with pytest.raises(Tampered):
            filled.world.core.holders.open(opener)
    for place, content in first.items():
        filled.store.put(place, content)
    assert filled.world.core.holders.open(STAYS)[1] == filled.stays


@pytest.mark.parametrize("opener", ["passphrase", "recovery"])
@pytest.mark.parametrize("lost", [places.holder_about, places.holder_digest])
async def test_what_lies_beside_a_holders_file_may_be_lost(
    filled: Filled, opener: str, lost: Callable[[str], str]
) -> None:
    """It opens all the same, and is whole again afterwards: the next rotation has what it needs."""
    holder_id = filled.stays if opener == "passphrase" else filled.paper
    given = STAYS if opener == "passphrase" else str(filled.recovery)
    holders = filled.world.core.holders
    filled.store.delete(lost(holder_id))
    assert (holder_id in holders.damaged()) == (lost is places.holder_digest)
    secret, opened = holders.open(given)
    assert opened == holder_id
    assert holders.upgrade(secret, holder_id, given, 1.0)
    assert not holders.upgrade(secret, holder_id, given, 1.0)
    assert holders.damaged() == ()
    kind = HolderKind.PASSPHRASE if opener == "passphrase" else HolderKind.RECOVERY
    assert read_about(filled.store, secret, holder_id).kind is kind
    await filled.world.people.rotate(CONSOLE)
    await filled.finish()
    await filled.check()
    assert holders.open(given)[1] == holder_id


async def test_locking_while_the_key_changes_leaves_it_locked(filled: Filled) -> None:
    """Whatever a rotation was doing: no secret comes back, in the vault or among the holders."""
    world = filled.world
    for pause in range(12):
        asking = asyncio.create_task(world.people.rotate(CONSOLE))
        for _ in range(pause):
            await asyncio.sleep(0)
        await world.rotation.stop()
        world.lock()
        with contextlib.suppress(HuisclosError):
            await asking
        with contextlib.suppress(HuisclosError):
            await world.rotation.begin(ACTOR)
        assert world.core.locked
        assert world.core.holders.latest is None
        filled.again()
        await world.rotation.resume()
        await filled.finish()
    await filled.check_opens()


async def test_taken_away_while_another_rotation_is_cut_short(filled: Filled) -> None:
    """They may have been given that key already, so that it is not the last: another one follows."""
    put = filled.store.put

    def full(place: str, sealed: bytes) -> None:
        if place == places.RECIPIENT:
            raise Full("the disk is full")
        put(place, sealed)

    filled.store.put = full  # type: ignore[method-assign]
    with pytest.raises(Full):
        await filled.world.people.rotate(CONSOLE)
    given = filled.world.core.holders.open(GOES)[0]
    filled.store.put = put  # type: ignore[method-assign]
    await filled.world.people.remove_holder(CONSOLE, filled.goes)
    await filled.finish()
    secret = filled.world.core.secret
    assert secret.recipient != given.recipient
    assert not filled.world.rotation.state().waiting
