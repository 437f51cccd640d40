"""The manifest: what the archive accepted into a study, signed, and sealed to the study.

Sealing is not authorship: whoever can write the disk can seal to a public key. So the vault signs
what belongs to a study, and an object is served only if its header MAC, payload nonce and length
are those of its entry; an older manifest, or one of another study, is told by the version and
digest the index keeps.

    sealed to the study:  signature (64 bytes, Ed25519) || body (msgpack of `Manifest`)
    signed:               "huisclos manifest v1" NUL || body
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from huisclos.archive.nouns import Manifest, ManifestEntry, Standing, StudyState
from huisclos.errors import Tampered, Unreadable, WrongObject
from huisclos.seal import HeaderFacts, X25519Identity, X25519Recipient, seal, unseal

SIGNATURE: Final = 64
_DOMAIN: Final = b"huisclos manifest v1\0"
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """The body, the same bytes for equal manifests. Raises `ValueError` for ids that come twice."""
    ids = {entry.instance_id for entry in manifest.instances}
    if len(ids) != len(manifest.instances):
        raise ValueError("an instance is listed twice in a manifest")
    return _ENCODER.encode(manifest)


def to_sign(body: bytes) -> bytes:
    """What the vault signs for this body: nothing else the key signs can be taken for a manifest."""
    return _DOMAIN + body


def seal_manifest(body: bytes, signature: bytes, recipient: str) -> bytes:
    """The manifest as it lies on disk, sealed to the study's recipient, `age1...`."""
    if len(signature) != SIGNATURE:
        raise ValueError(f"an Ed25519 signature has {SIGNATURE} bytes")
    return seal(signature + body, [X25519Recipient.parse(recipient)])


def manifest_digest(body: bytes, signature: bytes) -> bytes:
    """SHA-256 of the signed manifest: what the index keeps to know it again, 32 bytes."""
    return hashlib.sha256(signature + body).digest()


def open_manifest(
    sealed: bytes, identity: str | X25519Identity, verify_key: bytes, expected: StudyState | None
) -> Manifest:
    """The manifest in `sealed`, once everything about it is proven.

    `verify_key` is the archive's Ed25519 public key, 32 bytes. With `expected` it must be the
    very manifest the finder vouches for; without, only the signature speaks for it. Raises
    `WrongObject` if it is a true manifest that does not belong here or is older, `Tampered`
    if it was changed or the archive never signed it, `NoIdentityMatch` if it is sealed to
    another study.
    """
    manifest, state = read_manifest(sealed, identity, verify_key)
    if expected is not None:
        _check_expected(state, expected)
    return manifest


def read_manifest(
    sealed: bytes, identity: str | X25519Identity, verify_key: bytes
) -> tuple[Manifest, StudyState]:
    """A manifest that only its signature vouches for, and the state it amounts to.

    Raises as `open_manifest`.
    """
    study = X25519Identity.parse(identity) if isinstance(identity, str) else identity
    try:
        plain = unseal(sealed, [study])
    except Unreadable as error:
        raise Tampered("a manifest is no sealed object") from error
    signature, body = plain[:SIGNATURE], plain[SIGNATURE:]
    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, to_sign(body))
    except InvalidSignature:
        raise Tampered("the archive never signed this manifest") from None
    manifest = _decode(body)
    digest = manifest_digest(body, signature)
    return manifest, StudyState(manifest.study_id, manifest.study_uid, manifest.version, digest)


def check_object(entry: ManifestEntry, facts: HeaderFacts, length: int) -> None:
    """Raise `WrongObject` unless a sealed object is the one this entry lists.

    `facts` are read from its header, `length` is that of its payload; no key is needed. Only
    who holds the file key can make another payload that opens under this header and nonce.
    """
    if facts.header_mac != entry.header_mac or facts.payload_nonce != entry.payload_nonce:
        raise WrongObject("a sealed object is not the one the manifest lists")
    if length != entry.length:
        raise WrongObject("a sealed object has not the length the manifest lists")


def primary(manifest: Manifest, series_uid: str = "") -> list[ManifestEntry]:
    """The entries that answer, of one series or of all, in the order people leaf through them."""
    wanted = [
        entry
        for entry in manifest.instances
        if entry.standing is Standing.PRIMARY and series_uid in ("", entry.series_uid)
    ]
    return sorted(wanted, key=lambda entry: (entry.series_uid, entry.number or 0, entry.received_at))


def _decode(body: bytes) -> Manifest:
    try:
        manifest = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Tampered("a signed manifest does not read as one") from error
    if _ENCODER.encode(manifest) != body:
        raise Tampered("a manifest is not written in its one form")
    return manifest


def _check_expected(found: StudyState, expected: StudyState) -> None:
    if (found.study_id, found.study_uid) != (expected.study_id, expected.study_uid):
        raise WrongObject("the manifest of another study lies here")
    if found.version != expected.version:
        age = "an older" if found.version < expected.version else "a newer"
        raise WrongObject(f"{age} manifest lies here than the one the index knows")
    if found.manifest_digest != expected.manifest_digest:
        raise WrongObject("the manifest is not the one the index knows")
