"""Promise P2 at the start: a house that would stand open does not start, and says why."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest

from tests.journey.living import LISTENERS, PASSPHRASE, SENDER, Living, secret_file
from tests.journey.patients import ZEPHYRINE

ANY = "127.0.0.1:0"


def _serve(house: Living, **options: str) -> tuple[int, str]:
    """Try to serve with every listener on a free port of loopback, but for `options`; (exit code, words)."""
    words = ["serve", str(house.archive)]
    chosen = {"unlock_with": "none", **{name.replace("-", "_"): ANY for name in LISTENERS}, **options}
    for name, value in chosen.items():
        words += [f"--{name.replace('_', '-')}", value]
    ran = house.try_(*words)
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "8.8.8.8:0", "100.64.0.1:0"])
@pytest.mark.parametrize("name", ["http", "dicom"])
def test_no_listener_on_every_address_or_a_public_one(fresh: Living, name: str, address: str) -> None:
    """0.0.0.0 and its kind are refused at the start, with the code for an open house."""
    code, said = _serve(fresh, **{name: address})
    assert code == 8, said
    assert "hint" in said


def test_a_taken_port_is_said(fresh: Living) -> None:
    """With the code of a conflict; nothing else is left listening."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = _serve(fresh, dicom=f"127.0.0.1:{taken.getsockname()[1]}")
    assert code == 7, said


def test_a_ready_file_that_cannot_be_written_is_said(fresh: Living) -> None:
    """Before anything listens, with the code for a word that is off; what a killed house left goes."""
    for path in (fresh.folder, fresh.folder / "nowhere" / "ready.json"):
        code, said = _serve(fresh, ready_file=str(path))
        assert code == 2, said
        assert "--ready-file" in said
    stale = fresh.folder / "stale.json"
    stale.touch()
    code, said = _serve(fresh, ready_file=str(stale), http="8.8.8.8:0")
    assert code == 8, said
    assert not stale.exists()


def test_loose_secrets_are_refused(fresh: Living) -> None:
    """A passphrase that others may read, or that lies in the archive it opens, opens nothing."""
    inside = secret_file(fresh.archive / "passphrase", PASSPHRASE)
    loose = secret_file(fresh.folder / "secrets" / "loose", PASSPHRASE)
    loose.chmod(0o644)
    for path in (inside, loose):
        code, said = _serve(fresh, unlock_with=f"file:{path}")
        assert code == 8, said


def test_a_house_is_reached_from_another_runtime_folder(fresh: Living) -> None:
    """A login, a service and root have different ones; each finds the house that is being served."""
    fresh.serve()
    try:
        for folder in (str(fresh.folder / "secrets"), ""):
            fresh.faked = {"XDG_RUNTIME_DIR": folder}
            assert fresh.status()["unlocked_by"] == "first"
    finally:
        fresh.faked = {}
        fresh.stop()


