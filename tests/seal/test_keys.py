"""Keys derived from keys."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from huisclos.seal.keys import KEY, derive


def test_vectors_of_rfc_5869() -> None:
    """Appendix A, cases 1 and 3: the first 32 bytes of what they give."""
    info, salt = bytes(range(0xF0, 0xFA)), bytes(range(13))
    first = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    assert derive(b"\x0b" * 22, salt, info).hex() == first
    third = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert derive(b"\x0b" * 22, b"", b"").hex() == third


@given(st.binary(min_size=1, max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_as_the_library_derives(secret: bytes, salt: bytes, info: bytes) -> None:
    """Whatever goes in, as `cryptography` has it."""
    library = HKDF(algorithm=hashes.SHA256(), length=KEY, salt=salt, info=info)
    assert derive(secret, salt, info) == library.derive(secret)
