"""`huisclos serve`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import output
from huisclos.cli.options import (
    ArchiveFolder,
    DicomAt,
    DicomTlsAt,
    GateAt,
    HttpAt,
    ReadyFile,
    UnlockWith,
    ViewerAt,
    listeners,
)

if TYPE_CHECKING:
    from huisclos.wiring.listeners import Bound
    from huisclos.wiring.places import Archive


def serve(
    archive: ArchiveFolder,
    unlock_with: UnlockWith = None,
    http: HttpAt = "",
    gate: GateAt = "",
    viewer: ViewerAt = "",
    dicom: DicomAt = "",
    dicom_tls: DicomTlsAt = "",
    lan: Annotated[bool, typer.Option("--lan", help="Listen on this machine's private addresses.")] = False,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes of each face.")] = 1,
    ready_file: ReadyFile = None,
) -> int:
    """Serve the archive until told to stop. Listens on loopback, unless told otherwise.

    Serves locked if nothing names a passphrase: what is sent is taken and sealed, and nothing is
    read until a person unlocks it.

    \b
    Example:
      huisclos serve /srv/images --lan --unlock-with file:/run/keys/passphrase
    """
    from huisclos.cli.first import on_the_network
    from huisclos.vault.admission import TITLE
    from huisclos.wiring.places import find_archive
    from huisclos.wiring.serve import ServeOptions, serve_archive

    found = find_archive(archive)

    def ready(bound: tuple[Bound, ...]) -> None:
        where = {listener.name: listener.text for listener in bound}
        every = {listener.name: listener.texts for listener in bound}
        pages, gates = (", ".join(map(address_of, every[name])) for name in ("http", "gate"))
        plain, tls = (", ".join(every[name]) for name in ("dicom", "dicom_tls"))
        output.data(address_of(where["http"]))
        output.say(f"Pages      {pages}   DICOMweb: {address_of(where['http'])}dicom-web")
        output.say(f"Gate       {gates}   unlock here, or: huisclos unlock {quote(str(archive))}")
        output.say(f"DICOM      {TITLE} at {plain}; over TLS at {tls}")
        say_unnamed(found, bound)
        output.say("Ctrl-C ends it; the archive is then locked.")

    options = ServeOptions(
        unlock_with=unlock_with,
        given=listeners(http, gate, viewer, dicom, dicom_tls),
        lan=lan,
        workers=workers,
        ready_file=ready_file,
        on_ready=ready,
        viewer=installed_viewer(),
        command=on_the_network(archive),
    )
    return serve_archive(found, options)


def say_unnamed(archive: Archive, bound: tuple[Bound, ...]) -> None:
    """Say which addresses the certificate does not name: only an archive that is open can make another."""
    from huisclos.certificates import describe, unnamed
    from huisclos.vault.places import LEAF
    from huisclos.wiring.listeners import addresses_of

    missing = unnamed(describe(archive.store.read(LEAF)).names, addresses_of(bound))
    if missing:
        output.say(
            f"The certificate does not name {', '.join(missing)}: who comes there is warned. "
            "Unlocking the archive makes one that does."
        )


def address_of(where: str) -> str:
    """The address to open in a browser, of `host:port`; the certificate names `localhost` as well."""
    host, _, port = where.rpartition(":")
    return f"https://{'localhost' if host == '127.0.0.1' else host}:{port}/"


def installed_viewer() -> Path | None:
    """The viewer's folder, or None if it is not installed."""
    from huisclos.wiring.viewer import installed, viewer_folder

    folder = viewer_folder()
    return folder if installed(folder) is not None else None
