"""X.509 for the house: a local authority that can vouch for this house only, and its short leaves. Pure."""

from huisclos.certificates.authority import (
    Authority,
    Leaf,
    describe,
    fingerprint,
    fingerprint_text,
    make_authority,
    make_leaf,
    to_der,
    unnamed,
)

__all__ = [
    "Authority",
    "Leaf",
    "describe",
    "fingerprint",
    "fingerprint_text",
    "make_authority",
    "make_leaf",
    "to_der",
    "unnamed",
]
