"""The journal: read, verified, anchored; whatever is done to its files is found."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.access.chronicle import JournalAsked
from huisclos.access.nouns import Actor, ActorKind, ProofKind, Right, Role
from huisclos.errors import JournalBroken, Locked, NotGranted
from huisclos.journal.chain import KEY, Record, first_nib, read_records
from huisclos.journal.entries import Act, Entry, encode_entry
from huisclos.journal.heads import Head, decode_head, encode_head, sign_head
from huisclos.journal.verdict import Verdict
from huisclos.seal import X25519Identity, seal
from huisclos.vault import places
from huisclos.vault.first_key import seal_first_key
from huisclos.vault.lines import Lines
from huisclos.vault.pen import create_journal, decode_pen
from huisclos.vault.secret import ArchiveSecret
from huisclos.vault.verifying import head_of, records_of, verify_offline
from tests.vault.world import ARCHIVE, CONSOLE, World, proof, quick

STUDY = "5" * 32
DOCTOR = Actor(ActorKind.USER, "d" * 32, "Dr Ann Roy", frozenset())


def _write(world: World, count: int, study_id: str = "") -> None:
    world.core.pen.write(*(world.core.entry(Act.GRANTED, DOCTOR, study_id=study_id) for _ in range(count)))


def _offline(world: World) -> Verdict:
    return verify_offline(world.folder, world.store, world.secret, ARCHIVE)


def _log(world: World) -> bytes:
    return (world.folder / "entries.log").read_bytes()


def _parts(world: World) -> list[bytes]:
    return [record.encode() for _, record in read_records(_log(world))]


async def test_a_whole_journal_holds_and_a_head_is_signed(world: World) -> None:
    """Verifying says how far, in words, and leaves a head that the next verification stands on."""
    _write(world, 5)
    head = await world.chronicle.verify(CONSOLE)
    assert (head.holds, head.entries, len(head.words)) == (True, 5, 7)
    assert world.acts()[-1] == ("verified", "journal")
    assert world.core.pen.heads()[0].entries == 5
    assert (await world.chronicle.head(CONSOLE)) == head
    assert (await world.chronicle.verify(CONSOLE)).entries == 6
    assert _offline(world) == Verdict(holds=True, entries=7)


async def test_an_empty_journal_holds(world: World) -> None:
    """Nothing was written, and nothing is wrong."""
    assert world.chronicle.last_head().verified_at == 0
    assert (await world.chronicle.verify_now()).holds
    assert _offline(world).holds
    assert (await world.chronicle.entries(CONSOLE, JournalAsked())).total == 0


async def test_who_may_read_the_journal(world: World) -> None:
    """JOURNAL reads all; READ reads a study's lines when it names the study; locked, nobody does."""
    _write(world, 1, study_id=STUDY)
    for name, role in (("Audit", Role.AUDITOR), ("Phil", Role.PHYSICIAN), ("Tech", Role.TECHNICIAN)):
        world.user(name, role)
    auditor, physician, technician = [await world.login(name) for name in ("Audit", "Phil", "Tech")]
    assert (await world.chronicle.entries(auditor, JournalAsked())).total == 4
    page = await world.chronicle.entries(physician, JournalAsked(study_id=STUDY))
    assert [line.actor for line in page.lines] == ["Dr Ann Roy"]
    assert page.actors == ((DOCTOR.id, "Dr Ann Roy"),)
    for shown, asked in ((physician, JournalAsked()), (technician, JournalAsked(study_id=STUDY))):
        with pytest.raises(NotGranted):
            await world.chronicle.entries(shown, asked)
    with pytest.raises(NotGranted):
        await world.chronicle.verify(physician)
    world.lock()
    with pytest.raises(Locked):
        await world.chronicle.entries(auditor, JournalAsked())


