"""Base64 as age headers write it: RFC 4648 section 4, no padding, one spelling per value."""

from __future__ import annotations

import binascii

from huisclos.errors import Unreadable


def encode(value: bytes) -> bytes:
    """The unpadded base64 of `value`, as ASCII bytes without line ends."""
    return binascii.b2a_base64(value, newline=False).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """The value spelled by `text`.

    Raises `Unreadable` for any character outside the alphabet, for padding, and for the
    spellings RFC 4648 section 3.5 calls non-canonical, so that decoding and encoding
    again always gives the same text.
    """
    try:
        value = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise Unreadable("text that is not base64 where the sealed format wants it") from None
    if encode(value) != text:
        raise Unreadable("base64 that is not in its one canonical form")
    return value
