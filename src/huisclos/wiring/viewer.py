"""The OHIF viewer: fetched by npm, known by its digest, unpacked into a folder the web room serves.

The viewer is not part of huisclos and is not shipped with it. One release is pinned, with the SHA-512
that its publisher stated; whatever else arrives is refused before anything is unpacked. What
the viewer would load from elsewhere, or keep after the physician has left, is left out.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from huisclos.errors import Conflict, Full, NotFound, Unreachable, Unreadable

Progress = Callable[[str], None]
"""Told one sentence at each step."""


@dataclass(frozen=True)
class Release:
    """One version of an npm package; `integrity` is its archive's digest as npm writes it."""

    package: str
    version: str
    integrity: str


OHIF: Final = Release(
    package="@ohif/app",
    version="3.13.2",
    integrity="sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
)
"""The release this version of huisclos was tested with; older ones than 3.12.2 fetch what a link tells them
to, with the reader's token (CVE-2026-12473)."""

MAX_ARCHIVE: Final = 128 * 1024 * 1024
"""Bytes of the archive npm brings; the pinned one has 50 MB."""
MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of one unpacked file; the pinned release's largest has 20 MB."""
MAX_UNPACKED: Final = 512 * 1024 * 1024
"""Bytes of all unpacked files; the pinned release has 204 MB, of which 60 MB are kept."""
MAX_FILES: Final = 4096
"""Entries of the archive; the pinned one has 249."""

FETCH_SECONDS: Final = 900
"""Time npm has to bring the archive."""

MANIFEST: Final = "huisclos-viewer.json"
_ROOT: Final = PurePosixPath("package/dist")

_LEFT_OUT_FOLDERS: Final = frozenset({"ort", "customizations"})
"""`ort` runs segmentation models that would be fetched from a hub; `customizations` are demonstrations."""
_LEFT_OUT_FILES: Final = frozenset(
    {
        "_headers",
        "_redirects",
        "app-config.js",
        "google.js",
        "init-service-worker.js",
        "oidc-client.min.js",
        "serve.json",
        "silent-refresh.html",
        "sw.js",
    }
)
"""Another host's settings, data sources in public clouds, a service worker, a login of another kind:
the web room answers `app-config.js` itself and has no use for the others."""


class InstalledViewer(msgspec.Struct, frozen=True):
    """What was unpacked, as written into its folder."""

    package: str
    version: str
    integrity: str
    files: int
    bytes: int
    inline_scripts: list[str]
    """Content-Security-Policy sources of the scripts inside index.html, `'sha256-...'` each."""


def viewer_folder(environment: Mapping[str, str] = os.environ, release: Release = OHIF) -> Path:
    """Where the viewer is, or where it would be installed.

    `HUISCLOS_VIEWER` names the folder itself. Without it, the folder of this release beside the installed
    program when it is there or can be made there, else the one in the user's own data folder.
    """
    named = environment.get("HUISCLOS_VIEWER")
    if named:
        return Path(named).expanduser()
    beside = Path(sys.prefix, "share", "huisclos", "viewer", release.version)
    own = Path.home() / ".local" / "share" / "huisclos" / "viewer" / release.version
    for folder in (beside, own):
        if installed(folder) is not None:
            return folder
    return beside if _writable(beside) else own


