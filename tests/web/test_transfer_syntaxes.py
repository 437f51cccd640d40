"""WADO-RS gives instances in the transfer syntax asked for (PS3.18 sections 8.7.3 and 10.4.3)."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from huisclos.access.nouns import Right
from huisclos.archive.layout import instance_place
from huisclos.archive.nouns import StoredObject
from huisclos.dicom.native import DECODED
from huisclos.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, TRANSFER_SYNTAXES, transfer_syntax
from huisclos.web.dicomweb.instances import _forms
from huisclos.web.dicomweb.media import Wish
from huisclos.web.problems import BrokenAnswer
from tests import corpus
from tests.tools import need
from tests.web.live import live
from tests.web.test_dicomweb import bearer, parts, put, url
from tests.web.world import World

EXPLICIT = f"transfer-syntax={EXPLICIT_LE}"
MPEG2 = "1.2.840.10008.1.2.4.100"


def syntax_of(content: bytes) -> str:
    """What the file says of itself."""
    return str(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).file_meta.TransferSyntaxUID)


async def get(program: httpx.AsyncClient, world: World, address: str, accept: str) -> httpx.Response:
    """An address with an Accept header."""
    return await program.get(address, headers=bearer(world) | {"Accept": accept})


def video(of: str = "CT_small.dcm") -> bytes:
    """A sister of a public instance that says it is MPEG-2."""
    dataset = pydicom.dcmread(corpus.named(of))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID("2.25.4711")
    dataset.file_meta.TransferSyntaxUID = UID(MPEG2)
    dataset.PixelData = encapsulate([b"\0\0\1\xb3"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    made = io.BytesIO()
    dataset.save_as(made)
    return made.getvalue()


NAMES = ["JPEG2000.dcm", "MR_small_implicit.dcm", "MR_small_expb.dcm", "image_dfl.dcm", "emri_small_RLE.dcm"]


@pytest.mark.parametrize("name", NAMES)
async def test_explicit_little_endian_is_made(program: httpx.AsyncClient, world: World, name: str) -> None:
    """Alone or in a part, quoted or not; what comes says what it is, and `*` still gives what was stored."""
    stored = await put(world, name)
    content = corpus.named(name).read_bytes()
    quoted = f'application/dicom;transfer-syntax="{EXPLICIT_LE}"'
    alone = await get(program, world, url(stored), quoted)
    for answer in (alone, await get(program, world, url(stored), f"application/dicom; {EXPLICIT}")):
        assert answer.headers["content-type"] == f"application/dicom;{EXPLICIT}"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert syntax_of(answer.content) == EXPLICIT_LE
    for level in ("instance", "series", "study"):
        accept = f'multipart/related; type="application/dicom"; {EXPLICIT}'
        assert parts(await get(program, world, url(stored, level), accept)) == [
            (f"application/dicom;{EXPLICIT}", alone.content)
        ]
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        whole = await get(program, world, url(stored, level), accept)
        assert parts(whole)[0][1] == content
        assert whole.headers["content-length"] == str(len(whole.content)), "a client can show how far it is"
    accept = f"application/dicom; transfer-syntax={stored.transfer_syntax}"
    assert (await get(program, world, url(stored), accept)).content == content
    assert sum(octets for _, _, octets in world.keys.read) > 2 * len(content)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("CT_small.dcm", EXPLICIT_LE),
        ("MR_small_implicit.dcm", EXPLICIT_LE),
        ("MR_small_RLE.dcm", EXPLICIT_LE),
        ("color3d_jpeg_baseline.dcm", JPEG_BASELINE),
    ],
)
async def test_no_syntax_named(program: httpx.AsyncClient, world: World, name: str, given: str) -> None:
    """The Standard's default, but for lossy compression, which is given as it is stored (section 8.7.3)."""
    stored = await put(world, name)
    assert syntax_of((await get(program, world, url(stored), "application/dicom")).content) == given
    for accept in ("*/*", 'multipart/related; type="application/dicom"'):
        ((media, body),) = parts(await get(program, world, url(stored), accept))
        assert (media, syntax_of(body)) == (f"application/dicom;transfer-syntax={given}", given)


