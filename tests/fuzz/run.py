"""Hostile bytes at every parser of the house, in this process, for a bounded time.

    python -m tests.fuzz.run [--seconds 60 | --inputs N] [--seed N] [--findings .run/fuzz] [TARGET...]

A target is a module `tests/fuzz/fuzz_<name>.py` with

    SEEDS: list[bytes]          inputs to start from, good ones and odd ones
    def one(data: bytes) -> str     parse `data`; say in few words what came of it, or raise a HuisclosError

What came of it steers the run: the first input of each outcome is kept, to be changed further. Anything else
that `one` raises is a finding; so is an input that takes longer than `HANG_SECONDS`, or over which the
process grows by more than `GROWTH`. The input is saved under the findings folder, and `--replay FILE TARGET`
runs it again. The seed of the random choices is printed: the same seed, target and program make the same
inputs.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import math
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, Protocol, cast

from huisclos.errors import HuisclosError
from tests.fuzz import outcomes

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parents[1]

HANG_SECONDS: Final = 5.0
"""Longest time one input may take; inputs are small, so this is a thousand times the usual."""
GROWTH: Final = 256 * 1024 * 1024
"""Bytes the process may grow by, at its peak, over one input."""
ADDRESS_SPACE: Final = 8 * 1024 * 1024 * 1024
"""Bytes of address space: an allocation taken from the wire fails here and not on the whole machine."""
MAX_INPUT: Final = 1 << 20
"""Bytes of the largest mutated input."""
MAX_POOL: Final = 512
"""Inputs kept to mutate further."""

INTERESTING: Final = (
    b"\x00",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xfe",
    b"\x80\x00",
)


class Target(Protocol):
    """A module of this folder."""

    SEEDS: Sequence[bytes]

    def one(self, data: bytes) -> str:
        """Parse `data`; say in few words what came of it, or raise a HuisclosError."""


class Hang(BaseException):
    """An input took too long; a BaseException, so that no handler in a parser swallows it."""


class Growth(Exception):
    """The process grew too much over one input."""


FAILURES: Final = (Exception, Hang)
"""What makes an input a finding: to find what escapes a parser is what this program is for."""


@dataclass(frozen=True)
class Enough:
    """When a target has had enough: whichever comes first."""

    seconds: float = math.inf
    inputs: float = math.inf


@dataclass
class Outcome:
    """What one target's run came to."""

    inputs: int = 0
    refused: int = 0
    seen: set[str] = field(default_factory=set)
    """What came of the inputs, each once: the refusals by class and place."""
    findings: dict[str, Path] = field(default_factory=dict)
    """File of the first input of each kind of failure, by where and how it fails."""


class Mutator:
    """Makes inputs from seeds: flips, cuts, repeats, splices, boundary numbers; all choices from one seed."""

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self._random = random.Random(seed)
        self._pool = [bytes(item[:MAX_INPUT]) for item in seeds] or [b""]

    def keep(self, data: bytes) -> None:
        """Mutate `data` too from now on: it got further than most."""
        if len(self._pool) < MAX_POOL:
            self._pool.append(data)
        else:
            self._pool[self._random.randrange(MAX_POOL)] = data

    def __iter__(self) -> Iterator[bytes]:
        yield from list(self._pool)
        steps: list[Callable[[bytearray], None]] = [
            self._flip, self._cut, self._repeat, self._insert, self._splice, self._number, self._truncate,
        ]  # fmt: skip
        while True:
            data = bytearray(self._random.choice(self._pool))
            for _ in range(self._random.choice((1, 1, 1, 2, 4, 8))):
                self._random.choice(steps)(data)
            yield bytes(data[:MAX_INPUT])

    def _at(self, data: bytearray) -> int:
        # The heads of formats decide most: half of all changes are made there.
        reach = min(len(data), 256) if self._random.random() < 0.5 else len(data)
        return self._random.randrange(reach) if reach else 0

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] ^= 1 << self._random.randrange(8)

    def _cut(self, data: bytearray) -> None:
        start = self._at(data)
        del data[start : start + self._random.choice((1, 2, 4, 8, 64, 1024))]

    def _repeat(self, data: bytearray) -> None:
        start = self._at(data)
        piece = data[start : start + self._random.choice((1, 8, 64, 512))]
        data[start:start] = piece * self._random.choice((1, 2, 16))

    def _insert(self, data: bytearray) -> None:
        start = self._at(data)
        data[start:start] = self._random.randbytes(self._random.choice((1, 2, 4, 16)))

    def _splice(self, data: bytearray) -> None:
        other = self._random.choice(self._pool)
        if other:
            start = self._random.randrange(len(other))
            data[self._at(data) :] = other[start:]

    def _number(self, data: bytearray) -> None:
        start, number = self._at(data), self._random.choice(INTERESTING)
        data[start : start + len(number)] = number if self._random.random() < 0.5 else number[::-1]

    def _truncate(self, data: bytearray) -> None:
        del data[self._at(data) :]


