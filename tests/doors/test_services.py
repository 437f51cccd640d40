"""What stands beside imaging, real where it installs: PostgreSQL, Samba; told by their protocol."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.config.files import Places, read_configs
from huisclos.doors.machine import imaging, listeners, observe_listeners, reached
from huisclos.doors.probes import smb
from huisclos.doors.runner import Manners, run
from huisclos.findings.nouns import Language, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, probe, started, untested, wait_for
from tests.tools import need, program

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what we look for
LOOPBACK = "127.0.0.1"


def checked(port: int) -> Report:
    """What `doors check` says of the listener at `port`: asked over loopback, judged by its address."""
    found = [one for one in listeners() if one.port == port]
    made = Audit("check", Language.EN, now())
    made.take(observe_listeners(found), now())

    async def work() -> None:
        asked = imaging(found)
        async for _, seen in run([one.target for one in asked], Manners()):
            made.take(reached(seen, asked[0].reach), now())

    asyncio.run(work())
    return made.report()


def _postgres_bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        need("initdb")
    return found[-1].parent


@contextmanager
def postgres(folder: Path, address: str, port: int) -> Iterator[None]:
    """Debian's PostgreSQL, bound to `address`; it does not run for root, so its own user takes it."""
    binaries, data = _postgres_bin(), folder / "data"
    data.mkdir()
    user = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres").pw_name
        shutil.chown(data, user)
        for parent in (folder, *folder.parents):
            if parent.stat().st_uid == 0 and parent != Path("/tmp"):  # noqa: S108 - the way there
                parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(
        [str(binaries / "initdb"), "-D", str(data), "-A", "reject", "-N"],
        check=True, capture_output=True, user=user, cwd=data,
    )  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-h", address, "-k", "", "-F"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, user=user, cwd=data,
        )  # fmt: skip
    try:
        wait_for(port)
        yield
    finally:
        process.terminate()
        process.wait(15)


@pytest.mark.parametrize(("address", "is_open"), [(EVERYWHERE, True), (LOOPBACK, False)])
def test_a_real_postgres(short_dir: Path, free_port: Callable[[], int], address: str, is_open: bool) -> None:
    """On every address it is a door, on loopback none; known by its protocol at a port that is nobody's."""
    port = free_port()
    with postgres(short_dir, address, port):
        report = checked(port)
    assert is_open == (Verdict.PROVED is open_doors(report).get("WEB-027"))
    assert is_open or "WEB-027" in closed_doors(report)
    assert {} == untested(report)
    said = (short_dir / "server.log").read_text()
    assert "rejects connection" not in said, "nobody logs in"


@contextmanager
def samba(folder: Path, port: int, *, guests: bool) -> Iterator[Path]:
    """Debian's smbd with one share of images; its configuration."""
    for name in ("images", "private", "state"):
        (folder / name).mkdir(mode=0o755)
    settings = folder / "smb.conf"
    where = "\n".join(
        f"{name} = {folder}/state"
        for name in ("lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir")
    )
    account = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    settings.write_text(
        f"[global]\n{where}\nprivate dir = {folder}/private\nsmb ports = {port}\nbind interfaces only = yes\n"
        f"interfaces = 127.0.0.1\ndisable netbios = yes\nload printers = no\nguest account = {account}\n"
        f"map to guest = {'Bad User' if guests else 'Never'}\n"
        f"[images]\npath = {folder}/images\nguest ok = {'yes' if guests else 'no'}\n"
    )
    command = [program("smbd"), "--foreground", "--configfile", str(settings)]
    with started([*command, "--debug-stdout"], port, folder):
        yield settings


@pytest.mark.parametrize("guests", [True, False])
def test_a_real_samba(short_dir: Path, free_port: Callable[[], int], guests: bool) -> None:
    """A share for guests takes a name that nobody has; one without refuses it; its file says the same."""
    port = free_port()
    with samba(short_dir, port, guests=guests) as settings:
        report = probe(f"{LOOPBACK}:{port}", seconds=1.5)
        made = Audit("config", Language.EN, now())
        made.take(read_configs([settings], Places()), now())
    assert guests == (Verdict.PROVED is open_doors(report).get("WEB-028"))
    assert guests or "WEB-028" in closed_doors(report)
    assert guests == (Verdict.CONFIG is open_doors(made.report()).get("WEB-028"))


@contextmanager
def scripted(*answers: bytes, first: bytes = b"") -> Iterator[int]:
    """A listener that says `first`, then one answer for each message, on every connection."""
    server = socket.create_server((LOOPBACK, 0))

    def serve() -> None:
        while True:
            try:
                talk, _ = server.accept()
            except OSError:
                return
            with talk:
                talk.settimeout(3)
                try:
                    talk.sendall(first)
                    for answer in answers:
                        if not talk.recv(4096):
                            break
                        talk.sendall(answer)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize(
    ("first", "answers", "check"),
    [
        (b"RFB 003.008\n", (), "WEB-030"),
        (b"", (b"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x02\x00\x00\x00",), "WEB-030"),
        (b"\x4a\0\0\0\x0a8.0.36\0" + bytes(60), (), "WEB-027"),
        (b"", (b"-NOAUTH Authentication required.\r\n",), "WEB-027"),
    ],
)
def test_greetings_as_documented(first: bytes, answers: tuple[bytes, ...], check: str) -> None:
    """VNC, RDP, MySQL and Redis are told by what they say; over loopback alone they are closed."""
    with scripted(*answers, first=first) as port:
        assert check in closed_doors(probe(f"{LOOPBACK}:{port}"))


@pytest.mark.parametrize(
    "answer", [b"\0\0\0\x40\xfeSMB" + b"\xff" * 60, b"\0\xff\xff\xff", b"S" * 5000, b"\0\0\0\x50\xfeSMB"]
)
def test_hostile_answers_are_no_service(answer: bytes) -> None:
    """Lengths of gigabytes, half a header, a flood: not identified or untested, nothing open."""
    with scripted(answer, answer) as port:
        report = probe(f"{LOOPBACK}:{port}", seconds=1.0)
    assert {} == open_doors(report)
    assert untested(report)


@given(st.binary(max_size=300))
def test_any_answer_of_smb_is_read(raw: bytes) -> None:
    """No bytes make the reader of SMB stumble."""
    for one in (raw, b"\xfeSMB" + bytes(12) + b"\x01" + bytes(47) + raw):
        try:
            smb.length_of(one[:4])
            said = smb.read(one)
            _ = said.guest, said.signing, said.more
            smb.name(said, "nobody")
        except smb.NotSmb:
            continue