async def test_a_study_is_read_ahead(program: httpx.AsyncClient, world: World) -> None:
    """Instances of several pieces and of one, in order; one that cannot be read breaks the body off."""
    data = pydicom.dcmread(corpus.named("CT_small.dcm"))
    contents: list[bytes] = []
    stored = await put(world, "CT_small.dcm")
    contents.append(corpus.named("CT_small.dcm").read_bytes())
    for number in range(4):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.1{number}")
        data.InstanceNumber = number + 1
        data.PixelData = bytes([number, 0]) * (2**20 if number == 1 else 5_000)
        data.save_as(written := io.BytesIO())
        contents.append(written.getvalue())
        stored = await world.put(written.getvalue())
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    whole = await get(program, world, url(stored, "study"), accept)
    assert sorted(body for _, body in parts(whole)) == sorted(contents)
    assert whole.headers["content-length"] == str(len(whole.content))
    world.store.delete(instance_place(stored.study_id, stored.instance_id))
    world.keys.read.clear()
    with pytest.raises(BrokenAnswer):
        await get(program, world, url(stored, "study"), accept)
    assert sum(instances for _, instances, _ in world.keys.read) == len(contents) - 1


async def test_the_best_wish_that_can_be_met(program: httpx.AsyncClient, world: World) -> None:
    """Weights are followed, and what cannot be given is passed over."""
    stored = await put(world, "JPEG2000.dcm")
    held = stored.transfer_syntax
    jpeg = f"application/dicom; transfer-syntax={JPEG_BASELINE}"
    for accept, given in (
        (f"application/dicom; {EXPLICIT}; q=0.5, application/dicom; transfer-syntax=*", held),
        (f"application/dicom; {EXPLICIT}, application/dicom; transfer-syntax=*; q=0.5", EXPLICIT_LE),
        (f"{jpeg}, application/dicom; {EXPLICIT}; q=0.1", EXPLICIT_LE),
        (f"{jpeg}, application/dicom; transfer-syntax={held}; q=0.1, text/html", held),
        (f"{jpeg}, application/dicom; {EXPLICIT}; q=0, application/dicom; transfer-syntax=*; q=0.1", held),
    ):
        answer = await get(program, world, url(stored), accept)
        assert syntax_of(answer.content) == given, accept
    mixed = f'{jpeg}, multipart/related; type="application/dicom"; {EXPLICIT}; q=0.3'
    assert syntax_of(parts(await get(program, world, url(stored), mixed))[0][1]) == EXPLICIT_LE
    for accept in (jpeg, f"application/dicom; transfer-syntax={IMPLICIT_LE}"):
        refused = await get(program, world, url(stored), accept)
        assert refused.status_code == 406
        assert "transfer-syntax=*" in refused.json()["hint"]


async def test_what_cannot_be_decoded(program: httpx.AsyncClient, world: World) -> None:
    """Alone 406; among others 206 without it, and a warning that says so; by default as it is stored."""
    stored, other = await put(world, "CT_small.dcm"), await world.put(video())
    accept = f"application/dicom; {EXPLICIT}"
    assert (await get(program, world, url(other), accept)).status_code == 406
    assert syntax_of((await get(program, world, url(other), "application/dicom")).content) == MPEG2
    accept = f'multipart/related; type="application/dicom"; {EXPLICIT}'
    assert (await get(program, world, url(other), accept)).status_code == 406
    some = await get(program, world, url(stored, "study"), accept)
    assert some.status_code == 206
    assert some.headers["warning"].startswith("299 ")
    assert "1 of 2" in some.headers["warning"]
    assert [body for _, body in parts(some)] == [corpus.named("CT_small.dcm").read_bytes()]
    either = f'{accept}, multipart/related; type="application/dicom"; transfer-syntax=*; q=0.1'
    whole = await get(program, world, url(stored, "study"), either)
    assert whole.status_code == 200
    assert {syntax_of(body) for _, body in parts(whole)} == {EXPLICIT_LE, MPEG2}


