"""The public DICOMweb clients against the living house, over every public file; QIDO-RS as PS3.18 says."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pydicom
import pytest

from tests import corpus
from tests.journey import wado
from tests.journey.living import Living, copy, stopping, stow
from tests.journey.patients import EVERYBODY, TSUBOMI, WILHELMA, ZEPHYRINE, Patient, data_set_of, read
from tests.peers.npm import DICOMWEB_CLIENT, npm_package
from tests.tools import need

AT_ONCE: Final = 40
_APART: Final = ("bad_sequence.dcm",)
"""Public files built as no machine should build one."""
PARTICLES: Final = replace(
    ZEPHYRINE,
    name="de La Tour-Maubourg^Jean-Bénigne",
    patient_id="PART-1",
    accession="PACC-1",
    birth="19200202",
)


@pytest.fixture(scope="module")
def stored(template: Living, ground: Path) -> Iterator[Living]:
    """A house with the invented patients, and every public instance."""
    house = copy(template, ground / "clients").serve()
    try:
        _store_all(house)
    except BaseException:
        house.stop()
        raise
    yield from stopping(house)


def _store_all(house: Living) -> None:
    invented = [one.file(number) for one in (*EVERYBODY, PARTICLES) for number in (1, 2, 3)]
    with house.client("physician") as client:
        assert stow(client, invented).status_code == 200
        files = [path.read_bytes() for path in corpus.instances()]
        for start in range(0, len(files), AT_ONCE):
            answer = stow(client, files[start : start + AT_ONCE])
            assert answer.status_code in {200, 202}, answer.text
            assert "00081198" not in answer.json()


@pytest.fixture
def client(stored: Living) -> Iterator[httpx.Client]:
    """With a physician's token."""
    with stored.client("physician") as one:
        yield one


