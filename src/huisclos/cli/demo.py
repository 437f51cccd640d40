"""`huisclos demo`: what `make demo` calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from huisclos.cli import output
from huisclos.cli.options import (
    ArchiveFolder,
    DicomAt,
    DicomTlsAt,
    GateAt,
    HttpAt,
    ReadyFile,
    ViewerAt,
    listeners,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from huisclos.cli.filling import Filling
    from huisclos.wiring.listeners import Bound
    from huisclos.wiring.places import Archive

OWNER: Final = "Claire Marchand"
"""Invented."""


def demo(
    archive: ArchiveFolder,
    http: HttpAt = "",
    gate: GateAt = "",
    viewer: ViewerAt = "",
    dicom: DicomAt = "",
    dicom_tls: DicomTlsAt = "",
    ready_file: ReadyFile = None,
) -> int:
    """Serve an archive for looking around in.

    The first time it is made and sends itself at least 20 studies, with a passphrase and an owner
    that are shown once. The images are test files that come with the packages pydicom and
    pydicom-data; the people in them are invented.

    \b
    Example:
      huisclos demo /tmp/demo
    """
    from huisclos.cli.first import forget_archive, on_the_network, ready_viewer
    from huisclos.errors import ArchiveNotFound, HuisclosError
    from huisclos.wiring.places import find_archive
    from huisclos.wiring.serve import ServeOptions, serve_archive

    filling: Filling | None = None
    try:
        found = find_archive(archive)
    except ArchiveNotFound:
        found, filling = _make(archive)
    viewer_files = ready_viewer()
    tell = _filler(filling, found) if filling is not None else lambda _: None

    def ready(bound: tuple[Bound, ...]) -> None:
        where = {listener.name: listener.text for listener in bound}
        _guide(where, archive, filling)
        tell(where["dicom"])

    options = ServeOptions(
        unlock_with="none",
        given=listeners(http, gate, viewer, dicom, dicom_tls),
        ready_file=ready_file,
        on_ready=ready,
        viewer=viewer_files,
        command=on_the_network(archive),
    )
    try:
        return serve_archive(found, options)
    except HuisclosError:
        if filling is not None:  # its passphrase was not shown: nobody could ever open it
            forget_archive(found)
        raise


def _make(root: Path) -> tuple[Archive, Filling]:
    from huisclos.cli.filling import Filling
    from huisclos.cli.founding import found_archive
    from huisclos.cli.samples import samples
    from huisclos.seal import X25519Identity, generate_passphrase
    from huisclos.vault.create import Opener

    recovery = X25519Identity.generate()
    filling = Filling(
        passphrase=generate_passphrase(),
        owner=OWNER,
        password=generate_passphrase(),
        recovery=str(recovery),
        samples=tuple(samples()),
    )
    return found_archive(root, Opener(filling.passphrase, "demonstration"), recovery=recovery), filling


def _filler(filling: Filling, archive: Archive) -> Callable[[str], None]:
    """A process that fills the archive once it is told where DICOM listens.

    It is forked before the house is, since it speaks to it as any command would.
    """
    from huisclos.cli.filling import fill

    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        code = 1
        try:
            code = fill(reading, archive.root, filling)
        finally:
            os._exit(code)
    os.close(reading)

    def tell(where: str) -> None:
        os.write(writing, where.encode())
        os.close(writing)

    return tell


def _guide(where: dict[str, str], root: Path, filling: Filling | None) -> None:
    from huisclos.cli.ca import said_words
    from huisclos.cli.first import send_to
    from huisclos.cli.serve import address_of

    pages = address_of(where["http"])
    lines = [pages, ""]
    if filling is not None:
        lines += [
            "Shown once:",
            f"  name        {filling.owner}",
            f"  password    {filling.password}",
            f"  passphrase  {filling.passphrase}",
            "Log in with name and password; the passphrase unlocks the archive after a restart.",
        ]
    else:
        lines += [
            "This archive was made earlier and is locked. Unlock it with the passphrase that was shown then:",
            f"  {address_of(where['gate'])}",
            f"or begin again: end this, remove {root}, and start anew.",
        ]
    lines += [
        "",
        send_to(where),
        "",
        "Three things to try next:",
        "  1. search for a name, an accent left out, or a year",
        "  2. open a study in the viewer",
        '  3. see under "to decide" what was not stored silently',
        "",
        f"The browser does not know the house yet, and warns. At {pages}trust it must show these words:",
        f"  {said_words(root)}",
        "Ctrl-C ends it; the archive is then locked.",
    ]
    output.data("\n".join(lines))
