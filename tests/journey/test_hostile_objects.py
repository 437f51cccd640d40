"""Instances that were made to do harm, stored in a house that is lived in, by DICOM and by HTTP.

Each is refused with a reason or sealed; what is sealed can be had back; nobody else notices.
"""

from __future__ import annotations

import io
import re
import socket
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.journey import browsing, hostile, wado
from tests.journey.hostile import (
    CT_IMAGE,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    MEGABYTE,
    Watch,
    ct,
    file_of,
    nested,
    value,
)
from tests.journey.living import PASSWORD, PEOPLE, Living, stow, until
from tests.journey.patients import WILHELMA
from tests.peers.orthanc import orthanc
from tests.tools import need

DEPTH: Final = 10_000
SUCCESS: Final = 0x0000

pytestmark = pytest.mark.usefixtures("watch")


@pytest.fixture(scope="module")
def watch(house: Living) -> Iterator[Watch]:
    """The house with a patient's images: after all of it they are there, and nothing has grown."""
    files = [WILHELMA.file(number) for number in (1, 2, 3)]
    with house.client("physician") as client:
        assert stow(client, files).status_code == 200
        first = wado.study(client, WILHELMA.study_uid)
        watch = Watch(house)
        yield watch
        assert wado.study(client, WILHELMA.study_uid) == first
    watch.nothing_grew()
    assert house.json("verify", str(house.archive))["problems"] == []


def _answers(house: Living) -> None:
    assert hostile.echoes(house) < hostile.PATIENCE
    with house.client("physician") as client:
        assert client.get("/dicom-web/studies").status_code == 200


def _stow(house: Living, *contents: bytes) -> int:
    with house.client("physician") as client:
        return stow(client, list(contents)).status_code


def _files(house: Living) -> set[Path]:
    """Every file of the archive and beside it."""
    return {path for path in house.folder.rglob("*") if path.is_file()}


# nesting


def _undecided(house: Living) -> int:
    return house.person("owner").get("/decide").text.count("could not be looked into")


def test_ten_thousand_sequences(house: Living) -> None:
    """Acknowledged, sealed whole, listed "to decide"; the sender's next instance is stored as ever."""
    before = _undecided(house)
    deep = ct("2.25.8001", study="2.25.8000", private=nested(DEPTH))
    assert hostile.store(house, deep, "2.25.8001") == SUCCESS
    assert hostile.store(house, ct("2.25.8002"), "2.25.8002") == SUCCESS
    # as the last of the data set it is behind the heading, which is found by then
    late = ct("2.25.8003", study="2.25.8030", more=[nested(DEPTH)])
    assert _stow(house, file_of(late, "2.25.8003"), file_of(ct("2.25.8004"), "2.25.8004")) in {200, 202}
    until(lambda: _undecided(house) > before, 30, "the nested one is under what is to be decided")
    with house.client("physician") as client:
        told = wado.query(client, "instances", StudyInstanceUID="2.25.7001")
        assert {row["00080018"]["Value"][0] for row in told} >= {"2.25.8002", "2.25.8004"}
        for path in ("/metadata", "/rendered", "/thumbnail", ""):
            assert client.get(f"/dicom-web/studies/2.25.8030{path}").status_code < 500
    _answers(house)


