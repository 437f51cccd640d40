"""The two ends on loopback: places, deadlines, back-pressure, and how associations end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from huisclos.dimse.acceptor import Acceptor
from huisclos.dimse.handling import Admission, HowEnded, StoreSink, TurnedAway, status_of
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import Command, echo_request, store_request, write_command
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN, IMPLEMENTATION_UID, VERIFICATION
from huisclos.dimse.protocol.pdus import write_pdu
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.requested import RequestedAssociation
from huisclos.dimse.requestor import Timeouts, associate
from huisclos.dimse.service import Association
from huisclos.errors import (
    AssociationEnded,
    AssociationRejected,
    BadIdentifier,
    BadSetting,
    Full,
    HuisclosError,
    NotDicom,
    OperationFailed,
    PeerTooSlow,
    PeerUnreachable,
    TooLarge,
)
from tests.dimse.listening import CT, TITLE, Book, Keeping, credentials, listening, until
from tests.fuzz.fuzz_dimse_message import message
from tests.fuzz.fuzz_dimse_pdu import REQUEST

CONTEXTS = [Proposal(VERIFICATION), Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))]
WORKLIST = "1.2.840.10008.5.1.4.31"
QUICK = Timeouts(connect=2, associate=2, idle=2, release=1, total=20)
SHORT = Bounds(artim_seconds=0.2, idle_seconds=0.3, total_seconds=5, refusal_seconds=0.01)


def calling(
    port: int,
    contexts: Sequence[Proposal] = CONTEXTS,
    *,
    title: str = "MODALITY",
    timeouts: Timeouts = QUICK,
) -> AbstractAsyncContextManager[RequestedAssociation]:
    """An association with the acceptor on `port`."""
    return associate("127.0.0.1", port, calling=title, called=TITLE, contexts=contexts, timeouts=timeouts)


async def raw(port: int, data: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that says `data`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


async def test_a_release_is_confirmed_when_the_handler_has_done() -> None:
    """What the handler still does for the association is done when the peer has its answer."""
    book = Book(release_seconds=0.3)
    async with listening(book) as (_, port):
        began = asyncio.get_running_loop().time()
        async with calling(port):
            pass
        assert asyncio.get_running_loop().time() - began >= 0.3
        await until(lambda: book.ends)
    assert [end.how for end in book.ends] == [HowEnded.RELEASED]


async def test_echo_and_store() -> None:
    """The plain way: both operations, several times, and a release."""
    book = Book()
    async with listening(book) as (_, port):
        async with calling(port) as association:
            assert association.accept is not None
            assert association.accept.user.implementation_uid == IMPLEMENTATION_UID
            assert [context.abstract_syntax for context in association.contexts] == [VERIFICATION, CT]
            for at in range(5):
                assert await association.echo() == 0
                data = bytes([at]) * (at * 300_001)
                stored = association.store(
                    data, sop_class=CT, sop_instance=f"1.2.{at}", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
                )
                assert await stored == 0
                assert book.stored[f"1.2.{at}"] == data
        await until(lambda: book.ends)
    assert [end.how for end in book.ends] == [HowEnded.RELEASED]
    assert (book.echoes, book.aborted) == (5, 0)
    request, address, certificate = book.requests[0]
    assert (request.calling, request.called, address, certificate) == ("MODALITY", TITLE, "127.0.0.1", None)


async def test_store_of_pieces_as_they_come() -> None:
    """A data set that is never whole in memory, empty pieces and all."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(20):
            yield bytes([at]) * 70_001 if at % 3 else b""

    book = Book()
    async with listening(book) as (_, port), calling(port) as association:
        await association.store(
            pieces(), sop_class=CT, sop_instance="1.2", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
        )
    assert book.stored["1.2"] == b"".join([bytes([at]) * 70_001 for at in range(20) if at % 3])


