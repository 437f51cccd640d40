"""Conquest, dcm4chee, Horos and OsiriX, docker compose with what its services are told."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from typing import Any, Final
from xml.parsers.expat import ExpatError

import yaml
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from huisclos.access.addresses import is_loopback, is_private, parse_address
from huisclos.doors.config import Setting, orthanc, traefik
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.nouns import Reach

IMAGING_PORTS: Final = frozenset({104, 4242, 8042, 11112, 2762, 5678, 8080, 8443, 3333, 8088})
MAX_SERVICES: Final = 1000
_IMAGING: Final = re.compile(r"orthanc|dcm4che|pacs|dicom|ohif|conquest", re.IGNORECASE)


def judge_map(text: str) -> list[Setting]:
    """Conquest's acrnema.map: lines whose title or address is a wildcard."""
    lines = (
        line.split()
        for line in text.splitlines()
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
    wide = sum(not re.search(r"(?mi)^dcmAcceptedCallingAETitle: ", entry) for entry in titles)
    return [Setting("arc-calling", wide > 0, count=wide)] if titles else []


_DEPLOYED: Final = re.compile(r"dcm4chee-arc-ear-(\d{1,3}(?:\.\d{1,3}){1,2})-\w+(-secure)?(?:-\w+)?\.ear")


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
    open_ = sum(match[2] is None for match in builds)
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


def judge_yaml(text: str) -> tuple[str, list[Setting]]:
    """Whose YAML it is, Traefik's or compose's, and what it decides. Raises `Unreadable`."""
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise Unreadable("this is not a compose file") from None
    if traefik.is_traefik(read):
        return "traefik", traefik.judge_traefik(read)
    services = read.get("services") if isinstance(read, dict) else None
    return "compose", judge_services(services) if isinstance(services, dict) else []


def judge_compose(text: str) -> list[Setting]:
    """What a compose file or one of Traefik's decides. Raises `Unreadable`."""
    return judge_yaml(text)[1]


def judge_services(services: Mapping[str, Any]) -> list[Setting]:
    """Imaging services that are published on every address, and what Orthanc is told by its environment."""
    made: list[Setting] = []
    doors = wide = 0
    reach = Reach.LAN
    for name, service in list(services.items())[:MAX_SERVICES]:
        if not isinstance(service, dict):
            continue
        imaging = bool(_IMAGING.search(f"{name} {service.get('image', '')}"))
        ports = service.get("ports")
        for port in ports if isinstance(ports, list) else []:
            host, inner = _published(port)
            if imaging or inner in IMAGING_PORTS:
                doors += 1
                wide += _is_wide(host)
        if imaging and service.get("network_mode") == "host":
            doors, wide = doors + 1, wide + 1
        if imaging and (routed := traefik.judge_labels(service.get("labels"))) is not None:
            made.append(routed)
        made += _told(service) + _tagged(str(service.get("image", "")))
    return [*made, Setting("published", wide > 0, reach, wide)] if doors else made


_IMAGES: Final = {"jodogne/orthanc": "orthanc", "ohif/": "ohif", "dcm4che/dcm4chee-arc": "dcm4chee"}
"""Images for containers whose tag is the program's own version."""


def _tagged(image: str) -> list[Setting]:
    name, _, tag = image.rpartition(":")
    product = next((word for start, word in _IMAGES.items() if start in name), None)
    if product is None or not re.match(r"v?\d+\.\d+", tag):
        return []
    return [Setting("version", False, product=product, version=tag)]


def _told(service: Mapping[str, Any]) -> list[Setting]:
    """Orthanc's settings in a service's environment, over those of its images (remote callers are taken)."""
    given = service.get("environment")
    pairs = (
        {str(key): "" if value is None else _text(value) for key, value in given.items()}
        if isinstance(given, dict)
        else dict(str(one).partition("=")[::2] for one in given if "=" in str(one))
        if isinstance(given, list)
        else {}
    )
    if not any(key.startswith((orthanc.PREFIX, orthanc.WHOLE)) for key in pairs):
        return []
    return orthanc.judge_settings(orthanc.merge([{"RemoteAccessAllowed": True}], pairs))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _published(port: Any) -> tuple[str, int]:
    """The host's address and the container's port of one `ports` entry, short or long."""
    if isinstance(port, dict):
        return str(port.get("host_ip", "")), _number(port.get("target"))
    parts = str(port).partition("/")[0].rsplit(":", 2)
    host = parts[0].strip("[]") if len(parts) == 3 else ""  # noqa: PLR2004 - address, published, target
    return host, _number(parts[-1].partition("-")[0])


def _is_wide(host: str) -> bool:
    if host in ("", "0.0.0.0", "::", "*"):  # noqa: S104 - what we look for
        return True
    try:
        address = parse_address(host)
    except BadSetting:
        return False
    return not (is_loopback(address) or is_private(address))


def _number(value: Any) -> int:
    return int(value) if str(value).isdigit() else 0


def _on(read: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = read.get(key, default)
    return value not in (False, 0, "0", "NO", "false")