def test_the_same_file_ends_orthanc(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """The control: what the house seals and lists, Debian's Orthanc does not survive."""
    need("Orthanc")
    content = file_of(ct("2.25.8001", private=nested(DEPTH)), "2.25.8001")
    with orthanc(tmp_path / "orthanc", dicom_port=free_port(), http_port=free_port()) as peer:
        asked = urllib.request.Request(peer.url + "/instances", content, method="POST")  # noqa: S310 - loopback
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(asked, timeout=60)  # noqa: S310 - loopback
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            peer.get("/system")


# compression


def test_a_deflate_bomb(house: Living) -> None:
    """A thousandfold: never inflated beyond what its heading may take, wherever the zeros lie."""
    zeros = bytes(96 * MEGABYTE)
    for place, data_set in (
        ("before", ct("2.25.8101", study="2.25.8100", private=value(0x00091001, "UN", zeros))),
        ("behind", ct("2.25.8102", study="2.25.8110", more=[value(0x7FE00010, "OB", zeros)])),
    ):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = packer.compress(data_set) + packer.flush()
        assert len(bomb) < MEGABYTE, place
        instance = "2.25.8101" if place == "before" else "2.25.8102"
        assert hostile.store(house, bomb, instance, DEFLATED) is not None
        assert _stow(house, file_of(bomb, instance, syntax=DEFLATED)) in {200, 202, 409}
    with house.client("physician") as client:
        for study in ("2.25.8100", "2.25.8110"):
            for path in ("", "/metadata", "/rendered"):
                assert client.get(f"/dicom-web/studies/{study}{path}").status_code != 500
    _answers(house)


# identifiers


UIDS: Final = (
    "../../../../etc/cron.d/x", "1.2/../../x", "/etc/passwd", "1.2\0.3", "1.2\\3", "..", ".", "1.2.3%2f..",
    "1" * 65, "1.2." + "3" * 5000, "1..2", "a.b.c", "1.2.3\r\nX-Evil: 1", "<b>1.2</b>", "\u0661.2", "",
)  # fmt: skip


@pytest.mark.parametrize("uid", UIDS)
def test_an_identifier_is_no_path(house: Living, uid: str) -> None:
    """As the instance's, the series', the study's, in command and data set: no file has its name."""
    wire = uid.encode().decode("latin-1")
    before = _files(house)
    good = f"2.25.82{zlib.crc32(wire.encode())}"
    # a data set that cannot be looked into is kept under the name its command gives it
    assert hostile.store(house, ct(wire), wire) != SUCCESS
    for data_set in (ct(wire), ct(good, study=wire), ct(good, series=wire)):
        assert hostile.store(house, data_set, good) is not None
    for data_set in (ct(wire), ct(good + "2", study=wire), ct(good + "3", series=wire)):
        assert _stow(house, file_of(data_set, wire)) in {200, 202, 409, 400}
    for path in _files(house) - before:
        inside = path.relative_to(house.folder).as_posix()
        assert re.fullmatch(
            r"archive/(objects|batches|keyring|journal)/[0-9a-f/]*[0-9a-z.-]+|archive/.+", inside
        )
        assert len(uid) < 4 or uid not in inside
    assert not Path("/etc/cron.d/x").exists()
    _answers(house)


# names


MARKUP: Final = (
    "<script>window.harm=1</script>", "<img src=x onerror=window.harm=1>", '"><svg onload=window.harm=1>',
    "{{7*191}}", "javascript:harm", "&lt;b&gt;", "'-window.harm=1-'",
)  # fmt: skip
TURNED: Final = "Ab\u202egnp.exe\u2066x\u200fy"
CONTROLS: Final = "Con\x1b[2Jtrol\x07\x00\x7f"


def test_names_are_text(house: Living, tmp_path: Path) -> None:
    """Markup, controls and what turns text round: none acts, in the HTML and in a browser."""
    need("chromium", "certutil", "python:playwright")
    hostile_names = [*MARKUP, TURNED, CONTROLS]
    for number, name in enumerate(hostile_names):
        instance = f"2.25.83{number:02}"
        more = [value(0x00204000, "LT", name.encode())]
        data_set = ct(
            instance,
            study=f"2.25.84{number:02}",
            series=f"2.25.85{number:02}",
            name=f"Zzharm^{name}".encode(),
            identifier=name.encode()[:60],
            more=more,
            private=value(0x00080050, "SH", name.encode()[:60])
            + value(0x00081030, "LO", name.encode())
            + value(0x0008103E, "LO", name.encode())
            + value(0x00080070, "LO", name.encode()),
        )
        assert hostile.store(house, data_set, instance) == SUCCESS
    person = house.person("physician")
    page = person.post("/studies/search", {"text": "zzharm"}).text
    studies = sorted(set(re.findall(r'href="(/studies/[0-9a-f]{32})"', page)))
    assert len(studies) == len(hostile_names)
    for text in (page, *(person.get(study).text for study in studies)):
        assert not re.search(r"<(script>w|img src=x|svg onload)", text)
        assert "1337" not in text
        assert not re.search("[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\u200f\u202a-\u202e\u2066-\u2069]", text)
    folder = tmp_path / "browser"
    with browsing.browser(house, folder) as opened:
        tab = opened.new_page()
        dialogs: list[str] = []
        tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
        browsing.log_in(tab, house, PEOPLE["physician"], PASSWORD)
        for study in studies:
            tab.goto(house.url() + study)
            assert tab.evaluate("window.harm") is None
            assert tab.locator("h1").count() == 1
            isolated = "getComputedStyle(document.querySelector('h1')).unicodeBidi"
            assert tab.evaluate(isolated) == "isolate"
        assert not dialogs


# what lies before the data set


PROGRAMS: Final = {
    "windows program": b"MZ\x90\0\3\0\0\0", "linux program": b"\x7fELF\2\1\1", "script": b"#!/bin/sh\nid\n",
    "page": b"<!DOCTYPE html><script>harm()</script>", "archive": b"PK\3\4", "document": b"%PDF-1.7",
}  # fmt: skip


def test_a_program_in_the_preamble(house: Living) -> None:
    """Kept byte for byte, and never given out under a type or a name that anything would run."""
    for number, preamble in enumerate(PROGRAMS.values()):
        instance = f"2.25.86{number:02}"
        data_set = ct(instance, study="2.25.8600", series="2.25.8601")
        assert _stow(house, file_of(data_set, instance, preamble=preamble)) == 200
    with house.client("physician") as client:
        answer = client.get(
            wado.instance_path("2.25.8600", "2.25.8601", "2.25.8600"),
            headers={"Accept": "application/dicom; transfer-syntax=*"},
        )
        assert answer.headers["content-type"].startswith("application/dicom")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content[:2] == b"MZ"
        for part in wado.parts(
            client.get("/dicom-web/studies/2.25.8600", headers={"Accept": wado.AS_STORED})
        ):
            assert part[128:132] == b"DICM"
    person = house.person("physician")
    found = person.post("/studies/search", {"text": "hostile"}).text
    studies = set(re.findall(r'href="(/studies/[0-9a-f]{32})"', found))
    names: set[str] = set()
    for study in studies:
        taken = person.post(f"{study}/export")
        assert taken.headers["content-type"] == "application/zip"
        assert 'filename="huisclos-images.zip"' in taken.headers["content-disposition"]
        names |= set(zipfile.ZipFile(io.BytesIO(taken.content)).namelist())
    assert all(re.fullmatch(r"DICOMDIR|README\.TXT|SE\d{6}/IM\d{6}", name) for name in names)


# what does not hold together


def _broken() -> dict[str, bytes]:
    whole = file_of(
        ct("2.25.8701", study="2.25.8700", more=[value(0x7FE00010, "OW", bytes(4000))]), "2.25.8701"
    )
    at = whole.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
    return {
        "nothing": b"",
        "four letters": whole[128:132],
        "within the meta": whole[:200],
        "within the identifiers": whole[:420],
        "within the pixels": whole[:-1000],
        "a meta of 4 GiB": whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :],
        "a meta of nothing": whole[:at] + bytes(4) + whole[at + 4 :],
        "another syntax": file_of(ct("2.25.8702", study="2.25.8700"), "2.25.8702", syntax=IMPLICIT),
        "a syntax that is none": file_of(ct("2.25.8703", study="2.25.8700"), "2.25.8703", syntax="9.9.9"),
        "another class": file_of(ct("2.25.8704", study="2.25.8700"), "2.25.8704", sop="1.2.3.4"),
        "another instance": file_of(ct("2.25.8705", study="2.25.8700"), "2.25.1"),
        "deflated, and not": file_of(ct("2.25.8706", study="2.25.8700"), "2.25.8706", syntax=DEFLATED),
        "a value of 4 GiB": whole[:-4012] + b"\xe0\x7f\x10\x00OW\0\0\xfe\xff\xff\xff" + bytes(100),
        "a page": b"<html>" * 100,
        "zeros": bytes(10_000),
    }


