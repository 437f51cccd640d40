"""Configurations: each reader turns a file into settings, open or closed; no secret is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from huisclos.findings.nouns import Reach

MAX_CONFIG: Final = 4 * 1024 * 1024
"""bytes of a configuration file"""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that a configuration decides."""

    name: str
    """a word of ours; the rules lead from it to a check"""
    open: bool
    reach: Reach = Reach.LAN
    count: int | None = None
    product: str | None = None
    version: str | None = None
    """of a program that the configuration names, for `name` of `version`; empty when it does not say which"""
