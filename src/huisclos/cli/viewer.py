"""`huisclos viewer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from huisclos.cli import output

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("install")
def install(
    tarball: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE.tgz", help="The release as an archive, for a machine without npm."
        ),
    ] = None,
) -> None:
    """Install the pinned release of the OHIF viewer, known by its digest; prints its folder.

    \b
    Example:
      huisclos viewer install --from ohif-app-3.13.2.tgz
    """
    from huisclos.wiring.viewer import install_viewer, viewer_folder

    output.data(str(install_viewer(viewer_folder(), tarball, output.say)))
