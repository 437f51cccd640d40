"""Elements of the few data sets that probes send."""

from __future__ import annotations

import struct


def element(group: int, number: int, value: str) -> bytes:
    """One element, implicit little endian (PS3.5 section 7.1.3), padded to an even length."""
    raw = value.encode("ascii")
    padding = b"\0" if value[:1].isdigit() and "." in value else b" "
    return struct.pack("<HHI", group, number, len(raw) + len(raw) % 2) + raw + padding * (len(raw) % 2)
