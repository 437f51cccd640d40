"""The finder's process: it lives from unlock to lock, and takes the identity records with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from huisclos.archive.finder_ports import Signer, StudyKeys, Upkeep
from huisclos.archive.index_ports import Decisions, Index
from huisclos.archive.ports import Catalog, HouseCatalog, ObjectStore
from huisclos.channel import Methods
from huisclos.channel.remote import serve
from huisclos.errors import HuisclosError
from huisclos.finder.catalog import FinderCatalog
from huisclos.finder.client import Finder
from huisclos.seal.records import RecordKey

_STORING: Final = frozenset({"place", "register_all", "holds", "counts"})
_ROLES: Final[dict[str, frozenset[str] | None]] = {
    "web": frozenset(
        {
            *_STORING,
            "query",
            "studies",
            "study",
            "patient",
            "state_of",
            "resolve",
            "found_by",
            "doubts",
            "doubt",
            "decide",
        }
    ),
    "reception": _STORING,
    "scribe": None,
    "cli": None,
    "vault": frozenset({"flush", "counts"}),
}
"""What each caller may ask; None for everything."""


def methods_for(catalog: FinderCatalog, role: str) -> Methods:
    """The table for one caller; an unknown role may ask nothing."""
    methods = Methods()
    only = _ROLES.get(role, frozenset[str]())
    for port in (Finder, Catalog, HouseCatalog, Upkeep):
        serve(methods, port, catalog, only=only)
    return methods


async def run_finder(  # noqa: PLR0913 - what wiring hands to the process
    *,
    index: Index,
    decisions: Decisions,
    store: ObjectStore,
    keys: StudyKeys,
    signer: Signer,
    record_key: bytes,
    grant_key: bytes,
    serve_to: Callable[[Callable[[str], Methods], Callable[[str], None]], None],
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Load, serve until `stop`, then leave nothing unwritten that can be written.

    `serve_to` is handed the table of methods by role, and whom to tell the role of a face that ended.
    Raises `Tampered` or `Unreadable` when the index does not open: `reindex` makes it anew.
    """
    catalog = FinderCatalog(
        index=index,
        decisions=decisions,
        store=store,
        keys=keys,
        signer=signer,
        record_key=RecordKey(record_key),
        grant_key=grant_key,
    )
    catalog.load()
    serve_to(lambda role: methods_for(catalog, role), catalog.gone)
    keeping_up = asyncio.create_task(catalog.keep_up())
    stopping = asyncio.create_task(stop.wait())
    ready()
    try:
        # a bug in keeping up ends the process, as it should
        await asyncio.wait((keeping_up, stopping), return_when=asyncio.FIRST_COMPLETED)
        if keeping_up.done():
            await keeping_up
    finally:
        stopping.cancel()
        keeping_up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping_up
        # locked meanwhile: manifests are written at the next unlock, since their studies stay OPEN
        with contextlib.suppress(HuisclosError):
            await catalog.flush()