def _uids(path: Path) -> tuple[str, str]:
    """Study and SOP Instance UID of a public file, however odd they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = corpus.read(path)
        return str(dataset.StudyInstanceUID), str(dataset.SOPInstanceUID)


def _offset_of(part10: bytes) -> int:
    """Where the data set begins: after the group of the file meta, also where its length is wrong."""
    with io.BytesIO(part10) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.filereader.read_preamble(file, force=False)
        pydicom.filereader._read_file_meta_info(file)
        return file.tell()


# every public file


def test_every_public_instance_comes_back_as_it_was_sent(stored: Living, client: httpx.Client) -> None:
    """By study, as stored: each SOP Instance UID once, with the bytes of the first file that had it."""
    sent: dict[str, list[bytes]] = {}
    studies = set()
    for path in corpus.instances():
        study, uid = _uids(path)
        studies.add(study)
        sent.setdefault(uid, []).append(path.read_bytes())
    listed = {
        str(wado.value(one, "00080018"))
        for one in wado.query(client, "instances", limit="10000")
        if str(wado.value(one, "0020000D")) in studies
    }
    came: dict[str, bytes] = {}
    for study in sorted(studies):
        answer = client.get(f"/dicom-web/studies/{study}", headers={"Accept": wado.AS_STORED})
        if answer.status_code == 404:
            continue
        for part in wado.parts(answer):
            came[_uid_of(part)] = part
    assert set(came) == listed
    missing = set(sent) - listed
    # what the house could not look into is kept and listed to decide, not answered
    assert missing <= {_uids(corpus.named(name))[1] for name in _APART}
    assert stored.status()["contents"]["doubts"] >= len(missing)
    for uid, part in came.items():
        assert any(part[_offset_of(part) :] == one[_offset_of(one) :] for one in sent[uid]), uid


def _uid_of(part10: bytes) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(pydicom.dcmread(io.BytesIO(part10), force=True, stop_before_pixels=True).SOPInstanceUID)


def test_every_public_instance_has_metadata_and_an_answer_for_its_pixels(client: httpx.Client) -> None:
    """Metadata says who and what; rendered is a picture, or a problem document that says why not."""
    outcomes: Counter[str] = Counter()
    for item in wado.query(client, "instances", limit="10000", includefield="Rows"):
        names = [str(wado.value(item, tag)) for tag in ("0020000D", "0020000E", "00080018")]
        path = wado.instance_path(*names)
        answer = client.get(f"{path}/metadata", headers={"Accept": wado.JSON})
        assert answer.status_code == 200, path
        assert answer.json()[0]["00080018"]["Value"] == [names[2]]
        pixels = any(tag in answer.json()[0] for tag in ("7FE00010", "7FE00008", "7FE00009"))
        picture = client.get(f"{path}/rendered", headers={"Accept": "image/jpeg"})
        if picture.status_code == 200:
            assert picture.content[:2] == b"\xff\xd8"
            assert pixels
        else:
            assert picture.headers["content-type"] == "application/problem+json"
            assert picture.status_code in {400, 404, 406, 413}, (picture.status_code, picture.text)
        outcomes[f"{picture.status_code} {'pixels' if pixels else 'none'}"] += 1
    assert outcomes["200 pixels"] > 100
    assert outcomes["400 pixels"] < 5, "spoiled on purpose"
    # one that came cut short may answer until the house has compared it with the whole one
    assert outcomes["400 none"] <= 1
    assert set(outcomes) <= {"200 pixels", "400 pixels", "404 none", "400 none"}


# the clients


def test_the_python_client(stored: Living) -> None:
    """Search, retrieve, metadata, frames, bulk data, rendered, store: by the library's own calls."""
    need("python:dicomweb_client")
    import requests
    from dicomweb_client.api import DICOMwebClient

    with requests.Session() as session:
        session.verify = str(stored.archive / "tls" / "ca.pem")
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {stored.tokens['physician']}"
        client = DICOMwebClient(stored.url() + "/dicom-web", session=session)
        for patient in EVERYBODY:
            found = client.search_for_studies(search_filters={"PatientID": patient.patient_id})
            assert len(found) == 1
            series = client.search_for_series(patient.study_uid)
            assert [one["0020000E"]["Value"] for one in series] == [[patient.series_uid]]
            assert len(client.search_for_instances(patient.study_uid, patient.series_uid)) == 3
            names = (patient.study_uid, patient.series_uid, patient.instance_uid(2))
            sent = read(patient.file(2))
            assert client.retrieve_instance(*names) == sent
            assert len(client.retrieve_study(patient.study_uid)) == 3
            metadata = client.retrieve_instance_metadata(*names)
            assert metadata["00100010"] == sent["PatientName"].to_json_dict(None, 0)
            assert client.retrieve_instance_frames(*names, frame_numbers=[1])[0] == sent.PixelData
            assert client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])[0] == sent.PixelData
            picture = client.retrieve_instance_rendered(*names, media_types=("image/png",))
            assert picture.startswith(b"\x89PNG")
        answer = client.store_instances(
            [replace(WILHELMA, patient_id="PYCLIENT-1", accession="PYACC-1").dataset(1)]
        )
        assert len(answer.ReferencedSOPSequence) == 1
        assert len(client.search_for_studies(search_filters={"PatientID": "PYCLIENT-1"})) == 1