async def test_what_was_not_accepted_cannot_be_sent() -> None:
    """No context, no operation; and no guess at another transfer syntax."""
    async with (
        listening(Book()) as (_, port),
        calling(port, [Proposal(CT), Proposal("1.2.840.10008.5.1.4.31")]) as one,
    ):
        for operation in (
            one.echo(),
            one.store(b"", sop_class=CT, sop_instance="1", transfer_syntax="1.2.840.10008.1.2.4.70"),
            anext(one.find(b"", sop_class=WORKLIST)),
        ):
            with pytest.raises(OperationFailed) as failed:
                await operation
            assert failed.value.status == Status.SOP_CLASS_NOT_SUPPORTED


async def test_the_default_is_to_refuse() -> None:
    """An admission made of nothing rejects, with the one code, and not sooner than any other."""
    book = Book(admission=Admission())
    loop = asyncio.get_running_loop()
    async with listening(book, bounds=Bounds(refusal_seconds=0.2)) as (_, port):
        began = loop.time()
        with pytest.raises(AssociationRejected) as rejected:
            async with calling(port):
                pass
        assert loop.time() - began >= 0.2
        await until(lambda: book.ends)
    assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (1, 1, 1)
    assert book.ends[0].how is HowEnded.REJECTED


async def test_a_refused_source_is_closed_unread() -> None:
    """The gatekeeper speaks before a byte is read: no answer, no handler."""
    book = Book()
    async with listening(book, gatekeeper=lambda address: address != "127.0.0.1") as (_, port):
        reader, writer = await raw(port)
        assert await reader.read() == b""
        writer.close()
    assert book.away == [TurnedAway.NOT_ALLOWED]
    assert book.requests == []
    assert book.ends == []


async def test_places_are_counted_before_anything_is_read() -> None:
    """Associations fill the places; one over is told of congestion, the next is closed."""
    book = Book()
    bounds = Bounds(associations=3, associations_per_address=2, turned_away=1, refusal_seconds=0)
    async with listening(book, bounds=bounds) as (acceptor, port):
        async with calling(port), calling(port):
            with pytest.raises(AssociationRejected) as rejected:
                async with calling(port):
                    pass
            assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (2, 3, 1)
            await until(lambda: len(acceptor.associations) == 2)
            _, told = await raw(port)
            await until(lambda: len(acceptor.associations) == 3)
            reader, last = await raw(port)
            assert await reader.read() == b""
            assert book.away == [TurnedAway.TOO_MANY]
            told.close()
            last.close()
        await until(lambda: not acceptor.associations)
        async with calling(port) as association:
            assert await association.echo() == 0


async def test_silence_gives_its_place_to_who_asks() -> None:
    """The oldest who asks for nothing goes when a place is wanted; who is served stays."""
    book = Book()
    bounds = Bounds(associations=3, associations_per_address=3, turned_away=1, refusal_seconds=0)
    async with listening(book, bounds=bounds) as (acceptor, port), calling(port) as served:
        silent = [await raw(port) for _ in range(2)]
        await until(lambda: len(acceptor.associations) == 3)
        async with calling(port) as association:
            assert await association.echo() == 0
            assert await silent[0][0].read() == b""
            assert book.away == [TurnedAway.TOO_MANY]
            assert await served.echo() == 0
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    "said",
    [b"", write_pdu(REQUEST)[:50], b"\x01"],
    ids=["nothing", "half a request", "a byte"],
)
async def test_a_peer_that_asks_for_nothing_is_hung_up_on(said: bytes) -> None:
    """ARTIM: whoever connects has to ask in time."""
    book = Book()
    async with listening(book, bounds=SHORT) as (acceptor, port):
        reader, writer = await raw(port, said)
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
        await until(lambda: not acceptor.associations)
    assert [end.how for end in book.ends] == [HowEnded.LOST]


STORE = message(3, write_command(store_request(1, CT, "1.2")), command=True)


