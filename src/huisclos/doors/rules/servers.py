"""The rules on what a server answered: DICOM, and the web."""

from __future__ import annotations

from typing import Final

from huisclos.doors.observation import Observation, What
from huisclos.doors.rules.rule import Rule, counted, known_fault, plain
from huisclos.doors.statuses import Word, word
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Verdict

_OK: Final = 200
_NOT_FOUND: Final = 404
_ASKS: Final = (401, 403)
_MAX_CERTIFICATE_DAYS: Final = 825
_MIN_RSA: Final = 2048


def _served_as(seen: Observation, *, retrieve: bool) -> bool:
    status = seen.number(Key.STATUS)
    return status >= 0 and word(status, retrieve=retrieve) is Word.SERVED


def _status(seen: Observation) -> bool:
    return _served_as(seen, retrieve=False)


def _queried(seen: Observation) -> bool:
    return _status(seen) or seen.get(Key.IGNORED_KEY) is True


def _ignored(seen: Observation) -> bool:
    return seen.get(Key.IGNORED_KEY) is True


def _retrieved(seen: Observation) -> bool:
    return _ignored(seen) or _served_as(seen, retrieve=True)


def _accepted(seen: Observation) -> bool:
    return seen.number(Key.CONTEXTS) >= 0 and seen.get(Key.REJECT_REASON) is None


def _stored(seen: Observation) -> bool:
    """It was said to be, or found."""
    return _status(seen) or seen.get(Key.VALUE) is not None


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
    Rule(What.STORED, "DCM-012", _P, _stored),
    Rule(What.STORE_OFFER, "DCM-011", _O, counted),
    Rule(What.SERVICES_OFFER, "DCM-014", _O, counted),
    Rule(What.DICOM_TRANSPORT, "DCM-015", _P, plain),
    Rule(What.CLIENT_CERTIFICATE, "DCM-016", _P, _accepted),
    Rule(What.FOREIGN_CERTIFICATE, "DCM-017", _P, _accepted),
    Rule(What.DICOM_TLS_VERSION, "DCM-018", _P, _old_tls),
    Rule(What.DICOM_SUITE, "DCM-019", _P, _weak_suite),
    Rule(What.DICOM_CERTIFICATE, "DCM-020", _P, _weak_certificate),
    Rule(What.IMPLEMENTATION, "DCM-022", _P, lambda seen: seen.get(Key.VERSION) is not None),
    Rule(What.IMPLEMENTATION, "DCM-023", _I, known_fault),
    Rule(What.IMPLEMENTATION, "DCM-024", _I, lambda seen: seen.get(Key.CLASS) == "end-of-life"),
    Rule(What.SECOND, "DCM-025", _P, lambda seen: seen.number(Key.COUNT) == 1),
    Rule(What.USER, "DCM-026", _P, _accepted),
    Rule(What.DICOM_PORT, "DCM-021", _P, lambda seen: seen.get(Key.VALUE) == "open"),
    Rule(What.HL7, "DCM-027", _O, lambda seen: seen.number(Key.PORT) > 0),
    Rule(What.STOPPED, "DCM-029", _I, lambda _: True),
    Rule(What.DECOY, "DCM-030", _I, lambda seen: seen.get(Key.RULE) is not None),
)

WEB: Final = (
    Rule(What.REST, "WEB-001", _P, _served),
    Rule(What.REST, "DCM-023", _I, known_fault, lambda seen: seen.get(Key.VERSION) is not None),
    Rule(What.DEFAULT_LOGIN, "WEB-002", _P, _served),
    Rule(What.STATISTICS, "WEB-003", _P, lambda seen: seen.number(Key.IMAGES) >= 0),
    Rule(What.EXPLORER, "WEB-004", _P, _served),
    Rule(What.WEBDAV, "WEB-006", _P, _served),
    Rule(What.PLUGINS, "WEB-007", _P, counted),
    Rule(What.CROSS_SITE, "WEB-008", _O, _served),
    Rule(What.ARC_UI, "WEB-009", _P, _served),
    Rule(What.ARC_RS, "WEB-010", _P, _served),
    Rule(What.CONSOLE, "WEB-011", _P, _served),
    Rule(What.CONQUEST_CGI, "WEB-012", _P, _served),
    Rule(What.QIDO, "WEB-013", _P, _answered),
    Rule(What.WADO_RS, "WEB-014", _P, _answered),
    Rule(What.WADO_URI, "WEB-015", _P, _answered, lambda seen: seen.get(Key.PRODUCT) is None),
    Rule(What.WADO_URI, "WEB-015", _I, _answered, lambda seen: seen.get(Key.PRODUCT) is not None),
    Rule(What.STOW, "WEB-016", _O, lambda seen: seen.get(Key.VALUE) == "open"),
    Rule(What.OHIF, "WEB-017", _P, _answered),
    Rule(What.ROOT_AND_API, "WEB-018", _P, lambda seen: seen.number(Key.STATUS) in _ASKS),
    Rule(What.VIEWER, "WEB-019", _P, _served),
    Rule(What.LISTING, "WEB-020", _P, counted),
    Rule(What.MEDIA, "WEB-021", _P, lambda seen: seen.get(Key.VALUE) == "dicm"),
    Rule(What.WEB_TRANSPORT, "WEB-022", _P, lambda seen: seen.get(Key.VALUE) == "clear-imaging"),
    Rule(What.WEB_TLS_VERSION, "WEB-023", _P, _old_tls),
    Rule(What.WEB_SUITE, "WEB-023", _P, _weak_suite),
    Rule(What.WEB_CERTIFICATE, "WEB-023", _P, _weak_certificate),
    Rule(What.CORS, "WEB-024", _P, lambda seen: seen.get(Key.VALUE) == "any-origin"),
    Rule(What.HEADERS, "WEB-025", _P, counted),
    Rule(What.NAS, "WEB-031", _P, _served),
    Rule(What.DOCKER_API, "WEB-032", _P, _served),
    Rule(What.FHIR, "WEB-033", _P, _served),
    Rule(What.METRICS, "WEB-034", _P, _served),
)
