"""A command's way into the house: the served one, or one for the length of the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from huisclos.errors import Locked
from huisclos.wiring.connection import House, in_house
from huisclos.wiring.places import Archive, find_archive
from huisclos.wiring.secrets import VARIABLE

Result = TypeVar("Result")
Work = Callable[[House], Awaitable[Result]]


def names_secret(unlock_with: str | None) -> bool:
    """Whether the command line or the environment says where the passphrase is."""
    return unlock_with != "none" if unlock_with is not None else bool(os.environ.get(VARIABLE))


def unlocked(root: Path, work: Work[Result], unlock_with: str | None, *, rebuilding: bool = False) -> Result:
    """What `work` gives in the unlocked house; on a terminal, its passphrase is asked for if need be."""
    if unlock_with is None and not names_secret(None) and sys.stdin.isatty():
        unlock_with = "tty"
    return in_house(find_archive(root), work, _private, unlock_with=unlock_with, rebuilding=rebuilding)


def as_it_stands(root: Path, work: Work[Result]) -> Result:
    """What `work` gives in the house, locked or not."""
    return in_house(find_archive(root), work, _private, unlocked=False)


def unlocked_if_named(root: Path, work: Work[Result], unlock_with: str | None) -> Result:
    """What `work` gives in the house: unlocked if a passphrase is named, else as it stands.

    For what is kept as pending, or sealed to a batch, while the archive is locked.
    """
    if names_secret(unlock_with):
        return in_house(find_archive(root), work, _private, unlock_with=unlock_with)
    return as_it_stands(root, work)


async def meet_finder_if_open(house: House) -> bool:
    """Reach the finder of a house that is unlocked; False if it is locked."""
    with suppress(Locked):
        await house.meet_finder()
        return True
    return False


def _private(archive: Archive, owner: int, ready: int) -> int:
    # half a second of imports, which a command on a served archive does without
    from huisclos.wiring.serve import private_house

    return private_house(archive, owner, ready)