def test_a_socket_that_others_may_have_put_there_is_not_spoken_to(fresh: Living) -> None:
    """What the lock file says is believed of a folder of the archive's owner alone."""
    shared = fresh.folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    place = str(shared / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as theirs:
        theirs.bind(place)
        theirs.listen()
        (fresh.archive / "huisclos.lock").write_text(f"{place}\n")
        theirs.settimeout(0.1)
        assert not fresh.status()["served"]
        with pytest.raises(TimeoutError):
            theirs.accept()


def test_an_option_that_is_off_is_said_where_it_is_not_needed(fresh: Living) -> None:
    """The archive is unlocked already; what is wrong on the command line is told."""
    fresh.serve()
    try:
        for word in ("tty:x", "file:/nowhere", "env:NOT_SET_AT_ALL"):
            ran = fresh.try_("verify", str(fresh.archive), "--unlock-with", word)
            assert ran.returncode == 2, word
    finally:
        fresh.stop()


def test_a_wrong_passphrase_is_said_where_it_is_not_needed(fresh: Living) -> None:
    """A script that has the wrong one learns it today, and not on the morning after a restart."""
    wrong = secret_file(fresh.folder / "secrets" / "wrong", "nine-wrong-words-here-44")
    fresh.serve()
    try:
        ran = fresh.try_("unlock", str(fresh.archive), "--unlock-with", f"file:{wrong}")
        assert ran.returncode == 3, ran.stderr
        assert "opens with this passphrase" in ran.stderr
        assert "was unlocked already" in fresh.unlock()
        assert not fresh.status()["locked"]
    finally:
        fresh.stop()


def test_a_wrong_passphrase_starts_nothing(fresh: Living) -> None:
    """A house that was told to unlock and cannot does not go on locked as if nothing were."""
    wrong = secret_file(fresh.folder / "secrets" / "wrong", "nine-wrong-words-here-44")
    code, said = _serve(fresh, unlock_with=f"file:{wrong}")
    assert code == 3, said
    assert not fresh.status()["served"]


def test_an_open_folder_is_refused(fresh: Living) -> None:
    """An archive that other accounts can enter is not served."""
    fresh.archive.chmod(0o755)
    assert _serve(fresh)[0] == 8
    fresh.archive.chmod(0o700)


def test_until_the_recovery_key_is_proven_only_loopback_listens(ground: Path) -> None:
    """A private address is refused, `status` says why, and after the confirmation it does not."""
    house = Living(ground / "unproven")
    for name in ("secrets", "home", "tmp", "run"):
        (house.folder / name).mkdir(mode=0o700, parents=True)
    passphrase = secret_file(house.folder / "secrets" / "passphrase", PASSPHRASE)
    recovery = str(house.folder / "secrets" / "recovery")
    archive = str(house.archive)
    house.run("init", archive, "--passphrase-file", str(passphrase), "--recovery-file", recovery)
    assert not house.status()["recovery_confirmed"]
    assert "recovery-not-confirmed" in {one["kind"] for one in house.status()["findings"]}
    code, said = _serve(house, dicom="10.255.255.1:0")
    assert code == 3, said
    house.run("recovery", "confirm", archive, "--recovery-file", recovery)
    assert house.status()["recovery_confirmed"]


def test_objects_may_lie_in_a_folder_of_their_own(ground: Path) -> None:
    """With `--objects`, on another disk say: what is sent is kept there, found, and whole."""
    house = Living(ground / "apart")
    for name in ("secrets", "home", "tmp", "run"):
        (house.folder / name).mkdir(mode=0o700, parents=True)
    secret = secret_file(house.folder / "secrets" / "passphrase", PASSPHRASE)
    large = house.folder / "large disk é"
    house.run("init", str(house.archive), "--passphrase-file", str(secret), "--objects", str(large))
    house.serve(locked=True)
    try:
        house.unlock()
        house.run("peer", "add", str(house.archive), SENDER, "--address", "127.0.0.1")
        assert house.store(ZEPHYRINE.write(house.folder / "sent")).returncode == 0
        house.settled(3)
        assert len(list(large.glob("*/*/*.dcm.age"))) == 3
        assert house.objects() == []
        assert house.json("verify", str(house.archive))["problems"] == []
    finally:
        house.stop()


def test_nothing_it_makes_is_anybody_elses(fresh: Living) -> None:
    """Whatever the umask says, others read nothing of it; a link in the ready file's place leads nowhere."""
    victim = fresh.folder / "victim"
    victim.write_text("mine")
    (fresh.folder / "ready.json.new").symlink_to(victim)
    before = os.umask(0)
    try:
        fresh.serve()
        assert fresh.store(ZEPHYRINE.write(fresh.folder / "sent")).returncode == 0
        fresh.settled(3)
        fresh.lock()
        fresh.unlock()
        fresh.stop()
    finally:
        os.umask(before)
    assert victim.read_text() == "mine"
    made = [path for path in fresh.archive.rglob("*") if path.lstat().st_mode & 0o077]
    assert [] == [path.relative_to(fresh.archive) for path in made]


def test_there_are_descriptors_for_every_connection_it_takes(fresh: Living) -> None:
    """A system gives 1,024 at first: as many as there may be connections to pages and viewer alone."""
    fresh.prefix = ("sh", "-c", 'ulimit -S -n 512; exec "$@"', "sh")
    fresh.serve(locked=True)
    soft = {
        role: psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)[0] for role, pid in fresh.processes().items()
    }
    assert min(soft.values()) >= 4096, soft