def test_the_javascript_client(stored: Living) -> None:
    """The pinned dicomweb-client of npm, which the viewer is built on, under Node."""
    node = shutil.which("node", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    if node is None:
        need("node")
    bundle = npm_package(*DICOMWEB_CLIENT) / "build" / "dicomweb-client.js"
    authority = str(stored.archive / "tls" / "ca.pem")
    ran = subprocess.run(
        [str(node), str(Path(__file__).with_name("dicomweb_client.mjs")), str(bundle),
         stored.url() + "/dicom-web", stored.tokens["physician"]],
        check=False, capture_output=True, text=True, timeout=60,
        env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": authority},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    pixels = len(ZEPHYRINE.dataset(1).PixelData)
    assert told.pop("name") == ZEPHYRINE.name
    assert told.pop("one") >= len(data_set_of(ZEPHYRINE.file(1)))
    assert told.pop("picture") > 500
    assert told == {
        "series": 1, "instances": 3, "metadata": 3, "all": 3, "frame": pixels, "bulk": pixels, "none": 0,
    }  # fmt: skip


# searching


def _ids(client: httpx.Client, **parameters: str) -> set[str]:
    parameters.setdefault("limit", "1000")
    return {str(wado.value(one, "00100020")) for one in wado.query(client, "studies", **parameters)}


def _only(client: httpx.Client, **parameters: str) -> set[str]:
    ours = {one.patient_id for one in (*EVERYBODY, PARTICLES)}
    return _ids(client, **parameters) & ours


MATCHES: Final[list[tuple[dict[str, str], tuple[Patient, ...]]]] = [
    ({"PatientID": "QX-4471-ZEPH"}, (ZEPHYRINE,)),
    ({"00100020": "QX-4471-ZEPH"}, (ZEPHYRINE,)),
    ({"PatientID": "*4471*"}, (ZEPHYRINE,)),
    ({"PatientID": "QX-44?1-ZEPH"}, (ZEPHYRINE,)),
    ({"PatientID": "qx-4471-zeph"}, ()),
    ({"PatientName": "Kerguélen*"}, (ZEPHYRINE,)),
    ({"PatientName": "*zéphyr*"}, (ZEPHYRINE,)),
    ({"PatientName": "kerguelen mont*", "fuzzymatching": "true"}, (ZEPHYRINE,)),
    ({"PatientName": "ZEPHYRINE", "fuzzymatching": "true"}, (ZEPHYRINE,)),
    ({"PatientName": "la tour maubourg", "fuzzymatching": "true"}, (PARTICLES,)),
    ({"PatientName": "latour", "fuzzymatching": "true"}, (PARTICLES,)),
    ({"PatientName": "Tour-Maubourg^Jean", "fuzzymatching": "true"}, (PARTICLES,)),
    ({"PatientName": "jean benigne", "fuzzymatching": "true"}, (PARTICLES,)),
    ({"PatientName": "山桜原*"}, (TSUBOMI,)),
    ({"PatientName": "やまざくら*"}, (TSUBOMI,)),
    ({"PatientName": "шелковникова", "fuzzymatching": "true"}, (EVERYBODY[2],)),
    ({"PatientName": "vlcnovska", "fuzzymatching": "true"}, (EVERYBODY[3],)),
    ({"StudyInstanceUID": f"{ZEPHYRINE.study_uid},{TSUBOMI.study_uid}"}, (ZEPHYRINE, TSUBOMI)),
    ({"StudyInstanceUID": f"{ZEPHYRINE.study_uid}\\{TSUBOMI.study_uid}"}, (ZEPHYRINE, TSUBOMI)),
    ({"StudyDate": "19930101-19941231"}, (TSUBOMI, EVERYBODY[2])),
    ({"StudyDate": "19960229"}, (WILHELMA,)),
    ({"StudyDate": "-19920407"}, (ZEPHYRINE, PARTICLES)),
    ({"StudyDate": "19950526-19960229"}, (EVERYBODY[3], WILHELMA)),
    ({"PatientBirthDate": "19290805"}, (WILHELMA,)),
    ({"AccessionNumber": "ACCQ*"}, EVERYBODY),
    ({"ModalitiesInStudy": "MR", "AccessionNumber": "ACCQ*"}, (TSUBOMI,)),
    ({"StudyDescription": "*Quillevéré"}, (ZEPHYRINE, PARTICLES)),
    ({"ReferringPhysicianName": "Featherstonehaugh*"}, (WILHELMA,)),
    ({"PatientID": "NOBODY-*"}, ()),
]


@pytest.mark.parametrize(
    ("asked", "wanted"), MATCHES, ids=lambda one: str(one)[:50] if isinstance(one, dict) else ""
)
def test_matching(client: httpx.Client, asked: dict[str, str], wanted: tuple[Patient, ...]) -> None:
    """By value, UID list, range, wildcard, and fuzzily (PS3.18 section 8.3.4, PS3.4 section C.2.2.2)."""
    assert _only(client, **asked) == {one.patient_id for one in wanted}


def test_pages_and_totals(client: httpx.Client) -> None:
    """limit, offset and sorting cut one ordered list; the total is exact and a warning says what is left."""
    whole = wado.query(client, "studies", AccessionNumber="ACCQ*", sort="StudyDate")
    dates = [wado.value(one, "00080020") for one in whole]
    assert dates == sorted(dates)
    assert len(dates) == 5
    pages: list[Any] = []
    for offset in range(0, 5, 2):
        answer = client.get(
            "/dicom-web/studies",
            params={"AccessionNumber": "ACCQ*", "sort": "StudyDate", "limit": "2", "offset": str(offset)},
        )
        assert answer.headers["x-total-count"] == "5"
        assert ("warning" in answer.headers) == (offset < 4)
        pages += answer.json()
    assert pages == whole
    down = wado.query(client, "studies", AccessionNumber="ACCQ*", sort="-StudyDate")
    assert [wado.value(one, "00080020") for one in down] == dates[::-1]
    assert wado.query(client, "studies", AccessionNumber="ACCQ*", offset="5") == []
    assert wado.query(client, "studies", limit="0") == []


def test_levels(client: httpx.Client) -> None:
    """Series and instances across studies, and below one; each says the UIDs above it."""
    assert len(wado.query(client, f"studies/{ZEPHYRINE.study_uid}/series")) == 1
    assert len(wado.query(client, f"studies/{ZEPHYRINE.study_uid}/instances")) == 3
    below = f"studies/{ZEPHYRINE.study_uid}/series/{ZEPHYRINE.series_uid}/instances"
    assert [wado.value(one, "00200013") for one in wado.query(client, below, sort="InstanceNumber")] == [
        1,
        2,
        3,
    ]
    assert len(wado.query(client, below, InstanceNumber="2")) == 1
    across = wado.query(client, "series", PatientID="*4471*")
    assert [wado.value(one, "0020000D") for one in across] == [ZEPHYRINE.study_uid]
    everything = client.get("/dicom-web/instances", params={"limit": "1"})
    assert int(everything.headers["x-total-count"]) > 150
    assert wado.query(client, "studies/1.2.3.4/series") == []


def test_included_fields(client: httpx.Client) -> None:
    """By keyword, by tag, and all (`includefield`); what is asked for is there."""
    plain = wado.query(client, "studies", PatientID="QX-4471-ZEPH")[0]
    assert "00081030" not in plain or plain["00081030"]["Value"] == [ZEPHYRINE.description]
    for asked in ("StudyDescription", "00081030", "all"):
        found = wado.query(client, "studies", PatientID="QX-4471-ZEPH", includefield=asked)[0]
        assert found["00081030"]["Value"] == [ZEPHYRINE.description]
    names = wado.query(client, "studies", PatientID=TSUBOMI.patient_id)[0]["00100010"]["Value"][0]
    assert names == {
        "Alphabetic": "Yamazakura^Tsubomi",
        "Ideographic": "山桜原^蕾美子",
        "Phonetic": "やまざくら^つぼみこ",
    }
    assert [wado.value(plain, tag) for tag in ("00201206", "00201208")] == [1, 3]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "many"},
        {"offset": "-1"},
        {"fuzzymatching": "maybe"},
        {"Not A Tag": "1"},
        {"StudyDate": "yesterday"},
    ],
    ids=str,
)
def test_a_bad_query_is_400(client: httpx.Client, parameters: dict[str, str]) -> None:
    """With a problem document, not an empty list."""
    answer = client.get("/dicom-web/studies", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("bad-query")
