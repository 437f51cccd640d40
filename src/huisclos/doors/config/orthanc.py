"""Orthanc's configuration as Orthanc reads it: comments, a folder merged, the environment on top."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from huisclos.access.addresses import is_private, parse_address
from huisclos.doors.config import Setting
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.nouns import Reach

KEYS: Final = frozenset(
    {
        "DicomAet", "DicomPort", "HttpPort", "RemoteAccessAllowed", "StorageDirectory", "DicomModalities",
        "RegisteredUsers", "AuthenticationEnabled", "OrthancPeers", "DicomServerEnabled", "IndexDirectory",
        "DicomTlsEnabled", "DicomCheckCalledAet", "DicomAlwaysAllowFind", "DicomAlwaysAllowGet",
        "DicomAlwaysAllowMove", "DicomAlwaysAllowFindWorklist", "DicomAlwaysAllowEcho",
        "DicomAlwaysAllowStore", "DicomCheckModalityHost", "DicomTlsRemoteCertificateRequired",
        "HttpServerEnabled", "SslEnabled", "SslMinimumProtocolVersion", "ExecuteLuaEnabled",
        "RestApiWriteToFileSystemEnabled", "WebDavEnabled", "HttpDescribeErrors", "HttpsVerifyPeers",
        "StorageCompression", "OrthancExplorerEnabled",
    }
)  # fmt: skip
"""Keys that say a JSON document is Orthanc's."""
PREFIX: Final = "ORTHANC__"
WHOLE: Final = "ORTHANC_JSON"
"""variables of the environment that the images for containers read"""

_WEAK: Final = frozenset(
    hashlib.sha256(pair.encode()).hexdigest()
    for pair in (
        "orthanc:orthanc", "alice:alicePassword", "admin:admin", "demo:demo", "admin:password",
        "orthanc:password", "test:test", "user:user", "admin:orthanc", "doctor:doctor",
    )
)  # fmt: skip
_OUTSIDE: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_BRACES: Final = r"\$\{(\w+)(?::?-([^{}]*)|[^{}]*)\}"
_BRACED: Final = re.compile(_BRACES)
_VARIABLE: Final = re.compile(rf"\$\$|{_BRACES}|\$([A-Za-z_]\w*)")
_ALWAYS: Final = tuple(f"DicomAlwaysAllow{name}" for name in ("Find", "Get", "Move", "FindWorklist"))
_TLS_12: Final = 4
"""Orthanc's number for TLS 1.2 in SslMinimumProtocolVersion"""


