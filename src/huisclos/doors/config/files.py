"""Finding configurations in files and folders, and telling whose they are by what stands in them."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from huisclos.doors.config import (
    MAX_CONFIG,
    Setting,
    apache,
    caddy,
    compose,
    orthanc,
    others,
    proxies,
    shares,
    traefik,
)
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
_SITES: Final = "sites-enabled"
"""whose files have any name; what lies beside it and is not enabled is no site"""
_FRONTS: Final = ("nginx", "apache", "caddy")
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
    fronts: list[tuple[Path, str, list[Setting]]] = []
    included: set[Path] = set()
    found = False
    for path in _files(root):
        try:
            product, settings, document = _one(path, environment, included)
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
        if product in _FRONTS:
            fronts.append((path, product, settings))
            continue
        yield from _seen(root, product, settings, path, places)
    yield from _fronts(root, [one for one in fronts if one[0].resolve() not in included], places)
    for folder, parts in documents.items():
        merged = orthanc.merge((part for _, part in sorted(parts, key=lambda one: one[0])), environment)
        secret = [path for path, part in parts if part.get("RegisteredUsers")]
        loose = any(path.stat().st_mode & _OTHERS for path in secret)
        settings = orthanc.judge_settings(merged, secret_is_loose=loose)
        place = parts[0][0] if len(parts) == 1 else folder
        yield from _seen(root, "orthanc", settings, place, places)
    if not found:
        yield Miss(("*",), str(root), Reason.NOT_IDENTIFIED)


def _fronts(root: Path, fronts: list[tuple[Path, str, list[Setting]]], places: Places) -> Iterator[Seen]:
    """Web servers in front; what another file includes was judged in its place there."""
    # One line of Apache's, in whichever file, has the requests of all its sites written down.
    logged = any(
        product == "apache" and one.name == "access-log" and not one.open
        for _, product, settings in fronts
        for one in settings
    )
    for path, product, settings in fronts:
        told = [
            one
            for one in settings
            if not (logged and product == "apache" and one.name == "access-log" and one.open)
        ]
        yield from _seen(root, product, told, path, places)


def _seen(
    root: Path, product: str, settings: Iterable[Setting], path: Path, places: Places
) -> Iterator[Seen]:
    for one in settings:
        if one.version == "":
            told = facts(product=one.product, place=places.token(path))
            yield Miss(("DCM-023",), str(root), Reason.NO_VERSION, told)
            continue
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
            wanted = name.lower().endswith(_WANTED) or name in (*_NAMED, *_COMPOSE)
            if wanted or Path(folder).name == _SITES or root.name == "sites-available":
                count += 1
                if count > MAX_FILES:
                    return
                yield Path(folder, name)


class _NotKnown(Exception):
    """No reader of ours is for this file; the folder around it may hold what we do read."""


def _one(
    path: Path, environment: Mapping[str, str], included: set[Path]
) -> tuple[str, list[Setting], dict[str, Any] | None]:
    """Whose file it is, what it decides; or, for Orthanc, the document that is to be merged."""
    raw = _read(path)
    text = raw.decode("utf-8-sig", errors="replace")
    name, include = path.name.lower(), _Includes(path, included)
    for end, product, read in _RAW:
        if name.endswith(end):
            return product, read(raw), None
    for end, product, judge in _READERS:
        if name.endswith(end):
            return product, judge(text), None
    if name.endswith((".yml", ".yaml")):
        return *compose.judge_yaml(text, include.beside), None
    if name.endswith(".toml"):
        return "traefik", _toml(text), None
    if name.endswith(("caddyfile", ".caddy")):
        return "caddy", caddy.judge_caddy(text, include), None
    if name.endswith(".json") or text.lstrip().startswith(("{", "//", "/*")):
        if not any(key in text for key in orthanc.KEYS):
            raise _NotKnown
        document = orthanc.parse(text, environment)
        return "orthanc", [], document if orthanc.is_orthanc(document) else None
    if any(word in text for word in ("<VirtualHost", "ProxyPass", "<Location", "RewriteRule")):
        return "apache", apache.judge_apache(text, include), None
    blocks = proxies.parse_nginx(text, include)
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
    """Reads what a file includes: from its own folder, the one around that, or by its absolute name."""

    def __init__(self, file: Path, included: set[Path]) -> None:
        self._folder, self._own = file.parent, file.resolve()
        self._included = included
        self._left = MAX_INCLUDES

    def __call__(self, pattern: str) -> list[str]:
        texts = []
        for path in self._found(pattern):
            self._left -= 1
            with suppress(OSError, Unreadable):
                if self._left >= 0 and path.is_file():
                    texts.append(_read(path).decode("utf-8-sig", errors="replace"))
                    self._included |= {path.resolve()} - {self._own}
        return texts

    def beside(self, name: str) -> str | None:
        """The text of one file of the same folder."""
        with suppress(OSError, Unreadable, ValueError):
            return _read(self._folder / name).decode("utf-8-sig", errors="replace")
        return None

    def _found(self, pattern: str) -> list[Path]:
        absolute = pattern.startswith("/")
        # nginx names a file from where its first one lies, which may be around a folder of sites.
        for base in (Path("/"),) if absolute else (self._folder, self._folder.parent):
            with suppress(OSError, ValueError, NotImplementedError):
                if found := sorted(base.glob(pattern.lstrip("/"))):
                    return found
        return []


def _read(path: Path) -> bytes:
    # what is no file, such as a pipe, would be waited for
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("this is not a file")
        raw = file.read(MAX_CONFIG + 1)
    if len(raw) > MAX_CONFIG:
        raise Unreadable("this file is too large for a configuration")
    return raw
