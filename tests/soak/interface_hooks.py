"""What Schemathesis must be told to make bodies of: it knows neither of the two media types of STOW-RS."""

from __future__ import annotations

from typing import Any

import schemathesis


def octets(_context: object, value: Any) -> bytes | None:
    """Whatever was generated, as it is."""
    if value is None or isinstance(value, bytes):
        return value
    raw = getattr(value, "data", None)
    return raw if isinstance(raw, bytes) else str(value).encode()


schemathesis.serializer("application/dicom", "multipart/related")(octets)
