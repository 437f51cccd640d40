"""TLS as a door: is a client certificate demanded, which versions are taken, what certificate is shown.

TLS 1.3 lets a client without a certificate finish its handshake and refuses at the first read: so a question
is always sent, and its answer read, before anything is concluded.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.items import UserInformation
from huisclos.dimse.protocol.machine import Machine, Side
from huisclos.dimse.protocol.names import IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.protocol.pdus import AssociateRequest, ProposedContext
from huisclos.doors.probes.dicom import CALLING
from huisclos.doors.probes.host import Host
from huisclos.errors import PeerTooSlow
from huisclos.findings.evidence import Fact, facts

_FIRST: Final = 6
"""bytes of a PDU's head; enough to tell HTTP, too"""
_PDUS: Final = (2, 3, 7)
"""A-ASSOCIATE-AC, A-ASSOCIATE-RJ, A-ABORT (PS3.8 section 9.3)"""
_ACCEPT: Final = 2


class Spoke(Enum):
    """What answered an A-ASSOCIATE-RQ over TLS."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    """in DICOM"""
    WEB = "web"
    CERTIFICATE = "certificate"
    """it wants a certificate"""
    FAILED = "failed"
    """it ended the handshake without a word on what was wanted"""
    HUNG_UP = "hung-up"
    """TLS came about, and then it hung up: the alert that would say why is lost when it closes at once"""
    NOTHING = "nothing"
    """it said something else"""
    NO_TLS = "no-tls"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What one connection came to."""

    spoke: Spoke
    version: str | None = None
    certificate: bytes | None = None


def stranger(
    *, newest: ssl.TLSVersion | None = None, certificate: tuple[Path, Path] | None = None
) -> ssl.SSLContext:
    """A client that looks at every certificate and trusts none: it has nothing to hide, and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Old versions and weak suites must be tried to be found; the library warns of each.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        if newest is not None:
            context.maximum_version = newest
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


async def first_read(host: Host, context: ssl.SSLContext) -> Handshake:
    """Handshake, ask for an association, and read.

    Raises `OutOfTurns`, `PeerUnreachable`, and `PeerTooSlow` when no handshake came about in time.
    """
    async with host.turn():
        sock = await host.connect()
        try:
            async with asyncio.timeout(host.seconds):
                reader, writer = await asyncio.open_connection(
                    sock=sock, ssl=context, server_hostname=host.target.host.rstrip(".")
                )
        except ssl.SSLError as error:
            return Handshake(_why(error))
        except TimeoutError:
            host.silent()
            raise PeerTooSlow("no handshake in time") from None
        except OSError:
            return Handshake(Spoke.NO_TLS)
        try:
            return await _ask(host, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()


async def _ask(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Handshake:
    session: ssl.SSLObject = writer.get_extra_info("ssl_object")
    version, shown = session.version(), session.getpeercert(binary_form=True)
    try:
        writer.write(association_request())
        await writer.drain()
        async with asyncio.timeout(host.seconds / 2):
            head = await reader.read(_FIRST)
    except TimeoutError:
        # Some web servers wait for the end of a line that this is not.
        host.silent()
        return Handshake(Spoke.NOTHING, version, shown)
    except ssl.SSLError as error:
        return Handshake(_why(error), version, shown)
    except OSError:
        head = b""
    if head.startswith(b"HTTP"):
        return Handshake(Spoke.WEB, version, shown)
    if head and head[0] in _PDUS:
        return Handshake(Spoke.ACCEPTED if head[0] == _ACCEPT else Spoke.REFUSED, version, shown)
    return Handshake(Spoke.NOTHING if head else Spoke.HUNG_UP, version, shown)


def _why(error: ssl.SSLError) -> Spoke:
    reason = error.reason or ""
    if "ALERT" not in reason:
        return Spoke.NO_TLS
    if "HANDSHAKE_FAILURE" in reason:
        return Spoke.FAILED
    return Spoke.CERTIFICATE if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason else Spoke.NO_TLS


def association_request() -> bytes:
    """An A-ASSOCIATE-RQ for verification, as it goes out (PS3.8 section 9.3.2)."""
    machine = Machine(Side.REQUESTOR, Bounds())
    machine.ask(
        AssociateRequest(
            called="ANY-SCP",
            calling=CALLING,
            contexts=(ProposedContext(1, VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,)),),
            user=UserInformation(max_length=16 * 1024),
        )
    )
    machine.open_transport()
    return b"".join(machine.take_outgoing())


def certificate_facts(der: bytes, now: datetime) -> tuple[Fact, ...]:
    """Days left, days in all, kind and size of key, digest, whether it signs itself; no name in it.

    Of a kind of key or a digest that the library does not know, the rest is told; nothing of what is no
    certificate.
    """
    try:
        shown = x509.load_der_x509_certificate(der)
        left = (shown.not_valid_after_utc - now).days
        width = (shown.not_valid_after_utc - shown.not_valid_before_utc).days
        itself = shown.issuer == shown.subject
    except (ValueError, TypeError):  # the latter for names that are no text
        return ()
    key = algorithm = None
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        key = shown.public_key()
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        algorithm = shown.signature_hash_algorithm
    bits = kind = None
    if isinstance(key, rsa.RSAPublicKey):
        kind, bits = "rsa", key.key_size
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, bits = "ec", key.key_size
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        kind = "ed25519"
    name = algorithm.name if algorithm is not None else None
    return facts(
        days=left,
        width=width,
        class_=kind,
        bits=bits,
        value=name if name in ("sha1", "sha256") else None,
        self_=itself,
    )


@contextlib.contextmanager
def throwaway(now: datetime, days: int = 0) -> Iterator[tuple[Path, Path]]:
    """Files of a certificate that nobody can know, and of its key; gone at the end."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CALLING)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    with tempfile.TemporaryDirectory(prefix="huisclos-") as folder:
        paths = Path(folder, "certificate.pem"), Path(folder, "key.pem")
        paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        yield paths
