"""Conquest, dcm4chee, Horos and OsiriX."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from typing import Any, Final
from xml.parsers.expat import ExpatError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from huisclos.doors.config import Setting
from huisclos.errors import Unreadable


def judge_map(text: str) -> list[Setting]:
    """Conquest's acrnema.map: lines whose title or address is a wildcard."""
    bare = re.sub(r"/\*.*?(?:\*/|\Z)", "", text, flags=re.DOTALL)
    lines = (
        line.split()
        for line in bare.splitlines()
        if line.strip() and not line.lstrip().startswith(("#", "/"))
    )
    wild = sum(1 for words in lines if len(words) > 2 and ("*" in words[0] or "*" in words[1]))  # noqa: PLR2004 - title, address, port
    return [Setting("conquest", wild > 0, count=wild)]


def judge_ini(text: str) -> list[Setting]:
    """Conquest's dicom.ini: what its web page may do."""
    found = {
        key.strip().lower(): value.strip()
        for key, equals, value in (line.partition("=") for line in text.splitlines())
        if equals
    }
    web = [key for key in ("viewonly", "readonly") if found.get(key, "0") in ("0", "false", "")]
    has_page = any(key in found for key in ("viewonly", "readonly", "webscriptaddress"))
    return [Setting("conquest", has_page and len(web) > 0, count=len(web))] if found else []


def judge_ldif(text: str) -> list[Setting]:
    """An LDAP export of dcm4chee: AEs that accept every calling title (LDIF, RFC 2849)."""
    entries = re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\n ", ""))
    titles = [entry for entry in entries if re.search(r"(?mi)^objectClass: dcmNetworkAE\s*$", entry)]
    wide = sum(not re.search(r"(?mi)^dcmAcceptedCallingAETitle::? ", entry) for entry in titles)
    return [Setting("arc-calling", wide > 0, count=wide)] if titles else []


_DEPLOYED: Final = re.compile(r"dcm4chee-arc-ear-(\d{1,3}(?:\.\d{1,3}){1,2})-\w+(-secure)?(-\w+)?\.ear")
"""`-secure-ui` has a login at its pages, and none at what they ask"""


def judge_wildfly(raw: bytes) -> list[Setting]:
    """WildFly's standalone.xml: is the dcm4chee that it runs the build with logins. Raises `Unreadable`."""
    try:
        root = fromstring(raw, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, RecursionError):
        raise Unreadable("this is not XML that can be read") from None
    builds = [
        match
        for one in root.iter()
        if str(one.tag).endswith("deployment") and (match := _DEPLOYED.search(one.get("name", "")))
    ]
    open_ = sum(match[2] is None or match[3] == "-ui" for match in builds)
    named = [Setting("version", False, product="dcm4chee", version=match[1]) for match in builds[:1]]
    return [Setting("arc-unsecured", open_ > 0, count=open_), *named] if builds else []


def judge_plist(raw: bytes) -> list[Setting]:
    """The preferences of Horos or OsiriX. Raises `Unreadable`."""
    try:
        read = plistlib.loads(raw)
    except (plistlib.InvalidFileException, ExpatError, ValueError, KeyError, OverflowError, RecursionError):
        raise Unreadable("these are not preferences") from None
    if not isinstance(read, dict) or not {"STORESCP", "AEPORT", "AETITLE", "httpWebServer"} & set(read):
        return []
    listener = _on(read, "STORESCP", default=True)
    serves = any(_on(read, key, default=True) for key in ("activateCFINDSCP", "activateCGETSCP"))
    web = _on(read, "httpWebServer", default=False)
    guarded = _on(read, "passwordWebServer", default=False) and _on(read, "encryptedWebServer", default=False)
    return [Setting("horos", (listener and serves) or (web and not guarded))]


def _on(read: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = read.get(key, default)
    return value not in (False, 0, "0", "NO", "false")
