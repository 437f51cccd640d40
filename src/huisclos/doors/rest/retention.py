"""Images that are older than their owner has to keep them (RST-019), by year and no finer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

from huisclos.doors.observation import Observation, Seen, What
from huisclos.doors.rest.tally import Tally
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach

CHECK: Final = "RST-019"
MAX_YEARS: Final = 8
"""years that a finding names, the oldest first"""


def observe_retention(root: Path, tally: Tally, first: int) -> Seen:
    """What is of a year before `first`, the oldest year that is to be kept; images without a date are not."""
    years = sum((heap.years for heap in tally.heaps.values()), Counter[int]())
    old = {year: count for year, count in sorted(years.items()) if year < first}
    found = facts(class_="retention", images=sum(old.values()))
    if old:
        found += facts(year_from=min(old), year_to=max(old))
    for year, count in list(old.items())[:MAX_YEARS]:
        found += facts(year_from=year, count=count)
    return Observation(What.FILES, str(root), Reach.LAN, found)
