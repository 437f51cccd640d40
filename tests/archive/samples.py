"""Synthetic data sets, made from bytes here so that nothing of the code under test makes its own input."""

from __future__ import annotations

import struct

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.10.99999"


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element in explicit little endian."""
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    start = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in ("OB", "OW", "SQ", "UN", "UT"):
        return start + struct.pack("<HI", 0, len(value)) + value
    return start + struct.pack("<H", len(value)) + value


NAME = b"EXEMPLE^CAMILLE"


def data_set(
    study: int = 1, series: int = 1, instance: int = 1, *, pixels: bytes = b"", name: bytes = NAME
) -> bytes:
    """An invented CT image."""
    return b"".join(
        (
            element(0x00080016, "UI", CT.encode()),
            element(0x00080018, "UI", uid(study, series, instance).encode()),
            element(0x00080020, "DA", b"20240229"),
            element(0x00080060, "CS", b"CT"),
            element(0x00100010, "PN", name),
            element(0x00100020, "LO", b"P-0001"),
            element(0x0020000D, "UI", uid(study).encode()),
            element(0x0020000E, "UI", uid(study, series).encode()),
            element(0x00200013, "IS", str(instance).encode()),
            element(0x00280002, "US", b"\1\0"),
            element(0x00280010, "US", struct.pack("<H", 1)),
            element(0x00280011, "US", struct.pack("<H", max(len(pixels) // 2, 1) & 0xFFFF)),
            element(0x00280100, "US", struct.pack("<H", 16)),
            element(0x7FE00010, "OW", pixels or b"\0\0"),
        )
    )


def uid(*numbers: int) -> str:
    """An invented UID."""
    return ".".join([ROOT, *(str(number) for number in numbers)])


def names(study: int = 1, series: int = 1, instance: int = 1) -> tuple[str, str]:
    """SOP class and instance, as a C-STORE command says them."""
    return CT, uid(study, series, instance)
