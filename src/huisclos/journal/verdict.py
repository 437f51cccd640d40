"""Whether a journal holds: the whole chain walked from its first key, against pen and heads."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from huisclos.errors import JournalBroken
from huisclos.journal.chain import Nib, Record
from huisclos.journal.heads import Head


class Verdict(msgspec.Struct, frozen=True):
    """What verifying came to."""

    holds: bool
    entries: int
    """How many entries follow each other from the first."""
    problem: str = ""
    """What is wrong, in words; empty when it holds."""
    head: Head | None = None
    """Signed now, over what holds."""


def walk(first: Nib, records: Iterable[Record], pen: Nib | None, heads: Iterable[Head]) -> tuple[Nib, str]:
    """The end of what holds, and the first problem found (empty when there is none).

    `pen` is where the writing end says it stands; a chain that ends earlier was cut.
    """
    expected = {head.entries: head for head in heads}
    nib = first
    try:
        for record in records:
            nib = nib.follow(record)
            head = expected.pop(nib.sequence, None)
            if head is not None and head.mac != nib.mac.hex():
                return nib, f"entry {nib.sequence - 1} is not the one a signed head vouched for"
    except JournalBroken as broken:
        return nib, broken.message
    beyond = max((entries for entries in expected if entries > nib.sequence), default=0)
    if beyond:
        return nib, f"a signed head vouched for {beyond} entries, {nib.sequence} are here: it was cut off"
    if pen is not None and (pen.sequence, pen.mac) != (nib.sequence, nib.mac):
        return nib, f"the pen stands at {pen.sequence}, the journal ends at {nib.sequence}: it was cut off"
    return nib, ""
