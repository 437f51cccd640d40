"""Sealing and unsealing, side by side with the raw cipher and with the registry's binding."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from huisclos.seal import (
    CHUNK,
    Memory,
    RecordKey,
    Sealer,
    X25519Identity,
    open_at,
    rewrap,
    seal,
    unseal,
)

RUNS: Final = 9
SMALL: Final = 512 * 1024
"""One CT slice."""
LARGE: Final = 16 * 1024 * 1024
TOMO: Final = 64 * 1024 * 1024
PDU: Final = 16 * 1024
"""What a modality sends at a time."""
RECORDS: Final = 100_000

_GIGA: Final = 1e9
_NONCE: Final = bytes(12)
_IDENTITY: Final = X25519Identity.generate()
_RAW: Final = ChaCha20Poly1305(bytes(32))


def run() -> list[dict[str, Any]]:
    """One row per comparison; ours and the peer take turns, medians of `RUNS`."""
    rows: list[dict[str, Any]] = []
    for size, goal in ((SMALL, 0.5), (LARGE, 0.8), (TOMO, 0.8)):
        rows += _whole(size, goal)
    rows += _arriving()
    rows.append(_range())
    rows += _small_things()
    return rows


def _whole(size: int, goal: float) -> list[dict[str, Any]]:
    plain = os.urandom(size)
    recipients = [_IDENTITY.recipient]
    sealed, raw = seal(plain, recipients), _RAW.encrypt(_NONCE, plain, None)
    what = _spoken(size)
    rows = [
        _speed(f"seal {what}", size, lambda: seal(plain, recipients), "raw cipher", _sealing(plain), goal),
        _speed(
            f"unseal {what}",
            size,
            lambda: unseal(sealed, [_IDENTITY]),
            "raw cipher",
            lambda: _RAW.decrypt(_NONCE, raw, None),
            goal,
        ),
    ]
    try:
        pyrage = importlib.import_module("pyrage")
    except ImportError:
        return rows
    key = pyrage.x25519.Identity.from_str(str(_IDENTITY))
    to = [key.to_public()]
    return [
        *rows,
        _speed(
            f"seal {what}",
            size,
            lambda: seal(plain, recipients),
            "pyrage",
            lambda: pyrage.encrypt(plain, to),
            1.0,
        ),
        _speed(
            f"unseal {what}",
            size,
            lambda: unseal(sealed, [_IDENTITY]),
            "pyrage",
            lambda: pyrage.decrypt(sealed, [key]),
            1.0,
        ),
    ]


def _arriving() -> list[dict[str, Any]]:
    """As reception does it: pieces of one PDU, the header last; the raw cipher has it all at once."""
    plain = os.urandom(LARGE)
    pieces = [plain[at : at + PDU] for at in range(0, LARGE, PDU)]
    rows = []
    for size, goal in ((SMALL, 0.4), (LARGE, 0.6)):
        mine = pieces[: size // PDU]

        def ours(mine: list[bytes] = mine) -> None:
            sealer = Sealer()
            for piece in mine:
                sealer.update(piece)
            sealer.finish()
            sealer.header([_IDENTITY.recipient])

        name = f"seal {_spoken(size)} arriving by {_spoken(PDU)}"
        rows.append(_speed(name, size, ours, "raw cipher", _sealing(plain[:size]), goal))
    return rows


def _range() -> dict[str, Any]:
    payload = open_at(Memory(seal(os.urandom(TOMO), [_IDENTITY.recipient])), [_IDENTITY]).payload
    size = 8 * 1024 * 1024
    raw = _RAW.encrypt(_NONCE, os.urandom(size), None)
    name = f"read {_spoken(size)} from the middle of {_spoken(TOMO)}"
    return _speed(
        name,
        size,
        lambda: payload.read_at(TOMO // 3, size),
        "raw cipher",
        lambda: _RAW.decrypt(_NONCE, raw, None),
        0.8,
    )


def _small_things() -> list[dict[str, Any]]:
    sealed = seal(b"", [_IDENTITY.recipient])
    sealer = Sealer()
    key = RecordKey(RecordKey.generate())
    row = key.seal_record(bytes(200), b"study")
    times = [
        ("seal one header", 200, "us", lambda: sealer.header([_IDENTITY.recipient]), 100.0),
        ("open one header", 200, "us", lambda: open_at(Memory(sealed), [_IDENTITY]), 100.0),
        ("rewrap one header", 200, "us", lambda: rewrap(sealed, [_IDENTITY], [_IDENTITY.recipient]), 200.0),
        ("open 100,000 records of 200 bytes", RECORDS, "s", lambda: key.open_record(row, b"study"), 1.0),
        (
            "seal 100,000 records of 200 bytes",
            RECORDS,
            "s",
            lambda: key.seal_record(bytes(200), b"study"),
            1.0,
        ),
        ("make 100,000 tokens", RECORDS, "s", lambda: key.token("InstanceUID", "1.2.840.99999.1"), 1.0),
    ]
    return [_time(name, count, unit, once, budget) for name, count, unit, once, budget in times]


def _time(name: str, count: int, unit: str, once: Callable[[], object], budget: float) -> dict[str, Any]:
    """A time beside the most it may take."""
    scale = 1.0 if unit == "s" else 1e6 / count
    spent = [_seconds(partial(_repeat, once, count)) * scale for _ in range(5)]
    ours = statistics.median(spent)
    return {
        "name": name,
        "ours": round(ours, 2),
        "peer": budget,
        "peer_name": "budget",
        "ratio": round(budget / ours, 2),
        "goal": 1.0,
        "unit": unit,
        "runs": {"ours": [round(one, 3) for one in spent], "peer": []},
    }


def _sealing(plain: bytes) -> Callable[[], object]:
    return lambda: _RAW.encrypt(_NONCE, plain, None)


def _repeat(once: Callable[[], object], count: int) -> None:
    for _ in range(count):
        once()


def _speed(
    name: str, size: int, ours: Callable[[], object], peer_name: str, peer: Callable[[], object], goal: float
) -> dict[str, Any]:
    times = max(1, LARGE // size // 2)  # small ones in a row, as they come in an association
    both = (partial(_repeat, ours, times), partial(_repeat, peer, times))
    for side in both:
        side()
    spent = [tuple(_seconds(side) for side in both) for _ in range(RUNS)]
    speeds = [[times * size / one / _GIGA for one in side] for side in zip(*spent, strict=True)]
    mine, theirs = (statistics.median(side) for side in speeds)
    runs = [[round(one, 3) for one in side] for side in speeds]
    return {
        "name": name,
        "ours": round(mine, 2),
        "peer": round(theirs, 2),
        "peer_name": peer_name,
        "ratio": round(mine / theirs, 2),
        "goal": goal,
        "unit": "GB/s",
        "runs": {"ours": runs[0], "peer": runs[1]},
    }


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _spoken(size: int) -> str:
    return f"{size >> 20} MB" if size >> 20 else f"{size >> 10} KB"


def main() -> None:
    """Print the rows as a table."""
    print(f"chunks of {_spoken(CHUNK)}; medians; the ratio is how many times faster than what stands beside")
    for row in run():
        beside = f"{row['peer']:8.2f} {row['peer_name']:<11} ratio {row['ratio']:5.2f}, goal {row['goal']}"
        print(f"{row['name']:<46} {row['ours']:8.2f} {row['unit']:<5} {beside}")


if __name__ == "__main__":
    main()
