"""huisclos.toml: read once, whole, strictly: an unknown name is an error, so that no slip goes unnoticed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from huisclos.access.addresses import Network
from huisclos.errors import BadSetting

FORMAT: Final = 1
"""Of the folder's layout."""
MAX_DECLARED: Final = 16
SHORTEST: Final = {4: 16, 6: 32}
"""Bits of a declared network at least, by version of IP: what one practice can own, and no more."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    unit: str
    default: Any
    sentence: str


SETTINGS: Final = (
    Setting("format", "number", FORMAT, "Layout of the archive's folder; written by init."),
    Setting("archive", "32 hex digits", "", "The archive's id; written by init, not to be changed."),
    Setting("objects", "path", "", "Folder of the sealed objects when not ARCHIVE/objects (init --objects)."),
    Setting(
        "declared_networks",
        "list of prefixes",
        (),
        "Networks, beyond private ones and this machine's own, whose connections are heard (P11); "
        "each is journalled at start.",
    ),
    Setting("max_object", "bytes", 4 * 1024**3, "Largest instance that is received."),
    Setting("max_associations", "number", 64, "DICOM associations at one time, in all."),
    Setting("max_associations_per_address", "number", 16, "DICOM associations at one time from one address."),
    Setting(
        "quarantine_images",
        "number",
        10_000,
        "Instances kept of one sender who is not approved; beyond it a store is answered A700.",
    ),
    Setting(
        "quarantine_bytes",
        "bytes",
        16 * 1024**3,
        "The same for the size of the sealed objects.",
    ),
)


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """The settings of one archive, as read."""

    format: int = FORMAT
    archive: str = ""
    objects: str = ""
    declared_networks: tuple[Network, ...] = ()
    max_object: int = 4 * 1024**3
    max_associations: int = 64
    max_associations_per_address: int = 16
    quarantine_images: int = 10_000
    quarantine_bytes: int = 16 * 1024**3


def load_settings(text: str) -> ArchiveSettings:
    """The settings of a file's text. Raises `BadSetting`."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"huisclos.toml is not TOML: {error}") from None
    known = {field.name: field for field in fields(ArchiveSettings)}
    for name, value in given.items():
        if name not in known:
            raise BadSetting(
                f"huisclos.toml: there is no setting called {name!r}",
                hint=f"known: {', '.join(sorted(known))}",
            )
        _check_type(name, value)
    if given.get("format", FORMAT) != FORMAT:
        raise BadSetting(
            f"this archive has format {given['format']}, this huisclos reads {FORMAT}",
            hint="use a newer huisclos",
        )
    if given.get("objects") and not Path(given["objects"]).is_absolute():
        raise BadSetting("huisclos.toml: objects is a whole path, which begins with /")
    try:
        networks = tuple(ip_network(text) for text in given.pop("declared_networks", ()))
    except ValueError:
        raise BadSetting("declared_networks: write prefixes like 100.64.3.0/24") from None
    too_large = any(network.prefixlen < SHORTEST[network.version] for network in networks)
    if too_large or len(networks) > MAX_DECLARED:
        raise BadSetting(
            "declared_networks: a network of yours is no larger than a /16 of IPv4 or a /32 of IPv6",
            hint=f"name your own prefixes, {MAX_DECLARED} at most; the Internet is not one of them",
        )
    return ArchiveSettings(declared_networks=networks, **given)


def write_settings(settings: ArchiveSettings) -> str:
    """The text of a file that says what was chosen at init, and nothing that is a default."""
    lines = ["# Settings of a huisclos archive: docs/reference/settings.md. None opens the house."]
    lines += [f"format = {settings.format}", f'archive = "{settings.archive}"']
    if settings.objects:
        escaped = settings.objects.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'objects = "{escaped}"')
    return "\n".join(lines) + "\n"


def _check_type(name: str, value: object) -> None:
    default = next(setting.default for setting in SETTINGS if setting.name == name)
    wanted = list if isinstance(default, tuple) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise BadSetting(f"huisclos.toml: {name} has the wrong type")
    if isinstance(value, int) and value < 1:
        raise BadSetting(f"huisclos.toml: {name} must be at least 1")
