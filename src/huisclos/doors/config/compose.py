"""Docker compose: what its services publish, and what they are told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import yaml

from huisclos.access.addresses import is_loopback, is_private, parse_address
from huisclos.doors.config import Setting, orthanc, traefik
from huisclos.doors.config.orthanc import substituted
from huisclos.errors import BadSetting, Unreadable
from huisclos.findings.nouns import Reach

IMAGING_PORTS: Final = frozenset({104, 2762, 4242, 8042, 11112})
"""of imaging alone; one that anybody uses, such as 8080, counts in a service that is called by imaging"""
MAX_SERVICES: Final = 1000
_IMAGING: Final = re.compile(
    r"orthanc|dcm4che|pacs|dicom|ohif|conquest|dcmtk|weasis|oviyam|dicoogle|meddream|xnat|imaging|imagerie",
    re.IGNORECASE,
)


Beside = Callable[[str], str | None]
"""The text of a file beside the one that is read; None when it is not there."""


def judge_yaml(text: str, beside: Beside = lambda _: None) -> tuple[str, list[Setting]]:
    """Whose YAML it is, Traefik's or compose's, and what it decides. Raises `Unreadable`."""
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        raise Unreadable("this is not a compose file") from None
    if traefik.is_traefik(read):
        return "traefik", traefik.judge_traefik(read)
    if not isinstance(read, dict):
        return "compose", []
    read = _interpolated(read, read_env(beside(".env") or ""), {})
    made = _contents(read.get("configs"))
    services = read.get("services")
    return "compose", made + (judge_services(services, beside) if isinstance(services, dict) else [])


def judge_compose(text: str) -> list[Setting]:
    """What a compose file or one of Traefik's decides. Raises `Unreadable`."""
    return judge_yaml(text)[1]


def judge_services(services: Mapping[str, Any], beside: Beside = lambda _: None) -> list[Setting]:
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
            if imaging or not IMAGING_PORTS.isdisjoint(inner):
                doors += 1
                wide += _is_wide(host)
        if imaging and service.get("network_mode") == "host":
            doors, wide = doors + 1, wide + 1
        if imaging and (routed := traefik.judge_labels(service.get("labels"))) is not None:
            made.append(routed)
        made += _told(service, beside) + _tagged(str(service.get("image", "")))
    return [*made, Setting("published", wide > 0, reach, wide)] if doors else made


_IMAGES: Final = {"jodogne/orthanc": "orthanc", "ohif/": "ohif", "dcm4che/dcm4chee-arc": "dcm4chee"}
"""Images for containers whose tag is the program's own version."""
_DATED: Final = {"orthancteam/orthanc": "orthanc", "osimis/orthanc": "orthanc"}
"""Images whose tag counts releases of the image."""


def _tagged(image: str) -> list[Setting]:
    name, tag = _name_and_tag(image)
    product = next((word for start, word in _IMAGES.items() if start in name), None)
    made: list[Setting] = []
    if product == "dcm4chee" and tag:
        # `-secure-ui` has a login at its pages, and none at what they ask.
        made.append(Setting("arc-unsecured", not tag.endswith("-secure"), count=1))
    if product is not None and (match := re.match(r"v?\d+(?:\.\d+)+", tag)):
        return [*made, Setting("version", False, product=product, version=match[0])]
    product = product or next((word for start, word in _DATED.items() if start in name), None)
    # No tag is whatever was the latest when it was pulled: the file does not tell which.
    return [*made, Setting("version", False, product=product, version="")] if product is not None else made


def _name_and_tag(image: str) -> tuple[str, str]:
    """An image's name and tag, its digest left out; a colon before a slash is a registry's port."""
    name, colon, tag = image.partition("@")[0].rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image.partition("@")[0], "")


def _told(service: Mapping[str, Any], beside: Beside) -> list[Setting]:
    """Orthanc's settings in a service's environment, over those of its images (remote callers are taken)."""
    files = service.get("env_file")
    pairs: dict[str, str] = {}
    for one in files if isinstance(files, list) else [files]:
        name = one.get("path") if isinstance(one, dict) else one
        pairs |= read_env((beside(name) or "") if isinstance(name, str) else "")
    given = service.get("environment")
    if isinstance(given, dict):
        pairs |= {str(key): "" if value is None else _text(value) for key, value in given.items()}
    elif isinstance(given, list):
        pairs |= dict(str(one).partition("=")[::2] for one in given if "=" in str(one))
    if not any(key.startswith((orthanc.PREFIX, orthanc.WHOLE)) for key in pairs):
        return []
    return orthanc.judge_settings(orthanc.merge([{"RemoteAccessAllowed": True}], pairs))


def _contents(configs: Any) -> list[Setting]:
    """Orthanc's configurations that stand in the compose file itself."""
    made: list[Setting] = []
    for one in list(configs.values())[:MAX_SERVICES] if isinstance(configs, dict) else []:
        content = one.get("content") if isinstance(one, dict) else None
        if isinstance(content, str) and any(key in content for key in orthanc.KEYS):
            with suppress(Unreadable):  # Orthanc would not start with it either.
                made += orthanc.judge_settings(orthanc.merge([orthanc.parse(content)]))
    return made


def read_env(text: str) -> dict[str, str]:
    """The variables of an `.env` file."""
    pairs = (line.strip().removeprefix("export ").partition("=") for line in text.splitlines())
    return {
        name.strip(): value.strip() if value.strip()[:1] not in ("'", '"') else value.strip().strip("'\"")
        for name, equals, value in pairs
        if equals and not name.startswith("#")
    }


def _interpolated(value: Any, known: Mapping[str, str], made: dict[int, Any]) -> Any:
    """`value` with its variables in their place, as compose reads them; one that nobody gives is empty.

    What the document refers to again and again is made once: `made` has it by its place in memory.
    """
    if isinstance(value, str):
        return substituted(value, known) if "$" in value else value
    if not isinstance(value, dict | list):
        return value
    if id(value) not in made:
        made[id(value)] = None  # Where it refers to itself.
        made[id(value)] = (
            {key: _interpolated(one, known, made) for key, one in value.items()}
            if isinstance(value, dict)
            else [_interpolated(one, known, made) for one in value]
        )
    return made[id(value)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _published(port: Any) -> tuple[str, range]:
    """The host's address and the container's ports of one `ports` entry, short or long."""
    if isinstance(port, dict):
        return str(port.get("host_ip", "")), _ports(port.get("target"))
    parts = str(port).partition("/")[0].rsplit(":", 2)
    host = parts[0].strip("[]") if len(parts) == 3 else ""  # noqa: PLR2004 - address, published, target
    return host, _ports(parts[-1])


def _ports(value: Any) -> range:
    first, _, last = str(value).partition("-")
    return range(_number(first), (_number(last) or _number(first)) + 1)


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