@pytest.mark.parametrize("name", _broken())
def test_what_does_not_hold_together(house: Living, name: str) -> None:
    """Refused with a reason or sealed as it is, alone and between two that are well, which are both kept."""
    content = _broken()[name]
    number = sum(name.encode())
    good = [f"2.25.88{number}{at}" for at in (1, 2)]
    well = [file_of(ct(uid, study=f"2.25.89{number}", series=f"2.25.90{number}"), uid) for uid in good]
    with house.client("physician") as client:
        assert stow(client, [well[0], content, well[1]]).status_code in {200, 202}
        found = wado.query(client, "instances", StudyInstanceUID=f"2.25.89{number}")
        assert {row["00080018"]["Value"][0] for row in found} == set(good)
    answer = house.person("secretary").upload(content)
    assert answer.status_code in {200, 400, 409, 415}, answer.text
    if answer.status_code != 200:
        assert answer.json()["reason"]


def test_a_sender_that_goes_in_the_middle(house: Living) -> None:
    """By a break, by a reset: nothing of it is found, and nothing of it lies about."""
    before = len(house.objects())
    for way in ("close", "reset"):
        with hostile.association(house, hostile.context(1, CT_IMAGE, EXPLICIT)) as line:
            line.send(hostile.fragment(1, 3, hostile.store_command("2.25.9901")))
            for _ in range(20):
                line.send(hostile.fragment(1, 0, ct("2.25.9901", study="2.25.9900") + bytes(16_000)))
            if way == "reset":
                line.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    time.sleep(0.5)
    assert len(house.objects()) == before
    with house.client("physician") as client:
        assert wado.query(client, "studies", StudyInstanceUID="2.25.9900") == []