@pytest.mark.parametrize(
    "said",
    [b"", STORE, STORE[:40], STORE + message(3, bytes(99), command=False)[:-5]],
    ids=["nothing", "a command", "half a command", "half an instance"],
)
async def test_a_peer_that_stalls_is_aborted(said: bytes) -> None:
    """Idle time counts whenever it is the peer's turn; a sink that was open is aborted."""
    book = Book()
    async with listening(book, bounds=SHORT) as (acceptor, port):
        reader, writer = await raw(port, write_pdu(REQUEST) + said)
        async with asyncio.timeout(2):
            assert (await reader.read())[-10:-6] == b"\x07\x00\x00\x00"
        writer.close()
        await until(lambda: not acceptor.associations)
    assert [end.how for end in book.ends] == [HowEnded.TOO_SLOW]
    assert book.aborted == len(book.commands)


async def test_a_peer_that_drips_is_ended_in_the_end() -> None:
    """Bytes that keep coming do not keep an association for ever."""
    book = Book()
    bounds = Bounds(total_seconds=0.5, idle_seconds=5)
    async with listening(book, bounds=bounds) as (acceptor, port):
        head = message(3, bytes(60_000), command=False, pdu_length=1 << 20)[:12]
        reader, writer = await raw(port, write_pdu(REQUEST) + STORE + head)
        while not book.ends:
            writer.write(b"x")
            await asyncio.sleep(0.02)
        async with asyncio.timeout(2):
            assert (await reader.read())[-10:-6] == b"\x07\x00\x00\x00"
        writer.close()
        await until(lambda: not acceptor.associations)
    assert [end.how for end in book.ends] == [HowEnded.TOO_SLOW]


async def test_a_peer_that_reads_nothing_is_aborted() -> None:
    """Answers that are not read do not pile up."""
    book = Book()
    echo = message(1, write_command(echo_request(1)), command=True)
    async with listening(book, bounds=SHORT) as (acceptor, port):
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.connect(("127.0.0.1", port))
            peer.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(peer, write_pdu(REQUEST))
            await until(lambda: book.requests)
            loop = asyncio.get_running_loop()
            with contextlib.suppress(OSError):  # however the kernel says that it is over
                while not book.ends:
                    await loop.sock_sendall(peer, echo * 1000)
            await until(lambda: not acceptor.associations)
    assert [end.how for end in book.ends] == [HowEnded.TOO_SLOW]


