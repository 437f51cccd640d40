"""Evidence that cannot hold personal data: each kind of fact has a closed type (P10).

A text that came from elsewhere is a fact only if it is a word of a list of ours, a version that
matches a pattern of ours, or a token that a throw-away key made.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

VERSIONS: Final = re.compile(
    r"OFFIS_DCMTK_\d{3}|dcm4che-\d[\d.]{0,10}|PYNETDICOM_\d{3,4}|fo-dicom \d[\d.]{0,10}"
    r"|v?\d{1,4}(\.\d{1,5}){1,3}|TLSv1(\.[0-3])?|SSLv3"
)
TOKEN: Final = re.compile(r"p-[0-9a-f]{16}")
TIME: Final = re.compile(r"20[2-9]\d-\d\d-\d\d")
CVE: Final = re.compile(r"CVE-20[0-4]\d-\d{4,7}")


class Kind(StrEnum):
    """What a fact's value can be."""

    NUMBER = "number"
    FLAG = "flag"
    WORD = "word"
    """of a list of ours"""
    VERSION = "version"
    TOKEN = "token"  # noqa: S105 - a keyed digest
    TIME = "time"
    CVE = "cve"
    """a number of a public list of faults"""


class Key(StrEnum):
    """Every fact there is."""

    PORT = "port"
    TRANSPORT = "transport"
    PROTOCOL = "protocol"
    PRODUCT = "product"
    VERSION = "version"
    STATUS = "status"
    HTTP_STATUS = "http-status"
    REJECT_RESULT = "reject-result"
    REJECT_SOURCE = "reject-source"
    REJECT_REASON = "reject-reason"
    MATCHES = "matches"
    SUB_OPERATIONS = "sub-operations"
    IGNORED_KEY = "ignored-key"
    CONTEXTS = "contexts"
    TLS_VERSION = "tls-version"
    CLIENT_CERTIFICATE = "client-certificate"
    DAYS = "days"
    BITS = "bits"
    COUNT = "count"
    BYTES = "bytes"
    IMAGES = "images"
    SERIES = "series"
    STUDIES = "studies"
    PERSONS = "persons"
    YEAR_FROM = "year-from"
    YEAR_TO = "year-to"
    CONTAINER = "container"
    MODE = "mode"
    SETTING = "setting"
    VALUE = "value"
    LINE = "line"
    PLACE = "place"
    TABLE = "table"
    ROWS = "rows"
    CVE = "cve"
    DAY = "day"
    PROCESS = "process"
    INTERNAL_PORT = "internal-port"
    LEASE = "lease"
    SELF = "self"
    IGD = "igd"
    CLASS = "class"
    DECLARED = "declared"
    EFFECTIVE = "effective"
    RULE = "rule"
    WIDTH = "width"
    TRUNCATED = "truncated"


_NUMBERS: Final = {
    Key.PORT, Key.STATUS, Key.HTTP_STATUS, Key.REJECT_RESULT, Key.REJECT_SOURCE, Key.REJECT_REASON,
    Key.MATCHES, Key.SUB_OPERATIONS, Key.CONTEXTS, Key.DAYS, Key.BITS, Key.COUNT, Key.BYTES, Key.IMAGES,
    Key.SERIES, Key.STUDIES, Key.PERSONS, Key.YEAR_FROM, Key.YEAR_TO, Key.LINE, Key.ROWS,
    Key.INTERNAL_PORT, Key.LEASE, Key.IGD, Key.WIDTH,
}  # fmt: skip
_FLAGS: Final = {
    Key.IGNORED_KEY, Key.SELF, Key.DECLARED, Key.EFFECTIVE, Key.CLIENT_CERTIFICATE, Key.TRUNCATED
}  # fmt: skip
_OTHERS: Final = {
    Key.VERSION: Kind.VERSION,
    Key.TLS_VERSION: Kind.VERSION,
    Key.PLACE: Kind.TOKEN,
    Key.DAY: Kind.TIME,
    Key.CVE: Kind.CVE,
}


def kind_of(key: Key) -> Kind:
    """The kind of value that `key` takes."""
    if key in _NUMBERS:
        return Kind.NUMBER
    if key in _FLAGS:
        return Kind.FLAG
    return _OTHERS.get(key, Kind.WORD)


class Fact(msgspec.Struct, frozen=True):
    """One fact; `ValueError` when its value is not of its key's kind."""

    key: Key
    value: int | bool | str

    def __post_init__(self) -> None:
        """Refuse what is not of the closed type."""
        if not _fits(kind_of(self.key), self.value):
            raise ValueError(f"a value that {self.key} cannot have")


@cache
def words() -> frozenset[str]:
    """Every word that a fact can hold: `words.txt`."""
    return frozenset(files("huisclos.findings").joinpath("words.txt").read_text(encoding="ascii").split("\n"))


def facts(**values: float | bool | str | None) -> tuple[Fact, ...]:
    """Facts by key, its hyphens written as underscores; None and a version we do not know are left out."""
    made = []
    for name, value in values.items():
        key = Key(name.rstrip("_").replace("_", "-"))
        if value is None or (kind_of(key) is Kind.VERSION and not VERSIONS.fullmatch(str(value))):
            continue
        made.append(Fact(key, int(value) if isinstance(value, float) else value))
    return tuple(made)


def _fits(kind: Kind, value: int | bool | str) -> bool:  # noqa: FBT001 - a value of evidence
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    if kind is Kind.NUMBER:
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind is Kind.WORD:
        return value in words()
    return {Kind.VERSION: VERSIONS, Kind.TOKEN: TOKEN, Kind.TIME: TIME, Kind.CVE: CVE}[kind].fullmatch(
        value
    ) is not None
