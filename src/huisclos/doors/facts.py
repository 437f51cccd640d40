"""Evidence and places in plain words of both languages; and as the codes that the JSON has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from huisclos.findings.evidence import Fact, Key
from huisclos.findings.nouns import Language

_THOUSANDS: Final = {Language.FR: "\u202f", Language.EN: ","}
_POINTS: Final = {Language.FR: ",", Language.EN: "."}
_UNITS: Final = (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
_SUCCESS: Final = 0x0000
_NOT_FOUND: Final = 404
_TOOLKIT: Final = re.compile(r"OFFIS_DCMTK_(\d)(\d)(\d)")
_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}|[0-9a-f:]*:[0-9a-f:]+")
_NOT_THE_BOX: Final = frozenset({"BOX-010", "BOX-016"})
"""doors of this machine, and of the practice as the Internet sees it"""
_HERE: Final = re.compile(r"(127\.0\.0\.1|\[::1\]):(\d+)")

_NAMES: Final = {
    "agfa": "Agfa", "bbox": "Bbox", "carestream": "Carestream", "clearcanvas": "ClearCanvas",
    "conquest": "Conquest", "dcm4che": "dcm4che", "dcm4chee": "dcm4chee", "dcmtk": "DCMTK",
    "dicom": "DICOM", "dicom-tls": "DICOM TLS", "dicoogle": "Dicoogle", "elasticsearch": "Elasticsearch",
    "fo-dicom": "fo-dicom", "freebox": "Freebox", "fritzbox": "FRITZ!Box", "fujifilm": "Fujifilm",
    "gdcm": "GDCM", "ge": "GE", "hl7": "HL7", "horos": "Horos", "http": "HTTP", "https": "HTTPS",
    "leadtools": "LEADTOOLS", "livebox": "Livebox", "livebox-4": "Livebox 4", "mariadb": "MariaDB",
    "meddream": "MedDream", "merge": "Merge", "mergecom": "MergeCOM", "microdicom": "MicroDicom",
    "mongodb": "MongoDB", "mssql": "SQL Server", "mysql": "MySQL", "nftables": "nftables", "ohif": "OHIF",
    "oracle": "Oracle", "orthanc": "Orthanc", "osirix": "OsiriX", "osirix-horos": "OsiriX, Horos",
    "oviyam": "Oviyam", "philips": "Philips", "postgres": "PostgreSQL", "postgresql": "PostgreSQL",
    "pynetdicom": "pynetdicom", "qnap": "QNAP", "radiant": "RadiAnt", "rdp": "RDP", "redis": "Redis",
    "samba": "Samba", "sfr-box": "SFR", "siemens": "Siemens", "synology": "Synology", "vnc": "VNC",
    "weasis": "Weasis", "wildfly": "WildFly", "windows": "Windows", "zip": "ZIP",
}  # fmt: skip
"""Names of products and protocols, as their makers write them; others as they are in evidence."""
_PLACES: Final[dict[str, tuple[str, str]]] = {
    "this machine": ("this machine", "cette machine"),
    "gateway": ("the Internet box", "la box Internet"),
    "box": ("the Internet box", "la box Internet"),
    "box at": ("the Internet box ({0})", "la box Internet ({0})"),
    "swap": ("this machine's swap", "le fichier d'échange (swap) de cette machine"),
    "*": ("everywhere", "partout"),
    "package": ("the package {0}", "le paquet {0}"),
    "port": ("this machine, port {0}", "cette machine, port {0}"),
}
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "plain": ("in clear", "en clair"),
    "tls": ("over TLS", "sur TLS"),
    "success": ("it answered “success”, status 0x0000", "il a répondu « succès », statut 0x0000"),
    "status": ("DICOM status {0}", "statut DICOM {0}"),
    "front": ("its front page answered {0}", "sa page d'accueil a répondu {0}"),
    "http-404": (
        "it looked for an identifier that exists nowhere, and wanted no password (404 over HTTP)",
        "il a cherché un identifiant qui n'existe nulle part, sans demander de mot de passe (404 en HTTP)",
    ),
    "http": ("it answered {0} over HTTP", "il a répondu {0} en HTTP"),
    "reject": ("refused with {0}/{1}/{2}", "refusé par {0}/{1}/{2}"),
    "match": ("{0} match", "{0} réponse"),
    "matches": ("{0} matches", "{0} réponses"),
    "service": ("{0} service accepted", "{0} service accepté"),
    "services": ("{0} services accepted", "{0} services acceptés"),
    "asks": ("it asks for a client certificate", "il demande un certificat client"),
    "expired": ("expired {0} days ago", "expiré depuis {0} jours"),
    "days": ("{0} days", "{0} jours"),
    "bits": ("a key of {0} bits", "une clé de {0} bits"),
    "count": ("{0} in all", "{0} en tout"),
    "file": ("{0} file", "{0} fichier"),
    "files": ("{0} files", "{0} fichiers"),
    "size": ("{0}B", "{0}o"),
    "image": ("{0} image", "{0} image"),
    "images": ("{0} images", "{0} images"),
    "study": ("{0} study", "{0} examen"),
    "studies": ("{0} studies", "{0} examens"),
    "series": ("{0} series", "{0} séries"),
    "one-series": ("{0} series", "{0} série"),
    "person": ("{0} person", "{0} personne"),
    "persons": ("{0} persons", "{0} personnes"),
    "years": ("{0} to {1}", "{0} à {1}"),
    "line": ("line {0}", "ligne {0}"),
    "row": ("{0} row", "{0} ligne"),
    "rows": ("{0} rows", "{0} lignes"),
    "ignored": ("it ignored what it was asked for", "il a ignoré ce qu'on lui demandait"),
    "more": ("and there is more", "et il y en a d'autres"),
    "idle": ("without effect for now", "sans effet pour l'instant"),
    "declared": ("as its owner declares", "d'après son propriétaire"),
    "here": ("it leads to this machine", "cela mène à cette machine"),
    "inside": ("to port {0} inside", "vers le port {0} à l'intérieur"),
    "deleted": ("the invented instance was deleted again", "l'instance inventée a été effacée"),
    "left-behind": (
        "an invented instance of HUISCLOS^WRITE TEST may lie there still: delete it",
        "une instance inventée de HUISCLOS^WRITE TEST peut y être encore : effacez-la",
    ),
    "day": ("on {0}", "le {0}"),
    "secondary": ("as a page says that repeats its source", "d'après une page qui répète la source"),
    "distribution": (
        "its distribution may have mended it under the same number",
        "sa distribution a pu le corriger sous le même numéro",
    ),
}


def said(found: Sequence[Fact], language: Language) -> list[str]:
    """What a person can read of evidence, in short pieces; tokens and codes are left to the annex."""
    return list(dict.fromkeys(_pieces(_values(found), language)))


def codes(found: Sequence[Fact]) -> str:
    """Evidence as the JSON has it, the same in each language: `port=4242 status=0x0000`."""
    web = any(one.key is Key.HTTP_STATUS for one in found)
    return " ".join(f"{one.key}={_code(one, web=web)}" for one in found)


def place(target: str, language: Language, check: str = "") -> str:
    """Where a door is, for a person: one line. `check` tells a box from another machine."""
    if check.startswith("BOX-") and check not in _NOT_THE_BOX and _ADDRESS.fullmatch(target):
        return _PLACES["box at"][language is Language.FR].format(target)
    kind, _, name = target.partition(" ")
    if target in _PLACES:
        return _PLACES[target][language is Language.FR]
    if here := _HERE.fullmatch(target):
        return _PLACES["port"][language is Language.FR].format(here[2])
    if kind == "package" and name:
        return _PLACES[kind][language is Language.FR].format(name)
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in target
    )


def number(value: int, language: Language) -> str:
    """With the reader's separators."""
    return f"{value:,}".replace(",", _THOUSANDS[language])


