"""DCMTK on loopback, both ways, plain and over TLS, as it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from huisclos.dimse.handling import Admission, HowEnded
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.requestor import associate
from huisclos.errors import AssociationRejected, OperationFailed
from tests.corpus import files, named
from tests.dimse.listening import CT, TITLE, Book, Keeping, credentials, listening, run, until
from tests.dimse.speaking import (
    QUICK,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    data_set_of,
    identifier,
    instances,
    read_identifier,
)
from tests.tools import free_port, need, program

MARGIN = 100
"""Instances a second that a stock sender reaches on the slowest machine, and never behind the 40 ms cliff."""


@pytest.mark.parametrize("options", [[], ["--max-pdu", "131072"], ["--propose-pc", "128"]])
async def test_echoscu(options: list[str]) -> None:
    """DCMTK's echo, up to the most presentation contexts there can be."""
    book = Book()
    async with listening(book) as (_, port):
        code, said = await run(program("echoscu"), *options, "-aec", TITLE, "127.0.0.1", str(port))
        assert code == 0, said
        await until(lambda: book.ends)
    assert book.echoes == 1
    assert [end.how for end in book.ends] == [HowEnded.RELEASED]


async def test_a_refused_echoscu_is_told_so() -> None:
    """DCMTK shows the rejection as the Standard words it."""
    async with listening(Book(admission=Admission())) as (_, port):
        code, said = await run(program("echoscu"), "127.0.0.1", str(port))
    assert code != 0
    assert "Rejected Permanent" in said
    assert "Service User" in said
    assert "No Reason" in said


SENT = ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "ExplVR_BigEnd.dcm", "waveform_ecg.dcm"]


@pytest.mark.parametrize("sender", ["storescu", "dcmsend"])
async def test_every_byte_of_a_data_set_arrives(sender: str, tmp_path: Path) -> None:
    """Whatever the class and transfer syntax, what DCMTK reads is what comes in, under its own names."""
    book = Book()
    wanted = [path for path in files() if path.name in SENT]
    options = ["-xf", _profile(tmp_path, wanted), "All"] if sender == "storescu" else ["--no-halt"]
    if sender == "dcmsend":
        wanted.remove(named("ExplVR_BigEnd.dcm"))  # it turns big endian around itself
    async with listening(book) as (_, port):
        code, said = await run(program(sender), *options, "-aec", TITLE, "127.0.0.1", str(port), *wanted)
        assert code == 0, said
    assert len(book.stored) == len(wanted)
    for path in wanted:
        meta = dcmread(path, stop_before_pixels=True)
        command, context = next(one for one in book.commands if one[0].sop_instance == meta.SOPInstanceUID)
        assert context.abstract_syntax == command.sop_class == meta.SOPClassUID
        assert context.transfer_syntax == meta.file_meta.TransferSyntaxUID
    assert book.stored[dcmread(named("CT_small.dcm")).SOPInstanceUID]


def _profile(folder: Path, wanted: list[Path]) -> str:
    """A DCMTK association profile that proposes each file's class in its own transfer syntax."""
    lines = ["[[TransferSyntaxes]]"]
    metas = [dcmread(path, stop_before_pixels=True).file_meta for path in wanted]
    for at, meta in enumerate(metas):
        lines += [f"[T{at}]", f"TransferSyntax1 = {meta.TransferSyntaxUID}"]
    lines += ["[[PresentationContexts]]", "[P]"]
    for at, meta in enumerate(metas):
        lines.append(f"PresentationContext{at + 1} = {meta.MediaStorageSOPClassUID}\\T{at}")
    lines += ["[[Profiles]]", "[All]", "PresentationContexts = P"]
    path = folder / "profile.cfg"
    path.write_text("\n".join(lines), encoding="ascii")
    return str(path)


