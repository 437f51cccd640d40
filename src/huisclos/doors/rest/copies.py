"""The same images on several machines (RST-020): keyed digests that the operator carries along.

The file holds a key made for it and, for each machine, the digests of the SOP Instance UIDs that were found
there: nothing that can be turned back into a UID without trying them all. Who has the file can test a UID
that he already knows, so it is its owner's alone, and is to be deleted after the last machine.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.rest.tally import Tally
from huisclos.errors import Unreadable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Outcome, Reach, Reason

CHECK: Final = "RST-020"
FORMAT: Final = "huisclos-copies/1"
MAX_FILE: Final = 1024 * 1024 * 1024
"""bytes: eight for each of 80 million images, written in base64"""
_DIGEST: Final = 8


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    format: str
    key: str
    machines: dict[str, str]
    """token of a machine to its digests, sorted, base64"""


@dataclass(slots=True)
class Copies:
    """What is known of other machines, and what is found on this one."""

    path: Path
    machine: str
    """its token"""
    key: bytes
    others: dict[str, set[bytes]] = field(default_factory=dict)
    found: set[bytes] = field(default_factory=set)

    @classmethod
    def load(cls, path: Path, name: str) -> Copies:
        """The file, or a new one with a key of its own; `name` is this machine's. Raises `Unreadable`."""
        if not path.exists():
            return cls._of(path, name, secrets.token_bytes(32), {})
        try:
            if path.stat().st_size > MAX_FILE:
                raise ValueError
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            if kept.format != FORMAT:
                raise ValueError
            key = base64.b64decode(kept.key, validate=True)
            others = {token: _split(base64.b64decode(raw)) for token, raw in kept.machines.items()}
        except (OSError, msgspec.MsgspecError, ValueError):
            raise Unreadable(
                "this is not a file that --copies wrote", hint="name a new one for the first machine"
            ) from None
        return cls._of(path, name, key, others)

    @classmethod
    def _of(cls, path: Path, name: str, key: bytes, machines: dict[str, set[bytes]]) -> Copies:
        token = hmac.new(key, b"machine\n" + os.fsencode(name), hashlib.sha256).hexdigest()[:16]
        return cls(path, token, key, machines, set(machines.pop(token, ())))

    def observe(self, root: Path, tally: Tally) -> Seen:
        """How many of the images below `root` lie on another machine as well."""
        here = {digest for heap in tally.heaps.values() for digest in heap.instances}
        self.found |= here
        if not self.others:
            return Miss((CHECK,), str(root), Reason.ABSENT, outcome=Outcome.SKIPPED)
        again = here & set[bytes]().union(*self.others.values())
        found = facts(class_="copies", count=len(again))
        return Observation(What.FILES, str(root), Reach.LAN, found)

    def save(self) -> None:
        """Write the file for the next machine, for its owner alone."""
        machines = {
            token: base64.b64encode(b"".join(sorted(digests))).decode()
            for token, digests in {**self.others, self.machine: self.found}.items()
        }
        raw = msgspec.json.encode(_Kept(FORMAT, base64.b64encode(self.key).decode(), machines))
        part = self.path.with_name(self.path.name + ".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(raw)
        part.replace(self.path)


def _split(raw: bytes) -> set[bytes]:
    if len(raw) % _DIGEST:
        raise ValueError
    return {raw[at : at + _DIGEST] for at in range(0, len(raw), _DIGEST)}
