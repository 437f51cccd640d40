"""Finding configurations in files and folders, and telling whose they are by what stands in them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from huisclos.doors.config import MAX_CONFIG, Setting, orthanc, others, proxies, shares, traefik
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.versions import version_facts
from huisclos.errors import Unreadable
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reason

MAX_FILES: Final = 20_000
MAX_INCLUDES: Final = 200
_COMPOSE: Final = ("compose.yml", "compose.yaml", "docker-compose.yml", "docker-compose.yaml")
_WANTED: Final = (".json", ".conf", ".ini", ".map", ".plist", ".ldif", ".yml", ".yaml", ".toml", ".caddy")
_NAMED: Final = ("Caddyfile", "exports", "standalone.xml", "standalone-full.xml", "dcm4chee-arc.xml")
_OTHERS: Final = stat.S_IROTH


@dataclass(slots=True)
class Places:
    """Names of files as tokens that only this run can make; the names are for the terminal alone."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    shown: dict[str, str] = field(default_factory=dict)

    def token(self, path: Path | str) -> str:
        """The token of a place."""
        made = "p-" + hmac.new(self.key, os.fsencode(path), hashlib.sha256).hexdigest()[:16]
        self.shown[made] = os.fsencode(path).decode("utf-8", "backslashreplace")
        return made


def read_configs(
    roots: Iterable[Path], places: Places, environment: Mapping[str, str] | None = None
) -> Iterator[Seen]:
    """Every configuration at or below `roots`."""
    for root in roots:
        yield from _root(root, places, environment or {})


def _root(root: Path, places: Places, environment: Mapping[str, str]) -> Iterator[Seen]:
    if not root.exists():
        yield Miss(("*",), str(root), Reason.UNREADABLE)
        return
    documents: dict[Path, list[tuple[Path, dict[str, Any]]]] = {}
    apache: list[tuple[Path, list[Setting]]] = []
    found = False
    for path in _files(root):
        try:
            product, settings, document = _one(path)
        except _NotKnown:
            continue
        except (Unreadable, OSError):
            if path == root or path.suffix not in (".yml", ".yaml", ".toml"):
                found = True
                yield Miss(("*",), str(root), Reason.UNREADABLE, facts(place=places.token(path)))
            continue
        if document is not None:
            documents.setdefault(path.parent, []).append((path, document))
        found |= document is not None or bool(settings) or product == "nginx"
        if product == "apache":
            apache.append((path, settings))
            continue
        yield from _seen(root, product, settings, path, places)
    # One line of Apache's, in whichever file, has the requests of all its sites written down.
    logged = any(one.name == "access-log" and not one.open for _, settings in apache for one in settings)
    for path, settings in apache:
        told = [one for one in settings if not (logged and one.name == "access-log" and one.open)]
        yield from _seen(root, "apache", told, path, places)
    for folder, parts in documents.items():
        merged = orthanc.merge((part for _, part in sorted(parts, key=lambda one: one[0])), environment)
        secret = [path for path, part in parts if part.get("RegisteredUsers")]
        loose = any(path.stat().st_mode & _OTHERS for path in secret)
        settings = orthanc.judge_settings(merged, secret_is_loose=loose)
        place = parts[0][0] if len(parts) == 1 else folder
        yield from _seen(root, "orthanc", settings, place, places)
    if not found:
        yield Miss(("*",), str(root), Reason.NOT_IDENTIFIED)


def _seen(
    root: Path, product: str, settings: Iterable[Setting], path: Path, places: Places
) -> Iterator[Seen]:
    for one in settings:
        if one.version is not None and one.product is not None:
            known = version_facts(one.product, one.version) + facts(place=places.token(path))
            yield Observation(What.INSTALLED, str(root), one.reach, known)
            continue
        found = facts(
            product=product,
            setting=one.name,
            value="open" if one.open else "closed",
            count=one.count,
            place=places.token(path),
        )
        yield Observation(What.SETTING, str(root), one.reach, found)


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    count = 0
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not Path(folder, name).is_symlink())
        for name in sorted(files):
            if name.lower().endswith(_WANTED) or name in (*_NAMED, *_COMPOSE):
                count += 1
                if count > MAX_FILES:
                    return
                yield Path(folder, name)


class _NotKnown(Exception):
    """No reader of ours is for this file; the folder around it may hold what we do read."""


def _one(path: Path) -> tuple[str, list[Setting], dict[str, Any] | None]:
    """Whose file it is, what it decides; or, for Orthanc, the document that is to be merged."""
    raw = _read(path)
    text = raw.decode("utf-8-sig", errors="replace")
    name = path.name.lower()
    for end, product, read in _RAW:
        if name.endswith(end):
            return product, read(raw), None
    for end, product, judge in _READERS:
        if name.endswith(end):
            return product, judge(text), None
    if name.endswith((".yml", ".yaml")):
        return *others.judge_yaml(text), None
    if name.endswith(".toml"):
        return "traefik", _toml(text), None
    if name.endswith(("caddyfile", ".caddy")):
        return "caddy", proxies.judge_caddy(text, _Includes(path.parent)), None
    if name.endswith(".json") or text.lstrip().startswith(("{", "//", "/*")):
        if not any(key in text for key in orthanc.KEYS):
            raise _NotKnown
        document = orthanc.parse(text)
        return "orthanc", [], document if orthanc.is_orthanc(document) else None
    if "<VirtualHost" in text or "ProxyPass" in text or "<Location" in text:
        return "apache", proxies.judge_apache(text, _Includes(path.parent)), None
    blocks = proxies.parse_nginx(text, _Includes(path.parent))
    if not proxies.is_nginx(blocks):
        raise _NotKnown
    return "nginx", proxies.judge_nginx(blocks), None


_READERS: Final[tuple[tuple[str, str, Callable[[str], list[Setting]]], ...]] = (
    (".ldif", "dcm4chee", others.judge_ldif),
    ("acrnema.map", "conquest", others.judge_map),
    ("dicom.ini", "conquest", others.judge_ini),
    ("smb.conf", "samba", shares.judge_smb),
    ("exports", "nfs", shares.judge_exports),
)


_RAW: Final[tuple[tuple[str, str, Callable[[bytes], list[Setting]]], ...]] = (
    (".plist", "horos", others.judge_plist),
    (".xml", "dcm4chee", others.judge_wildfly),
)


def _toml(text: str) -> list[Setting]:
    """Traefik's, or nobody's. Raises `Unreadable`."""
    try:
        read = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        raise Unreadable("this is not TOML") from None
    if not traefik.is_traefik(read):
        raise _NotKnown
    return traefik.judge_traefik(read)


class _Includes:
    """Reads what an nginx file includes, below its own folder's tree or by its absolute name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = MAX_INCLUDES

    def __call__(self, pattern: str) -> list[str]:
        base, relative = (
            (Path("/"), pattern.lstrip("/")) if pattern.startswith("/") else (self._folder, pattern)
        )
        texts = []
        try:
            for path in sorted(base.glob(relative)):
                self._left -= 1
                if self._left >= 0 and path.is_file():
                    texts.append(_read(path).decode("utf-8", errors="replace"))
        except (OSError, ValueError, NotImplementedError):
            return texts
        return texts


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(MAX_CONFIG + 1)
    if len(raw) > MAX_CONFIG:
        raise Unreadable("this file is too large for a configuration")
    return raw
