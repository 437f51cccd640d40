"""The rules: which observation opens which door. Pure: observations in, judgements out.

A rule is a row: the observation it reads, the check it answers, the verdict it can give, and when the door
stands open. Judgement can change without asking again; `RULES` says which rules judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from huisclos.doors.observation import Observation, What
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Reach, Verdict

RULES: Final = 1
"""Version of this table; it goes up when a verdict can change."""

_SUCCESS: Final = 0x0000
_UNABLE: Final = frozenset({0xA701, 0xA702, 0xA801, 0xA900, 0xC000, 0xB000})
"""failures of a retrieve that was carried out: the peer looked, and did not refuse the caller"""
_OK: Final = 200
_NOT_FOUND: Final = 404
_ASKS: Final = (401, 403)
_MAX_CERTIFICATE_DAYS: Final = 825
_MIN_RSA: Final = 2048


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    what: What
    check: str
    verdict: Verdict
    is_open: Callable[[Observation], bool]
    reads: Callable[[Observation], bool] = lambda _: True


@dataclass(frozen=True, slots=True)
class Judgement:
    """A rule's word on an observation."""

    check: str
    verdict: Verdict
    open: bool
    observation: Observation


def judge(observations: Iterable[Observation], table: Iterable[Rule] | None = None) -> list[Judgement]:
    """Each rule's word on each observation it reads."""
    rows = _ROWS if table is None else _by_what(tuple(table))
    return [
        Judgement(rule.check, rule.verdict, rule.is_open(seen), seen)
        for seen in observations
        for rule in rows.get(seen.what, ())
        if rule.reads(seen)
    ]


def _by_what(table: tuple[Rule, ...]) -> dict[What, tuple[Rule, ...]]:
    """The rows that read each kind of observation: most of a table never reads a given one."""
    return {what: tuple(rule for rule in table if rule.what is what) for what in What}


def _status(seen: Observation) -> bool:
    return seen.number(Key.STATUS) == _SUCCESS


def _queried(seen: Observation) -> bool:
    return _status(seen) or seen.get(Key.IGNORED_KEY) is True


def _ignored(seen: Observation) -> bool:
    return seen.get(Key.IGNORED_KEY) is True


def _retrieved(seen: Observation) -> bool:
    return _queried(seen) or seen.number(Key.STATUS) in _UNABLE


def _counted(seen: Observation) -> bool:
    return seen.number(Key.CONTEXTS) > 0 or seen.number(Key.COUNT) > 0


def _plain(seen: Observation) -> bool:
    return seen.get(Key.TRANSPORT) == "plain"


def _accepted(seen: Observation) -> bool:
    return seen.number(Key.CONTEXTS) >= 0 and seen.get(Key.REJECT_REASON) is None


def _different(seen: Observation) -> bool:
    return seen.get(Key.REJECT_REASON) is not None and seen.get(Key.RULE) == "reasons-differ"


def _served(seen: Observation) -> bool:
    return seen.number(Key.HTTP_STATUS) == _OK


def _answered(seen: Observation) -> bool:
    """A canary was looked up: found nothing, and nobody asked who is asking."""
    return seen.number(Key.HTTP_STATUS) in (_OK, 204, _NOT_FOUND)


def _old_tls(seen: Observation) -> bool:
    return seen.get(Key.TLS_VERSION) in ("SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1")


def _weak_suite(seen: Observation) -> bool:
    return seen.get(Key.VALUE) is not None


def _weak_certificate(seen: Observation) -> bool:
    bits = seen.number(Key.BITS)
    return (
        seen.number(Key.DAYS) < 0
        or seen.number(Key.WIDTH) > _MAX_CERTIFICATE_DAYS
        or (seen.get(Key.CLASS) == "rsa" and bits < _MIN_RSA)
        or seen.get(Key.VALUE) == "sha1"
    )


def _known_fault(seen: Observation) -> bool:
    return seen.get(Key.CVE) is not None


_P, _O, _I = Verdict.PROVED, Verdict.OFFERED, Verdict.INFERRED

