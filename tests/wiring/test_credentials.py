"""Secret files that systemd hands to a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from huisclos.errors import LooseSecret
from huisclos.wiring.secrets import read_secret_file


@pytest.fixture
def credential(tmp_path: Path) -> Path:
    """A credential as systemd 254 makes it: mode 0440, in a folder that only the service enters."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    path = folder / "passphrase"
    path.write_text("badag bodij\n")
    path.chmod(0o440)
    folder.chmod(0o550)
    return path


def test_a_credential_is_read(credential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What systemd hands over is a secret although its mode names the group."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    assert read_secret_file(credential, tmp_path / "archive") == "badag bodij"


def test_elsewhere_the_group_is_too_many(
    credential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the service's folder being named, or with another one named, the same file is refused."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(LooseSecret):
        read_secret_file(credential, tmp_path / "archive")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(LooseSecret):
        read_secret_file(credential, tmp_path / "archive")


def test_a_folder_open_to_all_hands_over_nothing(
    credential: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's name alone does not make a secret: others must not be able to enter it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credential.parent))
    credential.parent.chmod(0o755)
    with pytest.raises(LooseSecret):
        read_secret_file(credential, tmp_path / "archive")