@pytest.mark.parametrize("announced", [16_384, 131_072])
@pytest.mark.parametrize("pixels", [20_000, 100_000])
async def test_a_stock_sender_does_not_fall_off_the_cliff(
    announced: int, pixels: int, tmp_path: Path
) -> None:
    """A sender as it is installed, in a clean environment.

    Without TCP_QUICKACK after each read, three of these four are at 25 a second.
    """
    book = Book()
    made = instances(tmp_path / "made", 100, pixels)
    async with listening(book, bounds=Bounds(announced_pdu_length=announced)) as (_, port):
        began = time.perf_counter()
        code, said = await run(program("storescu"), "127.0.0.1", str(port), *made)
        took = time.perf_counter() - began
    assert code == 0, said
    assert list(book.stored.values()) == [data_set_of(path) for path in made]
    assert len(made) / took > MARGIN, f"{len(made) / took:.0f} instances a second"


async def test_dcmtk_over_tls(tmp_path: Path) -> None:
    """Both ways with certificates on both sides."""
    need("storescu", "storescp")
    house, peer = credentials(tmp_path, "house"), credentials(tmp_path, "peer")
    made = instances(tmp_path / "made", 20, 200_000)
    book = Book()
    async with listening(book, tls=house.context(ssl.Purpose.CLIENT_AUTH, peer)) as (_, port):
        own = ["+tls", str(peer.key), str(peer.certificate), "+cf", str(house.certificate)]
        code, said = await run(program("storescu"), *own, "127.0.0.1", str(port), *made)
        assert code == 0, said
    assert book.requests[0][2] == peer.der
    assert [data_set_of(path) for path in made] == list(book.stored.values())
    received = tmp_path / "received"
    received.mkdir()
    own = ["+tls", str(peer.key), str(peer.certificate), "+cf", str(house.certificate)]
    async with (
        serving("storescp", *own, "-od", str(received)) as port,
        associate(
            "127.0.0.1",
            port,
            calling=TITLE,
            called="STORESCP",
            contexts=[Proposal(VERIFICATION), Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))],
            tls=house.context(ssl.Purpose.SERVER_AUTH, peer),
            timeouts=QUICK,
        ) as association,
    ):
        assert association.certificate == peer.der
        assert await association.echo() == 0
        for path in made:
            await association.store(
                data_set_of(path),
                sop_class=CT,
                sop_instance=str(dcmread(path).SOPInstanceUID),
                transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
            )
    assert len(list(received.iterdir())) == len(made)


@contextlib.asynccontextmanager
async def serving(name: str, *options: str, cwd: Path | None = None, port: int = 0) -> AsyncIterator[int]:
    """A DCMTK server on a port of loopback, once it answers; its port."""
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        program(name),
        *options,
        str(port),
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "TCP_NODELAY": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_storescp_takes_what_we_send(tmp_path: Path) -> None:
    """Echo and store towards DCMTK, which writes the very bytes down; and an object of many PDUs."""
    need("storescp")
    made = [named("CT_small.dcm"), *instances(tmp_path / "made", 2, 3_000_000)]
    async with (
        serving("storescp", "+B", "-od", str(tmp_path)) as port,
        associate(
            "127.0.0.1",
            port,
            calling=TITLE,
            called="STORESCP",
            contexts=[Proposal(VERIFICATION), Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))],
            timeouts=QUICK,
        ) as association,
    ):
        assert association.accept is not None
        assert association.accept.user.implementation_version is not None
        assert await association.echo() == 0
        for path in made:
            uid = str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)
            status = await association.store(
                data_set_of(path), sop_class=CT, sop_instance=uid, transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
            assert status == 0
            assert data_set_of(_written(tmp_path, uid)) == data_set_of(path)


def _written(folder: Path, uid: str) -> Path:
    (found,) = [path for path in folder.iterdir() if path.is_file() and uid in path.name]
    return found


async def test_storescp_that_refuses(tmp_path: Path) -> None:
    """The three numbers of DCMTK's rejection are told apart."""
    need("storescp")
    async with serving("storescp", "--refuse", "-od", str(tmp_path)) as port:
        with pytest.raises(AssociationRejected) as rejected:
            async with associate(
                "127.0.0.1",
                port,
                calling=TITLE,
                called="X",
                contexts=[Proposal(VERIFICATION)],
                timeouts=QUICK,
            ):
                pass
    assert (rejected.value.result, rejected.value.source) == (1, 1)


RETRIEVE = [
    Proposal(VERIFICATION),
    Proposal(STUDY_ROOT_FIND),
    Proposal(STUDY_ROOT_GET),
    Proposal(STUDY_ROOT_MOVE),
    Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,), scp=True),
]