DICOM: Final = (
    Rule(What.DICOM_LISTENER, "DCM-001", _P, lambda seen: seen.reach.value != "loopback"),
    Rule(What.CALLED_TITLE, "DCM-002", _P, _accepted),
    Rule(What.CALLING_TITLE, "DCM-003", _P, _accepted),
    Rule(What.REJECT_REASONS, "DCM-004", _P, _different),
    Rule(What.ECHO, "DCM-005", _P, _status),
    Rule(What.STUDY_QUERY, "DCM-006", _P, _queried),
    Rule(What.STUDY_QUERY, "DCM-013", _P, _ignored),
    Rule(What.PATIENT_QUERY, "DCM-007", _P, _queried),
    Rule(What.PATIENT_QUERY, "DCM-013", _P, _ignored),
    Rule(What.WORKLIST_QUERY, "DCM-008", _P, _queried),
    Rule(What.WORKLIST_QUERY, "DCM-013", _P, _ignored),
    Rule(What.GET, "DCM-009", _P, _retrieved),
    Rule(What.GET, "DCM-013", _P, _ignored),
    Rule(What.MOVE, "DCM-010", _P, _retrieved),
    Rule(What.STORED, "DCM-012", _P, _status),
    Rule(What.STORE_OFFER, "DCM-011", _O, _counted),
    Rule(What.SERVICES_OFFER, "DCM-014", _O, _counted),
    Rule(What.DICOM_TRANSPORT, "DCM-015", _P, _plain),
    Rule(What.CLIENT_CERTIFICATE, "DCM-016", _P, _accepted),
    Rule(What.FOREIGN_CERTIFICATE, "DCM-017", _P, _accepted),
    Rule(What.DICOM_TLS_VERSION, "DCM-018", _P, _old_tls),
    Rule(What.DICOM_SUITE, "DCM-019", _P, _weak_suite),
    Rule(What.DICOM_CERTIFICATE, "DCM-020", _P, _weak_certificate),
    Rule(What.IMPLEMENTATION, "DCM-022", _P, lambda seen: seen.get(Key.VERSION) is not None),
    Rule(What.IMPLEMENTATION, "DCM-023", _I, _known_fault),
    Rule(What.IMPLEMENTATION, "DCM-024", _I, lambda seen: seen.get(Key.CLASS) == "end-of-life"),
    Rule(What.DICOM_PORT, "DCM-021", _P, lambda seen: seen.get(Key.VALUE) == "open"),
    Rule(What.HL7, "DCM-027", _O, lambda seen: seen.number(Key.PORT) > 0),
    Rule(What.STOPPED, "DCM-029", _I, lambda _: True),
    Rule(What.DECOY, "DCM-030", _I, lambda seen: seen.get(Key.RULE) is not None),
)

WEB: Final = (
    Rule(What.REST, "WEB-001", _P, _served),
    Rule(What.REST, "DCM-023", _I, _known_fault, lambda seen: seen.get(Key.VERSION) is not None),
    Rule(What.DEFAULT_LOGIN, "WEB-002", _P, _served),
    Rule(What.STATISTICS, "WEB-003", _P, lambda seen: seen.number(Key.IMAGES) >= 0),
    Rule(What.EXPLORER, "WEB-004", _P, _served),
    Rule(What.WEBDAV, "WEB-006", _P, _served),
    Rule(What.PLUGINS, "WEB-007", _P, _counted),
    Rule(What.ARC_UI, "WEB-009", _P, _served),
    Rule(What.ARC_RS, "WEB-010", _P, _served),
    Rule(What.CONSOLE, "WEB-011", _P, _served),
    Rule(What.CONQUEST_CGI, "WEB-012", _P, _served),
    Rule(What.QIDO, "WEB-013", _P, _answered),
    Rule(What.WADO_RS, "WEB-014", _P, _answered),
    Rule(What.WADO_URI, "WEB-015", _P, _answered),
    Rule(What.STOW, "WEB-016", _O, lambda seen: seen.get(Key.VALUE) == "open"),
    Rule(What.OHIF, "WEB-017", _P, _answered),
    Rule(What.ROOT_AND_API, "WEB-018", _P, lambda seen: seen.number(Key.STATUS) in _ASKS),
    Rule(What.VIEWER, "WEB-019", _P, _served),
    Rule(What.LISTING, "WEB-020", _P, _counted),
    Rule(What.MEDIA, "WEB-021", _P, lambda seen: seen.get(Key.VALUE) == "dicm"),
    Rule(What.WEB_TRANSPORT, "WEB-022", _P, lambda seen: seen.get(Key.VALUE) == "clear-imaging"),
    Rule(What.WEB_TLS_VERSION, "WEB-023", _P, _old_tls),
    Rule(What.WEB_SUITE, "WEB-023", _P, _weak_suite),
    Rule(What.WEB_CERTIFICATE, "WEB-023", _P, _weak_certificate),
    Rule(What.CORS, "WEB-024", _P, lambda seen: seen.get(Key.VALUE) == "any-origin"),
    Rule(What.HEADERS, "WEB-025", _P, _counted),
    Rule(What.NAS, "WEB-031", _P, _served),
    Rule(What.DOCKER_API, "WEB-032", _P, _served),
    Rule(What.FHIR, "WEB-033", _P, _served),
    Rule(What.METRICS, "WEB-034", _P, _served),
)

