"""What the confined processes can still do: their work."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from huisclos.settings import ArchiveSettings, write_settings
from huisclos.wiring.places import Archive
from huisclos.wiring.separation import prepare_folders

STORING = """
import sys
from pathlib import Path
from huisclos.wiring.places import find_archive
from huisclos.wiring.separation import confine_role

archive = find_archive(Path(sys.argv[1]))
store = archive.store
confine_role(sys.argv[2], archive)
for place in sys.argv[3:]:
    writing = store.begin(1)
    writing.room(5)[:] = b"ealed"
    writing.commit(place, b"s")
try:
    (archive.root / "keys" / "archive.recipient").read_bytes()
except PermissionError:
    print("no keys")
"""
BATCH, STUDY = "b0" + "0" * 30, "5e" + "0" * 30


@pytest.mark.parametrize("role", ["reception", "web", "scribe"])
@pytest.mark.parametrize("apart", [False, True], ids=["inside", "apart"])
def test_a_confined_face_stores(tmp_path: Path, role: str, *, apart: bool) -> None:
    """By day into a study and by night into a batch that the vault has just made; keys are out of reach."""
    root, objects = tmp_path / "archive", tmp_path / "objects"
    (root / "keys").mkdir(parents=True)
    root.chmod(0o700)
    settings = ArchiveSettings(archive="a" * 32, objects=str(objects) if apart else "")
    (root / "huisclos.toml").write_text(write_settings(settings))
    (root / "keys" / "archive.recipient").write_text("age1")
    prepare_folders(Archive(root, settings))
    (root / "batches" / BATCH).mkdir()
    places = [f"objects/5e/{STUDY}/{'1' * 32}.dcm.age", f"batches/{BATCH}/{'2' * 32}.dcm.age"]
    done = subprocess.run(
        [sys.executable, "-c", STORING, str(root), role, *places], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    stored = Archive(root, settings).store
    assert [b"sealed", b"sealed"] == [stored.read(place) for place in places]
    if not done.stdout:
        pytest.skip("this kernel has no Landlock: the keys are kept from nobody")


REACHING = """
import socket
import sys
from pathlib import Path
from huisclos.wiring.places import find_archive
from huisclos.wiring.separation import confine_role

archive = find_archive(Path(sys.argv[1]))
confine_role(sys.argv[2], archive)
try:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(sys.argv[3])
    print("reached")
except PermissionError:
    print("refused")
ours, theirs = socket.socketpair()
ours.sendall(b"x")
print(theirs.recv(1))
"""


@pytest.mark.parametrize("role", ["vault", "finder", "scribe", "web", "reception", "gate", "auditor"])
def test_no_process_of_the_house_reaches_its_control_socket(tmp_path: Path, role: str) -> None:
    """Whoever does, under the house's account, speaks for its owner: a worker taken over must not."""
    settings = ArchiveSettings(archive="a" * 32)
    (tmp_path / "huisclos.toml").write_text(write_settings(settings))
    tmp_path.chmod(0o700)
    prepare_folders(Archive(tmp_path, settings))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.bind(str(tmp_path / "control"))
        control.listen()
        command = [sys.executable, "-c", REACHING, str(tmp_path), role, str(tmp_path / "control")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    reached, pair = done.stdout.splitlines()
    assert (reached, pair) == ("refused", "b'x'")


SENDING = """
import socket
import sys
from pathlib import Path
from huisclos.wiring.places import find_archive
from huisclos.wiring.separation import confine_role

confine_role(sys.argv[2], find_archive(Path(sys.argv[1])))
try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"secret", ("127.0.0.1", int(sys.argv[3])))
    print("sent")
except PermissionError:
    print("refused")
"""


@pytest.mark.parametrize(
    ("role", "said"),
    [("vault", "refused"), ("finder", "refused"), ("scribe", "refused"), ("auditor", "sent")],
)
def test_what_holds_keys_sends_nothing_away(tmp_path: Path, role: str, said: str) -> None:
    """Not by a datagram either, which needs no connection; who makes connections of its own still can."""
    settings = ArchiveSettings(archive="a" * 32)
    (tmp_path / "huisclos.toml").write_text(write_settings(settings))
    tmp_path.chmod(0o700)
    prepare_folders(Archive(tmp_path, settings))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", 0))
        command = [sys.executable, "-c", SENDING, str(tmp_path), role, str(heard.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("", said) == (done.stderr, done.stdout.strip())