async def test_a_sink_that_is_behind_holds_its_sender_back() -> None:
    """While the sink waits nothing more is read than the buffers of the kernel and one read of ours."""
    gate = asyncio.Event()
    taken = 0

    class Slow(Keeping):
        def write(self, piece: memoryview) -> Awaitable[None] | None:
            nonlocal taken
            taken += len(piece)
            super().write(piece)
            return None if gate.is_set() else self.wait()

        async def wait(self) -> None:
            await gate.wait()

    book = Book()
    book.sink = lambda command: Slow(book, command)
    data = bytes(range(256)) * 4 * 20_000
    async with listening(book) as (_, port), calling(port) as association:
        storing = asyncio.ensure_future(
            association.store(data, sop_class=CT, sop_instance="1", transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
        )
        await asyncio.sleep(0.3)
        assert taken <= 1 << 20
        assert not storing.done()
        gate.set()
        assert await storing == 0
    assert book.stored["1"] == data


ERRORS = [(Full("no room"), 0xA700), (NotDicom("what is it"), 0xC000), (TooLarge("too much"), 0xA700)]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("where", ["open", "write", "wait", "finish"])
async def test_an_error_of_the_house_is_a_status(error: HuisclosError, status: int, where: str) -> None:
    """Wherever it is raised, the association goes on, and a sink that was open is aborted once."""

    class Failing(Keeping):
        def write(self, piece: memoryview) -> Awaitable[None] | None:
            if where == "write":
                raise error
            return self.fail() if where == "wait" else None

        async def fail(self) -> None:
            raise error

        async def finish(self) -> Status:
            raise error

    def open_sink(command: Command) -> StoreSink | Status:
        if where == "open":
            raise error
        return Failing(book, command)

    book = Book(sink=open_sink)
    async with listening(book) as (_, port), calling(port) as association:
        for _ in range(2):
            with pytest.raises(OperationFailed) as failed:
                await association.store(
                    bytes(400_000), sop_class=CT, sop_instance="1", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
                )
            assert failed.value.status == status
        assert await association.echo() == 0
    assert book.aborted == (0 if where == "open" else 2)


def test_every_error_of_the_house_has_a_status() -> None:
    """No class of the tree is without one."""

    def below(kind: type[HuisclosError]) -> list[type[HuisclosError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in below(sub))]

    for kind in below(HuisclosError):
        assert status_of(kind.__new__(kind)) in Status


async def test_a_refused_instance_is_read_to_its_end() -> None:
    """A status in place of a sink refuses one instance and keeps the association."""
    book = Book(sink=lambda _: Status.NOT_AUTHORIZED)
    async with listening(book) as (_, port), calling(port) as association:
        with pytest.raises(OperationFailed) as failed:
            await association.store(
                bytes(500_000), sop_class=CT, sop_instance="1", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
        assert failed.value.status == Status.NOT_AUTHORIZED
        with pytest.raises(OperationFailed) as failed:
            await association.store(
                b"x", sop_class=CT, sop_instance="../../x", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
        assert failed.value.status == Status.INVALID_INSTANCE
    assert len(book.commands) == 1


async def test_a_bug_in_a_handler_acknowledges_nothing() -> None:
    """What is not an error of the house ends the association; the house goes on."""

    class Broken(Keeping):
        async def finish(self) -> Status:
            raise RuntimeError

    book = Book()
    book.sink = lambda command: Broken(book, command)
    async with listening(book) as (_, port):
        with pytest.raises(AssociationEnded):
            async with calling(port) as association:
                await association.store(
                    b"x", sop_class=CT, sop_instance="1", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
                )
        assert [end.how for end in book.ends] == [HowEnded.FAILED]
        assert book.aborted == 1
        book.sink = None
        async with calling(port) as association:
            assert await association.echo() == 0


async def _echo_until_ended(
    association: AbstractAsyncContextManager[RequestedAssociation], end: Callable[[], Awaitable[None]]
) -> None:
    async with association as one:
        assert await one.echo() == 0
        await end()
        await one.echo()


async def _end_old(acceptor: Acceptor, book: Book) -> None:
    def is_old(one: Association) -> bool:
        return one.request is not None and one.request.calling == "OLD"

    assert acceptor.end(is_old) == 1
    await until(lambda: book.ends)


async def test_removing_a_peer_ends_its_associations() -> None:
    """The picked ones are aborted, the others go on."""
    book = Book()
    async with listening(book) as (acceptor, port), calling(port) as staying:
        with pytest.raises(AssociationEnded):
            await _echo_until_ended(calling(port, title="OLD"), lambda: _end_old(acceptor, book))
        assert await staying.echo() == 0
        assert [end.how for end in book.ends] == [HowEnded.STOPPED]


async def test_stopping_lets_what_runs_finish_and_then_aborts() -> None:
    """Within the grace an association ends by itself; after it, by us; nobody new gets in."""
    book = Book()
    async with listening(book) as (acceptor, port):
        async with calling(port) as association:
            stopping = asyncio.ensure_future(acceptor.stop(5))
            await asyncio.sleep(0.05)
            assert await association.echo() == 0
            with pytest.raises(PeerUnreachable):
                async with calling(port):
                    pass
        await stopping
    assert [end.how for end in book.ends] == [HowEnded.RELEASED]
    async with listening(book) as (acceptor, port):
        with pytest.raises(AssociationEnded):
            await _echo_until_ended(calling(port), lambda: acceptor.stop(0.1))
    assert book.ends[1].how is HowEnded.STOPPED


async def test_a_failing_caller_aborts() -> None:
    """An error inside the block is not a release."""
    book = Book()
    async with listening(book) as (_, port):
        with pytest.raises(KeyError):
            async with calling(port):
                raise KeyError
        await until(lambda: book.ends)
    assert book.ends[0].how is HowEnded.ABORTED


@pytest.mark.parametrize("said", [b"", write_pdu(REQUEST)[:3], b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_peer_that_is_no_dicom_peer(said: bytes) -> None:
    """Silence, half a PDU, or another protocol: the requestor says so in time and hangs up."""
    gone = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        while await reader.read(65536):
            pass
        writer.close()
        gone.set()

    server = await asyncio.start_server(peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises((PeerTooSlow, AssociationEnded)):
        async with calling(port, timeouts=Timeouts(associate=0.2)):
            pass
    await asyncio.wait_for(gone.wait(), 5)
    server.close()
    await server.wait_closed()
    with pytest.raises(PeerUnreachable):
        async with calling(port):
            pass


async def test_what_is_asked_wrongly_is_said_before_connecting() -> None:
    """Titles and proposals are checked at home."""
    with pytest.raises(BadIdentifier):
        async with associate("127.0.0.1", 1, calling="", called=TITLE, contexts=CONTEXTS):
            pass
    with pytest.raises(BadSetting):
        async with associate("127.0.0.1", 1, calling="A", called=TITLE, contexts=[Proposal(CT)] * 129):
            pass


async def test_tls_shows_each_end_the_other(tmp_path: Path) -> None:
    """Certificates are seen on both sides; who has none does not get to ask."""
    house, peer = credentials(tmp_path, "house"), credentials(tmp_path, "peer")
    book = Book()
    async with listening(book, tls=house.context(ssl.Purpose.CLIENT_AUTH, peer)) as (acceptor, port):
        async with associate(
            "127.0.0.1",
            port,
            calling="MODALITY",
            called=TITLE,
            contexts=CONTEXTS,
            tls=peer.context(ssl.Purpose.SERVER_AUTH, house),
            timeouts=QUICK,
        ) as association:
            assert association.certificate == house.der
            data = bytes(range(256)) * 8000
            await association.store(
                data, sop_class=CT, sop_instance="1", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
        assert book.stored["1"] == data
        assert book.requests[0][2] == peer.der
        reader, writer = await raw(port, write_pdu(REQUEST))
        await reader.read()
        writer.close()
        await until(lambda: book.away == [TurnedAway.NO_TLS])
        await until(lambda: not acceptor.associations)
    assert len(book.requests) == 1


async def test_a_tls_handshake_takes_a_place_and_ends_with_the_house(tmp_path: Path) -> None:
    """Who dawdles in the handshake makes room, is hung up on in time, and told of to the handler."""
    house = credentials(tmp_path, "house")
    tls = house.context(ssl.Purpose.CLIENT_AUTH, house)
    book = Book()
    bounds = Bounds(associations=1, turned_away=0, artim_seconds=0.3)
    async with listening(book, tls=tls, bounds=bounds) as (acceptor, port):
        reader, slow = await raw(port)
        await until(lambda: len(acceptor.associations) == 1)
        _, over = await raw(port)
        assert await reader.read() == b""
        await until(lambda: not acceptor.associations)
        assert book.away == [TurnedAway.TOO_MANY, TurnedAway.NO_TLS]
        _, last = await raw(port)
        await until(lambda: len(acceptor.associations) == 1)
        await acceptor.stop(0)
        for writer in (slow, over, last):
            writer.close()
    assert [end.how for end in book.ends] == [HowEnded.STOPPED, HowEnded.LOST, HowEnded.STOPPED]
