"""The rules on what lies on a machine: settings, files, disks, logs, listeners, its own system."""

from __future__ import annotations

from typing import Final

from huisclos.doors.observation import Observation, What
from huisclos.doors.rules.rule import Rule, known_fault, says, stands_open
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Reach, Verdict

_P, _O, _I = Verdict.PROVED, Verdict.OFFERED, Verdict.INFERRED

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


CONFIG: Final = tuple(
    Rule(What.SETTING, check, Verdict.CONFIG, stands_open, says(Key.SETTING, name))
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
    "archives": "RST-004",
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
    *(Rule(What.FILES, check, _P, _lies, says(Key.CLASS, kind)) for kind, check in _FILES.items()),
    Rule(What.FILES, "RST-019", _P, _lies, says(Key.CLASS, "retention")),
    Rule(What.FILES, "RST-020", _P, _lies, says(Key.CLASS, "copies")),
    Rule(What.DISK, "RST-015", _P, says(Key.VALUE, "plain"), says(Key.CLASS, "disk")),
    Rule(What.DISK, "RST-016", _P, says(Key.VALUE, "plain"), says(Key.CLASS, "removable")),
    Rule(What.DISK, "RST-017", _P, says(Key.VALUE, "plain"), says(Key.CLASS, "swap")),
)

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
    Rule(What.LOG, check, _P, lambda seen: seen.number(Key.COUNT) > 0, says(Key.CLASS, word))
    for word, check in _LOGS.items()
)

_PORTS: Final = {
    "database": "WEB-027",
    "odd-port": "DCM-028",
    "administrator": "CFG-017",
    "viewer": "CFG-013",
}
"""What listeners show, and the checks it answers."""

PORTS: Final = (
    *(Rule(What.OPEN_PORT, check, _P, stands_open, says(Key.CLASS, word)) for word, check in _PORTS.items()),
    Rule(What.OPEN_PORT, "BOX-010", _O, stands_open, says(Key.CLASS, "global-ipv6")),
)


def _reached(seen: Observation) -> bool:
    return seen.reach is not Reach.LOOPBACK


MACHINE: Final = (
    Rule(What.FIREWALL, "CFG-016", Verdict.CONFIG, stands_open),
    Rule(What.INSTALLED, "DCM-023", _I, known_fault, says(Key.CLASS, "program")),
    Rule(What.INSTALLED, "CFG-020", _I, stands_open, says(Key.CLASS, "support")),
    Rule(What.SERVICE, "WEB-027", _P, _reached, says(Key.CLASS, "database")),
    Rule(What.SERVICE, "WEB-028", _P, stands_open, says(Key.CLASS, "guest-share")),
    Rule(What.SERVICE, "WEB-030", _P, _reached, says(Key.CLASS, "remote-help")),
)
"""What this machine's own system says."""