async def test_pages_are_newest_first_and_narrowed(world: World) -> None:
    """Offset, limit, person, study and days; the filter lists everybody."""
    _write(world, 3)
    world.time.pass_(100)
    middle = world.time.wall
    other = Actor(ActorKind.TOKEN, "t" * 32, "robot", frozenset({Right.STORE}))
    world.core.pen.write(world.core.entry(Act.STORED, other, study_id=STUDY, counts={"instances": 7}))
    world.time.pass_(100)
    _write(world, 2, study_id=STUDY)

    async def sequences(asked: JournalAsked) -> list[int]:
        return [line.sequence for line in (await world.chronicle.entries(CONSOLE, asked)).lines]

    assert await sequences(JournalAsked()) == [5, 4, 3, 2, 1, 0]
    assert await sequences(JournalAsked(offset=1, limit=2)) == [4, 3]
    assert await sequences(JournalAsked(study_id=STUDY)) == [5, 4, 3]
    assert await sequences(JournalAsked(study_ids=("nothing", STUDY))) == [5, 4, 3]
    assert await sequences(JournalAsked(study_ids=("nothing",))) == []
    assert await sequences(JournalAsked(actor_id=other.id)) == [3]
    assert await sequences(JournalAsked(since=middle)) == [5, 4, 3]
    assert await sequences(JournalAsked(until=middle)) == [2, 1, 0]
    assert await sequences(JournalAsked(actor_id="nobody")) == []
    page = await world.chronicle.entries(CONSOLE, JournalAsked(offset=2, limit=1))
    assert page.total == 6
    assert page.actors == ((DOCTOR.id, "Dr Ann Roy"), (other.id, "robot"))
    assert (page.lines[0].act, page.lines[0].counts) == ("stored", {"instances": 7})
    assert [line.sequence for line in await world.chronicle.lines(4, 10)] == [4, 5]


async def test_a_long_journal_is_opened_behind_its_first_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest page does not wait for the rest; a filter does; leaving forgets it all."""
    monkeypatch.setattr("huisclos.vault.chronicle.SLICE", 5)
    monkeypatch.setattr("huisclos.vault.lines.CACHED", 10)
    monkeypatch.setattr(Lines.open_some, "__defaults__", (5,))
    _write(world, 40)
    _write(world, 1, study_id=STUDY)
    _write(world, 40)
    page = await world.chronicle.entries(CONSOLE, JournalAsked(limit=3))
    assert [line.sequence for line in page.lines] == [80, 79, 78]
    found = await world.chronicle.entries(CONSOLE, JournalAsked(study_id=STUDY))
    assert [line.sequence for line in found.lines] == [40]
    _write(world, 20, study_id=STUDY)
    assert (await world.chronicle.entries(CONSOLE, JournalAsked(study_id=STUDY))).total == 21
    assert len(world.chronicle._lines._cache) == 10
    await world.chronicle.leave()
    assert len(world.chronicle._lines) == 0
    assert world.core.pen.heads()[-1].entries == 101


async def test_a_tokens_entry_says_whose_it_is(world: World) -> None:
    """Also one that was written while locked, when names are sealed, and after the token has ended."""
    sam = world.user("Sam", Role.SECRETARY)
    until = world.time.wall + 1000
    made = await world.people.add_token(CONSOLE, sam, "", frozenset({Right.STORE}), until)
    actor = await world.sessions.actor(proof(made.secret, ProofKind.TOKEN))
    await world.core.journal(world.core.entry(Act.STORED, actor))
    world.lock()
    await world.core.journal(world.core.entry(Act.STORED, actor))
    assert world.said()[-1].actor.startswith("token ")
    world.unlock()
    assert [line.actor for line in await world.chronicle.lines(1, 2)] == ["Sam", "Sam"]
    await world.people.remove_token(CONSOLE, made.token.id)
    await world.chronicle.leave()
    assert (await world.chronicle.lines(1, 1))[0].actor == "Sam"


async def test_an_entry_that_does_not_open_hides_no_other(world: World) -> None:
    """It stands in its place as broken."""
    _write(world, 3)
    parts = _parts(world)
    stranger = seal(encode_entry(Entry(1.0, Act.TICK)), [X25519Identity.generate().recipient])
    _, record = next(read_records(parts[1]))
    parts[1] = Record(record.sequence, record.boot, record.mac, stranger).encode()
    (world.folder / "entries.log").write_bytes(b"".join(parts))
    page = await world.chronicle.entries(CONSOLE, JournalAsked())
    assert [line.act for line in page.lines] == ["granted", "broken", "granted"]


async def test_a_head_kept_outside_is_compared(world: World) -> None:
    """The journal goes on from its own head, not from a forged one, a fork's, or another archive's."""
    _write(world, 4)
    kept = await world.chronicle.anchor()
    assert decode_head(encode_head(kept)) == kept
    _write(world, 3)
    assert (await world.chronicle.verify_now(kept)).holds
    for other in (
        _resigned(world, entries=5),
        _resigned(world, entries=1000),
        _resigned(world, archive="b" * 32),
        Head(kept.archive, 3, kept.mac, kept.at, kept.signature),
    ):
        answer = await world.chronicle.verify_now(other)
        assert not answer.holds
        assert answer.problem
        assert world.chronicle.holds


def _resigned(world: World, *, entries: int = 4, archive: str = ARCHIVE) -> Head:
    return sign_head(Head(archive, entries, "ab" * 32, 1.0), world.secret.signing)


async def test_a_broken_journal_is_told_and_signed_by_nobody(world: World) -> None:
    """After a restart on a cut journal the state says so, no head is made, and locking still works."""
    _write(world, 6)
    await world.chronicle.verify_now()
    world.core.pen.close()
    (world.folder / "entries.log").write_bytes(b"".join(_parts(world)[:4]))
    world.start()
    assert not world.chronicle.holds
    head = await world.chronicle.verify(CONSOLE)
    assert (head.holds, head.broken_at) == (False, 4)
    assert world.acts()[-1] == ("broken", "")
    assert len(world.core.pen.heads()) == 1
    with pytest.raises(JournalBroken):
        await world.chronicle.anchor()
    await world.chronicle.leave()


async def test_writing_goes_on_while_the_journal_is_verified(world: World) -> None:
    """What is appended meanwhile is not taken for a cut."""
    _write(world, 500)

    async def write() -> None:
        for _ in range(50):
            await world.core.journal(world.core.entry(Act.TICK))

    heads, _ = await asyncio.gather(_verify_often(world), write())
    assert heads == [True] * 10


async def _verify_often(world: World) -> list[bool]:
    return [(await world.chronicle.verify_now()).holds for _ in range(10)]


async def test_an_entry_added_behind_the_vaults_back_is_found(world: World) -> None:
    """Whoever reads the next key in the pen's file can chain an entry; the living pen did not write it."""
    _write(world, 3)
    stolen = world.core.pen.nib
    record, _ = stolen.append(bytes(16), seal(encode_entry(Entry(1.0, Act.TICK)), [world.core.recipient]))
    with (world.folder / "entries.log").open("ab") as log:
        log.write(record.encode())
    assert not (await world.chronicle.verify_now()).holds