def run(name: str, target: Target, enough: Enough, seed: int, findings: Path) -> Outcome:
    """Give `target` mutated inputs until `enough`; save the first input of each kind of failure."""
    outcome = Outcome()
    mutator = Mutator(target.SEEDS, seed)
    ends = time.monotonic() + enough.seconds
    for data in mutator:
        outcome.inputs += 1
        try:
            came, refused = trial(target.one, data)
        except FAILURES as failure:
            where = outcomes.told(failure)
            if where not in outcome.findings:
                outcome.findings[where] = save(findings, name, data, failure)
        else:
            outcome.refused += refused
            if came not in outcome.seen:
                outcome.seen.add(came)
                mutator.keep(data)
        if outcome.inputs >= enough.inputs or time.monotonic() >= ends:
            break
    return outcome


def trial(one: Callable[[bytes], str], data: bytes) -> tuple[str, bool]:
    """Run one input: what came of it, and whether that is a refusal; raises what `one` lets out."""
    before, refused = _peak(), False
    try:
        with _alarm(HANG_SECONDS):
            came = one(data)
    except HuisclosError as error:
        came = str(error) if isinstance(error, outcomes.AllRefused) else outcomes.told(error)
        refused = True
    grown = _peak() - before
    if grown > GROWTH:
        raise Growth(f"{grown} bytes over an input of {len(data)}")
    return came, refused


def save(findings: Path, name: str, data: bytes, failure: BaseException) -> Path:
    """Keep an input and how it failed; returns the input's file."""
    findings.mkdir(parents=True, exist_ok=True)
    path = findings / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    path.with_suffix(".txt").write_text("".join(traceback.format_exception(failure)), encoding="utf-8")
    return path


def discover(folder: Path = HERE) -> dict[str, Target]:
    """Every target in `folder`, by name, in order."""
    names = sorted(path.stem for path in folder.glob("fuzz_*.py"))
    if folder != HERE:
        sys.path.insert(0, str(folder))
    package = "tests.fuzz." if folder == HERE else ""
    return {
        name.removeprefix("fuzz_"): cast("Target", importlib.import_module(package + name)) for name in names
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets named, or all, sharing the time; 1 when something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="all of them, unless named")
    parser.add_argument("--seconds", type=float, default=60.0, help="for all targets together")
    parser.add_argument("--inputs", type=int, default=None, help="for each target, however long it takes")
    parser.add_argument("--seed", type=int, default=None, help="of the random choices")
    parser.add_argument("--findings", type=Path, default=PROJECT / ".run" / "fuzz")
    parser.add_argument("--replay", type=Path, help="run this one input, and let it fail in the open")
    asked = parser.parse_args(arguments)
    targets = discover()
    unknown = [name for name in asked.targets if name not in targets]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)} (there are: {', '.join(targets) or 'none'})")
    chosen = {name: targets[name] for name in asked.targets or targets}
    if asked.replay:
        return _replay(chosen, asked.replay.read_bytes())
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    seed = asked.seed if asked.seed is not None else time.time_ns() & 0xFFFFFFFF
    enough = Enough(inputs=asked.inputs) if asked.inputs else Enough(seconds=asked.seconds / len(chosen))
    length = f"{asked.inputs} inputs each" if asked.inputs else f"{asked.seconds:g} s"
    print(f"seed {seed}, {len(chosen)} targets, {length}")
    found = 0
    for name, target in chosen.items():
        began = time.monotonic()
        outcome = run(name, target, enough, seed, asked.findings)
        found += len(outcome.findings)
        print(
            f"{name}: {outcome.inputs} inputs, {outcome.refused} refused, {len(outcome.seen)} different "
            f"outcomes, {len(outcome.findings)} findings, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for where, path in outcome.findings.items():
            print(f"  {where}\n    {path}")
    return 1 if found else 0


def _replay(chosen: dict[str, Target], data: bytes) -> int:
    for name, target in chosen.items():
        try:
            came, _ = trial(target.one, data)
        except FAILURES:
            traceback.print_exc()
            return 1
        print(f"{name}: {came}")
    return 0


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"longer than {seconds:g} s")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
