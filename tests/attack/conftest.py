"""Houses to attack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.house import Vault
from tests.vault.world import quick


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """An unlocked vault with cheap passphrases."""
    with quick():
        yield Vault(tmp_path)