def installed(folder: Path) -> InstalledViewer | None:
    """What `folder` holds, or None when no viewer was installed there."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=InstalledViewer)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def install_viewer(
    destination: Path, tarball: Path | None, progress: Progress, release: Release = OHIF
) -> Path:
    """Make `destination` hold the viewer of `release`, from `tarball` or through npm; returns it.

    Nothing is done when that very release is there, but a tarball that is not the pinned one is refused. A
    viewer of another release is replaced in one step; a folder with anything else in it is left alone and
    raises `Conflict`. Raises `NotFound` without a tarball and without npm, `Unreachable` when npm fails,
    `Unreadable` when the archive is not the pinned one, `Full` when it does not fit on the disk.
    """
    if tarball is not None:
        progress("checking the archive's digest")
        check_integrity(tarball, release)
    there = installed(destination)
    if there is not None and there.integrity == release.integrity:
        progress(f"the viewer is there: {release.package} {release.version}")
        return destination
    if there is None and destination.exists() and any(destination.iterdir()):
        raise Conflict(
            "the folder for the viewer holds something else", hint=f"empty it or name another: {destination}"
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".viewer-", dir=destination.parent) as work:
        archive = tarball
        if archive is None:
            archive = _fetch(release, Path(work), progress)
            progress("checking the archive's digest")
            check_integrity(archive, release)
        progress("unpacking")
        unpacked = Path(work, "unpacked")
        try:
            _write_manifest(unpacked, _unpack(archive, unpacked), release)
        except OSError as error:
            raise Full(f"the viewer could not be written: {error.strerror}") from error
        _put(unpacked, destination, Path(work, "replaced"))
    progress(f"installed {release.package} {release.version}")
    return destination


def check_integrity(archive: Path, release: Release) -> None:
    """Raise `Unreadable` unless the bytes of `archive` are those of `release`."""
    try:
        if archive.stat().st_size > MAX_ARCHIVE:
            raise Unreadable("the viewer's archive is larger than it can be")
        with archive.open("rb") as source:
            digest = hashlib.file_digest(source, "sha512").digest()
    except OSError as error:
        raise NotFound(f"the viewer's archive cannot be read: {error.strerror}") from error
    if f"sha512-{base64.b64encode(digest).decode()}" != release.integrity:
        raise Unreadable(
            f"this is not the archive of {release.package} {release.version}: its digest is another",
            hint=f"fetch it again: npm pack {release.package}@{release.version}",
        )


def _fetch(release: Release, work: Path, progress: Progress) -> Path:
    scripts = os.pathsep.join((os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts")))
    npm = shutil.which("npm", path=scripts)
    if npm is None:
        raise NotFound(
            "npm is needed to fetch the viewer, and is not here",
            hint="pip install 'huisclos[viewer]' brings it; or name the archive with --from",
        )
    progress(f"fetching {release.package} {release.version} with npm (50 MB)")
    settings = {"cache": str(work / "cache"), "update_notifier": "false", "fund": "false", "audit": "false"}
    environment = {
        **os.environ,
        "PATH": scripts,
        **{f"npm_config_{name}": value for name, value in settings.items()},
    }
    command = [npm, "pack", f"{release.package}@{release.version}", "--ignore-scripts", "--silent"]
    try:
        ran = subprocess.run(
            command,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(
            "npm did not bring the viewer in time", hint="name the archive with --from"
        ) from None
    archives = sorted(work.glob("*.tgz"))
    if ran.returncode != 0 or len(archives) != 1:
        raise Unreachable(
            "npm could not fetch the viewer", hint="is it configured here? or name the archive with --from"
        )
    return archives[0]


def _unpack(archive: Path, target: Path) -> list[int]:
    """Write the viewer's files below `target`; returns their sizes.

    Although the archive is the pinned one, nothing in it is followed: no link, no absolute path, no step up,
    no size beyond its bound.
    """
    sizes: list[int] = []
    try:
        with tarfile.open(archive, "r:gz") as members:
            for number, member in enumerate(members):
                if number >= MAX_FILES or sum(sizes) + member.size > MAX_UNPACKED:
                    raise Unreadable("the viewer's archive unpacks to more than it can")
                place = _place(member)
                source = None if place is None else members.extractfile(member)
                if place is None or source is None:
                    continue
                path = target / place
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    shutil.copyfileobj(source, file)
                path.chmod(0o644)
                sizes.append(member.size)
    except (tarfile.TarError, EOFError) as error:
        raise Unreadable("the viewer's archive breaks off") from error
    return sizes


def _place(member: tarfile.TarInfo) -> PurePosixPath | None:
    """Where a member goes, relative to the viewer's folder; None when it is not wanted."""
    if member.isdir():
        return None
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or member.size > MAX_FILE:
        raise Unreadable("the viewer's archive holds something other than plain files")
    if not path.is_relative_to(_ROOT):
        return None
    place = path.relative_to(_ROOT)
    unwanted = place.parts[0] in _LEFT_OUT_FOLDERS or place.name in _LEFT_OUT_FILES or place.suffix == ".map"
    return None if unwanted else place


def _write_manifest(unpacked: Path, sizes: list[int], release: Release) -> None:
    try:
        page = (unpacked / "index.html").read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise Unreadable("the viewer's archive has no page to open") from error
    scripts = _InlineScripts()
    scripts.feed(page)
    manifest = InstalledViewer(
        package=release.package,
        version=release.version,
        integrity=release.integrity,
        files=len(sizes),
        bytes=sum(sizes),
        inline_scripts=scripts.sources(),
    )
    (unpacked / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))


class _InlineScripts(HTMLParser):
    """Gathers the text of each script element without a `src`, byte for byte as a browser would run it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self._texts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and "src" not in dict(attrs)

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._texts.append(data)

    def sources(self) -> list[str]:
        digests = (hashlib.sha256(text.encode()).digest() for text in dict.fromkeys(self._texts))
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def _put(unpacked: Path, destination: Path, replaced: Path) -> None:
    """Move the finished folder into place; a reader sees the old viewer or the new one, whole."""
    unpacked.chmod(0o755)
    if destination.exists():
        destination.rename(replaced)
    unpacked.rename(destination)


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
