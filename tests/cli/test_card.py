"""The recovery card: one page, in both languages, and what it says works."""

from __future__ import annotations

import re
import stat
import subprocess
from datetime import date
from pathlib import Path

import pytest

from huisclos.cli import output
from huisclos.cli.card import render_card
from huisclos.seal import X25519Identity
from huisclos.vault.recovery import shown
from tests.cli.conftest import Program
from tests.tools import PROJECT
from tests.tools import program as tool


@pytest.mark.parametrize(("language", "title"), [("en", "Recovery card"), ("fr", "Carte de secours")])
def test_the_card_is_one_page_with_words_and_line(tmp_path: Path, language: str, title: str) -> None:
    """Whatever the archive's path, one A4 page holds the words, the line and the 72 h rule."""
    key = shown(X25519Identity.generate())
    pdf = tmp_path / "card.pdf"
    pdf.write_bytes(render_card(key, "/srv/" + "long/" * 20, date(2026, 11, 23), language))
    told = subprocess.run([tool("pdfinfo"), pdf], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Pages: +1$", told, re.MULTILINE)
    assert "A4" in told
    text = subprocess.run(
        [tool("pdftotext"), "-layout", pdf, "-"], capture_output=True, text=True, check=True
    )
    assert title in text.stdout
    assert key.line in text.stdout
    assert set(key.words) <= set(text.stdout.split())
    assert "72" in text.stdout


def test_the_card_of_an_archive(program: Program, desk: Path) -> None:
    """Made for its owner alone; a foreign key, or a place inside the archive, is refused."""
    archive, pdf = desk / "archive", desk / "card.pdf"
    words = ("recovery", "card", archive, "--recovery-file")
    ran = program(*words, desk / "recovery", "--pdf", pdf, "--lang", "fr")
    assert ran.returncode == 0, ran.stderr
    assert stat.S_IMODE(pdf.stat().st_mode) == 0o600
    assert program(*words, desk / "recovery", "--pdf", archive / "card.pdf").returncode == 8
    foreign = desk / "foreign"
    foreign.write_text(f"{X25519Identity.generate()}\n", encoding="ascii")
    foreign.chmod(0o600)
    assert program(*words, foreign, "--pdf", desk / "other.pdf").returncode == 3


def test_what_the_card_says_opens_the_archive(desk: Path, tmp_path: Path) -> None:
    """Its first step, as printed, gives the archive's key with the stock `age` program."""
    tool("age")
    card = (PROJECT / "src" / "huisclos" / "cli" / "card.typ").read_text(encoding="utf-8")
    (step,) = re.findall(r"```sh\n(K=.*?)```", card, re.DOTALL)
    (tmp_path / "recovery.txt").write_bytes((desk / "recovery").read_bytes())
    script = step.replace("/dev/shm/key", str(tmp_path))  # noqa: S108 - what the card prints
    subprocess.run(["bash", "-c", script], cwd=desk / "archive", check=True)
    opened = (tmp_path / "archive.txt").read_text(encoding="ascii")
    key = X25519Identity.parse(opened.strip())
    recipient = (desk / "archive" / "keys" / "archive.recipient").read_text(encoding="ascii").strip()
    assert str(key.recipient) == recipient


def test_language_follows_the_system() -> None:
    """French where the system speaks French, English elsewhere."""
    assert output.language_of_system({"LANG": "fr_FR.UTF-8"}) == "fr"
    assert output.language_of_system({"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}) == "en"
    assert output.language_of_system({}) == "en"