_SETTINGS: Final = {
    "remote-without-login": "CFG-001",
    "remote-default-login": "CFG-002",
    "known-password": "CFG-003",
    "always-allow": "CFG-004",
    "unchecked-titles": "CFG-005",
    "dicom-clear": "CFG-006",
    "http-clear": "CFG-007",
    "scripts": "CFG-008",
    "loose-secret": "CFG-009",
    "conquest": "CFG-010",
    "arc-calling": "CFG-011",
    "horos": "CFG-012",
    "proxy": "CFG-014",
    "published": "CFG-015",
    "public-peer": "CFG-018",
    "arc-unsecured": "CFG-011",
    "lua": "WEB-005",
    "no-limit": "WEB-026",
    "guest-share": "WEB-028",
    "guest-export": "WEB-029",
    "access-log": "LOG-003",
    "packed": "RST-024",
}
"""Settings that stand open or closed, and their checks."""


def _says(key: Key, name: str) -> Callable[[Observation], bool]:
    return lambda seen: seen.get(key) == name


def _stands_open(seen: Observation) -> bool:
    return seen.get(Key.VALUE) == "open"


CONFIG: Final = tuple(
    Rule(What.SETTING, check, Verdict.CONFIG, _stands_open, _says(Key.SETTING, name))
    for name, check in _SETTINGS.items()
)

_FILES: Final = {
    "clear": "RST-001",
    "headerless": "RST-002",
    "media": "RST-003",
    "zip": "RST-004",
    "tar": "RST-004",
    "gz": "RST-004",
    "xz": "RST-004",
    "bz2": "RST-004",
    "iso": "RST-004",
    "7z": "RST-004",
    "sqlite": "RST-004",
    "zip-cipher": "RST-005",
    "clear-names": "RST-005",
    "rows": "RST-006",
    "packed-index": "RST-006",
    "dump": "RST-007",
    "cache": "RST-008",
    "thumbnail": "RST-008",
    "exports": "RST-009",
    "named": "RST-010",
    "backup": "RST-011",
    "cloud": "RST-013",
    "readable": "RST-014",
    "bin": "RST-018",
    "hl7": "RST-021",
    "volume": "RST-022",
    "residue": "RST-023",
    "packed": "RST-024",
}
"""Kinds of things at rest, and their checks."""


def _lies(seen: Observation) -> bool:
    return max(seen.number(Key.IMAGES), seen.number(Key.COUNT), seen.number(Key.ROWS)) > 0


REST: Final = (
    *(Rule(What.FILES, check, _P, _lies, _says(Key.CLASS, kind)) for kind, check in _FILES.items()),
    Rule(What.DISK, "RST-015", _P, _says(Key.VALUE, "plain"), _says(Key.CLASS, "disk")),
    Rule(What.DISK, "RST-016", _P, _says(Key.VALUE, "plain"), _says(Key.CLASS, "removable")),
    Rule(What.DISK, "RST-017", _P, _says(Key.VALUE, "plain"), _says(Key.CLASS, "swap")),
)

_BOX: Final = {
    "igd": "BOX-001",
    "endless": "BOX-003",
    "nat-pmp": "BOX-004",
    "nat-pmp-silent": "BOX-004",
    "ssdp": "BOX-015",
    "ssdp-silent": "BOX-015",
}
"""What a box says by answering at all, and the checks it answers."""
_FINE: Final = frozenset({"nat-pmp-silent", "ssdp-silent"})

_BOX_SETTINGS: Final = {
    "upnp": "BOX-001",
    "mapping": "BOX-002",
    "forward": "BOX-005",
    "dmz": "BOX-006",
    "any-source": "BOX-007",
    "wide": "BOX-008",
    "ipv6": "BOX-009",
    "pinhole": "BOX-011",
    "remote-admin": "BOX-012",
    "admin-page": "BOX-013",
    "firewall": "BOX-014",
    "dyndns": "BOX-017",
    "outside-public": "BOX-018",
    "outside-shared": "BOX-018",
    "outside-private": "BOX-018",
    "outside-ports": "BOX-018",
    "shared-lan": "BOX-019",
    "drift": "BOX-021",
    "remote-without-vpn": "CFG-019",
}
"""Settings of a box that stand open or closed, as it told them or as its owner declares them."""
_CAN_IDLE: Final = frozenset({"mapping", "forward", "dmz", "any-source", "wide", "remote-admin"})


