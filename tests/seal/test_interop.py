"""The stock `age` program and the registry's binding open what we seal, and we open what they seal."""

from __future__ import annotations

import hashlib
import io
import os
import pty
import subprocess
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, TypeVar

import pytest

from huisclos.seal import (
    Memory,
    ScryptIdentity,
    ScryptRecipient,
    X25519Identity,
    X25519Recipient,
    armor,
    dearmor,
    open_at,
    seal,
    seal_stream,
    unseal,
    unseal_stream,
)
from tests.tools import need, program

T = TypeVar("T")
SIZES = [0, 1, 65535, 65536, 65537]
LARGE = 200 * 1000 * 1000
PIECE = 1 << 20
BOUND = 16 << 20
"""Bytes of memory at most while 200 MB stream by."""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """An identity that the stock program made, in its own file."""
    path = tmp_path / "key.txt"
    subprocess.run([program("age-keygen"), "-o", path], check=True, capture_output=True)
    return path


def identity_in(path: Path) -> X25519Identity:
    """The identity of a key file."""
    return X25519Identity.parse(path.read_text().splitlines()[-1])


def run(*command: str | Path, given: bytes = b"") -> bytes:
    """What the program writes when it is given these bytes."""
    return subprocess.run(command, input=given, check=True, capture_output=True, timeout=120).stdout


@pytest.mark.parametrize("size", SIZES)
def test_age(size: int, key_file: Path) -> None:
    """Stock age, both ways, binary and armored."""
    age, identity, plain = program("age"), identity_in(key_file), os.urandom(size)
    sealed = seal(plain, [X25519Identity.generate().recipient, identity.recipient])
    assert run(age, "-d", "-i", key_file, given=sealed) == plain
    assert run(age, "-d", "-i", key_file, given=armor(sealed).encode()) == plain
    theirs = run(age, "-r", str(identity.recipient), given=plain)
    assert unseal(theirs, [identity]) == plain
    assert unseal(dearmor(run(age, "-a", "-r", str(identity.recipient), given=plain)), [identity]) == plain


def test_age_keygen(key_file: Path, tmp_path: Path) -> None:
    """Recipients agree both ways."""
    keygen, ours = program("age-keygen"), X25519Identity.generate()
    (tmp_path / "ours.txt").write_text(f"{ours}\n")
    assert run(keygen, "-y", tmp_path / "ours.txt").decode().strip() == str(ours.recipient)
    theirs = run(keygen, "-y", key_file).decode().strip()
    assert X25519Recipient.parse(theirs) == identity_in(key_file).recipient


@pytest.mark.parametrize("size", SIZES)
def test_binding(size: int) -> None:
    """The binding, both ways, with a key and with a passphrase."""
    need("python:pyrage")
    import pyrage

    plain, theirs = os.urandom(size), pyrage.x25519.Identity.generate()
    identity = X25519Identity.parse(str(theirs))
    assert str(identity.recipient) == str(theirs.to_public())
    assert pyrage.decrypt(seal(plain, [identity.recipient]), [theirs]) == plain
    assert unseal(pyrage.encrypt(plain, [theirs.to_public()]), [identity]) == plain
    locked = seal(plain, [ScryptRecipient("babab-cedil", work_factor=6)])
    assert pyrage.passphrase.decrypt(locked, "babab-cedil") == plain


def test_binding_passphrase() -> None:
    """What the binding seals with a passphrase, at the work it chooses, we open."""
    need("python:pyrage")
    import pyrage

    sealed = pyrage.passphrase.encrypt(b"a key", "babab-cedil")
    assert unseal(sealed, [ScryptIdentity("babab-cedil", max_work_factor=22)]) == b"a key"


def test_age_passphrase(tmp_path: Path) -> None:
    """Stock age opens a passphrase object of ours, the passphrase typed at its terminal."""
    sealed = tmp_path / "holder.age"
    sealed.write_bytes(seal(b"a key", [ScryptRecipient("babab-cedil-mipod", work_factor=10)]))
    age, out = program("age"), tmp_path / "out"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(age, [age, "-d", "-o", str(out), str(sealed)])  # noqa: S606 - it asks only at a terminal of its own
    with closing(os.fdopen(terminal, "r+b", buffering=0)) as screen:
        assert b"passphrase" in _shown(screen, b"passphrase")
        screen.write(b"babab-cedil-mipod\n")
        _shown(screen, b"\0")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert out.read_bytes() == b"a key"