async def test_dcmqrscp_finds_gives_and_moves(tmp_path: Path) -> None:
    """Find, with a limit as well, get and move against DCMTK's archive."""
    need("dcmqrscp")
    made = instances(tmp_path / "made", 5, 100_000)
    study = str(dcmread(made[0]).StudyInstanceUID)
    book = Book()
    async with listening(book) as (_, own), _archive(tmp_path, own) as port:
        async with _calling_archive(port) as association:
            for path in made:
                await association.store(
                    data_set_of(path),
                    sop_class=CT,
                    sop_instance=str(dcmread(path).SOPInstanceUID),
                    transfer_syntax=EXPLICIT_LITTLE_ENDIAN,
                )
        async with _calling_archive(port) as association:
            syntax = association.context_for(STUDY_ROOT_FIND).transfer_syntax
            implicit = syntax == IMPLICIT_LITTLE_ENDIAN
            wanted = identifier(
                implicit,
                QueryRetrieveLevel="IMAGE",
                StudyInstanceUID=study,
                SeriesInstanceUID=str(dcmread(made[0]).SeriesInstanceUID),
                SOPInstanceUID="",
            )
            found = [
                read_identifier(one, syntax)
                async for one in association.find(wanted, sop_class=STUDY_ROOT_FIND)
            ]
            assert {str(one.SOPInstanceUID) for one in found} == {f"2.25.1000{at}" for at in range(5)}
            few = [one async for one in association.find(wanted, sop_class=STUDY_ROOT_FIND, limit=2)]
            assert len(few) == 2
            wanted = identifier(implicit=implicit, QueryRetrieveLevel="STUDY", StudyInstanceUID=study)
            mine = Book()
            got = await association.get(wanted, sop_class=STUDY_ROOT_GET, open_sink=_opener(mine))
            assert (got.status, got.completed, got.failed) == (0, 5, 0)
            assert set(mine.stored.values()) == {data_set_of(path) for path in made}
            moved = await association.move(wanted, sop_class=STUDY_ROOT_MOVE, destination=TITLE)
            assert (moved.status, moved.completed, moved.failed) == (0, 5, 0)
            with pytest.raises(OperationFailed) as failed:
                await association.move(wanted, sop_class=STUDY_ROOT_MOVE, destination="NOWHERE")
            assert failed.value.status == 0xA801
    assert set(book.stored) == {f"2.25.1000{at}" for at in range(5)}


def _opener(book: Book) -> Callable[..., Any]:
    return lambda command, _context: Keeping(book, command)


def _calling_archive(port: int) -> Any:
    return associate("127.0.0.1", port, calling=TITLE, called="ARCHIVE", contexts=RETRIEVE, timeouts=QUICK)


@contextlib.asynccontextmanager
async def _archive(folder: Path, own_port: int) -> AsyncIterator[int]:
    """DCMTK's archive, which knows us as a move destination."""
    (folder / "archive").mkdir()
    port = free_port()
    settings = folder / "dcmqrscp.cfg"
    settings.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nus = ({TITLE}, 127.0.0.1, {own_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nARCHIVE {folder}/archive RW (200, 1024mb) ANY\nAETable END\n",
        encoding="ascii",
    )
    async with serving("dcmqrscp", "-c", str(settings), port=port) as found:
        yield found


async def test_a_large_object_streams(tmp_path: Path) -> None:
    """64 MB arrive in pieces none of which is larger than one read."""
    need("storescu")
    (made,) = instances(tmp_path / "made", 1, 64_000_000)
    longest = total = 0

    class Counting:
        def write(self, piece: memoryview) -> None:
            nonlocal longest, total
            longest, total = max(longest, len(piece)), total + len(piece)

        async def finish(self) -> Any:
            return Status.SUCCESS

        def abort(self) -> None:
            raise AssertionError

    book = Book(sink=lambda _: Counting())
    async with listening(book, bounds=Bounds(object_length=65_000_000)) as (_, port):
        code, said = await run(program("storescu"), "127.0.0.1", str(port), made)
        assert code == 0, said
    assert total == len(data_set_of(made))
    assert longest <= 256 * 1024
