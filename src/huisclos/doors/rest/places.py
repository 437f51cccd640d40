"""What the names of folders say of what lies in them: a backup, a cloud, a cache, a bin, a volume."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Final

CLOUDS: Final = frozenset(
    ("dropbox", "onedrive", "google drive", "googledrive", "icloud drive", "icloud", "kdrive", "nextcloud",
     "pcloud", "mega", "com~apple~clouddocs", "my drive", "box sync", "mobile documents", "owncloud",
     "proton drive", "synologydrive", "seafile")
)  # fmt: skip
CACHES: Final = frozenset(
    (".weasis", "weasis", "radiant dicom viewer", "dicom-cache", "dicomcache", "dicom cache", "temp.noindex",
     "decompression.noindex", "thumbnails", ".thumbnails", "cache2", "cache_data", "code cache", "inetcache",
     ".cache", "caches", "temporary internet files", "microdicom")
)  # fmt: skip
"""Folders that viewers, desktops and browsers keep copies in."""
BINS: Final = frozenset(
    ("trash", ".trash", ".trashes", "$recycle.bin", "recycler", "downloads", "téléchargements",
     "mail downloads",     "content.outlook", "attachments", "pièces jointes")
)  # fmt: skip
"""Folders where what was thrown away, downloaded or mailed stays."""
BACKUP: Final = re.compile(r"backup|sauvegarde|\.bak\b|backupdb", re.IGNORECASE)
_VOLUMES: Final = ("/docker/volumes/", "/containers/storage/volumes/")
_RESTIC: Final = frozenset(("config", "data", "index", "keys", "snapshots"))
_BORG: Final = frozenset(("README", "config", "data"))
_KERNEL: Final = frozenset(
    ("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
     "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs",
     "selinuxfs", "sysfs", "tracefs")
)  # fmt: skip
"""File systems that are the kernel's own words: nothing lies there at rest, and reading some of it waits."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
"""how the list of mounts writes a blank"""
SETTINGS: Final = "huisclos.toml"
"""the file that makes a folder an archive of ours"""


def marks_of(folder: str) -> tuple[str, ...]:
    """What the path of a folder says: words of `backup`, `cloud`, `cache`, `bin`, `volume`."""
    path = unicodedata.normalize("NFC", folder.lower()) + "/"
    parts = path.split("/")
    made = []
    if BACKUP.search(path) is not None:
        made.append("backup")
    if any(part in CLOUDS or part.startswith("onedrive -") for part in parts):
        made.append("cloud")
    if not CACHES.isdisjoint(parts):
        made.append("cache")
    if any(part in BINS or part.startswith(".trash-") for part in parts):
        made.append("bin")
    if any(one in path for one in _VOLUMES):
        made.append("volume")
    return tuple(made)


def is_archive(folder: str) -> bool:
    """Whether it is an archive of ours."""
    return os.path.isfile(f"{folder}/{SETTINGS}")  # noqa: PTH113 - a walk on strings


def is_sealed_backup(names: frozenset[str]) -> bool:
    """Whether a folder has the layout of restic or borg, which encrypt."""
    return names >= _RESTIC or (
        names >= _BORG and any(name.startswith(("hints.", "index.", "integrity.")) for name in names)
    )


def kernel_folders(root: str, mounts: str = "/proc/self/mountinfo") -> frozenset[str]:
    """Where file systems of the kernel's own begin, at `root` or below, as a walk names them."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - a file of the kernel's
            lines = [line.split(" - ") for line in file if " - " in line]
    except OSError:
        return frozenset()
    real = os.path.realpath(root).rstrip("/")
    start = root.rstrip("/")
    made = set()
    for before, after in lines:
        place = _OCTAL.sub(lambda match: chr(int(match[1], 8)), before.split(" ")[4])
        if after.split(" ")[0] in _KERNEL and f"{place}/".startswith(f"{real}/"):
            made.add(root if place.rstrip("/") == real else start + place[len(real) :])
    return frozenset(made)
