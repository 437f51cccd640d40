"""Holders of a real archive: one is taken away, the archive's key changes, nothing is lost on the way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from huisclos.seal import ScryptIdentity, ScryptRecipient, X25519Identity, seal, unseal
from huisclos.vault.holder_files import About
from huisclos.vault.holders import Holders
from huisclos.vault.secret import fingerprint
from huisclos.wiring.places import find_archive
from tests.journey.living import Living, secret_file
from tests.journey.patients import ZEPHYRINE
from tests.peers.house import program as huisclos
from tests.tools import PROJECT, need, program

SAFE = "raven sugar pilot hollow lantern mint"
LEAVING = (PROJECT / "docs" / "how-to" / "leave.md").read_text(encoding="utf-8")


def _fill(house: Living, studies: int, first: int = 0) -> list[bytes]:
    """Send one image of each of some studies; the files."""
    patients = [
        replace(ZEPHYRINE, patient_id=f"HC-{first + number:04}", accession=f"A{first + number}", instances=1)
        for number in range(studies)
    ]
    folder = house.folder / f"sent-{first}"
    paths = [path for patient in patients for path in patient.write(folder, [1])]
    assert house.stow(paths).status_code == 200
    house.settled(first + studies)
    return [path.read_bytes() for path in paths]


def _add_safe(house: Living) -> str:
    """A holder more, for a safe; the id."""
    secret = secret_file(house.folder / "secrets" / "safe", SAFE)
    house.run("holder", "add", str(house.archive), "The safe", "--passphrase-file", str(secret))
    listed = house.json("holder", "list", str(house.archive))["holders"]
    return str(next(holder["id"] for holder in listed if holder["label"] == "The safe"))


def _unlocks(house: Living, secret: str) -> bool:
    ran = house.try_(
        "unlock", str(house.archive), "--unlock-with", f"file:{house.folder / 'secrets' / secret}"
    )
    return ran.returncode == 0


def _stock_age(house: Living, out: Path) -> list[bytes]:
    """Every image, by the lines of docs/how-to/leave.md as they stand, from the recovery key alone."""
    (found,) = (block for block in re.findall(r"```sh\n(.*?)```", LEAVING, re.DOTALL) if "mktemp" in block)
    work = house.folder / "leaving"
    work.mkdir()
    shutil.copy(house.folder / "secrets" / "recovery", work / "recovery.txt")
    names = {"ARCHIVE": str(house.archive), "OUT": str(out)}
    script = found.replace("/dev/shm", str(work))  # noqa: S108 - what the page says, made the test's own
    subprocess.run(["sh", "-euc", script], cwd=work, env=os.environ | names, check=True)
    shutil.rmtree(work)
    return sorted(path.read_bytes() for path in out.rglob("*") if path.is_file())


def test_who_was_taken_away_opens_nothing_and_nobody_else_notices(fresh: Living) -> None:
    """Without a restart; not even with old holder files. The recovery key and the stock program still do."""
    need("age")
    house, archive = fresh.serve(), str(fresh.archive)
    sent = _fill(house, 3)
    safe = _add_safe(house)
    house.lock()
    assert _unlocks(house, "safe")
    old = {path.name: path.read_bytes() for path in (house.archive / "keys" / "holders").iterdir()}
    keyring = sorted((house.archive / "keyring").rglob("*.age"))
    assert "new archive key is in force" in house.try_("holder", "remove", archive, safe).stderr
    sent += _fill(house, 1, first=3)
    assert house.json("verify", archive)["problems"] == []
    assert house.json("journal", "verify", archive)["holds"]
    house.lock()
    assert not _unlocks(house, "safe")
    assert _unlocks(house, "passphrase")
    house.lock()
    assert _unlocks(house, "recovery")
    # an old backup of the holder's files gives the old key, which opens no key of today
    key = unseal(old[f"{safe}.key.age"], [ScryptIdentity(SAFE)]).decode().strip()
    document = msgspec.json.decode(unseal(old[f"{safe}.age"], [X25519Identity.parse(key)]))
    stolen = house.folder / "stolen"
    stolen.write_text(document["identity"] + "\n")
    now = sorted((house.archive / "keyring").rglob("*.age"))
    assert len(now) == len(keyring) + 1
    for place in (*now, house.archive / "keys" / "index.age", house.archive / "keys" / "ca.age"):
        ran = subprocess.run([program("age"), "-d", "-i", stolen, place], capture_output=True, check=False)
        assert ran.returncode == 1
        assert b"no identity matched" in ran.stderr
    house.stop()
    assert _stock_age(house, house.folder / "out") == sorted(sent)


def test_killed_while_the_key_changes(fresh: Living) -> None:
    """At any moment: it opens for those who stay, everything is there, and the rest follows."""
    house, archive = fresh.serve(), str(fresh.archive)
    _fill(house, 12)
    for pause in (0.0, 0.05, 0.2):
        process = subprocess.Popen(
            [huisclos(), "rotate", archive],
            env=house.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.6 + pause)
        house.kill()
        process.wait(60)
        house.serve()
        assert house.json("verify", archive)["problems"] == []
        assert house.json("journal", "verify", archive)["holds"]
    deadline = time.monotonic() + 30
    while (turning := house.json("holder", "list", archive)["rotation"])["running"]:
        assert time.monotonic() < deadline
    assert not turning["waiting"]
    assert not (house.archive / "keys" / "rotation.age").exists()


@pytest.mark.parametrize("opener", ["passphrase", "recovery"])
def test_an_older_archive_opens_and_is_upgraded(fresh: Living, opener: str) -> None:
    """Its holder files are sealed to the passphrase itself: the next unlock gives the holder a key."""
    archive = find_archive(fresh.archive)
    store, recovery = archive.store, (fresh.folder / "secrets" / "recovery").read_text().strip()
    secret, _ = Holders(store).open(recovery)
    passphrase = (fresh.folder / "secrets" / "passphrase").read_text().strip()
    for about in Holders(store).everyone(secret):
        old = About(about.holder_id, about.kind, about.name, about.made_at)
        place = f"keys/holders/{about.holder_id}"
        store.put(f"{place}.about.age", seal(msgspec.json.encode(old), [secret.identity.recipient]))
        if about.kind == "passphrase":
            sealed = seal(secret.encode(), [ScryptRecipient(passphrase, work_factor=10)])
            store.put(f"{place}.age", sealed)
            store.delete(f"{place}.key.age")
        store.put(f"{place}.sha256", fingerprint(store.read(f"{place}.age")).encode() + b"\n")
    house = fresh.serve(locked=True)
    assert _unlocks(house, opener)
    listed = house.json("holder", "list", str(house.archive))["holders"]
    unready = {holder["kind"] for holder in listed if holder["unready"]}
    house.run("status", str(house.archive))
    ran = house.try_("rotate", str(house.archive))
    if opener == "passphrase":
        assert (unready, ran.returncode) == (set(), 0), ran.stderr
    else:
        assert "must unlock once" in ran.stderr
    house.lock()
    assert _unlocks(house, "passphrase")
    assert house.try_("rotate", str(house.archive)).returncode == 0
    house.lock()
    assert _unlocks(house, "recovery")
