"""Who calls the DICOMweb service, and what of it that caller may see."""

from __future__ import annotations

import re
from typing import Final, cast

from msgspec import Struct
from starlette.requests import Request

from huisclos.access.nouns import Proof, ProofKind
from huisclos.access.sessions import Viewing
from huisclos.errors import NotAdmitted, NotGranted, StudyNotFound
from huisclos.web.reading import Reading
from huisclos.web.site import SESSION_COOKIE, Site, address_of, host_of, session_proof

PREFIX = "/dicom-web"
_SPACING: Final = re.compile(rb'("(?:00181164|00280030)":\{"vr":"DS"),"Value":\[([^\]]*)\]')
"""ImagerPixelSpacing, PixelSpacing. A quotation mark inside a JSON string is escaped: only a tag is met."""
_NO_MODALITY: Final = re.compile(rb'("0008006[01]":\{"vr":"CS")\}')
"""Modality, ModalitiesInStudy without a value: the viewer says such a study is not there."""
_NO_CONCEPT: Final = re.compile(
    rb'("0040A040":\{"vr":"CS","Value":\["([A-Z0-9]+)"\]\})(?:,"0040A043":\{"vr":"SQ"\})?(?!,"0040A043")'
)
"""ValueType of an item of a report that names no concept, as some need not: the viewer breaks on it."""
_CONCEPT: Final = rb'\1,"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["\2"]}}]}'


class Caller(Struct, frozen=True):
    """A proof, and for the viewer the one study it may see, under another name."""

    proof: Proof
    purpose: str
    base: str
    """Absolute URL of the service as this caller reaches it, without a slash at its end."""
    only: str = ""
    """The one study it may see; empty for all that its rights allow."""
    alias: str = ""
    """What the viewer calls that study: its address bar must not keep the true UID (P1)."""

    def study(self, named: str) -> str:
        """The true UID of a study as the caller names it. Raises `StudyNotFound`."""
        if not self.only:
            return named
        if named not in (self.only, self.alias):
            raise StudyNotFound("no such study")
        return self.only

    def named(self, study_uid: str) -> str:
        """The study as the caller calls it."""
        return self.alias if self.alias and study_uid == self.only else study_uid

    def told(self, text: bytes) -> bytes:
        """JSON for this caller: the viewer's has an alias for the study's UID, and nothing it cannot bear."""
        if not self.alias:
            return text
        text = _NO_MODALITY.sub(rb'\1,"Value":["OT"]}', _SPACING.sub(_spaced, text))
        text = _NO_CONCEPT.sub(_CONCEPT, text)
        return text.replace(b'"%s"' % self.only.encode(), b'"%s"' % self.alias.encode())

    def may_change(self) -> None:
        """Raises `NotGranted` for the viewer, which only reads."""
        if self.only:
            raise NotGranted("the viewer only reads")


def _spaced(found: re.Match[bytes]) -> bytes:
    """A spacing as it is; none where one of its numbers is not above 0: the viewer would show black."""
    numbers = found[2].split(b",")
    return (
        found[0]
        if all(number not in (b"null", b"") and float(number) > 0 for number in numbers)
        else found[1]
    )


def alias_of(study_id: str) -> str:
    """A valid UID made of the study's random id (PS3.5 section B.2)."""
    return f"2.25.{int(study_id, 16)}"


def caller_of(request: Request) -> Caller:
    """The caller of a request. Raises `NotAdmitted`."""
    viewing = cast("Viewing | None", request.scope.get("huisclos.viewing"))
    site = site_of_service(request)
    if viewing is not None:
        base = f"https://{host_of(request)}:{site.origins.viewer}{request.scope['huisclos.base']}"
        proof = Proof(ProofKind.SESSION, viewing.secret, address_of(request))
        return Caller(proof, "viewer", base, viewing.study_uid, alias_of(viewing.study_id))
    # some clients leave the port out of Host: the one we are known by is ours to say
    base = f"https://{host_of(request)}:{site.origins.http}{PREFIX}"
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return Caller(Proof(ProofKind.TOKEN, secret.strip(), address_of(request)), "dicomweb", base)
    # the cookie comes with every request of the browser, so only our own pages may lean on it
    if SESSION_COOKIE in request.cookies and request.headers.get("sec-fetch-site") == "same-origin":
        return Caller(session_proof(request), "dicomweb", base)
    raise NotAdmitted("a token is needed here", hint="Authorization: Bearer TOKEN")


def site_of_service(request: Request) -> Site:
    """The site behind the service."""
    return cast(Site, request.app.state.site)


def reading_of(request: Request) -> Reading:
    """What this process has open."""
    return cast(Reading, request.app.state.reading)
