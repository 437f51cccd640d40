"""Where the time of one stored instance goes: each step by itself, in the order of its way in.

    python bench/stages.py [FOLDER]

FOLDER lies on the disk to be measured; without it, where temporary files go. Medians, in microseconds,
of a 512 KB slice; beside them what the machine itself takes for the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.images import template
from huisclos.archive.hands import Hands
from huisclos.archive.layout import instance_place, new_id
from huisclos.channel.calls import NOTHING, Channel, Methods, Nothing
from huisclos.dicom.heading import HeadingReader
from huisclos.dicom.part10 import read_part10
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.messages import fragments
from huisclos.dimse.protocol.reader import Reader
from huisclos.seal import X25519_HEADER_LENGTH, Sealer, X25519Identity
from huisclos.stores.local import LocalStore
from huisclos.stores.system import rename_new, sync_folder

TIMES: Final = 200
READ: Final = 256 * 1024
"""Bytes that reception reads at once."""
_PDU: Final = 128 * 1024
_CONTEXT: Final = 1
_LOOK: Final = 4096
_RECIPIENT: Final = X25519Identity.generate().recipient

Row = tuple[str, float]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="hcstages", dir=sys.argv[1] if sys.argv[1:] else None) as work:
        content = template()
        start = read_part10(content[:_LOOK])
        data_set = content[start.data_offset :]
        rows = [
            ("loopback, both ends", loopback(data_set)),
            ("protocol: PDUs and fragments", protocol(data_set)),
            ("heading", median(lambda: HeadingReader(start.syntax).feed(data_set[:READ]))),
            ("sealing the payload", median(lambda: seal(data_set))),
            ("the same, cipher alone", median(partial(cipher, data_set, ChaCha20Poly1305(bytes(32))))),
            ("SHA-256 of the data set", median(lambda: hashlib.sha256(data_set).digest())),
            ("header: X25519 and MAC", median(lambda: Sealer().header([_RECIPIENT]))),
            *disk(Path(work), data_set),
            ("thread, there and back", asyncio.run(hop())),
            ("process, there and back", call()),
        ]
        rows.append(
            ("whole object to LocalStore", median(partial(whole, LocalStore(Path(work) / "a"), data_set)))
        )
    shown = Table("one instance of 512 KB", "us")
    for name, microseconds in rows:
        shown.add_row(name, f"{microseconds:.0f}")
    Console().print(shown)


def median(once: Callable[[], object]) -> float:
    """Microseconds, the median of `TIMES`."""
    spent = []
    for _ in range(TIMES):
        began = time.perf_counter()
        once()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1e6


async def awaited(once: Callable[[], Awaitable[object]]) -> float:
    """As `median`, of what is waited for."""
    spent = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await once()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1e6


def loopback(data_set: bytes) -> float:
    """A TCP connection of this machine: sent by one thread, read by another as reception reads."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver, _ = listener.accept()
    room = memoryview(bytearray(READ))
    go = threading.Semaphore(0)

    def send() -> None:
        for _ in range(TIMES):
            go.acquire()
            sender.sendall(data_set)

    sending = threading.Thread(target=send)
    sending.start()

    def once() -> None:
        go.release()
        left = len(data_set)
        while left:
            left -= receiver.recv_into(room)

    spent = median(once)
    sending.join()
    for each in (sender, receiver, listener):
        each.close()
    return spent


def protocol(data_set: bytes) -> float:
    """The bytes of a data set in PDUs as DCMTK sends them, cut up again."""
    pdus = fragments(_CONTEXT, memoryview(data_set), command=False, last=True, pdu_length=_PDU)
    stream = memoryview(b"".join(pdus))
    reader = Reader(Bounds())

    def once() -> None:
        for at in range(0, len(stream), READ):
            reader.feed(stream[at : at + READ])
            while reader.read() is not None:
                pass

    return median(once)


def seal(data_set: bytes) -> None:
    """As it arrives, two or three pieces."""
    sealer = Sealer()
    for at in range(0, len(data_set), READ):
        sealer.update(data_set[at : at + READ])
    sealer.finish()


def cipher(data_set: bytes, aead: ChaCha20Poly1305) -> None:
    """All at once, one nonce: what sealing cannot be faster than."""
    aead.encrypt(bytes(12), data_set, None)


def disk(work: Path, data_set: bytes) -> list[Row]:
    """The system calls that make a file durable, one by one."""
    folder = work / "disk"
    folder.mkdir()
    spent: dict[str, list[float]] = {}

    def step(name: str, do: Callable[[], object]) -> None:
        began = time.perf_counter()
        do()
        spent.setdefault(name, []).append(time.perf_counter() - began)

    for _ in range(TIMES):
        old, new = str(work / secrets.token_hex(16)), str(folder / secrets.token_hex(16))
        opened: list[int] = []
        step("making a file", partial(_make, old, opened))
        step("writing it", partial(os.write, opened[0], data_set))
        step("fdatasync", partial(os.fdatasync, opened[0]))
        step("renaming it", partial(rename_new, old, new))
        step("fsync of its folder", partial(sync_folder, str(folder)))
        os.close(opened[0])
    return [(name, statistics.median(every) * 1e6) for name, every in spent.items()]


def _make(path: str, opened: list[int]) -> None:
    opened.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def whole(store: LocalStore, data_set: bytes) -> None:
    """Seal, write and commit, one step after the other."""
    sealer = Sealer()
    writing = store.begin(X25519_HEADER_LENGTH)
    for at in range(0, len(data_set), READ):
        sealer.update_into(data_set[at : at + READ], writing.room)
    sealer.finish_into(writing.room)
    writing.commit(instance_place("ab" * 16, new_id()), sealer.header([_RECIPIENT]))


async def hop() -> float:
    """From the loop to a thread that does nothing, and back."""
    with Hands(1) as hands:
        return await awaited(lambda: hands.run(int))


def call() -> float:
    """A call to another process that answers nothing."""
    mine, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        mine.close()
        asyncio.run(_answering(theirs))
        os._exit(0)
    theirs.close()
    spent = asyncio.run(_calling(mine))
    os.waitpid(child, 0)
    return spent


async def _calling(sock: socket.socket) -> float:
    channel = await Channel.over(sock)
    try:
        return await awaited(lambda: channel.call("nothing", NOTHING, Nothing))
    finally:
        channel.close()


async def _answering(sock: socket.socket) -> None:
    methods = Methods()

    async def nothing(asked: Nothing) -> Nothing:
        return asked

    methods.add("nothing", Nothing, nothing)
    await (await Channel.over(sock, methods)).closed()


if __name__ == "__main__":
    main()
