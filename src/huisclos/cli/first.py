"""What `run` and `demo` share: an archive to look around in, the viewer, the lines that tell what to do."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Final

from huisclos.cli import output
from huisclos.cli.serve import installed_viewer
from huisclos.errors import HuisclosError
from huisclos.vault.admission import TITLE
from huisclos.vault.holders import Holders
from huisclos.wiring.places import Archive, lock_archive
from huisclos.wiring.viewer import install_viewer, viewer_folder

_STORED: Final = ("objects", "batches", "keyring")


def ready_viewer() -> Path | None:
    """The viewer's folder, installed if need be; None, and a word about it, when it cannot be."""
    there = installed_viewer()
    if there is not None:
        return there
    try:
        return install_viewer(viewer_folder(), None, lambda sentence: output.say(f"Viewer: {sentence}"))
    except HuisclosError as error:
        output.tell(error)
        output.say("Serving without the viewer. Later: huisclos viewer install, then start again.")
        return None


def was_never_set_up(archive: Archive) -> bool:
    """Whether only the one-time link opens this archive, and nothing was ever stored in it."""
    store = archive.store
    if any(True for folder in _STORED for _ in store.list(folder)):
        return False
    return Holders(store).by_link()


def forget_archive(archive: Archive) -> None:
    """Remove an archive that nobody uses yet. Raises `Conflict` while it is being served."""
    held = lock_archive(archive)
    try:
        if archive.settings.objects:
            shutil.rmtree(archive.settings.objects, ignore_errors=True)
        shutil.rmtree(archive.root)
    finally:
        os.close(held)


def program() -> str:
    """What to type for `huisclos` in this shell: it may be in an environment that is not on the path."""
    if shutil.which("huisclos") is not None or Path(sys.argv[0]).name != "huisclos":
        return "huisclos"
    return os.path.relpath(sys.argv[0])


def on_the_network(root: Path) -> str:
    """What to type for a house that the practice's network reaches."""
    return f"{program()} serve {quote(str(root))} --lan"


def send_to(where: dict[str, str]) -> str:
    """What to type into a modality."""
    host, _, port = where["dicom"].rpartition(":")
    return f"Send to: AE title {TITLE}, address {host}, port {port}"
