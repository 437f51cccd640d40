"""What is installed is whole, what is asked for is used, and what is pinned is pinned by its bytes."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tools import PROJECT, need

LOADED_BY_NAME: Final = {
    "httptools": "uvicorn's HTTP parser",
    "pyjpegls": "pydicom's decoder of JPEG-LS",
    "pylibjpeg": "pydicom's way to the three decoders",
    "pylibjpeg-libjpeg": "pydicom's decoder of JPEG",
    "pylibjpeg-openjpeg": "pydicom's decoder of JPEG 2000",
    "pylibjpeg-rle": "pydicom's decoder of RLE",
    "uvloop": "uvicorn's event loop",
}
"""Dependencies that no line of ours imports, and who does."""


def _project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def _imported() -> set[str]:
    """The distributions that the source imports."""
    roots: set[str] = set()
    for path in (PROJECT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                roots.add(node.module.partition(".")[0])
    providers = importlib.metadata.packages_distributions()
    foreign = roots - sys.stdlib_module_names - {"huisclos"}
    return {canonicalize_name(name) for root in foreign for name in providers.get(root, [root])}


def _asked() -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in _project()["project"]["dependencies"]}


def test_everything_imported_is_asked_for() -> None:
    """A plain install has all that the source imports; extras are imported lazily, and named."""
    extras = _project()["project"]["optional-dependencies"]
    optional = {
        canonicalize_name(Requirement(line).name)
        for name, lines in extras.items()
        if name != "dev"
        for line in lines
    }
    assert _imported() - _asked() - optional == set()


def test_everything_asked_for_is_used() -> None:
    """No dependency is idle: each is imported, or loaded by a library that is."""
    assert _asked() - _imported() - set(LOADED_BY_NAME) == set()


def test_every_pin_has_hashes_and_no_host() -> None:
    """constraints.txt says what, by version and digest, and never where from."""
    text = (PROJECT / "constraints.txt").read_text(encoding="ascii")
    assert "://" not in text
    assert "--index" not in text
    entries = re.split(r"(?m)^(?=[a-z])", re.sub(r"(?m)^#.*\n", "", text))
    pin = re.compile(r"[a-z0-9-]+==[0-9a-z.+!-]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
    assert [entry for entry in entries if entry and not pin.fullmatch(entry)] == []


def test_every_requirement_is_pinned_within_its_range() -> None:
    """What the project, its extras and its build ask for is pinned, at a version they allow."""
    text = (PROJECT / "constraints.txt").read_text(encoding="ascii")
    pinned = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))
    pin = runpy.run_path(str(PROJECT / "packaging" / "pin.py"))
    wanted = [Requirement(line) for line in pin["wanted"](PROJECT / "pyproject.toml")]
    off = [
        str(each)
        for each in wanted
        if not each.specifier.contains(pinned.get(canonicalize_name(each.name), "0"))
    ]
    assert off == []


def test_pins_are_written_as_pip_reads_them() -> None:
    """One package, its hashes in order, on lines that pip joins."""
    pin = runpy.run_path(str(PROJECT / "packaging" / "pin.py"))
    text = pin["render"]([pin["Pin"]("b", "2", {"22", "11"}), pin["Pin"]("a", "1", {"00"})])
    expected = "a==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n"
    assert text.removeprefix(pin["HEADER"]) == expected


def test_a_wheel_is_whole(tmp_path: Path) -> None:
    """A wheel holds every file of the source, and the translations compiled."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    whole = runpy.run_path(str(PROJECT / "packaging" / "whole.py"))
    assert whole["missing"](tmp_path / "installed" / "huisclos") == []
    (licence,) = (tmp_path / "installed").glob("*.dist-info/licenses/LICENSE")
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in licence.read_text()


def _catalogue(root: Path, sentences: str) -> Path:
    path = root / "src/huisclos/web/locale/fr/LC_MESSAGES/messages.po"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n' + sentences, encoding="utf-8"
    )
    return path


@pytest.fixture
def compile_catalogues() -> Callable[[Path], list[Path]]:
    """The build hook's one function."""
    function: Callable[[Path], list[Path]] = runpy.run_path(str(PROJECT / "hatch_build.py"))[
        "compile_catalogues"
    ]
    return function


def test_translations_are_compiled_when_they_changed(
    tmp_path: Path, compile_catalogues: Callable[[Path], list[Path]]
) -> None:
    """A catalogue is compiled once, and not again until it changes."""
    catalogue = _catalogue(tmp_path, 'msgid "open"\nmsgstr "ouvert"\n')
    assert compile_catalogues(tmp_path) == [catalogue.with_suffix(".mo")]
    assert compile_catalogues(tmp_path) == []
    assert b"ouvert" in catalogue.with_suffix(".mo").read_bytes()


def test_a_guessed_translation_is_left_out(
    tmp_path: Path, compile_catalogues: Callable[[Path], list[Path]]
) -> None:
    """A fuzzy entry shows the English sentence, not the wrong French one."""
    catalogue = _catalogue(tmp_path, '#, fuzzy\nmsgid "closed"\nmsgstr "ouvert"\n')
    compile_catalogues(tmp_path)
    assert b"ouvert" not in catalogue.with_suffix(".mo").read_bytes()


def _set_up(folder: Path, python: str) -> str:
    """What the set-up script says when `python` stands for Python; it must end with 1."""
    need("sh")
    ran = subprocess.run(
        ["sh", str(PROJECT / "packaging" / "set-up")],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHON": python, "VENV": str(folder / "venv")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    return ran.stderr.strip()


def _stand_in(folder: Path, body: str) -> str:
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_old_python_is_named_in_one_sentence(tmp_path: Path) -> None:
    """Python 3.10 is told apart before anything is made."""
    old = _stand_in(tmp_path, 'case "$*" in --version) echo Python 3.10.1;; *) exit 1;; esac')
    said = _set_up(tmp_path, old)
    assert said.splitlines() == [said]
    assert "Python 3.10.1 is too old: 3.11 or newer is needed" in said


def test_a_missing_venv_names_debians_package(tmp_path: Path) -> None:
    """A fresh Debian without python3-venv is told which package to install, not shown a traceback."""
    said = _set_up(tmp_path, _stand_in(tmp_path, 'case "$*" in *ensurepip*) exit 1;; esac'))
    assert said.splitlines() == [said]
    assert "apt install python3-venv" in said


def test_a_missing_python_is_named_in_one_sentence(tmp_path: Path) -> None:
    """No Python at all is a sentence too."""
    said = _set_up(tmp_path, "python-that-is-not-here")
    assert said.splitlines() == [said]
    assert "apt install python3 python3-venv" in said