def _lets_in(seen: Observation) -> bool:
    return seen.get(Key.CLASS) not in _FINE and seen.number(Key.COUNT) != 0


def _told(name: str, *, idle: bool = False) -> Callable[[Observation], bool]:
    """A box's own word; `idle`: what is configured and has no effect while its outside address is shared."""

    def reads(seen: Observation) -> bool:
        if seen.get(Key.CLASS) != name or seen.get(Key.DECLARED) is True:
            return False
        return (seen.get(Key.EFFECTIVE) is False) is idle

    return reads


def _declared(name: str) -> Callable[[Observation], bool]:
    return lambda seen: seen.get(Key.CLASS) == name and seen.get(Key.DECLARED) is True


BOX: Final = (
    *(Rule(What.BOX, check, _P, _lets_in, _says(Key.CLASS, word)) for word, check in _BOX.items()),
    *(Rule(What.BOX, check, _P, _stands_open, _told(word)) for word, check in _BOX_SETTINGS.items()),
    *(Rule(What.BOX, check, _I, _stands_open, _declared(word)) for word, check in _BOX_SETTINGS.items()),
    *(
        Rule(What.BOX, check, Verdict.CONFIG, _stands_open, _told(word, idle=True))
        for word, check in _BOX_SETTINGS.items()
        if word in _CAN_IDLE
    ),
    Rule(What.BOX, "BOX-020", _I, _stands_open, _says(Key.CLASS, "firmware")),
    Rule(What.ANNOUNCED, "DCM-001", _O, lambda seen: seen.reach.value != "loopback"),
    Rule(What.ANNOUNCED, "DCM-015", _O, _plain),
)


def _imaging_spoken(seen: Observation) -> bool:
    return seen.get(Key.PROTOCOL) in ("dicom", "dicom-tls")


def _maybe_imaging(seen: Observation) -> bool:
    return not _imaging_spoken(seen)


OUTSIDE: Final = (
    Rule(What.OUTSIDE, "BOX-016", _P, lambda _: True, _imaging_spoken),
    Rule(What.OUTSIDE, "BOX-016", _O, lambda seen: seen.get(Key.PROTOCOL) != "closed", _maybe_imaging),
    Rule(What.HOUSE, "BOX-016", _P, _counted, _says(Key.CLASS, "public-knock")),
    Rule(What.HOUSE, "BOX-016", _O, _counted, _says(Key.CLASS, "public-knock-maybe")),
)
"""What is seen from the Internet, and who came from it to this house's own listeners (P11)."""

_LOGS: Final = {
    "values": "LOG-001",
    "parameters": "LOG-002",
    "unlogged": "LOG-003",
    "loose": "LOG-004",
    "kept": "LOG-004",
    "strangers": "LOG-005",
}
"""What logs show, and the checks it answers."""

LOGS: Final = tuple(
    Rule(What.LOG, check, _P, lambda seen: seen.number(Key.COUNT) > 0, _says(Key.CLASS, word))
    for word, check in _LOGS.items()
)

_PORTS: Final = {
    "database": "WEB-027",
    "odd-port": "DCM-028",
    "administrator": "CFG-017",
    "viewer": "CFG-013",
}
"""What listeners show, and the checks it answers."""

PORTS: Final = tuple(
    Rule(What.OPEN_PORT, check, _P, _stands_open, _says(Key.CLASS, word)) for word, check in _PORTS.items()
)

def _reached(seen: Observation) -> bool:
    return seen.reach is not Reach.LOOPBACK


MACHINE: Final = (
    Rule(What.FIREWALL, "CFG-016", Verdict.CONFIG, _stands_open),
    Rule(What.INSTALLED, "DCM-023", _I, _known_fault, _says(Key.CLASS, "program")),
    Rule(What.INSTALLED, "CFG-020", _I, _stands_open, _says(Key.CLASS, "support")),
    Rule(What.SERVICE, "WEB-027", _P, _reached, _says(Key.CLASS, "database")),
    Rule(What.SERVICE, "WEB-028", _P, _stands_open, _says(Key.CLASS, "guest-share")),
    Rule(What.SERVICE, "WEB-030", _P, _reached, _says(Key.CLASS, "remote-help")),
)
"""What this machine's own system says."""

ALL: Final = MACHINE + BOX + OUTSIDE + PORTS + LOGS + CONFIG + DICOM + REST + WEB
_ROWS: Final = _by_what(ALL)
