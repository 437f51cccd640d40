"""The documents say what is so: links lead somewhere, commands exist, shell lines do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pytest
import typer.main

from huisclos.cli.main import program
from huisclos.seal import X25519Identity, seal
from tests.tools import PROJECT, need

LINK: Final = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING: Final = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
INLINE: Final = re.compile(r"`([^`\n]+)`")
PROGRAM: Final = re.compile(r"^(?:[\w./-]*/)?huisclos$")
BEFORE: Final = re.compile(r"^(?:ExecStart=|(?:sudo|-u \w+|[A-Z_]+=\S*)\s+)*")
"""What may stand before the program's name on a line."""
STANDS_FOR_ANY: Final = re.compile(r"^[A-Z][A-Z_:.]*(\.\.\.)?$|\.\.\.")
"""`ARCHIVE`, `HOST:PORT`, `...`: words of a document that a person replaces."""


def documents() -> list[Path]:
    """Every document of the project."""
    return sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


def _prose(path: Path) -> str:
    """A document without its fenced blocks, where brackets mean something else."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in HEADING.findall(_prose(path)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", ""))
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return frozenset(found)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link names a file or folder that is there, and a heading in it."""
    broken = []
    for link in (first or second for first, second in LINK.findall(_prose(path))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert [] == broken


def test_the_index_lists_every_decision() -> None:
    """Each decision is in the index itself."""
    index = PROJECT / "docs" / "index.md"
    there = set((PROJECT / "docs" / "adr").glob("*.md"))
    assert set() == {path.name for path in there - _linked(index)}


def test_every_document_is_reached() -> None:
    """Whatever lies under docs/ is reached from the index by links, or lies in a folder that is."""
    waiting, reached = [PROJECT / "docs" / "index.md"], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _linked(path) if path.suffix == ".md" else []
            waiting += path.glob("*.md") if path.is_dir() else []
    unreached = set((PROJECT / "docs").rglob("*.md")) - reached
    assert set() == {str(path.relative_to(PROJECT)) for path in unreached}


def _linked(path: Path) -> set[Path]:
    """What a document links to, of what is there."""
    names = (first.partition("#")[0] for first, _ in LINK.findall(_prose(path)))
    return {there for name in names if name and (there := (path.parent / unquote(name)).resolve()).exists()}


def test_decisions_are_numbered_in_a_row() -> None:
    """Each decision has a number of its own, no number is left out, and the heading says it."""
    paths = sorted((PROJECT / "docs" / "adr").glob("*.md"))
    assert list(range(len(paths))) == [int(path.name[:4]) for path in paths]
    for path in paths[1:]:
        assert path.read_text(encoding="utf-8").startswith(f"# {path.name[:4]}: ")


def test_decisions_say_what_they_cost() -> None:
    """Each decision has every section of the form."""
    form = HEADING.findall((PROJECT / "docs" / "adr" / "0000-template.md").read_text(encoding="utf-8"))[1:]
    for path in sorted((PROJECT / "docs" / "adr").glob("*.md"))[1:]:
        assert form == HEADING.findall(path.read_text(encoding="utf-8"))[1:], path.name


# commands


def _program() -> Any:
    """The program's own tree of commands."""
    return typer.main.get_command(program())


def _quoted(path: Path) -> Iterator[list[str]]:
    """The words of each huisclos command in a document, without the program's name."""
    text = path.read_text(encoding="utf-8")
    lines = [
        line for language, block in FENCE.findall(text) if language in ("sh", "ini") for line in _lines(block)
    ]
    lines += [found for found in INLINE.findall(FENCE.sub("", text)) if found.startswith("huisclos ")]
    for line in lines:
        words = _words(BEFORE.sub("", line))
        if words and PROGRAM.match(words[0]):
            yield words[1:]


def _lines(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def _words(line: str) -> list[str]:
    line = line.partition(" #")[0]
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    ends = [at for at, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>")]
    return words[: ends[0]] if ends else words


def _quoting() -> list[Path]:
    return [path for path in documents() if any(_quoted(path))]


@pytest.mark.parametrize("path", _quoting(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_commands_exist(path: Path) -> None:
    """Each huisclos command in a document names a command and options that the program has."""
    quoted = [words for words in _quoted(path) if words]
    root = _program()
    assert [] == [
        f"huisclos {' '.join(words)}: {fault}" for words in quoted if (fault := _fault(root, words))
    ]


def _fault(root: Any, words: list[str]) -> str:
    """What is wrong with a quoted command; empty when nothing is."""
    command, at = root, 0
    while (
        (nested := getattr(command, "commands", None)) and at < len(words) and not words[at].startswith("-")
    ):
        if words[at] not in nested:
            return f"there is no {words[at]!r}"
        command, at = nested[words[at]], at + 1
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    given = 0
    rest = iter(words[at:])
    for word in rest:
        name, _, value = word.partition("=")
        if word.startswith("-"):
            if name not in options and name not in ("-h", "--help", "--version"):
                return f"there is no option {name}"
            if name in options and not getattr(options[name], "is_flag", False) and not value:
                next(rest, None)
        elif not STANDS_FOR_ANY.search(word) or word.isupper():
            given += 1
    arguments = [option for option in command.params if option.param_type_name == "argument"]
    many = any(option.nargs == -1 for option in arguments)
    return "" if many or given <= len(arguments) else f"it takes {len(arguments)} arguments"


# shell lines

MEMORY: Final = "/dev/" + "shm"
LEAVING: Final = PROJECT / "docs" / "how-to" / "leave.md"
BACKING_UP: Final = PROJECT / "docs" / "how-to" / "back-up.md"


def _block(path: Path, holding: str) -> str:
    """The one shell block of a document that holds these words."""
    (found,) = [
        block
        for language, block in FENCE.findall(path.read_text(encoding="utf-8"))
        if language == "sh" and holding in block
    ]
    return str(found)


def _put(archive: Path, name: str, plain: str, to: X25519Identity) -> None:
    path = archive / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(plain.encode(), [to.recipient]))


def test_leaving_needs_the_stock_program_only(tmp_path: Path) -> None:
    """The lines of the page, run as they stand, bring every image out: settled, and received in the dark."""
    need("age")
    recovery, stranger, secret, study, batch = (X25519Identity.generate() for _ in range(5))
    study_id, batch_id = "5e" + "0" * 30, "b0" + "1" * 30
    archive, out = tmp_path / "an archive", tmp_path / "out"
    _put(archive, f"keys/holders/{'0' * 32}.age", "another holder's", stranger)
    _put(archive, f"keys/holders/{'a' * 32}.age", f'{{"identity":"{secret}","signing":"00"}}', recovery)
    _put(archive, f"keyring/5e/{study_id}.age", f"{study}\n", secret)
    _put(archive, f"keyring/5f/5f{'0' * 30}.age", f"{study}\n", secret)  # a study that was never used
    _put(archive, f"objects/5e/{study_id}/{'1' * 32}.dcm.age", "one image", study)
    _put(archive, f"objects/5e/{study_id}/{'2' * 32}.dcm.age", "another image", study)
    _put(archive, f"objects/5e/{study_id}/manifest.age", "no image", study)
    _put(archive, f"batches/{batch_id}/batch.age", f'{{"identity":"{batch}"}}', secret)
    _put(archive, f"batches/{batch_id}/{'3' * 32}.dcm.age", "an image of the night", batch)
    (tmp_path / "recovery.txt").write_text(f"{recovery}\n")
    script = _block(LEAVING, "mktemp").replace(MEMORY, str(tmp_path))
    environment = os.environ | {"ARCHIVE": str(archive), "OUT": str(out)}
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, env=environment, check=True)
    taken = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert {
        f"{study_id}/{'1' * 32}.dcm": "one image",
        f"{study_id}/{'2' * 32}.dcm": "another image",
        f"{batch_id}/{'3' * 32}.dcm": "an image of the night",
    } == taken
    assert [] == list(tmp_path.glob("leaving.*")), "the keys are taken away again"


def test_a_backup_has_everything_that_is_not_derived(tmp_path: Path) -> None:
    """The lines of the page, run as they stand, copy all of an archive but what can be made again."""
    need("sqlite3")
    archive, backup = tmp_path / "archive", tmp_path / "a backup"
    archive.mkdir()
    names = [
        "huisclos.toml",
        "keys/signing.pub",
        "keyring/5e/key.age",
        "objects/5e/5e/1.dcm.age",
        "tls/ca.pem",
    ]
    names += [
        "batches/b0/batch.age",
        "journal/pen",
        "journal/key.age",
        "journal/entries.log",
        "journal/heads.log",
    ]
    for name in names:
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).write_text(name)
    for name in ("accounts", "decisions", "index"):
        subprocess.run(["sqlite3", archive / f"{name}.sqlite", "create table t (x)"], check=True)
    script = _block(BACKING_UP, "VACUUM")
    environment = os.environ | {"ARCHIVE": str(archive), "BACKUP": str(backup)}
    for _ in range(2):  # the second time over the first
        subprocess.run(["sh", "-euc", script], env=environment, check=True)
    copied = {str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()}
    assert {*names, "accounts.sqlite", "decisions.sqlite"} == copied
