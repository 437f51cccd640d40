"""The manifest: signed, sealed, and nothing else is taken for it."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.access.nouns import ActorKind, Source
from huisclos.archive.layout import new_id
from huisclos.archive.manifest import (
    check_object,
    encode_manifest,
    manifest_digest,
    open_manifest,
    primary,
    read_manifest,
    seal_manifest,
    to_sign,
)
from huisclos.archive.nouns import Manifest, ManifestEntry, ManifestSeries, Standing, StudyState
from huisclos.errors import NoIdentityMatch, SealError, Tampered, WrongObject
from huisclos.seal import HeaderFacts, X25519Identity, seal

SIGNING = Ed25519PrivateKey.generate()
VERIFY = SIGNING.public_key().public_bytes_raw()
STUDY = X25519Identity.generate()
ENTRY = ManifestEntry(
    "1" * 32,
    Standing.PRIMARY,
    "1.2.3",
    "1.2",
    "1.2.4",
    "1.2.840.10008.1.2.1",
    b"d" * 32,
    1000,
    300,
    b"m" * 32,
    b"n" * 16,
    1.5,
    Source(ActorKind.PEER, "a" * 32, "CT"),
    3,
)


def manifest(version: int = 1, **changes: object) -> Manifest:
    """A small one."""
    made = Manifest("5" * 32, version, "1.2.9", (ManifestSeries("6" * 32, "1.2.4", "CT"),), (ENTRY,))
    return msgspec.structs.replace(made, **changes)


def sealed(made: Manifest, key: Ed25519PrivateKey = SIGNING) -> tuple[bytes, StudyState]:
    """On disk, and what the finder vouches for."""
    body = encode_manifest(made)
    signature = key.sign(to_sign(body))
    state = StudyState(made.study_id, made.study_uid, made.version, manifest_digest(body, signature))
    return seal_manifest(body, signature, str(STUDY.recipient)), state


def test_it_opens_again() -> None:
    """With and without a state to expect; the state it amounts to is the one vouched for."""
    made = manifest()
    on_disk, state = sealed(made)
    assert open_manifest(on_disk, str(STUDY), VERIFY, state) == made
    assert open_manifest(on_disk, STUDY, VERIFY, None) == made
    assert read_manifest(on_disk, STUDY, VERIFY) == (made, state)


def test_equal_manifests_have_equal_bytes() -> None:
    """So that a digest means something."""
    assert encode_manifest(manifest()) == encode_manifest(manifest())
    assert encode_manifest(manifest()) != encode_manifest(manifest(2))


def test_an_instance_is_listed_once() -> None:
    """Two entries with one id are a mistake of the writer."""
    with pytest.raises(ValueError, match="twice"):
        encode_manifest(manifest(instances=(ENTRY, ENTRY)))


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"study_uid": "1.2.10"}, {"study_id": "7" * 32}, {"instances": ()}]
)
def test_another_true_manifest_is_the_wrong_object(changes: dict[str, object]) -> None:
    """An older one, another study's, or one of the same version with other content."""
    _, state = sealed(manifest(2))
    on_disk, _ = sealed(msgspec.structs.replace(manifest(2), **changes))
    with pytest.raises(WrongObject):
        open_manifest(on_disk, STUDY, VERIFY, state)


def test_who_only_knows_the_recipient_cannot_write_one() -> None:
    """Sealing is not authorship."""
    forged, state = sealed(manifest(), Ed25519PrivateKey.generate())
    for expected in (state, None):
        with pytest.raises(Tampered):
            open_manifest(forged, STUDY, VERIFY, expected)
    for plain in (b"", b"x" * 63, b"x" * 64, b"x" * 1000):
        with pytest.raises(Tampered):
            open_manifest(seal(plain, [STUDY.recipient]), STUDY, VERIFY, None)


def test_a_signature_over_anything_else_is_not_one() -> None:
    """What the key signs for other purposes is never a manifest; nor is another spelling of a body."""
    body = encode_manifest(manifest())
    for signature, content in (
        (SIGNING.sign(body), body),
        (SIGNING.sign(to_sign(body + b"\xc0")), body + b"\xc0"),
        (SIGNING.sign(to_sign(b"\xc0")), b"\xc0"),
    ):
        with pytest.raises(Tampered):
            open_manifest(seal(signature + content, [STUDY.recipient]), STUDY, VERIFY, None)


def test_another_study_does_not_open_it() -> None:
    """Each study has a key of its own."""
    on_disk, _ = sealed(manifest())
    with pytest.raises(NoIdentityMatch):
        open_manifest(on_disk, X25519Identity.generate(), VERIFY, None)


@settings(max_examples=60)
@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    """Anywhere in the file, and any cut."""
    on_disk, state = sealed(manifest())
    at = data.draw(st.integers(0, len(on_disk) - 1))
    changed = bytearray(on_disk)
    changed[at] ^= data.draw(st.integers(1, 255))
    for broken in (bytes(changed), on_disk[:at]):
        with pytest.raises(SealError):
            open_manifest(broken, STUDY, VERIFY, state)


@pytest.mark.parametrize(
    ("mac", "nonce", "length"),
    [(b"x" * 32, b"n" * 16, 1000), (b"m" * 32, b"x" * 16, 1000), (b"m" * 32, b"n" * 16, 999)],
)
def test_an_object_must_be_its_entry(mac: bytes, nonce: bytes, length: int) -> None:
    """Header MAC, payload nonce and length, each of them."""
    check_object(ENTRY, HeaderFacts(168, b"m" * 32, b"n" * 16), 1000)
    with pytest.raises(WrongObject):
        check_object(ENTRY, HeaderFacts(168, mac, nonce), length)


def test_primary_entries_in_order() -> None:
    """Only those that answer, by series and number."""
    entries = tuple(
        msgspec.structs.replace(ENTRY, instance_id=new_id(), number=number, standing=standing)
        for number, standing in ((3, Standing.PRIMARY), (1, Standing.PRIMARY), (2, Standing.HELD))
    )
    assert [entry.number for entry in primary(manifest(instances=entries))] == [1, 3]
    assert primary(manifest(instances=entries), "1.9") == []
