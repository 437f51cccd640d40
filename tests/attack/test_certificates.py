"""Pinned certificates: what one of them vouches for is nobody."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from huisclos.access.admission import AssociationAsked
from huisclos.access.peers import KnockReason, PeerAsked
from tests.attack.house import Vault
from tests.vault.world import CONSOLE

ADDRESS = "192.168.1.30"


def _certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None, *, ca: bool
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    return built, key


@pytest.mark.parametrize("ca", [True, False])
async def test_what_a_pinned_certificate_issued_is_not_pinned(vault: Vault, ca: bool) -> None:
    """A pinned authority admits itself alone; the same name, key usage and serial number are not enough."""
    pinned = _certificate("CT1", None, ca=ca)
    issued, _ = _certificate("CT1", pinned, ca=False)
    twin, _ = _certificate("CT1", None, ca=ca)
    asked = PeerAsked("CT1", ADDRESS, certificate=pinned[0].public_bytes(Encoding.DER))
    await vault.services.peers.add(CONSOLE, asked)

    async def admitted(certificate: x509.Certificate | None, title: str = "CT1") -> KnockReason | None:
        shown = certificate.public_bytes(Encoding.DER) if certificate else b""
        wants = AssociationAsked(title, "HUISCLOS", ADDRESS, tls=True, certificate=shown)
        verdict = await vault.services.doorkeeper.admit(wants)
        assert (verdict.source is None) == (verdict.reason is not None)
        return verdict.reason

    assert await admitted(pinned[0]) is None
    assert await admitted(issued) is KnockReason.CERTIFICATE_OTHER
    assert await admitted(twin) is KnockReason.CERTIFICATE_OTHER
    assert await admitted(None) is KnockReason.CERTIFICATE_MISSING
    assert await admitted(pinned[0], "CT2") is KnockReason.TITLE_UNKNOWN
