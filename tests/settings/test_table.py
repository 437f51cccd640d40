"""Settings are what they say, wherever a command is run, and none of them opens anything."""

from __future__ import annotations

import pytest

from huisclos.errors import BadSetting
from huisclos.settings import load_settings


@pytest.mark.parametrize(
    "line",
    [
        'objects = "images"',
        'objects = "../images"',
        'declared_networks = ["0.0.0.0/0"]',
        "declared_networks = [[1]]",
        "max_associations = 0",
        "max_object = true",
        "anonymous = true",
    ],
)
def test_what_is_no_setting_is_refused(line: str) -> None:
    """A path that depends on where a command is run would show an empty archive."""
    with pytest.raises(BadSetting):
        load_settings(line)
