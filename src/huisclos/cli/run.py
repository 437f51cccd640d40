"""`huisclos run`: what `make run` calls."""

from __future__ import annotations

import secrets
from shlex import quote
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
    from pathlib import Path

    from huisclos.wiring.listeners import Bound
    from huisclos.wiring.places import Archive

_LINK_BYTES: Final = 20


def run(
    archive: ArchiveFolder,
    http: HttpAt = "",
    gate: GateAt = "",
    viewer: ViewerAt = "",
    dicom: DicomAt = "",
    dicom_tls: DicomTlsAt = "",
    ready_file: ReadyFile = None,
) -> int:
    """Serve an archive of your own on this machine.

    It is made if there is none. Prints the address alone on a line, then how to log in the first
    time, what to type into a modality, and what to try next. Once set up, it serves locked and says
    where to unlock.

    \b
    Example:
      huisclos run ~/images
    """
    from huisclos.cli.first import on_the_network, ready_viewer
    from huisclos.cli.serve import say_unnamed
    from huisclos.wiring.serve import ServeOptions, serve_archive

    found, link = _archive(archive)

    def ready(bound: tuple[Bound, ...]) -> None:
        _guide(bound, archive, link)
        say_unnamed(found, bound)

    options = ServeOptions(
        unlock_with="none",
        given=listeners(http, gate, viewer, dicom, dicom_tls),
        ready_file=ready_file,
        on_ready=ready,
        viewer=ready_viewer(),
        command=on_the_network(archive),
    )
    return serve_archive(found, options)


def _archive(root: Path) -> tuple[Archive, str]:
    """The archive, made if need be, and the secret of its set-up link; empty once it was set up."""
    from huisclos.cli.first import forget_archive, was_never_set_up
    from huisclos.cli.founding import found_archive
    from huisclos.errors import ArchiveNotFound
    from huisclos.vault.create import Opener
    from huisclos.vault.holders import HolderKind
    from huisclos.wiring.places import find_archive

    try:
        found = find_archive(root)
    except ArchiveNotFound:
        pass
    else:
        if not was_never_set_up(found):
            return found, ""
        forget_archive(found)
        output.say("This archive was never set up: it is made anew, with a fresh link and a new certificate.")
    link = secrets.token_urlsafe(_LINK_BYTES)
    return found_archive(root, Opener(link, "set-up link", HolderKind.SET_UP)), link


def _guide(bound: tuple[Bound, ...], root: Path, link: str) -> None:
    from huisclos.cli.ca import said_words
    from huisclos.cli.first import program, send_to
    from huisclos.cli.serve import address_of

    there = quote(str(root))
    where = {listener.name: listener.text for listener in bound}
    pages, gate = address_of(where["http"]), address_of(where["gate"])
    lines = [pages, ""]
    if link:
        lines += [
            "The first time, open this link on this machine, within 15 minutes; it works once:",
            f"  {pages}set-up#{link}",
            f"The browser does not know the house yet, and warns. At {pages}trust it must show these words:",
            f"  {said_words(root)}",
            f"After that, each start finds the archive locked; it is unlocked at {gate}",
        ]
    else:
        lines += ["The archive is locked: it receives, and shows nothing. Unlock it here:", f"  {gate}"]
    lines += [
        "",
        send_to(where),
        "",
        "Three things to try next:",
        f"  1. {'set up the archive with the link above' if link else 'unlock it, then log in'}",
        "  2. drop a folder of DICOM files on the page Add",
        f"  3. admit a modality on the page Peers, or: {program()} peer add {there} CT01 --address 127.0.0.1",
        "",
        "Ctrl-C ends it; the archive is then locked.",
    ]
    output.data("\n".join(lines))