class Written:
    """A journal of 12 entries, a head signed after 8, and the pen's file as it was after each entry."""

    COUNT, HEAD = 12, 8

    def __init__(self, folder: Path) -> None:
        with quick():
            self.world = World(folder / "journal")
            self.pens: list[bytes] = [self._pen()]
            for number in range(self.COUNT):
                _write(self.world, 1, study_id=f"{number:032x}")
                self.pens.append(self._pen())
                if number + 1 == self.HEAD:
                    asyncio.run(self.world.chronicle.verify_now())
        self.parts = _parts(self.world)
        self.log = b"".join(self.parts)
        self.heads = (self.world.folder / "heads.log").read_bytes()

    def _pen(self) -> bytes:
        return (self.world.folder / "pen").read_bytes()

    def judged(self, log: bytes, pen: bytes | None = None, *anchored: Head) -> Verdict:
        """What verifying says to these files."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "entries.log").write_bytes(log)
            (folder / "pen").write_bytes(self.pens[-1] if pen is None else pen)
            (folder / "heads.log").write_bytes(self.heads)
            return verify_offline(folder, self.world.store, self.world.secret, ARCHIVE, anchored)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """One journal for every tampering."""
    made = Written(tmp_path_factory.mktemp("written"))
    yield made
    made.world.core.pen.close()


def test_the_untouched_journal_holds(written: Written) -> None:
    """Also with a pen that lags behind, as after a power loss."""
    for pen in written.pens:
        assert written.judged(written.log, pen) == Verdict(holds=True, entries=12)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(written: Written, data: st.DataObject) -> None:
    """Wherever it is in the log, whatever it becomes."""
    at = data.draw(st.integers(0, len(written.log) - 1))
    mask = data.draw(st.integers(1, 255))
    log = bytearray(written.log)
    log[at] ^= mask
    assert not written.judged(bytes(log)).holds


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_removed_moved_or_doubled_entry_is_found(written: Written, data: st.DataObject) -> None:
    """Entries stand where they were written, once."""
    place = st.integers(0, Written.COUNT - 1)
    first, second = data.draw(place), data.draw(place)
    parts = list(written.parts)
    how = data.draw(st.sampled_from(["remove", "swap", "double", "move"]))
    if how == "remove":
        del parts[first]
    elif how == "swap":
        parts[first], parts[second] = parts[second], parts[first]
    elif how == "double":
        parts.insert(second, parts[first])
    else:
        parts.insert(second, parts.pop(first))
    verdict = written.judged(b"".join(parts))
    assert verdict.holds == (parts == written.parts)
    if not verdict.holds:
        assert verdict.problem


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(1, 10_000))
def test_any_cut_end_is_found(written: Written, cut: int) -> None:
    """The pen knows where it stood."""
    assert not written.judged(written.log[: -min(cut, len(written.log))]).holds


@pytest.mark.parametrize("stand", range(Written.HEAD))
def test_a_pen_put_back_does_not_hide_a_cut_below_a_head(written: Written, stand: int) -> None:
    """Old pen and log cut to match it: the signed head vouches for more."""
    verdict = written.judged(b"".join(written.parts[:stand]), written.pens[stand])
    assert not verdict.holds
    assert "head" in verdict.problem


@pytest.mark.parametrize("stand", range(Written.HEAD, Written.COUNT))
def test_a_cut_after_the_last_head_is_found_with_a_head_kept_outside(written: Written, stand: int) -> None:
    """What nobody vouched for can be rolled back with the pen; a head kept elsewhere tells."""
    log, pen = b"".join(written.parts[:stand]), written.pens[stand]
    assert written.judged(log, pen).holds
    outside = head_of(written.world.core.pen.nib, ARCHIVE, 1.0, written.world.secret)
    assert not written.judged(log, pen, outside).holds


@pytest.mark.parametrize("stand", range(Written.HEAD))
def test_entries_rewritten_with_an_old_pen_are_found_by_a_head(written: Written, stand: int) -> None:
    """The old pen's key chains other entries; the head is over the true ones."""
    decoded = decode_pen(written.pens[stand])
    assert decoded is not None
    nib, parts = decoded[0], list(written.parts[:stand])
    for number in range(stand, Written.COUNT):
        entry = encode_entry(Entry(float(number), Act.TICK))
        record, nib = nib.append(bytes(16), seal(entry, [written.world.core.recipient]))
        parts.append(record.encode())
    assert "head" in written.judged(b"".join(parts), written.pens[stand]).problem


