"""What a walk keeps between two runs: how far it came, and what it had counted by then."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from huisclos.clock import steady
from huisclos.doors.rest.tally import Heap, Tally
from huisclos.errors import Unreadable

SAVE_SECONDS: Final = 5.0


class _Saved(msgspec.Struct):
    """A resume file: a key, how far each walk came, and counts; for its owner alone."""

    key: str
    roots: dict[str, tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class State:
    """A walk's counts, and the file they are kept in between two runs."""

    path: Path | None
    root: str
    key: bytes
    tally: Tally = field(default_factory=Tally)
    last: str = ""
    """keyed digest of the last file that is counted; empty at the beginning"""
    saved: float = 0.0

    @classmethod
    def load(cls, path: Path | None, root: Path, key: bytes) -> State:
        """What an earlier run left, with its key; else a new one. Raises `Unreadable`."""
        state = cls(path, str(root), key)
        if path is None or not path.exists():
            return state
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Saved)
            state.key = base64.b64decode(kept.key)
            state.last, counts = kept.roots.get(state.mark(state.root), ("", {}))
            state.tally = _read_tally(counts)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise Unreadable("this is not a file that --resume wrote", hint="name a new one") from None
        return state

    def begin_again(self) -> None:
        """The file that the walk had come to is gone: where it was, nobody can tell."""
        self.tally, self.last = Tally(), ""

    def join(self, last: str, share: Tally) -> None:
        """Another share of the work, which ends with the file of that path."""
        self.last = self.mark(last) if self.path is not None else ""
        self.tally.join(share)
        if self.path is not None and steady() - self.saved > SAVE_SECONDS:
            self._save(self.path)
            self.saved = steady()

    def finish(self) -> None:
        """Keep what the walk came to, for another root may follow."""
        if self.path is not None:
            self._save(self.path)

    def mark(self, path: str) -> str:
        """A place as it stands in the file: a keyed digest."""
        return hmac.digest(self.key, os.fsencode(path), hashlib.sha256).hex()[:16]

    def _save(self, path: Path) -> None:
        kept = _Saved(base64.b64encode(self.key).decode(), {})
        if path.exists():
            kept.roots = msgspec.json.decode(path.read_bytes(), type=_Saved).roots
        kept.roots[self.mark(self.root)] = self.last, _write_tally(self.tally)
        part = path.with_name(path.name + ".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(kept))
        part.replace(path)


def _hex(digests: set[bytes]) -> str:
    return "".join(sorted(one.hex() for one in digests))


def _write_tally(tally: Tally) -> dict[str, Any]:
    heaps = {
        kind: [
            heap.images, heap.octets, heap.year_from, heap.year_to, list(heap.years.items()),
            [[*link, *of] for link, of in heap.links.items()],
            *(_hex(kept) for kept in (heap.persons, heap.studies, heap.series, heap.instances)),
        ]
        for kind, heap in tally.heaps.items()
    }  # fmt: skip
    return {
        "files": tally.files,
        "heaps": heaps,
        "counts": dict(tally.counts),
        "rows": dict(tally.rows),
        "places": [[*key, count] for key, count in tally.places.items()],
        "misses": [[*key, count] for key, count in tally.misses.items()],
    }


def _read_tally(kept: dict[str, Any]) -> Tally:
    tally = Tally(files=kept.get("files", 0))
    for kind, (images, octets, since, until, years, links, *digests) in kept.get("heaps", {}).items():
        sets = [{bytes.fromhex(text[at : at + 16]) for at in range(0, len(text), 16)} for text in digests]
        tally.heaps[kind] = Heap(
            images, octets, sets[0], sets[1], sets[2], since, until, Counter(dict(years)), sets[3],
            {(device, number): (size, year) for device, number, size, year in links},
        )  # fmt: skip
    tally.counts.update(kept.get("counts", {}))
    tally.rows.update(kept.get("rows", {}))
    tally.places.update({(kind, place): count for kind, place, count in kept.get("places", [])})
    tally.misses.update({(reason, what): count for reason, what, count in kept.get("misses", [])})
    return tally
