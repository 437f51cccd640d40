"""An acceptor on loopback whose handler writes down what happened, and what a peer of it needs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from huisclos.dimse.acceptor import Acceptor
from huisclos.dimse.handling import Admission, Ended, StoreSink, TurnedAway
from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import Command
from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.names import VERIFICATION
from huisclos.dimse.protocol.pdus import AssociateRequest
from huisclos.dimse.protocol.statuses import Status
from huisclos.dimse.storage import is_storage

TITLE = "HUISCLOS"
CT = "1.2.840.10008.5.1.4.1.1.2"
CLEAN: Mapping[str, str] = {"PATH": "/usr/bin:/bin"}
"""The environment of a stock peer: nothing that tunes it."""


def is_storage_or_verification(abstract_syntax: str) -> bool:
    """What a peer that may store and echo may ask for."""
    return abstract_syntax == VERIFICATION or is_storage(abstract_syntax)


@dataclass
class Book:
    """What happened at an acceptor, and what it is to do."""

    admission: Admission = field(default_factory=lambda: Admission(is_storage_or_verification))
    release_seconds: float = 0.0
    requests: list[tuple[AssociateRequest, str, bytes | None]] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    commands: list[tuple[Command, AcceptedContext]] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    away: list[TurnedAway] = field(default_factory=list)
    aborted: int = 0
    echoes: int = 0
    sink: Callable[[Command], StoreSink | Status] | None = None


@dataclass
class Keeping:
    """A sink that keeps its instance in the book."""

    book: Book
    command: Command
    pieces: list[bytes] = field(default_factory=list)

    def write(self, piece: memoryview) -> Awaitable[None] | None:
        """See `StoreSink`."""
        self.pieces.append(bytes(piece))
        return None

    async def finish(self) -> Status:
        """See `StoreSink`."""
        await asyncio.sleep(0)
        self.book.stored[self.command.sop_instance or ""] = b"".join(self.pieces)
        return Status.SUCCESS

    def abort(self) -> None:
        """See `StoreSink`."""
        self.book.aborted += 1


@dataclass
class Writing:
    """A handler that writes down what it is asked."""

    book: Book

    async def admit(self, request: AssociateRequest, address: str, certificate: bytes | None) -> Admission:
        """See `Handler`."""
        self.book.requests.append((request, address, certificate))
        return self.book.admission

    def on_store(self, command: Command, context: AcceptedContext) -> StoreSink | Status:
        """See `Handler`."""
        self.book.commands.append((command, context))
        return self.book.sink(command) if self.book.sink else Keeping(self.book, command)

    async def on_echo(self) -> Status:
        """See `Handler`."""
        self.book.echoes += 1
        return Status.SUCCESS

    async def on_other(self, command: Command, context: AcceptedContext) -> Status:
        """See `Handler`."""
        self.book.commands.append((command, context))
        return Status.UNRECOGNIZED_OPERATION

    async def on_release(self) -> None:
        """See `Handler`."""
        await asyncio.sleep(self.book.release_seconds)

    def ended(self, reason: Ended) -> None:
        """See `Handler`."""
        self.book.ends.append(reason)


@contextlib.asynccontextmanager
async def listening(
    book: Book,
    *,
    bounds: Bounds | None = None,
    tls: ssl.SSLContext | None = None,
    gatekeeper: Callable[[str], bool] = lambda _: True,
) -> AsyncIterator[tuple[Acceptor, int]]:
    """An acceptor on a port of loopback, and that port."""
    acceptor = Acceptor(
        lambda _address, _tls: Writing(book),
        gatekeeper=gatekeeper,
        turned_away=lambda _, why: book.away.append(why),
        bounds=bounds or Bounds(refusal_seconds=0.01),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    acceptor.listen(listener, tls=tls)
    try:
        yield acceptor, port
    finally:
        await acceptor.stop(0)


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until `condition` holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def run(*command: str | Path, env: Mapping[str, str] = CLEAN, seconds: float = 60.0) -> tuple[int, str]:
    """A peer's program: its exit code, and all it said."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, said.decode("utf-8", "replace")


@dataclass(frozen=True)
class Credentials:
    """A key and its self-signed certificate, as files."""

    key: Path
    certificate: Path
    der: bytes

    def context(self, side: ssl.Purpose, trusted: Credentials) -> ssl.SSLContext:
        """A context of `side` that shows these and demands `trusted`."""
        context = ssl.create_default_context(side, cafile=str(trusted.certificate))
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def credentials(folder: Path, name: str) -> Credentials:
    """New credentials for `name` on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Credentials(
        folder / f"{name}.key", folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.DER)
    )
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made