async def test_what_is_broken(program: httpx.AsyncClient, world: World) -> None:
    """Alone 406, or as stored for who takes that; among others as stored: none goes missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken = pydicom.dcmread(corpus.named("JPEG-lossy.dcm"))
    stored = await put(world, "JPEG-lossy.dcm")
    accept = f"application/dicom; {EXPLICIT}"
    assert (await get(program, world, url(stored), accept)).status_code == 406
    assert (await get(program, world, url(stored), "application/dicom")).status_code == 200
    sister = pydicom.dcmread(corpus.named("MR_small_implicit.dcm"))
    sister.StudyInstanceUID, sister.SeriesInstanceUID = broken.StudyInstanceUID, broken.SeriesInstanceUID
    made = io.BytesIO()
    sister.save_as(made)
    await world.put(made.getvalue())
    accept = f'multipart/related; type="application/dicom"; {EXPLICIT}'
    both = await get(program, world, url(stored, "study"), accept)
    assert both.status_code == 200
    held = str(broken.file_meta.TransferSyntaxUID)
    found = [(media, syntax_of(body)) for media, body in parts(both)]
    assert sorted(found) == sorted(
        (f"application/dicom;transfer-syntax={uid}", uid) for uid in (EXPLICIT_LE, held)
    )


async def test_every_public_file_is_transcoded(program: httpx.AsyncClient, world: World) -> None:
    """Each instance is given in Explicit VR Little Endian, or refused in words."""
    given: dict[str, int] = {}
    seen: list[StoredObject] = []
    for path in corpus.instances():
        stored = await world.put(path.read_bytes())
        seen.append(stored)
        answer = await get(program, world, url(stored), f"application/dicom; {EXPLICIT}")
        assert answer.status_code in (200, 404, 406), (path.name, answer.text)
        if answer.status_code == 200:
            assert syntax_of(answer.content) == EXPLICIT_LE
            given[stored.transfer_syntax] = given.get(stored.transfer_syntax, 0) + 1
        elif answer.status_code == 406:
            held = syntax_of(
                (await get(program, world, url(stored), "application/dicom; transfer-syntax=*")).content
            )
            assert transfer_syntax(held).encapsulated, path.name
    assert sum(given.values()) > len(seen) * 0.8
    assert len(DECODED & given.keys()) >= 6


def test_all_that_is_said_to_be_decoded_is_known() -> None:
    """The faces' list of what the cage decodes names only encapsulated syntaxes of the table."""
    assert all(TRANSFER_SYNTAXES[uid].encapsulated for uid in DECODED)


def test_forms() -> None:
    """One instance alone or in parts; several in parts only."""
    wanted = [Wish("application/dicom", syntax="*"), Wish("application/dicom", True, "1.2"), Wish("*/*")]
    assert _forms(wanted, single=True) == {False: ["*"], True: ["1.2", ""]}
    assert _forms(wanted, single=False) == {True: ["1.2", ""]}
    assert _forms([Wish("text/html")], single=True) == {}


def test_python_client_asks_for_syntaxes(tmp_path: Path) -> None:
    """The public Python client, over TLS, naming each syntax."""
    need("python:dicomweb_client")
    import requests
    from dicomweb_client.api import DICOMwebClient

    names = ["JPEG2000.dcm", "MR_small_implicit.dcm"]
    with live(tmp_path, [corpus.named(name) for name in names]) as house:
        session = requests.Session()
        session.verify = str(house.authority)
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {house.world.token(Right.READ)}"
        client = DICOMwebClient(house.url + "/dicom-web", session=session)
        for name in names:
            sent = pydicom.dcmread(corpus.named(name))
            uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
            held = sent.file_meta.TransferSyntaxUID
            # the client itself refuses to ask for the implicit one
            named = held if held != IMPLICIT_LE else "*"
            for syntax, expected in ((EXPLICIT_LE, EXPLICIT_LE), (named, held), ("*", held)):
                wanted = (("application/dicom", syntax),)
                one = client.retrieve_instance(*uids, media_types=wanted)
                (other,) = client.retrieve_series(*uids[:2], media_types=wanted)
                assert one.file_meta.TransferSyntaxUID == other.file_meta.TransferSyntaxUID == expected
                assert (one.pixel_array == sent.pixel_array).all()
                assert one.PatientID == sent.PatientID
            with pytest.raises(requests.HTTPError, match="406"):
                client.retrieve_instance(*uids, media_types=(("application/dicom", JPEG_BASELINE),))