def counted(value: int, one: str, many: str, language: Language) -> str:
    """`1 image`, `12 images`; French counts zero as one."""
    single = abs(value) < 2 if language is Language.FR else abs(value) == 1  # noqa: PLR2004 - two are many
    return _WORDS[one if single else many][language is Language.FR].format(number(value, language))


def _code(one: Fact, *, web: bool) -> str:
    if one.key is Key.STATUS and isinstance(one.value, int) and not web:
        return f"{one.value:#06x}"
    if isinstance(one.value, bool):
        return "yes" if one.value else "no"
    return str(one.value)


def _values(found: Sequence[Fact]) -> dict[Key, list[int | bool | str]]:
    """By key; how much lies at a token is no number of its own."""
    values: dict[Key, list[int | bool | str]] = {}
    before: Key | None = None
    for one in found:
        if not (one.key is Key.COUNT and before is Key.PLACE):
            values.setdefault(one.key, []).append(one.value)
        before = one.key
    return values


_Values = dict[Key, list[int | bool | str]]


def _pieces(values: _Values, language: Language) -> Iterator[str]:
    def say(name: str, *inner: object) -> str:
        return _WORDS[name][language is Language.FR].format(*inner)

    yield from _who(values)
    yield from _how(values, say)
    yield from _how_many(values, language, say)
    for name, key in (("line", Key.LINE), ("inside", Key.INTERNAL_PORT)):
        yield from (say(name, one) for one in values.get(key, ()))
    for name, key, value in _FLAGS:
        if values.get(key, [None])[0] == value:
            yield say(name)
    yield from (str(one) for one in values.get(Key.CVE, ()))
    yield from (say(str(one)) for one in values.get(Key.RULE, ()) if one in ("secondary", "distribution"))


