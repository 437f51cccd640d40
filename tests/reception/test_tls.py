"""TLS with real peers, as BCP 195 wants it (PS3.15 annex B.12): pinned certificates and nothing old."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from huisclos.access.peers import KnockReason
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN
from huisclos.dimse.requestor import associate
from tests.archive.samples import CT, data_set, uid
from tests.archive.world import World
from tests.corpus import named
from tests.dimse.listening import TITLE, Credentials, credentials, run, until
from tests.dimse.speaking import QUICK
from tests.reception.desk import Desk, DoorBook, Enrolled, receiving
from tests.tools import need, program


def pinned(peer: Credentials, *, expired: bool = False) -> Enrolled:
    """A peer known by its certificate."""
    return Enrolled("SCANNER", certificate=peer.der, expired=expired)


def old(folder: Path) -> Credentials:
    """A plain self-signed certificate that ran out years ago, and is no authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old scanner")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2015, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    made = Credentials(
        folder / "old.key", folder / "old.pem", certificate.public_bytes(serialization.Encoding.DER)
    )
    made.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return made


async def send(desk: Desk, own: Credentials, *tls: str | Path) -> tuple[int, str]:
    """DCMTK sends an image with these options."""
    titles = ["-aet", "SCANNER", "-aec", TITLE]
    target = ["127.0.0.1", str(desk.tls), str(named("CT_small.dcm"))]
    return await run(program("storescu"), "-v", *tls, "+cf", own.certificate, *titles, *target)


async def test_a_pinned_certificate(world: World, own: Credentials, leaf: Path, tmp_path: Path) -> None:
    """Self-signed and pinned: let through; none and another: not, each with its reason."""
    peer, other = credentials(tmp_path, "peer"), credentials(tmp_path, "other")
    async with receiving(world, DoorBook([pinned(peer)]), leaf) as desk:
        code, said = await send(desk, own, "+tls", peer.key, peer.certificate)
        assert code == 0, said
        assert "Success" in said
        asked = desk.door.asked[0]
        assert (asked.tls, asked.certificate) == (True, peer.der)
        code, said = await send(desk, own, "+tla")
        assert code != 0
        assert "No Reason" in said
        assert (desk.door.asked[1].tls, desk.door.asked[1].certificate) == (True, b"")
        code, _ = await send(desk, own, "+tls", other.key, other.certificate)
        assert code != 0
        assert len(desk.door.asked) == 2
        await until(lambda: desk.door.away)
        assert desk.door.away == [("127.0.0.1", "dicom_tls", KnockReason.CERTIFICATE_OTHER)]
        await desk.echoing.pin(other.der)
        desk.door.peers.append(pinned(other))
        code, said = await send(desk, own, "+tls", other.key, other.certificate)
        assert code == 0, said
    assert len(desk.kept()) == 1


async def test_a_pin_that_is_no_certificate(
    world: World, own: Credentials, leaf: Path, tmp_path: Path
) -> None:
    """It keeps nobody else outside."""
    peer = credentials(tmp_path, "peer")
    broken = Enrolled("BROKEN", certificate=b"not DER")
    async with receiving(world, DoorBook([broken, pinned(peer)]), leaf) as desk:
        code, said = await send(desk, own, "+tls", peer.key, peer.certificate)
        assert code == 0, said


async def test_an_expired_certificate_stores_with_a_warning(
    world: World, own: Credentials, leaf: Path, tmp_path: Path
) -> None:
    """The handshake lets it through, admission marks it, and each store is answered B000."""
    need("storescu")
    peer = old(tmp_path)
    async with receiving(world, DoorBook([pinned(peer, expired=True)]), leaf) as desk:
        _, said = await send(desk, own, "+tls", peer.key, peer.certificate)
        assert "Warning" in said, said
        assert "Coercion" in said or "B000" in said.upper(), said
    assert len(desk.kept()) == 1


@pytest.mark.parametrize("profile", ["+px", "+py", "+pz"])
async def test_the_profiles_of_dcmtk(
    world: World, own: Credentials, leaf: Path, tmp_path: Path, profile: str
) -> None:
    """The profiles of PS3.15 that are not retired: BCP 195, its non-downgrading and its extended form."""
    peer = credentials(tmp_path, "peer")
    async with receiving(world, DoorBook([pinned(peer)]), leaf) as desk:
        code, said = await send(desk, own, "+tls", peer.key, peer.certificate, profile)
    assert code == 0, said


@pytest.mark.parametrize(
    ("options", "let_in"),
    [
        (["-tls1_3"], True),
        (["-tls1_2"], True),
        (["-tls1_1"], False),
        (["-tls1"], False),
        (["-tls1_2", "-cipher", "AES256-SHA"], False),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], False),
        (["-tls1_2", "-cipher", "NULL"], False),
    ],
)
async def test_what_openssl_may_negotiate(
    world: World, own: Credentials, leaf: Path, options: list[str], *, let_in: bool
) -> None:
    """Only 1.2 and 1.3, only with forward secrecy and authenticated encryption."""
    cipher = [] if "-cipher" in options else ["-cipher", "DEFAULT:@SECLEVEL=0"]
    if "-cipher" in options:
        options = [*options[:-1], options[-1] + ":@SECLEVEL=0"]
    async with receiving(world, DoorBook(), leaf) as desk:
        target = ["-connect", f"127.0.0.1:{desk.tls}", "-CAfile", str(own.certificate), "-brief"]
        code, said = await run(program("openssl"), "s_client", *target, *cipher, *options)
    assert ("CONNECTION ESTABLISHED" in said) is let_in, said
    assert (code == 0) is let_in


async def test_many_pdus_over_tls(house: World, own: Credentials, leaf: Path, tmp_path: Path) -> None:
    """A large instance over TLS comes through whole."""
    peer = credentials(tmp_path, "peer")
    context = peer.context(ssl.Purpose.SERVER_AUTH, own)
    sent = data_set(pixels=bytes(range(256)) * 40_000)
    async with receiving(house, DoorBook([pinned(peer)]), leaf) as desk:
        async with associate(
            "127.0.0.1",
            desk.tls,
            calling="SCANNER",
            called=TITLE,
            contexts=[Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))],
            tls=context,
            timeouts=QUICK,
        ) as association:
            stored = association.store(
                sent, sop_class=CT, sop_instance=uid(1, 1, 1), transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
            assert await stored == 0
        (kept,) = desk.kept()
        assert desk.data_set(kept) == sent


async def test_a_handshake_that_never_comes(world: World, leaf: Path) -> None:
    """A silent connection to the TLS port is given back when the peer goes."""
    async with receiving(world, DoorBook(), leaf) as desk:
        _, writer = await asyncio.open_connection("127.0.0.1", desk.tls)
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await until(lambda: desk.door.away)
