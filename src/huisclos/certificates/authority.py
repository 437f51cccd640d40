"""The local authority and its leaves (RFC 5280).

Trusting the authority must not let whoever steals its key stand in for a bank: it carries
critical name constraints (RFC 5280 section 4.2.1.10) for this machine's names and private
addresses, and path length 0. Its key lies sealed to the archive, so leaves are made only while
unlocked; a leaf lives 90 days.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from huisclos.errors import Unreadable

AUTHORITY_DAYS: Final = 3650
LEAF_DAYS: Final = 90
RENEW_DAYS: Final = 30
"""A leaf with less than this left is made anew at unlock."""
_BACKDATED: Final = dt.timedelta(hours=1)
"""For readers whose clock is a little behind."""
_PERMITTED: Final = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
)


@dataclass(frozen=True, slots=True)
class Authority:
    """The local authority with its key."""

    certificate: bytes
    """PEM."""
    key: bytes
    """PKCS 8 PEM, in clear: seal it before it touches a disk."""

    def __repr__(self) -> str:
        return "Authority(...)"


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a listener shows."""

    names: tuple[str, ...]
    until: dt.datetime


def make_authority(host: str, now: dt.datetime) -> Authority:
    """A new authority for the machine called `host`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"huisclos, {host}"[:64])])
    permitted: list[x509.GeneralName] = [x509.DNSName(text) for text in _dns_names(host)]
    permitted += [x509.IPAddress(network) for network in _PERMITTED]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def make_leaf(authority: Authority, host: str, addresses: tuple[str, ...], now: dt.datetime) -> bytes:
    """A leaf for localhost, the loopback addresses, `host` and `addresses`: PEM of chain, then key.

    Left out is what the authority may not vouch for.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    issuer_key = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - we made it
    key = ec.generate_private_key(ec.SECP256R1())
    # a machine may have another name since: with one that is not permitted, no browser takes the leaf at all
    names: list[x509.GeneralName] = [
        one for one in map(x509.DNSName, _dns_names(host)) if one in _permitted(issuer)
    ]
    numbers = dict.fromkeys(ip_address(text) for text in ("127.0.0.1", "::1", *addresses))
    names += [x509.IPAddress(number) for number in numbers if any(number in net for net in _PERMITTED)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "huisclos")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=LEAF_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + authority.certificate + _key_pem(key)


def describe(pem_or_der: bytes) -> Leaf:
    """Names and end of the first certificate. Raises `Unreadable`."""
    certificate = _load(pem_or_der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Leaf((), certificate.not_valid_after_utc)
    texts = [*names.get_values_for_type(x509.DNSName)]
    texts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return Leaf(tuple(texts), certificate.not_valid_after_utc)


def unnamed(names: Iterable[str], addresses: Iterable[str]) -> tuple[str, ...]:
    """Those of `addresses` that are not among the `names` of a leaf: whoever comes there is warned."""
    there = set(names)
    return tuple(address for address in dict.fromkeys(addresses) if address not in there)


def to_der(pem_or_der: bytes) -> bytes:
    """The first certificate as DER. Raises `Unreadable`."""
    return _load(pem_or_der).public_bytes(serialization.Encoding.DER)


def fingerprint(pem_or_der: bytes) -> bytes:
    """SHA-256 of the certificate, 32 bytes. Raises `Unreadable`."""
    return hashlib.sha256(to_der(pem_or_der)).digest()


def fingerprint_text(digest: bytes) -> str:
    """Upper-case hex pairs with colons, as browsers show a fingerprint."""
    return ":".join(f"{byte:02X}" for byte in digest)


def _load(pem_or_der: bytes) -> x509.Certificate:
    try:
        if b"-----BEGIN" in pem_or_der:
            return x509.load_pem_x509_certificate(pem_or_der)
        return x509.load_der_x509_certificate(pem_or_der)
    except ValueError:
        raise Unreadable("this is not a certificate", hint="give one X.509 certificate, PEM or DER") from None


def _dns_names(host: str) -> list[str]:
    ascii_host = host.encode("ascii", "ignore").decode().strip(".").lower()
    return list(dict.fromkeys(name for name in ("localhost", ascii_host) if name and "_" not in name))


def _permitted(authority: x509.Certificate) -> list[x509.GeneralName]:
    """What it may vouch for."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    return constraints.permitted_subtrees or []


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
