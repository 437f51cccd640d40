"""What a peer asks for when it proposes abstract syntaxes, and what of it is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from pydicom._uid_dict import UID_dictionary

from huisclos.access.accounts import PeerRight
from huisclos.dimse.protocol.names import VERIFICATION
from huisclos.dimse.storage import is_storage

_QUERY_RETRIEVE: Final = "1.2.840.10008.5.1.4.1.2."
"""The SOP classes of the Query/Retrieve Service Class all begin so (PS3.4 annexes C, Y and Z)."""
_BY_NAME: Final = {"FIND": PeerRight.FIND, "MOVE": PeerRight.MOVE, "GET": PeerRight.GET}
_RETRIEVING: Final[dict[str, PeerRight]] = {
    uid: _BY_NAME[entry[0].rpartition(" ")[2]]
    for uid, entry in UID_dictionary.items()
    if uid.startswith(_QUERY_RETRIEVE) and entry[1] == "SOP Class"
}


@lru_cache(maxsize=1024)
def right_for(abstract_syntax: str) -> PeerRight | None:
    """The right that an abstract syntax takes; None for a service the house does not know."""
    if abstract_syntax == VERIFICATION:
        return PeerRight.ECHO
    if is_storage(abstract_syntax):
        return PeerRight.STORE
    return _RETRIEVING.get(abstract_syntax)


def rights_for(abstract_syntaxes: Iterable[str]) -> frozenset[PeerRight]:
    """All the rights that these abstract syntaxes take."""
    return frozenset(right for one in abstract_syntaxes if (right := right_for(one)) is not None)


def takes(may: frozenset[PeerRight]) -> Callable[[str], bool]:
    """Which abstract syntaxes are accepted from a peer with these rights.

    Find, move and get are rights that are recorded, and served by nobody yet.
    """
    served = may & {PeerRight.ECHO, PeerRight.STORE}
    return lambda abstract_syntax: right_for(abstract_syntax) in served
