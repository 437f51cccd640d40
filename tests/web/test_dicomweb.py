"""QIDO-RS, WADO-RS and STOW-RS against PS3.18, on the public files."""

from __future__ import annotations

import contextlib
import email.parser
import email.policy
import io
import json
import re
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import httpx
import pydicom
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from starlette.requests import Request

from huisclos.access.nouns import Proof, ProofKind, Right
from huisclos.archive.nouns import Level, ManifestEntry, StoredObject
from huisclos.archive.retrieve import Frames, OpenStudy
from huisclos.dicom.xml import to_xml
from huisclos.errors import BadQuery, HuisclosError
from huisclos.web.dicomweb import instances
from huisclos.web.dicomweb.caller import Caller
from huisclos.web.dicomweb.frames import frame_numbers
from huisclos.web.dicomweb.media import _wish
from huisclos.web.dicomweb.query import query_of
from huisclos.web.pace import Pace
from tests import corpus
from tests.web.browser import ORIGIN
from tests.web.world import World

SERVICE = ORIGIN + "/dicom-web"
XML = {"Accept": 'multipart/related; type="application/dicom+xml"'}
OCTETS = {"Accept": 'multipart/related; type="application/octet-stream"'}


def bearer(world: World, *may: Right) -> dict[str, str]:
    """A token's header."""
    return {"Authorization": f"Bearer {world.token(*(may or (Right.READ, Right.STORE)))}"}


async def put(world: World, name: str) -> StoredObject:
    """One public file in the archive."""
    return await world.put(corpus.named(name).read_bytes())


def url(stored: StoredObject, level: str = "instance") -> str:
    """Where it is."""
    heading = stored.heading
    address = f"/dicom-web/studies/{heading.study_uid}"
    if level != "study":
        address += f"/series/{heading.series_uid}"
    return address if level != "instance" else f"{address}/instances/{heading.instance_uid}"


