"""The finder as other processes see it."""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from huisclos.archive.ports import Catalog, HouseCatalog
from huisclos.channel.remote import remote


class Finder(Catalog, HouseCatalog, Protocol):
    """Everything the finder answers; a role's table says which of it a caller may ask."""


FinderClient: Final = partial(remote, Finder)
"""`FinderClient(sibling)` is a `Catalog` and a `HouseCatalog` that asks over the sibling's channel."""
