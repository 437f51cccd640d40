"""STOW-RS: storing instances (PS3.18 section 10.5). Works locked, with a store token (P5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from huisclos.access.nouns import Source
from huisclos.archive.nouns import Outcome
from huisclos.dicom.xml import to_xml
from huisclos.errors import (
    BadIdentifier,
    Full,
    HuisclosError,
    NotDicom,
    StoreError,
    TooLarge,
    Unreadable,
)
from huisclos.web.bodies import PartBegun, boundary_of, events, parse_media
from huisclos.web.depositing import Deposited, deposit_body, deposit_parts
from huisclos.web.dicomweb.caller import caller_of, site_of_service
from huisclos.web.dicomweb.media import DICOM, JSON, XML, takes, wishes
from huisclos.web.problems import UnsupportedMedia
from huisclos.web.site import Site

MAX_TOLD: Final = 100_000
"""Instances of one request that the answer lists."""

REASONS: Final[tuple[tuple[type[HuisclosError], int], ...]] = (
    (Full, 0xA700),
    (TooLarge, 0xA700),
    (NotDicom, 0xC000),
    (BadIdentifier, 0xA900),
    (Unreadable, 0xC000),
    (StoreError, 0x0110),
)
"""FailureReason, as the status of C-STORE (PS3.4 annex B.2.3, PS3.18 table 10.5.3-2)."""
_HELD: Final = 0xB007
"""Warning: kept, apart from another with the same SOP Instance UID until a person decides."""


@dataclass
class _Told:
    """What came of each instance."""

    stored: list[Any] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)
    others: int = 0
    """Parts that failed before they said what they are."""
    warned: bool = False
    worst: HuisclosError | None = None


async def store(request: Request) -> Response:
    """Every part of the body, sealed as it arrives. 200 all, 202 some or with warnings, 409 none."""
    caller = caller_of(request)
    caller.may_change()
    site = site_of_service(request)
    answer_media = _answer_media(request)
    source = await site.keeper.stored_by(caller.proof)
    wanted = request.path_params.get("study", "")
    content_type = request.headers.get("content-type", "")
    media, parameters = parse_media(content_type)
    told = _Told()
    if media == DICOM:
        await _single(told, request, site, source, wanted, caller.base)
    elif parameters.get("type", DICOM).lower() == DICOM:
        body = events(request, boundary_of(content_type))
        async for outcome in deposit_parts(body, _is_instance, site.receiver, source, wanted):
            _note(told, outcome, caller.base)
    else:
        raise UnsupportedMedia(
            "only DICOM files are stored here", hint='multipart/related; type="application/dicom"'
        )
    if len(told.stored) > 1:
        # a client that sends one instance at a time is summed within the second, as a modality is
        await site.receiver.deposits.flush()
    return _answer(told, caller.base, wanted, answer_media)


def _answer_media(request: Request) -> str:
    """XML for who would rather have it than JSON; what was stored is told of in JSON to anybody else."""
    for wish in wishes(request):
        if takes(wish, JSON) or takes(wish, "application/json"):
            return JSON
        if takes(wish, XML):
            return XML
    return JSON


async def _single(told: _Told, request: Request, site: Site, source: Source, wanted: str, base: str) -> None:
    try:
        _note(told, await deposit_body(request, site.receiver, source, wanted), base)
    except HuisclosError as error:
        _note(told, error, base)


def _is_instance(part: PartBegun) -> bool:
    media, _ = parse_media(part.headers.get("content-type", DICOM))
    if media not in (DICOM, "application/octet-stream"):
        raise NotDicom("a part is not a DICOM file")
    return True


def _note(told: _Told, outcome: Deposited, base: str) -> None:
    """One instance: durable now, or refused."""
    if isinstance(outcome, HuisclosError):
        _fail(told, outcome)
        return
    received = outcome
    heading = received.stored.heading
    item: dict[str, Any] = {
        "00081150": {"vr": "UI", "Value": [heading.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [heading.instance_uid]},
        "00081190": {
            "vr": "UR",
            "Value": [
                f"{base}/studies/{heading.study_uid}/series/{heading.series_uid}/instances/{heading.instance_uid}"
            ],
        },
    }
    if received.outcome is Outcome.HELD:
        item["00081196"] = {"vr": "US", "Value": [_HELD]}
        told.warned = True
    if len(told.stored) < MAX_TOLD:
        told.stored.append(item)


def _fail(told: _Told, error: HuisclosError) -> None:
    reason = next((code for kind, code in REASONS if isinstance(error, kind)), 0x0110)
    told.worst = error
    told.others += 1
    if len(told.failed) < MAX_TOLD:
        told.failed.append({"00081197": {"vr": "US", "Value": [reason]}})


def _answer(told: _Told, base: str, wanted: str, media: str) -> Response:
    """The response message (PS3.18 section 10.5.3, annex F)."""
    if isinstance(told.worst, StoreError) and not told.stored:
        # the sender is to try again: that is not a conflict with what it sent
        raise told.worst
    body: dict[str, Any] = {}
    if wanted:
        body["00081190"] = {"vr": "UR", "Value": [f"{base}/studies/{wanted}"]}
    if told.failed:
        # what failed before it said what it is has no UIDs to reference: its reason stands alone
        body["00081198"] = {"vr": "SQ", "Value": told.failed}
    if told.stored:
        body["00081199"] = {"vr": "SQ", "Value": told.stored}
    some, failed = bool(told.stored), bool(told.failed)
    status = (202 if failed or told.warned else 200) if some else (409 if failed else 400)
    written = to_xml(body) if media == XML else msgspec.json.encode(body)
    return Response(written, status, media_type=media)