def parts(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and bytes of each part, read by another parser than ours."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    whole = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + response.content)
    boundary = whole.get_boundary()
    assert boundary
    found = []
    for piece in response.content.split(b"\r\n--" + boundary.encode())[1:-1]:
        headers, _, body = piece.partition(b"\r\n\r\n")
        found.append((headers.decode().split("Content-Type: ")[1].split("\r\n")[0], body))
    return found


def related(contents: list[bytes], media: str = "application/dicom") -> tuple[bytes, dict[str, str]]:
    """A STOW body and its header."""
    body = b"".join(b"--b\r\nContent-Type: %s\r\n\r\n%s\r\n" % (media.encode(), one) for one in contents)
    return body + b"--b--\r\n", {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


async def test_a_limit_beyond_ours_is_said(
    program: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PS3.18 section 8.3.4.4.1: a server may give fewer than asked for, and says how many are left."""
    monkeypatch.setattr("huisclos.web.dicomweb.query.MAX_LIMIT", 2)
    for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm"):
        await put(world, name)
    answer = await program.get("/dicom-web/studies?limit=999999999999", headers=bearer(world))
    assert (answer.status_code, len(answer.json()), answer.headers["x-total-count"]) == (200, 2, "3")
    assert answer.headers["warning"].startswith(f"299 {SERVICE}: ")
    assert "There are 1 additional results that can be requested" in answer.headers["warning"]
    rest = await program.get("/dicom-web/studies?limit=999999999999&offset=2", headers=bearer(world))
    assert (len(rest.json()), "warning" in rest.headers) == (1, False)


async def test_searching(program: httpx.AsyncClient, world: World) -> None:
    """Levels, limit, offset, the exact total and what is left."""
    stored = [await put(world, name) for name in ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm")]
    headers = bearer(world)
    answer = await program.get("/dicom-web/studies?limit=1&offset=1", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.headers["x-total-count"] == "3"
    assert "There are 1 additional results" in answer.headers["warning"]
    assert len(answer.json()) == 1
    mine = stored[0].heading
    one = await program.get(f"/dicom-web/studies?PatientID={mine.patient_id}", headers=headers)
    assert [row["0020000D"]["Value"] for row in one.json()] == [[mine.study_uid]]
    assert one.json()[0]["00081190"]["Value"][0].startswith(SERVICE)
    for path in (
        "/series",
        "/instances",
        f"/studies/{mine.study_uid}/series",
        f"/studies/{mine.study_uid}/instances",
    ):
        assert (await program.get("/dicom-web" + path, headers=headers)).status_code == 200
    below = await program.get(f"{url(stored[0], 'series')}/instances", headers=headers)
    assert below.json()[0]["00080018"]["Value"] == [mine.instance_uid]
    none = await program.get("/dicom-web/studies?PatientID=nobody", headers=headers)
    assert (none.status_code, none.json(), none.headers["x-total-count"]) == (200, [], "0")


async def test_an_attribute_asked_for_more_than_once(program: httpx.AsyncClient, world: World) -> None:
    """UIDs and codes are a list, by keyword or tag; of anything else no condition goes unheard: 400."""
    caller = Caller(Proof(ProofKind.TOKEN, "", "127.0.0.1"), "dicomweb", SERVICE)

    def asked(query: str) -> dict[str, str]:
        request = Request({"type": "http", "query_string": query.encode(), "path_params": {}, "headers": []})
        return query_of(request, caller, Level.STUDY).match

    assert asked("StudyInstanceUID=1.2&0020000d=1.3,1.4") == {"StudyInstanceUID": "1.2,1.3,1.4"}
    request = "RequestAttributesSequence.ScheduledProcedureStepID"
    assert asked(f"{request}=P1&00400275.00400009=P1") == {request: "P1"}
    assert asked("ModalitiesInStudy=CT&00080061=MR") == {"ModalitiesInStudy": "CT,MR"}
    assert asked("PatientID=P1&00100020=P1&PatientID=") == {"PatientID": "P1"}
    two = await program.get("/dicom-web/studies?PatientID=P1&00100020=P2", headers=bearer(world))
    assert (two.status_code, two.json()["type"]) == (400, "urn:huisclos:problem:bad-query")


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=x", "offset=1e9", "fuzzymatching=maybe", "a b=1", "includefield=%00", "%ff=1"],
)
async def test_bad_queries(program: httpx.AsyncClient, world: World, query: str) -> None:
    """400 with a problem document, and no echo of what was asked."""
    answer = await program.get(f"/dicom-web/studies?{query}", headers=bearer(world))
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("bad-query")


async def test_who_may(program: httpx.AsyncClient, world: World) -> None:
    """No token 401, a wrong one 401, a store token does not read, a read token does not store."""
    stored = await put(world, "CT_small.dcm")
    assert (await program.get("/dicom-web/studies")).status_code == 401
    wrong = {"Authorization": "Bearer nothing"}
    assert (await program.get("/dicom-web/studies", headers=wrong)).status_code == 401
    store, read = bearer(world, Right.STORE), bearer(world, Right.READ)
    assert (await program.get("/dicom-web/studies", headers=store)).status_code == 403
    assert (await program.get(url(stored), headers=store)).status_code == 403
    body, headers = related([b"x"])
    assert (await program.post("/dicom-web/studies", content=body, headers=headers | read)).status_code == 403


async def test_locked(program: httpx.AsyncClient, world: World) -> None:
    """Reads answer 503 and say locked; stores with a store token work, into a batch."""
    stored = await put(world, "CT_small.dcm")
    world.house.is_locked = world.books.away = True
    for path in ("/dicom-web/studies", url(stored), url(stored) + "/metadata", url(stored) + "/rendered"):
        answer = await program.get(path, headers=bearer(world))
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("locked")
    body, headers = related([corpus.named("MR_small.dcm").read_bytes()])
    kept = await program.post(
        "/dicom-web/studies", content=body, headers=headers | bearer(world, Right.STORE)
    )
    assert kept.status_code == 200
    assert world.keys.batches


async def test_retrieving_what_was_stored(program: httpx.AsyncClient, world: World) -> None:
    """STOW keeps the file byte for byte; WADO gives it back alone, in a series, in a study."""
    content = corpus.named("CT_small.dcm").read_bytes()
    headers = bearer(world)
    body, stow = related([content, corpus.named("MR_small.dcm").read_bytes()])
    answer = await program.post("/dicom-web/studies", content=body, headers=stow | headers)
    assert answer.status_code == 200
    told = answer.json()["00081199"]["Value"]
    assert len(told) == 2
    address = told[0]["00081190"]["Value"][0]
    alone = await program.get(address, headers=headers | {"Accept": "application/dicom"})
    assert alone.content == content
    assert alone.headers["content-length"] == str(len(content))
    assert "transfer-syntax=1.2.840.10008.1.2.1" in alone.headers["content-type"]
    for wanted in (address, address.split("/instances")[0], address.split("/series")[0]):
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        found = parts(await program.get(wanted, headers=headers | accept))
        assert [body for _, body in found] == [content]
        assert found[0][0].startswith("application/dicom")
    assert any(instances for _, instances, _ in world.keys.read)
    assert world.keys.opened


@pytest.mark.parametrize(("few", "begun"), [(1, [4]), (-1, [1, 1, 1, 1])])
async def test_with_many_answers_under_way_none_is_read_ahead(
    program: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch, few: int, begun: list[int]
) -> None:
    """What is begun with before its turn to be sent stays little; what is sent is the same."""
    slice_ = corpus.read(corpus.named("CT_small.dcm"))
    for number in range(4):
        slice_.SOPInstanceUID = slice_.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.77{number}")
        made = io.BytesIO()
        slice_.save_as(made)
        await world.put(made.getvalue())
    together: list[int] = []
    real = instances._together

    def noting(ways: Sequence[instances._Way], most: int) -> list[ManifestEntry]:
        together.append(len(real(ways, most)))
        return real(ways, most)

    monkeypatch.setattr(instances, "FEW", few)
    monkeypatch.setattr(instances, "_together", noting)
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    for _ in range(2):
        answer = await program.get(
            f"/dicom-web/studies/{slice_.StudyInstanceUID}", headers=bearer(world) | accept
        )
        assert len(parts(answer)) == 4
    assert together == begun * 2


async def test_what_cannot_be_given(program: httpx.AsyncClient, world: World) -> None:
    """A transfer syntax that is not made, another media type, another series."""
    stored = await put(world, "JPEG2000.dcm")
    headers = bearer(world)
    other = {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"}
    assert (await program.get(url(stored), headers=headers | other)).status_code == 406
    assert (await program.get(url(stored), headers=headers | {"Accept": "text/html"})).status_code == 406
    for path in ("/metadata", "/bulkdata", "/pixeldata"):
        assert (await program.get(url(stored) + path, headers=headers | other)).status_code == 406
    assert (await program.get(url(stored, "series") + "9", headers=headers)).status_code == 404
    assert (await program.get("/dicom-web/studies/1.2.3", headers=headers)).status_code == 404
    assert (await program.get("/dicom-web/nothing", headers=headers)).status_code == 404


async def test_metadata(program: httpx.AsyncClient, world: World) -> None:
    """The DICOM JSON model for instance, series and study, its bulk data where it says."""
    stored = await put(world, "CT_small.dcm")
    headers = bearer(world)
    model: dict[str, Any] = {}
    for level in ("instance", "series", "study"):
        answer = await program.get(url(stored, level) + "/metadata", headers=headers)
        (model,) = answer.json()
        assert model["00080018"]["Value"] == [stored.heading.instance_uid]
    pixels = model["7FE00010"]["BulkDataURI"]
    assert pixels.startswith(SERVICE)
    expected = pydicom.dcmread(corpus.named("CT_small.dcm")).PixelData
    whole = await program.get(pixels, headers=headers | {"Accept": "application/octet-stream"})
    assert whole.content == expected
    part = await program.get(pixels, headers=headers | {"Accept": "*/*", "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, expected[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(expected)}"
    last = await program.get(pixels, headers=headers | {"Range": "bytes=-4"})
    assert last.content == expected[-4:]
    beyond = await program.get(pixels, headers=headers | {"Range": f"bytes={len(expected)}-"})
    assert beyond.status_code == 416
    in_parts = {"Accept": 'multipart/related; type="application/octet-stream"'}
    assert parts(await program.get(pixels, headers=headers | in_parts))[0][1] == expected


def located(response: httpx.Response) -> list[tuple[str, str, bytes]]:
    """As `parts`, with where each part lies."""
    boundary = response.headers["content-type"].rpartition("boundary=")[2].encode()
    pieces = response.content.split(b"\r\n--" + boundary)[1:-1]
    places = [re.findall(r"Content-Location: (\S+)", one.decode("latin-1"))[0] for one in pieces]
    return [(place, *part) for place, part in zip(places, parts(response), strict=True)]


async def test_metadata_in_xml(program: httpx.AsyncClient, world: World) -> None:
    """The Native DICOM Model of each instance, a part each, says what the JSON says."""
    stored = await put(world, "CT_small.dcm")
    headers = bearer(world)
    model: dict[str, Any] = {}
    for level in ("instance", "series", "study"):
        (model,) = (await program.get(url(stored, level) + "/metadata", headers=headers)).json()
        answer = await program.get(url(stored, level) + "/metadata", headers=headers | XML)
        assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom+xml"')
        ((place, media, body),) = located(answer)
        assert (place, media) == (f"{ORIGIN}{url(stored)}/metadata", "application/dicom+xml")
        assert body == to_xml(model)
    assert sum(instances for _, instances, _ in world.keys.read) == 6
    by_weight = {"Accept": 'multipart/related; type="application/dicom+xml"; q=0.5, application/dicom+json'}
    assert (await program.get(url(stored) + "/metadata", headers=headers | by_weight)).json() == [model]
    rows = (await program.get("/dicom-web/studies", headers=headers)).json()
    found = await program.get("/dicom-web/studies", headers=headers | XML)
    assert [body for _, _, body in located(found)] == [to_xml(row) for row in rows]
    assert found.headers["x-total-count"] == "1"
    none = await program.get("/dicom-web/studies?PatientID=nobody", headers=headers | XML)
    assert (none.status_code, none.content, none.headers["x-total-count"]) == (204, b"", "0")


async def test_all_bulk_data(program: httpx.AsyncClient, world: World) -> None:
    """Every value that the metadata gives by address, each as its own address gives it."""
    stored = await put(world, "waveform_ecg.dcm")
    headers = bearer(world)
    text = (await program.get(url(stored) + "/metadata", headers=headers)).text
    addresses = re.findall(r'"BulkDataURI":"([^"]+)"', text)
    assert addresses
    found: list[tuple[str, str, bytes]] = []
    for level in ("instance", "series", "study"):
        answer = await program.get(url(stored, level) + "/bulkdata", headers=headers | OCTETS)
        found = located(answer)
        assert [place for place, _, _ in found] == addresses
        for place, media, body in found:
            assert media == "application/octet-stream"
            assert body == (await program.get(place, headers=headers | {"Accept": media})).content
    before = sum(octets for _, _, octets in world.keys.read)
    await program.get(url(stored, "study") + "/bulkdata", headers=headers)
    assert sum(octets for _, _, octets in world.keys.read) - before == sum(len(one) for *_, one in found)
    assert (await program.get(url(stored, "study") + "/pixeldata", headers=headers)).status_code == 404


async def test_all_pixel_data(program: httpx.AsyncClient, world: World) -> None:
    """Frames of every instance, as stored or decoded as frames are; what cannot be given is told."""
    coded, many = await put(world, "JPEG2000.dcm"), await put(world, "color3d_jpeg_baseline.dcm")
    headers = bearer(world)
    any_way = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
    for level in ("instance", "series", "study"):
        found = located(await program.get(url(many, level) + "/pixeldata", headers=headers | any_way))
        assert found[2][0] == f"{ORIGIN}{url(many)}/frames/3"
        assert {body[:2] for _, _, body in found} == {b"\xff\xd8"}
        assert len(found) == pydicom.dcmread(corpus.named("color3d_jpeg_baseline.dcm")).NumberOfFrames
    (one,) = located(await program.get(url(coded, "study") + "/pixeldata", headers=headers | OCTETS))
    assert one[1:] == ("application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1", b"samples\0")
    other = {"Accept": "multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70"}
    assert (await program.get(url(coded) + "/pixeldata", headers=headers | other)).status_code == 406
    native = pydicom.dcmread(corpus.named("CT_small.dcm"))
    native.StudyInstanceUID, native.PatientID = coded.heading.study_uid, coded.heading.patient_id
    native.save_as(written := io.BytesIO())
    await world.put(written.getvalue())
    as_stored = {"Accept": "multipart/related; type=image/jp2; transfer-syntax=1.2.840.10008.1.2.4.91"}
    some = await program.get(url(coded, "study") + "/pixeldata", headers=headers | as_stored)
    assert (some.status_code, len(located(some))) == (206, 1)
    assert "1 of 2 instances" in some.headers["warning"]
    assert len(located(await program.get(url(coded, "study") + "/pixeldata", headers=headers | any_way))) == 2


async def test_frames(program: httpx.AsyncClient, world: World) -> None:
    """Native as it lies; compressed as stored if any syntax will do, decoded if octets are asked."""
    native, coded = await put(world, "CT_small.dcm"), await put(world, "JPEG2000.dcm")
    headers = bearer(world)
    expected = pydicom.dcmread(corpus.named("CT_small.dcm")).PixelData
    octets = {"Accept": "application/octet-stream"}
    assert (await program.get(url(native) + "/frames/1", headers=headers | octets)).content == expected
    any_way = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
    (media, body) = parts(await program.get(url(coded) + "/frames/1", headers=headers | any_way))[0]
    assert media == "image/jp2;transfer-syntax=1.2.840.10008.1.2.4.91"
    assert body[:4] == b"\xff\x4f\xff\x51"
    decoded = {"Accept": 'multipart/related; type="application/octet-stream"'}
    assert parts(await program.get(url(coded) + "/frames/1", headers=headers | decoded))[0] == (
        "application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1",
        b"samples\0",
    )
    assert (await program.get(url(native) + "/frames/2", headers=headers | octets)).status_code == 404
    assert (await program.get(url(native) + "/frames/0", headers=headers | octets)).status_code == 400
    many = await put(world, "color3d_jpeg_baseline.dcm")
    # nothing is sent of a list that has a frame too many: a body that breaks off would be no answer
    missing = await program.get(url(many) + "/frames/1,999", headers=headers | any_way)
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:huisclos:problem:instance-not-found")
    several = parts(await program.get(url(many) + "/frames/3,1,2", headers=headers | any_way))
    assert [body[:2] for _, body in several] == [b"\xff\xd8"] * 3
    assert len({body for _, body in several}) == 3


async def test_frames_are_looked_for_in_turn(
    program: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What finding the frames of an instance costs is its sender's choice: never without a turn."""
    stored, in_turn, found = await put(world, "CT_small.dcm"), ContextVar("in_turn", default=False), []
    look, frames = Pace.look, OpenStudy.frames

    async def looking(self: Pace, work: Any, gone: Any = None) -> Any:
        in_turn.set(True)
        try:
            return await look(self, work, gone)
        finally:
            in_turn.set(False)

    def finding(self: OpenStudy, entry: ManifestEntry) -> Frames:
        found.append(in_turn.get())
        return frames(self, entry)

    monkeypatch.setattr(Pace, "look", looking)
    monkeypatch.setattr(OpenStudy, "frames", finding)
    asked = await program.get(url(stored) + "/frames/1", headers=bearer(world) | OCTETS)
    assert (asked.status_code, found) == (200, [True])


async def test_rendered(program: httpx.AsyncClient, world: World) -> None:
    """Pictures come from the cage, of the frame and size asked for."""
    stored = await put(world, "color3d_jpeg_baseline.dcm")
    headers = bearer(world)
    picture = await program.get(
        url(stored) + "/frames/7/rendered?viewport=300,200&quality=50", headers=headers
    )
    assert picture.headers["content-type"] == "image/jpeg"
    assert world.picture.asked[-1] == (6, (300, 200))
    assert world.picture.regions[-1] is None
    for query, region in (
        ("viewport=300,200,10,20,-30,40.5", (10.0, 20.0, -30.0, 40.5)),
        ("viewport=300,200,,,-30,", (0.0, 0.0, -30.0, 2.0**20)),
        ("viewport=300,200,5", (5.0, 0.0, 2.0**20, 2.0**20)),
        ("viewport=300,200,,,,", None),
    ):
        await program.get(f"{url(stored)}/rendered?{query}", headers=headers)
        assert world.picture.regions[-1] == region, query
    png = await program.get(
        url(stored) + "/rendered?window=40,400,linear", headers=headers | {"Accept": "image/png"}
    )
    assert png.content.startswith(b"\x89PNG")
    for query, window in (
        ("40,400,linear", (40.0, 400.0, "LINEAR")),
        ("40,400", (40.0, 400.0, "LINEAR")),
        ("-600,1500,Linear-Exact", (-600.0, 1500.0, "LINEAR_EXACT")),
        ("40,0.5,sigmoid", (40.0, 0.5, "SIGMOID")),
    ):
        await program.get(f"{url(stored)}/rendered?window={query}", headers=headers)
        assert world.picture.windows[-1] == window
    for level in ("instance", "series", "study"):
        small = await program.get(url(stored, level) + "/thumbnail", headers=headers)
        assert small.status_code == 200
    assert world.picture.asked[-1][1] == (256, 256)
    assert (
        await program.get(url(stored) + "/rendered", headers=headers | {"Accept": "image/gif"})
    ).status_code == 406
    for query in (
        "window=1",
        "window=40,400,gamma",
        "window=40,0.5,linear",
        "window=a,b",
        "window=1,0",
        "viewport=0,5",
        "viewport=9",
        "viewport=9,9,-1,0,5,5",
        "viewport=9,9,0,0,0,5",
        "viewport=9,9,a",
        "viewport=9,9,0,0,5,5,5",
        "quality=0",
        "window=nan,1",
    ):
        assert (await program.get(f"{url(stored)}/rendered?{query}", headers=headers)).status_code == 400, (
            query
        )


async def test_storing_some(program: httpx.AsyncClient, world: World) -> None:
    """What is good is kept, what is not is told with its reason: 202; nothing good: 409."""
    good, headers = corpus.named("CT_small.dcm").read_bytes(), bearer(world)
    body, stow = related([good, b"no image at all", good])
    answer = await program.post("/dicom-web/studies", content=body, headers=stow | headers)
    assert answer.status_code == 202
    assert [len(answer.json()[tag]["Value"]) for tag in ("00081198", "00081199")] == [1, 2]
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]
    body, stow = related([b"no image at all"])
    assert (await program.post("/dicom-web/studies", content=body, headers=stow | headers)).status_code == 409
    json_type = {"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=b'}
    assert (
        await program.post("/dicom-web/studies", content=body, headers=json_type | headers)
    ).status_code == 415
    single = {"Content-Type": "application/dicom"}
    other = corpus.named("MR_small.dcm").read_bytes()
    assert (
        await program.post("/dicom-web/studies", content=other, headers=single | headers)
    ).status_code == 200


async def test_storing_is_answered_as_asked(program: httpx.AsyncClient, world: World) -> None:
    """In XML for who would rather have it (PS3.18 section 10.5), else in JSON."""
    headers = bearer(world)
    body, stow = related([corpus.named("CT_small.dcm").read_bytes(), b"no image at all"])
    for accept, media in (
        ("application/dicom+xml", "application/dicom+xml"),
        ("application/dicom+json;q=0.5, application/dicom+xml", "application/dicom+xml"),
        ("*/*", "application/dicom+json"),
        ("text/html", "application/dicom+json"),
    ):
        asked = stow | headers | {"Accept": accept}
        answer = await program.post("/dicom-web/studies", content=body, headers=asked)
        assert (answer.status_code, answer.headers["content-type"]) == (202, media), accept
    answer = await program.post(
        "/dicom-web/studies", content=body, headers=stow | headers | {"Accept": "application/dicom+xml"}
    )
    told = ElementTree.fromstring(answer.content)
    failed, stored = (
        told.findall(f"./{{*}}DicomAttribute[@tag='{tag}']/*") for tag in ("00081198", "00081199")
    )
    assert (len(failed), len(stored)) == (1, 1)
    assert failed[0].findtext(".//{*}Value") == str(0xC000)


async def test_storing_to_a_study(program: httpx.AsyncClient, world: World) -> None:
    """An instance of another study is refused before it is durable."""
    mine, headers = corpus.named("CT_small.dcm").read_bytes(), bearer(world)
    uid = str(pydicom.dcmread(io.BytesIO(mine)).StudyInstanceUID)
    body, stow = related([mine, corpus.named("MR_small.dcm").read_bytes()])
    answer = await program.post(f"/dicom-web/studies/{uid}", content=body, headers=stow | headers)
    assert answer.status_code == 202
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    assert answer.json()["00081190"]["Value"] == [f"{SERVICE}/studies/{uid}"]
    assert len(world.study_ids()) == 1


async def test_same_uid_other_content(program: httpx.AsyncClient, world: World) -> None:
    """Kept apart, and said so with a warning."""
    dataset = pydicom.dcmread(corpus.named("CT_small.dcm"))
    first, second, headers = io.BytesIO(), io.BytesIO(), bearer(world)
    dataset.save_as(first)
    dataset.PatientName = "OTHER^PERSON"
    dataset.save_as(second)
    body, stow = related([first.getvalue(), second.getvalue()])
    answer = await program.post("/dicom-web/studies", content=body, headers=stow | headers)
    assert answer.status_code == 202
    assert answer.json()["00081199"]["Value"][1]["00081196"]["Value"] == [0xB007]


async def test_a_broken_upload_leaves_nothing(program: httpx.AsyncClient, world: World) -> None:
    """A body that breaks off is an error, and the half instance is not there."""
    body, stow = related([corpus.named("CT_small.dcm").read_bytes()])
    answer = await program.post("/dicom-web/studies", content=body[:5000], headers=stow | bearer(world))
    assert answer.status_code == 400
    assert not world.study_ids()
    assert not list(world.store.list())


async def test_every_public_file_goes_round(program: httpx.AsyncClient, world: World) -> None:
    """Whatever is taken is given back byte for byte, described, its frames found or refused in words."""
    headers = bearer(world)
    taken = whole = 0
    for path in corpus.files():
        content = path.read_bytes()
        answer = await program.post(
            "/dicom-web/studies", content=content, headers=headers | {"Content-Type": "application/dicom"}
        )
        assert answer.status_code in (200, 202, 409), path.name
        if answer.status_code != 200:
            continue
        taken += 1
        address = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
        as_stored = {"Accept": "application/dicom; transfer-syntax=*"}
        back = await program.get(address, headers=headers | as_stored)
        if back.status_code == 404:
            # the same instance is known in another study, and that one answers
            continue
        assert back.headers["content-length"] == str(len(back.content))
        whole += back.content == content
        described = await program.get(address + "/metadata", headers=headers)
        assert described.status_code == 200, path.name
        json.loads(described.content)
        frame = await program.get(address + "/frames/1", headers=headers)
        assert frame.status_code in (200, 400, 404, 406), (path.name, frame.text)
    assert taken > 100
    assert whole > taken - 40


@given(st.text(max_size=60))
def test_any_accept_header(text: str) -> None:
    """Accept is anything: it is read, or refused by an error of ours."""
    with contextlib.suppress(HuisclosError):
        _wish(text)


@given(st.text(max_size=30))
def test_any_frame_list(text: str) -> None:
    """A frame list is numbers from 1, or refused."""
    with contextlib.suppress(BadQuery):
        assert min(frame_numbers(text)) >= 0
