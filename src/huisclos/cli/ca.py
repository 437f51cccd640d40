"""`huisclos ca`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder

app = typer.Typer(no_args_is_help=True)

_WORDED: int = 16
"""Bytes of the fingerprint that are said in words, as the page about trust does."""


@app.callback()
def _group() -> None:
    pass


@app.command("export")
def export(
    archive: ArchiveFolder,
    to: Annotated[Path, typer.Option(metavar="FILE", help="New file for the certificate, PEM.")],
) -> None:
    """Write the certificate of the archive's own authority, for browsers and peers to trust.

    Works without anything running. Prints the fingerprint, SHA-256, in hex and in words: compare it
    with what the other machine shows.

    \b
    Example:
      huisclos ca export /srv/images --to huisclos-ca.pem
    """
    from huisclos.certificates import fingerprint, fingerprint_text
    from huisclos.cli.files import write_new
    from huisclos.wiring.places import find_archive

    root = find_archive(archive).root
    pem = _authority(root)
    write_new(to, pem, mode=0o644)
    output.data(fingerprint_text(fingerprint(pem)))
    output.data(said_words(root))
    output.say(f"Written to {to}.")


def said_words(root: Path) -> str:
    """The words by which the page about trust is known to be this archive's, in `root`."""
    from huisclos.certificates import fingerprint
    from huisclos.seal import words_of

    return words_of(fingerprint(_authority(root))[:_WORDED])


def _authority(root: Path) -> bytes:
    from huisclos.cli.files import read_public

    return read_public(root / "tls" / "ca.pem", "the certificate of the authority")
