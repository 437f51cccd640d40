"""What a probe saw, before anyone judged it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from huisclos.findings.evidence import Fact, Key
from huisclos.findings.nouns import Outcome, Reach, Reason


class What(StrEnum):
    """Every kind of observation."""

    DICOM_LISTENER = "dicom-listener"
    CALLED_TITLE = "called-title"
    CALLING_TITLE = "calling-title"
    REJECT_REASONS = "reject-reasons"
    ECHO = "echo"
    STUDY_QUERY = "study-query"
    PATIENT_QUERY = "patient-query"
    WORKLIST_QUERY = "worklist-query"
    GET = "get"
    MOVE = "move"
    STORE_OFFER = "store-offer"
    SERVICES_OFFER = "services-offer"
    DICOM_TRANSPORT = "dicom-transport"
    CLIENT_CERTIFICATE = "client-certificate"
    FOREIGN_CERTIFICATE = "foreign-certificate"
    DICOM_TLS_VERSION = "dicom-tls-version"
    DICOM_SUITE = "dicom-suite"
    DICOM_CERTIFICATE = "dicom-certificate"
    DICOM_PORT = "dicom-port"
    STORED = "stored"
    USER = "user"
    SECOND = "second"
    CROSS_SITE = "cross-site"
    STOPPED = "stopped"
    HL7 = "hl7"
    IMPLEMENTATION = "implementation"
    DECOY = "decoy"
    REST = "rest"
    STATISTICS = "statistics"
    EXPLORER = "explorer"
    PLUGINS = "plugins"
    WEBDAV = "webdav"
    ARC_UI = "arc-ui"
    ARC_RS = "arc-rs"
    CONQUEST_CGI = "conquest-cgi"
    QIDO = "qido"
    WADO_RS = "wado-rs"
    WADO_URI = "wado-uri"
    MEDIA = "media"
    OHIF = "ohif"
    ROOT_AND_API = "root-and-api"
    VIEWER = "viewer"
    LISTING = "listing"
    WEB_TRANSPORT = "web-transport"
    WEB_TLS_VERSION = "web-tls-version"
    WEB_SUITE = "web-suite"
    WEB_CERTIFICATE = "web-certificate"
    CORS = "cors"
    STOW = "stow"
    HEADERS = "headers"
    CONSOLE = "console"
    NAS = "nas"
    FHIR = "fhir"
    METRICS = "metrics"
    DOCKER_API = "docker-api"
    OPEN_PORT = "open-port"
    SETTING = "setting"
    FILES = "files"
    DISK = "disk"
    FIREWALL = "firewall"
    INSTALLED = "installed"
    SERVICE = "service"
    DEFAULT_LOGIN = "default-login"
    LOG = "log"
    BOX = "box"
    ANNOUNCED = "announced"
    OUTSIDE = "outside"
    HOUSE = "house"


@dataclass(frozen=True, slots=True)
class Observation:
    """One fact seen at a target."""

    what: What
    target: str
    reach: Reach
    facts: tuple[Fact, ...] = ()

    def get(self, key: Key) -> int | bool | str | None:
        """The first value of `key`; None when it was not seen."""
        return next((fact.value for fact in self.facts if fact.key is key), None)

    def number(self, key: Key) -> int:
        """The value of `key` as a number; -1 when it was not seen."""
        value = self.get(key)
        return value if isinstance(value, int) else -1


@dataclass(frozen=True, slots=True)
class Miss:
    """A question without an answer, or with a plain no; `checks` are those that it was put for."""

    checks: tuple[str, ...]
    target: str
    reason: Reason | None
    """None when the answer is no"""
    facts: tuple[Fact, ...] = ()
    outcome: Outcome = Outcome.FAILED


Seen = Observation | Miss