def parse(text: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """One file, its `${NAME}` in their place. Raises `Unreadable`."""
    bare = _OUTSIDE.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    known = environment or {}
    bare = _BRACED.sub(lambda found: known.get(found[1]) or found[2] or "", bare)
    try:
        read = json.loads(bare)
    except (ValueError, RecursionError):
        raise Unreadable("this is not JSON as Orthanc reads it") from None
    if not isinstance(read, dict):
        raise Unreadable("this is not a configuration of Orthanc")
    return read


def substituted(text: str, known: Mapping[str, str]) -> str:
    """`text` with `$NAME`, `${NAME}` and `${NAME:-else}` in their place, as compose reads it."""
    return _VARIABLE.sub(
        lambda found: "$" if found[0] == "$$" else known.get(found[1] or found[3]) or found[2] or "", text
    )


def is_orthanc(read: Mapping[str, Any]) -> bool:
    """Whether a document is a configuration of Orthanc, or a part of one."""
    return not KEYS.isdisjoint(read)


def merge(files: Iterable[Mapping[str, Any]], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Several files as one; the environment's `ORTHANC__SECTION__KEY` over them."""
    merged: dict[str, Any] = {}
    for one in files:
        for key, value in one.items():
            known = merged.get(key)
            merged[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    if (whole := (environment or {}).get(WHOLE)) is not None:
        with suppress(Unreadable):  # Orthanc would not start with it either.
            merged |= parse(whole)
    for name, text in (environment or {}).items():
        if name.startswith(PREFIX):
            _set(merged, name[len(PREFIX) :].split("__"), text)
    return merged


def judge_settings(read: Mapping[str, Any], *, secret_is_loose: bool | None = None) -> list[Setting]:
    """Everything that the configuration decides."""
    web = _flag(read, "HttpServerEnabled", default=True)
    remote = web and _flag(read, "RemoteAccessAllowed", default=False)
    sealed = web and _flag(read, "SslEnabled", default=False)
    login = _flag(read, "AuthenticationEnabled", default=True)
    users = read.get("RegisteredUsers")
    users = users if isinstance(users, dict) else {}
    reach = Reach.LAN if remote else Reach.LOOPBACK
    made = [
        Setting("remote-without-login", remote and not login),
        Setting("remote-default-login", remote and login and not users),
        Setting("known-password", any(_weak(name, word) for name, word in users.items()), reach),
        Setting(
            "http-clear",
            (remote and not sealed)
            or (sealed and 0 <= _number(read, "SslMinimumProtocolVersion", _TLS_12) < _TLS_12)
            or not _flag(read, "HttpsVerifyPeers", default=True),
            reach,
        ),
        Setting("lua", _flag(read, "ExecuteLuaEnabled", default=False), reach),
        Setting(
            "scripts",
            _flag(read, "RestApiWriteToFileSystemEnabled", default=False)
            or (remote and _flag(read, "WebDavEnabled", default=True))
            or (remote and _flag(read, "HttpDescribeErrors", default=False)),
            reach,
        ),
        Setting("packed", _flag(read, "StorageCompression", default=False), Reach.LAN),
    ]
    if _flag(read, "DicomServerEnabled", default=True):
        checked = ("DicomCheckCalledAet", "DicomCheckModalityHost")
        always = sum(_flag(read, key, default=False) for key in _ALWAYS)
        tls = _flag(read, "DicomTlsEnabled", default=False)
        asked = _flag(read, "DicomTlsRemoteCertificateRequired", default=True)
        made += [
            Setting("always-allow", always > 0, count=always),
            Setting("unchecked-titles", not all(_flag(read, key, default=False) for key in checked)),
            Setting("dicom-clear", not tls or not asked),
        ]
    public = sum(_is_public(host) for host in _hosts(read))
    made.append(Setting("public-peer", public > 0, Reach.INTERNET if public else Reach.LAN, public))
    if secret_is_loose is not None and users:
        made.append(Setting("loose-secret", secret_is_loose))
    return made


def _set(merged: dict[str, Any], path: list[str], text: str) -> None:
    """Set a key named in capitals, in the spelling that is there or that we know."""
    known = {key.replace("_", "").upper(): key for key in (*KEYS, *merged)}
    name = known.get(path[0].replace("_", "").upper(), path[0])
    if len(path) > 1:
        inner = merged.setdefault(name, {})
        if isinstance(inner, dict):
            _set(inner, path[1:], text)
        return
    try:
        merged[name] = json.loads(text)
    except ValueError:
        merged[name] = text


def _flag(read: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = read.get(key, default)
    return value if isinstance(value, bool) else default


def _number(read: Mapping[str, Any], key: str, default: int) -> int:
    value = read.get(key, default)
    return value if isinstance(value, int) else default


def _weak(name: str, word: Any) -> bool:
    if not isinstance(word, str):
        return False
    return word == name or hashlib.sha256(f"{name}:{word}".encode()).hexdigest() in _WEAK


def _hosts(read: Mapping[str, Any]) -> list[str]:
    found = []
    modalities = read.get("DicomModalities")
    for one in (modalities if isinstance(modalities, dict) else {}).values():
        host = (
            one[1]
            if isinstance(one, list) and len(one) > 1
            else one.get("Host")
            if isinstance(one, dict)
            else ""
        )
        found.append(str(host))
    peers = read.get("OrthancPeers")
    for one in (peers if isinstance(peers, dict) else {}).values():
        url = one[0] if isinstance(one, list) and one else one.get("Url") if isinstance(one, dict) else ""
        found.append(re.sub(r"^\w+://|[:/].*$", "", str(url)))
    return found


def _is_public(host: str) -> bool:
    try:
        return not is_private(parse_address(host))
    except BadSetting:
        return False
