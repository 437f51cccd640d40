"""Write constraints.txt: every package of a development set-up, its version, and the hashes of its wheels.

Run from the project's root, in its environment: `python packaging/pin.py`. The versions are what
pip resolves today for the Python that runs this; the hashes are those of the wheels that pip would take on
each Python and machine below, as its index states them. The file names no index: whoever installs
from it says where from, and the hashes say what.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
PYTHONS: Final = ("3.11", "3.12", "3.13")
MACHINES: Final = ("x86_64", "aarch64")
GLIBC: Final = range(17, 37)
"""Minor versions of glibc 2 that a wheel may be built for; Debian 12 has 36 (PEP 600)."""

HEADER: Final = """\
# Every package of a development set-up, with the hashes of its wheels for Linux (x86_64 and aarch64,
# glibc) on Python 3.11, 3.12 and 3.13. Made by `make pin`; changed by nobody's hand.
"""


@dataclass
class Pin:
    """One package at one version, and the SHA-256 of each wheel it may come as."""

    name: str
    version: str
    hashes: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        """As pip reads it in a requirements file."""
        hashes = (f"--hash=sha256:{digest}" for digest in sorted(self.hashes))
        return " \\\n    ".join((f"{self.name}=={self.version}", *hashes))


def main() -> None:
    """Resolve once, collect hashes for each Python and machine, write the file."""
    pins = {pin.name: pin for pin in resolve(wanted(ROOT / "pyproject.toml"))}
    for python in PYTHONS:
        for machine in MACHINES:
            print(f"python {python}, {machine}", file=sys.stderr)
            collect(pins, python, machine)
    (ROOT / "constraints.txt").write_text(render(pins.values()), encoding="ascii")
    print(f"{len(pins)} packages, {sum(len(pin.hashes) for pin in pins.values())} hashes", file=sys.stderr)


def wanted(pyproject: Path) -> list[str]:
    """What the project, its extras and its build ask for, without the project itself."""
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = table["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {line for group in groups for line in group if not line.startswith(project["name"])}
    return sorted(asked | set(table["build-system"]["requires"]))


def render(pins: Iterable[Pin]) -> str:
    """The text of constraints.txt."""
    return HEADER + "".join(f"{pin}\n" for pin in sorted(pins, key=lambda pin: pin.name))


def resolve(requirements: list[str]) -> list[Pin]:
    """The versions that satisfy `requirements` together on this machine."""
    return [Pin(name, version) for name, version, _ in report([], requirements)]


def collect(pins: dict[str, Pin], python: str, machine: str) -> None:
    """Add to each pin the hash of the wheel pip takes on `python` and `machine`.

    Ends the program with pip's own words when a package has no wheel there.
    """
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)]
    platforms += [f"--platform=manylinux2014_{machine}", f"--platform=linux_{machine}"]
    with tempfile.TemporaryDirectory() as target:
        options = ["--no-deps", f"--target={target}", f"--python-version={python}", *platforms]
        for name, version, digest in report(options, [f"{pin.name}=={pin.version}" for pin in pins.values()]):
            if version != pins[name].version:
                raise SystemExit(f"{name}: {version} on {python} {machine}, {pins[name].version} here")
            pins[name].hashes.add(digest)


def report(options: list[str], requirements: list[str]) -> list[tuple[str, str, str]]:
    """Name, version and SHA-256 of what pip would install, from its own dry run."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--only-binary=:all:", "--report=-", *options, *requirements]
    ran = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        raise SystemExit(ran.returncode)
    return [_entry(item) for item in json.loads(ran.stdout)["install"]]


def _entry(item: dict[str, Any]) -> tuple[str, str, str]:
    metadata, archive = item["metadata"], item["download_info"]["archive_info"]
    return _normal(metadata["name"]), metadata["version"], archive["hashes"]["sha256"]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


if __name__ == "__main__":
    main()
