"""The cage holds: what runs in it can compute and answer, and nothing else."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from huisclos import confine
from huisclos.cage import zygote
from huisclos.cage.client import Cage, spawn_zygote
from huisclos.cage.jobs import PNG, Job
from huisclos.confine.landlock import landlock_abi
from huisclos.errors import (
    HuisclosError,
    InstanceNotFound,
    NotDicom,
    TooLarge,
    Unreachable,
    Unreadable,
    Usage,
)
from tests import corpus

WITHOUT = {
    "JPEG-lossy.dcm": "its 12-bit JPEG ends its scan where none may end",
    "JPEG2000-embedded-sequence-delimiter.dcm": "its code stream holds a delimiter that ends it early",
    "MR_truncated.dcm": "62 bytes of its pixel data are missing",
    "badVR.dcm": "its number of frames is no number",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "its pixel data ends before the first frame does",
}
"""Images of the corpus that cannot be shown, and why."""


HEADERS = {"chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"}
"""Images whose pixel data was taken away."""


@pytest.fixture(scope="module")
def warmed() -> Iterator[socket.socket]:
    """A zygote for all tests of this file."""
    pid, control = spawn_zygote()
    yield control
    control.close()
    assert os.waitpid(pid, 0)[1] == 0


@pytest.fixture
async def cage(warmed: socket.socket) -> Cage:
    """A way to it."""
    return Cage(warmed)


async def test_every_image_is_shown_or_says_why(cage: Cage) -> None:
    """Each file of the corpus gives a PNG, or one clear error; no image fails but those known."""
    failed, shown = set(), 0
    for path in (*corpus.files(), *corpus.bare()):
        try:
            picture = await cage.render(path.read_bytes(), frame=0, media=PNG, size=(128, 128))
        except HuisclosError:
            failed.add(path)
            continue
        shown += 1
        with Image.open(io.BytesIO(picture)) as opened:
            opened.load()
            assert max(opened.size) == 128
    names = {path.name for path in failed if "Rows" in corpus.read(path)}
    assert names - HEADERS == set(WITHOUT)
    assert shown > 160


async def test_thumbnails_and_samples(cage: Cage) -> None:
    """The other two things it makes."""
    part10 = corpus.named("CT_small.dcm").read_bytes()
    assert (await cage.thumbnail(part10)).startswith(b"\xff\xd8\xff")
    assert len(await cage.decode_frame(part10)) == 128 * 128 * 2


async def test_errors_are_the_houses_own(cage: Cage) -> None:
    """Each with its class; none with anything of the object."""
    part10 = corpus.named("CT_small.dcm").read_bytes()
    with pytest.raises(InstanceNotFound):
        await cage.render(part10, frame=5)
    with pytest.raises(NotDicom):
        await cage.render(b"no")
    with pytest.raises(Unreadable, match="no picture"):
        await cage.render(corpus.named("test-SR.dcm").read_bytes())
    with pytest.raises(Usage):
        await cage.render(part10, media="image/gif")


async def test_every_mechanism_is_in_force(cage: Cage) -> None:
    """On a kernel with Landlock and seccomp the separation is full."""
    found = await cage.describe()
    if landlock_abi():
        assert confine.separation(found) is confine.Separation.FULL
    assert found["seccomp"]


async def test_many_at_once(cage: Cage) -> None:
    """Twenty askers each get their own picture."""
    paths = [path for path in corpus.instances() if path.parent.name == "MR700"]
    expected = [await cage.render(path.read_bytes()) for path in paths]
    again = await asyncio.gather(*(cage.render(path.read_bytes()) for path in paths * 4))
    assert expected * 4 == again


async def test_a_job_is_quick(cage: Cage) -> None:
    """A fork, not a second of imports; a bound that only a change of order would break."""
    part10 = corpus.named("CT_small.dcm").read_bytes()
    await cage.thumbnail(part10)
    begun = time.perf_counter()
    for _ in range(10):
        await cage.thumbnail(part10)
    assert (time.perf_counter() - begun) / 10 < 0.25


async def test_the_warmed_process_is_small_and_alone() -> None:
    """One thread, under 100 MB of its own, nobody's user; it ends when no asker is left."""
    pid, control = spawn_zygote()
    await Cage(control).describe()
    status, shared = _of_process(pid)
    control.close()
    assert _ended(pid) == 0
    assert "Threads:\t1\n" in status
    if os.geteuid() == 0:
        assert "Uid:\t65534\t65534\t65534\t65534" in status
        assert 0 < shared < 100_000