def _shown(screen: IO[bytes], until: bytes) -> bytes:
    """What the terminal shows, up to `until` or its end."""
    shown = b""
    while until not in shown:
        try:
            more = screen.read(1000)
        except OSError:  # the program left its terminal
            break
        if not more:
            break
        shown += more
    return shown


def noise(total: int = LARGE) -> Iterator[bytes]:
    """`total` bytes in pieces that do not end where chunks do, the same each time."""
    block = bytes(range(251)) * (PIECE // 251)
    for at in range(0, total, len(block)):
        yield at.to_bytes(8, "big") + block[8 : min(len(block), total - at)]


def digest(pieces: Iterable[bytes]) -> tuple[int, str]:
    """How many bytes, and their SHA-256."""
    total, hashed = 0, hashlib.sha256()
    for piece in pieces:
        total += len(piece)
        hashed.update(piece)
    return total, hashed.hexdigest()


def reading(file: IO[bytes]) -> Iterator[bytes]:
    """The pieces of a file."""
    return iter(lambda: file.read(PIECE), b"")


def bounded(work: Callable[[], T]) -> T:
    """What `work` gives, having used at most `BOUND` bytes of memory."""
    tracemalloc.start()
    try:
        result = work()
        assert tracemalloc.get_traced_memory()[1] < BOUND
    finally:
        tracemalloc.stop()
    return result


def write(path: Path, pieces: Iterable[bytes]) -> None:
    """Write the pieces to a file."""
    with path.open("wb") as file:
        file.writelines(pieces)


def test_200_megabytes_to_age(key_file: Path, tmp_path: Path) -> None:
    """200 MB sealed as they come, in bounded memory, open in stock age."""
    age, sealed = program("age"), tmp_path / "large.age"
    bounded(lambda: write(sealed, seal_stream(noise(), [identity_in(key_file).recipient])))
    with subprocess.Popen([age, "-d", "-i", key_file, sealed], stdout=subprocess.PIPE) as opened:
        assert opened.stdout is not None
        assert digest(reading(opened.stdout)) == digest(noise())
    assert opened.returncode == 0


def test_200_megabytes_from_age(key_file: Path, tmp_path: Path) -> None:
    """200 MB sealed by stock age open here as they come, in bounded memory, and by range."""
    age, identity = program("age"), identity_in(key_file)
    plain, sealed = tmp_path / "large", tmp_path / "large.age"
    write(plain, noise())
    run(age, "-r", str(identity.recipient), "-o", sealed, plain)
    with sealed.open("rb") as file:
        assert bounded(lambda: digest(unseal_stream(reading(file), [identity]))) == digest(noise())
    with sealed.open("rb") as file:
        payload = open_at(OnDisk(file), [identity]).payload
        assert bounded(lambda: digest(payload.pieces())) == digest(noise())


def test_200_megabytes_with_the_binding(tmp_path: Path) -> None:
    """200 MB with the binding, both ways."""
    need("python:pyrage")
    import pyrage

    theirs = pyrage.x25519.Identity.generate()
    identity = X25519Identity.parse(str(theirs))
    plain, sealed, opened = tmp_path / "large", tmp_path / "large.age", tmp_path / "opened"
    write(sealed, seal_stream(noise(), [identity.recipient]))
    pyrage.decrypt_file(str(sealed), str(opened), [theirs])
    with opened.open("rb") as file:
        assert digest(reading(file)) == digest(noise())
    write(plain, noise())
    pyrage.encrypt_file(str(plain), str(sealed), [theirs.to_public()])
    with sealed.open("rb") as file:
        assert digest(unseal_stream(reading(file), [identity])) == digest(noise())


class OnDisk:
    """A `ReadAt` over an open file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset."""
        return os.pread(self._file.fileno(), length, offset)


def test_large_range_of_memory() -> None:
    """A source in memory and one on disk are read alike."""
    identity = X25519Identity.generate()
    sealed = seal(b"".join(noise(3_000_000)), [identity.recipient])
    payload = open_at(Memory(sealed), [identity]).payload
    assert digest(payload.pieces()) == digest(noise(3_000_000)) == digest([payload.read_at(0, 3_000_000)])
