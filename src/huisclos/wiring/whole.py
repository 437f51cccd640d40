"""Whether a folder is a whole archive: a half-restored one is told so before anything is started on it.

What is looked at is only what nothing else can make again, or what a house could not even begin without;
objects, manifests and study keys are checked by `verify`, accounts and journal when the archive is unlocked.
"""

from __future__ import annotations

from shlex import quote
from typing import Final

from huisclos.database import SqlIndex
from huisclos.errors import Incomplete
from huisclos.finder.rebuilding import MARK
from huisclos.vault import places
from huisclos.wiring.places import Archive

_PEN: Final = "journal/pen"
NEEDED: Final = {
    places.RECIPIENT: "what everything is sealed to",
    places.SIGNING: "what accounts and manifests are checked with",
    places.RECORD_KEY: "the key of the index",
    places.JOURNAL_KEY: "the journal's first key",
    _PEN: "the journal's pen",
}
"""Below ARCHIVE, and what each is."""


def check_whole(archive: Archive, *, rebuilding: bool = False) -> None:
    """Raise `Incomplete` when a part is missing, and have a missing index made anew.

    `rebuilding` goes on without decisions: `reindex` is told to.
    """
    missing = [f"{place} ({use})" for place, use in NEEDED.items() if not (archive.root / place).is_file()]
    if not any((archive.root / places.HOLDERS).glob("*.age")):
        missing.append(f"{places.HOLDERS}/ (what passphrase and recovery key open)")
    if missing:
        raise Incomplete(
            f"parts of this archive are missing: {', '.join(missing)}",
            hint="restore them from the newest backup of keys/ and journal/; nothing was changed",
        )
    if not any((archive.root / "keyring").glob("*/*.age")):
        return
    if not archive.database("decisions").is_file() and not rebuilding:
        raise Incomplete(
            "decisions.sqlite (what was decided) is missing",
            hint="restore it from the newest backup, or go on without: "
            f"huisclos reindex {quote(str(archive.root))}",
        )
    if not archive.database("index").is_file():
        _have_it_rebuilt(archive)


def _have_it_rebuilt(archive: Archive) -> None:
    """Leave a new index that says of itself that it is not whole: the house fills it once it is unlocked."""
    index = SqlIndex(archive.database("index"))
    try:
        index.clear(MARK)
    finally:
        index.close()


def check_listening(archive: Archive) -> None:
    """Raise `Incomplete` when listeners would have no certificate to show."""
    if not (archive.root / places.LEAF).is_file():
        raise Incomplete(
            f"{places.LEAF} (the certificate of the pages) is missing",
            hint="restore tls/ from a backup, or have it made anew: "
            f"huisclos verify {quote(str(archive.root))}",
        )
