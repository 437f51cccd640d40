"""Where received objects come from, as the vault itself has said: a face cannot make one up."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from huisclos.access.nouns import Source
from huisclos.errors import NotGranted

MAX_NAMED: Final = 10_000


class Sources:
    """Sources that were named to a face since the start; the oldest give way."""

    def __init__(self) -> None:
        self._named: OrderedDict[Source, None] = OrderedDict()

    def name(self, source: Source) -> Source:
        """`source`, to be told to a face that will deposit for it."""
        self._named[source] = None
        self._named.move_to_end(source)
        if len(self._named) > MAX_NAMED:
            self._named.popitem(last=False)
        return source

    def check(self, source: Source) -> None:
        """Raises `NotGranted` for a source that the vault did not name."""
        if source not in self._named:
            raise NotGranted("this source was not admitted by the vault")
