"""The viewer's installer: only the pinned archive, only plain files, only what the house serves."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from huisclos.errors import Conflict, NotFound, Unreachable, Unreadable
from huisclos.wiring import viewer
from huisclos.wiring.viewer import Release, install_viewer, installed, viewer_folder

PAGE = b"<!doctype html><script>one()</script><script src='/app.js'></script><script>two < 3</script><p>x</p>"
FILES = {
    "package/package.json": b"{}",
    "package/dist/index.html": PAGE,
    "package/dist/app.js": b"app()",
    "package/dist/app.js.map": b"{}",
    "package/dist/sw.js": b"keep()",
    "package/dist/app-config.js": b"cloud()",
    "package/dist/ort/model.wasm": b"\x00asm",
    "package/dist/assets/logo.svg": b"<svg/>",
}


def _quiet(_: str) -> None:
    pass


def _integrity(archive: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def _archive(folder: Path, *extra: tarfile.TarInfo, files: dict[str, bytes] = FILES) -> tuple[Path, Release]:
    path = folder / "viewer.tgz"
    with tarfile.open(path, "w:gz") as members:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            members.addfile(entry, io.BytesIO(content))
        for entry in extra:
            members.addfile(entry, io.BytesIO(b"\x00" * entry.size))
    return path, Release("@invented/viewer", "1.2.3", _integrity(path))


def test_installs_what_is_served_and_nothing_else(tmp_path: Path) -> None:
    """Source maps, service worker, configuration, model runtime stay out; the manifest says what is there."""
    archive, release = _archive(tmp_path)
    folder = install_viewer(tmp_path / "v" / "1.2.3", archive, _quiet, release)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {"index.html", "app.js", "assets/logo.svg", viewer.MANIFEST}
    manifest = installed(folder)
    assert manifest is not None
    assert (manifest.version, manifest.integrity, manifest.files) == ("1.2.3", release.integrity, 3)
    expected = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
        for text in (b"one()", b"two < 3")
    ]
    assert manifest.inline_scripts == expected
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1.2.3"]


def test_a_second_install_does_nothing(tmp_path: Path) -> None:
    """The same release is not fetched or unpacked again; a file that is another is refused."""
    archive, release = _archive(tmp_path)
    install_viewer(tmp_path / "v", archive, _quiet, release)
    assert install_viewer(tmp_path / "v", None, _quiet, release) == tmp_path / "v"
    archive.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(Unreadable, match="digest"):
        install_viewer(tmp_path / "v", archive, _quiet, release)


def test_a_new_release_replaces_the_old(tmp_path: Path) -> None:
    """Another release takes the folder over, whole."""
    archive, release = _archive(tmp_path)
    install_viewer(tmp_path / "v", archive, _quiet, release)
    archive, release = _archive(tmp_path, files={"package/dist/index.html": b"new"})
    install_viewer(tmp_path / "v", archive, _quiet, release)
    assert (tmp_path / "v" / "index.html").read_bytes() == b"new"
    assert not (tmp_path / "v" / "app.js").exists()


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    """An archive with another digest is refused before anything is unpacked."""
    archive, release = _archive(tmp_path)
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)
    with pytest.raises(Unreadable, match="digest"):
        install_viewer(tmp_path / "v", archive, _quiet, release)
    assert not (tmp_path / "v").exists()


def _entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.linkname = kind, size, link
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        _entry("/etc/absolute"),
        _entry("package/dist/../../up"),
        _entry("package/dist/link", tarfile.SYMTYPE, link="/etc/passwd"),
        _entry("package/dist/hard", tarfile.LNKTYPE, link="package/dist/app.js"),
        _entry("package/dist/pipe", tarfile.FIFOTYPE),
        _entry("package/dist/large.js", size=viewer.MAX_FILE + 1),
    ],
    ids=["absolute", "step up", "symbolic link", "hard link", "pipe", "too large"],
)
def test_only_plain_files_of_bounded_size(tmp_path: Path, entry: tarfile.TarInfo) -> None:
    """Even in an archive with the right digest no link, path or size is trusted; nothing is left behind."""
    archive, release = _archive(tmp_path, entry)
    with pytest.raises(Unreadable):
        install_viewer(tmp_path / "v" / "x", archive, _quiet, release)
    assert list((tmp_path / "v").iterdir()) == []


def test_an_archive_cut_short_is_refused(tmp_path: Path) -> None:
    """A truncated archive is unreadable, not a crash."""
    archive, _ = _archive(tmp_path)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(Unreadable):
        install_viewer(tmp_path / "v", archive, _quiet, Release("x", "1", _integrity(archive)))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    """A folder that no installer made is never replaced."""
    archive, release = _archive(tmp_path)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "thesis.odt").write_bytes(b"years")
    with pytest.raises(Conflict):
        install_viewer(tmp_path / "v", archive, _quiet, release)
    assert (tmp_path / "v" / "thesis.odt").read_bytes() == b"years"


def test_without_npm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No npm: the error names the extra that brings it."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(NotFound) as caught:
        install_viewer(tmp_path / "v", None, _quiet)
    assert "huisclos[viewer]" in caught.value.hint


def test_a_failing_npm_is_an_error_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that brings nothing leaves nothing behind."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    with pytest.raises(Unreachable) as caught:
        install_viewer(tmp_path / "v" / "x", None, _quiet)
    assert "--from" in caught.value.hint
    assert list((tmp_path / "v").iterdir()) == []


def test_an_npm_that_brings_another_archive_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What npm writes is checked like any file."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho other >viewer.tgz\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent))
    with pytest.raises(Unreadable, match="digest"):
        install_viewer(tmp_path / "v", None, _quiet)


def test_the_folder_can_be_named(tmp_path: Path) -> None:
    """`HUISCLOS_VIEWER` decides; without it the release's version is the folder's name."""
    assert viewer_folder({"HUISCLOS_VIEWER": str(tmp_path)}) == tmp_path
    assert viewer_folder({}).name == viewer.OHIF.version


def test_an_unreadable_manifest_is_no_viewer(tmp_path: Path) -> None:
    """A folder whose manifest is broken counts as not installed."""
    (tmp_path / viewer.MANIFEST).write_bytes(b"{")
    assert installed(tmp_path) is None
