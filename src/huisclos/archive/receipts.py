"""What the journal says came into each study: once its folder and its row are gone, nothing else does."""

from __future__ import annotations

from collections.abc import Iterable

from huisclos.access.chronicle import DOUBLED, JournalLine
from huisclos.journal.entries import Act


class Receipts:
    """Counts lines of the journal, as many at a time as whoever reads them likes."""

    def __init__(self) -> None:
        self._came: dict[str, int] = {}
        self._doubled: dict[str, set[str]] = {}

    def add(self, lines: Iterable[JournalLine]) -> None:
        """Count these."""
        for line in lines:
            if not line.study_id or line.act not in (Act.STORED, Act.SETTLED):
                continue
            if line.instance_ids:
                # told of before they are deleted, so after a crash in between they are told of again
                self._doubled.setdefault(line.study_id, set()).update(line.instance_ids)
            else:
                sign = -1 if line.what == DOUBLED else 1  # entries of before named none
                instances = sign * line.counts.get("instances", 0)
                self._came[line.study_id] = self._came.get(line.study_id, 0) + instances

    def came(self) -> dict[str, int]:
        """How many objects came into each study, by its id, without what was there already."""
        return {
            study_id: count - len(self._doubled.get(study_id, ())) for study_id, count in self._came.items()
        }
