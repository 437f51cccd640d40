"""Which abstract syntaxes are storage SOP classes (PS3.4 annex B.5, PS3.6 annex A)."""

from __future__ import annotations

from typing import Final

from pydicom._uid_dict import UID_dictionary

from huisclos.dimse.protocol.names import is_uid

_NOT_OBJECTS: Final = frozenset(
    {
        "1.2.840.10008.1.3.10",  # Media Storage Directory: a DICOMDIR, never sent
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model: an agreement about objects
        "1.2.840.10008.1.20.2",  # Storage Commitment Pull Model
    }
)

STORAGE: Final[frozenset[str]] = frozenset(
    uid
    for uid, entry in UID_dictionary.items()
    if entry[1] == "SOP Class" and "Storage" in entry[0] and uid not in _NOT_OBJECTS
)
"""Every storage SOP class of the Standard, the retired ones and DICOS as well."""


def is_storage(abstract_syntax: str) -> bool:
    """Whether instances may come under `abstract_syntax`.

    One that the Standard does not know is taken for a private storage class: what a modality
    sends is kept as it is, and refusing it would lose it.
    """
    if abstract_syntax in STORAGE:
        return True
    return abstract_syntax not in UID_dictionary and is_uid(abstract_syntax)
