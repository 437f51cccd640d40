"""docs/sealed-object.md says what is so."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from huisclos.seal import (
    MAX_HEADER,
    MAX_STANZAS,
    MAX_WORK_FACTOR,
    SEALED_CHUNK,
    X25519_HEADER_LENGTH,
    X25519Identity,
    seal,
    words_of,
)
from tests.tools import PROJECT, need

PAGE = (PROJECT / "docs" / "sealed-object.md").read_text(encoding="utf-8")
STUDY = "5e" + "0" * 30
OBJECT = "0b" + "1" * 30
HOLDER = "aa" + "2" * 30


def test_its_commands_open_an_archive(tmp_path: Path) -> None:
    """The commands of the page, run as they stand, lead from the recovery key to the image."""
    need("age")
    recovery, archive, study = (X25519Identity.generate() for _ in range(3))
    _put(tmp_path, f"keys/holders/{HOLDER}.age", f'{{"identity":"{archive}","signing":"00"}}', recovery)
    _put(tmp_path, f"keyring/5e/{STUDY}.age", str(study), archive)
    _put(tmp_path, f"objects/5e/{STUDY}/{OBJECT}.dcm.age", "an invented image", study)
    (tmp_path / "recovery.txt").write_text(f"{recovery}\n")
    found = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names = {"ARCHIVE": str(tmp_path), "STUDY": STUDY, "OBJECT": OBJECT, "HOLDER": HOLDER}
    subprocess.run(["sh", "-euc", found[1]], cwd=tmp_path, env=os.environ | names, check=True)
    assert (tmp_path / "image.dcm").read_text() == "an invented image"


def _put(folder: Path, name: str, plain: str, to: X25519Identity) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(plain.encode(), [to.recipient]))


def test_its_numbers() -> None:
    """The numbers of the page are those of the code."""
    assert f"**{X25519_HEADER_LENGTH} bytes**" in PAGE
    assert f"`h + 16 + n × {SEALED_CHUNK}`" in PAGE
    assert f"at most {MAX_HEADER >> 10} KiB and {MAX_STANZAS} stanzas" in PAGE
    assert f"work factor at most {MAX_WORK_FACTOR}" in PAGE
    assert " ".join(words_of(bytes(range(32))).split()[:4]) in PAGE