def _of_process(pid: int) -> tuple[str, int]:
    """Its status, and its share of memory in KiB where that may be read."""
    status = Path(f"/proc/{pid}/status").read_text()
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        return status, 0
    return status, next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def _ended(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


async def test_a_cage_that_is_gone_is_unreachable() -> None:
    """A dead zygote is told apart from a broken object."""
    pid, control = spawn_zygote()
    cage = Cage(control)
    await cage.describe()
    os.kill(pid, signal.SIGKILL)
    assert _ended(pid) == signal.SIGKILL
    with control, pytest.raises(Unreachable):
        await cage.render(b"")


@contextmanager
def _hostile(attack: Callable[[Job, bytes], bytes], wall: float = 30) -> Iterator[Cage]:
    """A zygote, forked by this test alone, whose jobs run `attack` in place of a decoder."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            vars(zygote).update(answer=attack, warm=lambda: None, WALL_SECONDS=wall, CPU_SECONDS=2)
            zygote.main(theirs.detach())
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        yield Cage(ours)
    os.waitpid(pid, 0)


def _tried(*calls: Callable[[], object]) -> bytes:
    """What became of each call, as an attacker sees it."""
    found = []
    for call in calls:
        try:
            call()
        except (OSError, RuntimeError) as error:
            found.append(type(error).__name__)
        else:
            found.append("done")
    return json.dumps(found).encode()


async def test_inside_nothing_can_be_reached() -> None:
    """No file, socket, process, signal or program; the environment is empty and no descriptor is left."""

    def attack(_job: Job, _part10: bytes) -> bytes:
        return (
            _tried(
                lambda: Path("/etc/passwd").read_bytes(),
                lambda: Path("/dev/shm/huisclos").write_bytes(b"x"),  # noqa: S108 - it is refused
                lambda: Path(zygote.__file__).read_bytes(),
                socket.socket,
                socket.socketpair,
                os.fork,
                lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it is refused
                lambda: os.kill(os.getppid(), 0),
                lambda: os.fstat(0),
                lambda: os.fstat(2),
                lambda: os.memfd_create("x"),
                lambda: os.setuid(0),
            )
            + json.dumps(dict(os.environ)).encode()
        )

    with _hostile(attack) as cage:
        found = await cage.decode_frame(b"")
    assert b"done" not in found
    assert found.endswith(b"{}")


async def test_inside_memory_is_bounded() -> None:
    """Asking for more than a job may take ends it, with an error that says so."""

    def attack(_job: Job, _part10: bytes) -> bytes:
        return bytes(bytearray(zygote.MEMORY + 2**20))

    refusals: list[type[Unreadable]] = []
    with _hostile(attack) as cage:
        # seen once in hundreds of runs: the process was ended before it could say why
        while TooLarge not in refusals and len(refusals) < 3:
            with pytest.raises(Unreadable) as refused:
                await cage.decode_frame(b"")
            refusals.append(refused.type)
    assert TooLarge in refusals


async def test_inside_time_is_bounded() -> None:
    """Computing for ever ends by the limit of the processor, waiting for ever by the clock."""

    def compute(_job: Job, _part10: bytes) -> bytes:
        while True:
            pass

    with _hostile(compute) as cage, pytest.raises(Unreadable):
        await cage.decode_frame(b"")

    def wait(_job: Job, _part10: bytes) -> bytes:
        time.sleep(60)
        return b""

    begun = time.monotonic()
    with _hostile(wait, wall=1) as cage, pytest.raises(Unreadable):
        await cage.decode_frame(b"")
    assert time.monotonic() - begun < 20


async def test_outside_the_answer_is_bounded_and_checked() -> None:
    """An endless answer is cut off; one that is no picture is refused; a broken one is an error."""

    def endless(job: Job, _part10: bytes) -> bytes:
        if job.kind == "samples":
            os._exit(3)
        if job.kind == "thumbnail":
            return b"<script>alert(1)</script>"
        return b"\xff\xd8\xff" + bytes(80 * 1024**2)

    with _hostile(endless) as cage:
        with pytest.raises(TooLarge):
            await cage.render(b"")
        with pytest.raises(Unreadable):
            await cage.thumbnail(b"")
        with pytest.raises(Unreadable):
            await cage.decode_frame(b"")


async def test_a_job_nobody_waits_for_is_ended() -> None:
    """When the asker has gone, its child is ended, and the next job runs."""

    def attack(job: Job, _part10: bytes) -> bytes:
        if job.frame:
            time.sleep(20)
        return b"there"

    with _hostile(attack) as cage:
        tasks = [asyncio.create_task(cage.decode_frame(b"", frame=1)) for _ in range(zygote.JOBS)]
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        begun = time.monotonic()
        assert await cage.decode_frame(b"") == b"there"
        assert time.monotonic() - begun < 5
