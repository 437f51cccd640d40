"""Is the huisclos that this Python imports whole? Says what is missing, and exits 1.

Run with the Python of an installation, outside the project's folder; it compares with the source tree that
it lies in itself.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).resolve().parents[1] / "src" / "huisclos"


def main() -> int:
    """Compare the installed files with the source's."""
    spec = importlib.util.find_spec("huisclos")
    if spec is None or spec.origin is None:
        print("huisclos is not installed")
        return 1
    lacking = missing(Path(spec.origin).parent)
    for name in lacking:
        print(f"missing: {name}")
    return 1 if lacking else 0


def missing(installed: Path, source: Path = SOURCE) -> list[str]:
    """What `installed` lacks of the source's files and of the compiled catalogues."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    wanted = {
        path for path in wanted if "__pycache__" not in path.parts and path.suffix not in {".mo", ".part"}
    }
    wanted |= {path.with_suffix(".mo") for path in wanted if path.suffix == ".po"}
    return sorted(str(path) for path in wanted if not (installed / path).is_file())


if __name__ == "__main__":
    sys.exit(main())
