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
    from huisclos.cli.files import read_public, write_new
    from huisclos.seal import words_of
    from huisclos.wiring.places import find_archive

    root = find_archive(archive).root
    pem = read_public(root / "tls" / "ca.pem", "the certificate of the authority")
    digest = fingerprint(pem)
    write_new(to, pem, mode=0o644)
    output.data(fingerprint_text(digest))
    output.data(words_of(digest[:_WORDED]))
    output.say(f"Written to {to}.")
