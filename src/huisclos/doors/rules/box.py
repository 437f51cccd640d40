"""The rules on the way in from the Internet: the box, its owner's word, the view from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from huisclos.doors.observation import Observation, What
from huisclos.doors.rules.rule import Rule, counted, plain, says, stands_open
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Verdict

_P, _O, _I = Verdict.PROVED, Verdict.OFFERED, Verdict.INFERRED

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
    "no-backup": "RST-012",
    "same-disk": "RST-012",
    "retention": "RST-019",
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
    *(Rule(What.BOX, check, _P, _lets_in, says(Key.CLASS, word)) for word, check in _BOX.items()),
    *(Rule(What.BOX, check, _P, stands_open, _told(word)) for word, check in _BOX_SETTINGS.items()),
    *(Rule(What.BOX, check, _I, stands_open, _declared(word)) for word, check in _BOX_SETTINGS.items()),
    *(
        Rule(What.BOX, check, Verdict.CONFIG, stands_open, _told(word, idle=True))
        for word, check in _BOX_SETTINGS.items()
        if word in _CAN_IDLE
    ),
    Rule(What.BOX, "BOX-020", _I, stands_open, says(Key.CLASS, "firmware")),
    Rule(What.ANNOUNCED, "DCM-001", _O, lambda seen: seen.reach.value != "loopback"),
    Rule(What.ANNOUNCED, "DCM-015", _O, plain),
)


def _imaging_spoken(seen: Observation) -> bool:
    return seen.get(Key.PROTOCOL) in ("dicom", "dicom-tls")


def _maybe_imaging(seen: Observation) -> bool:
    return not _imaging_spoken(seen)


OUTSIDE: Final = (
    Rule(What.OUTSIDE, "BOX-016", _P, lambda _: True, _imaging_spoken),
    Rule(What.OUTSIDE, "BOX-016", _O, lambda seen: seen.get(Key.PROTOCOL) != "closed", _maybe_imaging),
    Rule(What.HOUSE, "BOX-016", _P, counted, says(Key.CLASS, "public-knock")),
    Rule(What.HOUSE, "BOX-016", _O, counted, says(Key.CLASS, "public-knock-maybe")),
)
"""What is seen from the Internet, and who came from it to this house's own listeners (P11)."""