_FLAGS: Final = (
    ("asks", Key.CLIENT_CERTIFICATE, True),
    ("ignored", Key.IGNORED_KEY, True),
    ("here", Key.SELF, True),
    ("idle", Key.EFFECTIVE, False),
    ("declared", Key.DECLARED, True),
    ("more", Key.TRUNCATED, True),
    ("deleted", Key.VALUE, "deleted"),
    ("left-behind", Key.VALUE, "left-behind"),
)
_Say = Callable[..., str]


def _who(values: _Values) -> Iterator[str]:
    products = [_NAMES.get(str(one), str(one)) for one in values.get(Key.PRODUCT, ())]
    versions = [_TOOLKIT.sub(r"\1.\2.\3", str(one)) for one in values.get(Key.VERSION, ())]
    if products and versions:
        yield f"{products[0]} {versions[0]}"
    else:
        yield from products or versions
    yield from (_NAMES.get(str(one), str(one)) for one in values.get(Key.PROTOCOL, ()) if one != "closed")


def _how(values: _Values, say: _Say) -> Iterator[str]:
    for one in values.get(Key.TRANSPORT, ()):
        if one in ("plain", "tls"):
            yield say(str(one))
    yield from (str(one).replace("TLSv", "TLS ") for one in values.get(Key.TLS_VERSION, ()))
    web = Key.HTTP_STATUS in values
    for status in values.get(Key.STATUS, ()):
        if web:
            yield say("front", status)
        else:
            yield say("success") if status == _SUCCESS else say("status", f"{status:#06x}")
    for one in values.get(Key.HTTP_STATUS, ()):
        if one:
            yield say("http-404") if one == _NOT_FOUND else say("http", one)
    if Key.REJECT_RESULT in values:
        keys = (Key.REJECT_RESULT, Key.REJECT_SOURCE, Key.REJECT_REASON)
        yield say("reject", *(values.get(key, ["?"])[0] for key in keys))


_OF_FILES: Final = frozenset(
    {
        "backup",
        "bin",
        "cache",
        "cloud",
        "exports",
        "hl7",
        "packed",
        "readable",
        "residue",
        "thumbnail",
        "volume",
    }
)
"""what an audit at rest counts by the file"""
_COUNTS: Final = (
    (Key.MATCHES, "match", "matches"),
    (Key.CONTEXTS, "service", "services"),
    (Key.IMAGES, "image", "images"),
    (Key.STUDIES, "study", "studies"),
    (Key.SERIES, "one-series", "series"),
    (Key.PERSONS, "person", "persons"),
    (Key.ROWS, "row", "rows"),
)


def _how_many(values: _Values, language: Language, say: _Say) -> Iterator[str]:
    for key, one, many in _COUNTS:
        yield from (counted(int(value), one, many, language) for value in values.get(key, ()))
    years = [int(one) for key in (Key.YEAR_FROM, Key.YEAR_TO) for one in values.get(key, ())]
    if years:
        yield say("years", min(years), max(years)) if min(years) != max(years) else str(years[0])
    yield from (say("size", _size(int(one), language)) for one in values.get(Key.BYTES, ()))
    for days in values.get(Key.DAYS, ()):
        yield say("expired" if int(days) < 0 else "days", number(abs(int(days)), language))
    yield from (say("bits", one) for one in values.get(Key.BITS, ()))
    if Key.IMAGES not in values and Key.CVE not in values:
        files = not _OF_FILES.isdisjoint(values.get(Key.CLASS, ()))
        for count in values.get(Key.COUNT, ())[:1]:
            yield (
                counted(int(count), "file", "files", language)
                if files
                else say("count", number(int(count), language))
            )


def _size(octets: int, language: Language) -> str:
    for unit, factor in _UNITS:
        if octets >= factor:
            return f"{octets / factor:.1f} {unit}".replace(".", _POINTS[language])
    return f"{octets} "