@pytest.mark.parametrize("name", ["pen", "entries.log"])
def test_a_missing_or_spoilt_file_is_found(written: Written, name: str) -> None:
    """Neither pen nor log can be left out."""
    pen = bytes(256) if name == "pen" else None
    assert not written.judged(b"" if name == "entries.log" else written.log, pen).holds


@pytest.mark.parametrize("signer", ["nobody", "stranger"])
def test_an_invented_journal_is_found(tmp_path: Path, signer: str) -> None:
    """A first key sealed to the archive by somebody else, and a whole chain after it, does not hold."""
    with quick():
        world = World(tmp_path / "journal")
    world.core.pen.close()
    key = os.urandom(KEY)
    if signer == "nobody":
        sealed = seal(key, [world.core.recipient])
    else:
        stranger = ArchiveSecret.generate()
        sealed = seal(key + stranger.signing.sign(key), [world.core.recipient])
        assert seal_first_key(stranger, key) != sealed
    world.store.put(places.JOURNAL_KEY, sealed)
    invented = tmp_path / "invented"
    create_journal(invented, key)
    record, _ = first_nib(key).append(bytes(16), seal(b"x", [world.core.recipient]))
    (invented / "entries.log").write_bytes(record.encode())
    verdict = verify_offline(invented, world.store, world.secret, ARCHIVE)
    assert (verdict.holds, verdict.entries) == (False, 0)
    assert "first key" in verdict.problem


@given(st.lists(st.integers(1, 300), max_size=30), st.integers(57, 700))
def test_records_are_read_the_same_in_pieces(sizes: list[int], piece: int) -> None:
    """However small the pieces, the same records at the same places."""
    nib, log = first_nib(bytes(KEY)), b""
    for size in sizes:
        record, nib = nib.append(bytes(16), bytes(size))
        log += record.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huisclos.vault.verifying.PIECE", piece)
        found = list(records_of(lambda at, length: log[at : at + length], len(log)))
    assert [record for _, record in found] == [record for _, record in read_records(log)]
    assert b"".join(record.encode() for _, record in found) == log
    assert [place for place, _ in found] == [0, *(end for end, _ in read_records(log))][: len(found)]


def test_a_hundred_thousand_entries_are_verified_in_seconds(world: World) -> None:
    """One sealed entry, chained 100,000 times: only MACs are computed."""
    sealed = seal(encode_entry(world.core.entry(Act.GRANTED, DOCTOR, study_id=STUDY)), [world.core.recipient])
    nib, log = world.core.pen.nib, bytearray()
    for _ in range(100_000):
        record, nib = nib.append(bytes(16), sealed)
        log += record.encode()
    world.core.pen.close()
    (world.folder / "entries.log").write_bytes(log)
    begun = time.perf_counter()
    assert _offline(world) == Verdict(holds=True, entries=100_000)
    assert time.perf_counter() - begun < 10
    world.start()
    assert world.core.pen.entries == 100_000
