"""What was counted: numbers, and digests that die with their key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from huisclos.doors.rest.heads import Known


@dataclass(slots=True)
class Heap:
    """Images of one kind."""

    images: int = 0
    octets: int = 0
    persons: set[bytes] = field(default_factory=set)
    studies: set[bytes] = field(default_factory=set)
    series: set[bytes] = field(default_factory=set)
    year_from: int | None = None
    year_to: int | None = None
    years: Counter[int] = field(default_factory=Counter)
    """images of each year that is known"""
    instances: set[bytes] = field(default_factory=set)
    """filled only for a search for copies: one for each image is much"""

    links: dict[tuple[int, int], tuple[int, int | None]] = field(default_factory=dict)
    """of files that have several names: the device and number of each, its bytes and its year"""

    def add(
        self, known: Known, octets: int, link: tuple[int, int] | None = None, *, instances: bool = False
    ) -> None:
        """One image more, unless it is another name of one that is counted."""
        if link is not None:
            if link in self.links:
                return
            self.links[link] = octets, known.year
        self.images += 1
        self.octets += octets
        for digest, kept in (
            (known.person, self.persons),
            (known.study, self.studies),
            (known.series, self.series),
        ):
            if digest is not None:
                kept.add(digest)
        if instances and known.instance is not None:
            self.instances.add(known.instance)
        if known.year is not None:
            self.years[known.year] += 1
            self.year_from = min(known.year, self.year_from or known.year)
            self.year_to = max(known.year, self.year_to or known.year)

    def join(self, other: Heap) -> None:
        """Another worker's share."""
        self.images += other.images
        self.octets += other.octets
        self._once(other)
        self.persons |= other.persons
        self.studies |= other.studies
        self.series |= other.series
        self.instances |= other.instances
        self.years += other.years
        self.links |= other.links
        years = [year for year in (self.year_from, other.year_from) if year is not None]
        self.year_from = min(years) if years else None
        years = [year for year in (self.year_to, other.year_to) if year is not None]
        self.year_to = max(years) if years else None

    def _once(self, other: Heap) -> None:
        """Take away again what both have counted."""
        for link in self.links.keys() & other.links.keys():
            octets, year = other.links[link]
            self.images -= 1
            self.octets -= octets
            if year is not None:
                self.years[year] -= 1


@dataclass(slots=True)
class Tally:
    """What one share of the work came to."""

    files: int = 0
    heaps: dict[str, Heap] = field(default_factory=dict)
    """by kind: clear, headerless, media, container..."""
    counts: Counter[str] = field(default_factory=Counter)
    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    """images by kind and sub-tree"""
    misses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """what could not be looked into: reason and container"""
    rows: Counter[str] = field(default_factory=Counter)
    """rows of index databases, by program"""
    paths: list[tuple[str, str]] = field(default_factory=list)
    """kind and path, kept only for the terminal"""

    def heap(self, kind: str) -> Heap:
        """The heap of a kind."""
        return self.heaps.setdefault(kind, Heap())

    def join(self, other: Tally) -> None:
        """Another share."""
        self.files += other.files
        for kind, heap in other.heaps.items():
            self.heap(kind).join(heap)
        self.counts += other.counts
        self.places += other.places
        self.misses += other.misses
        self.rows += other.rows
        self.paths += other.paths
