"""DICOM peers as practices have them: DCMTK's programs and pynetdicom; and `age`, with which one leaves."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dimse.listening import Credentials, credentials
from tests.journey import wado
from tests.journey.living import SENDER, Living, until
from tests.journey.patients import BETKA, GLAFIRA, WILHELMA, ZEPHYRINE, Patient, data_set_of, read
from tests.reception.test_tls import old
from tests.tools import need, program

pytestmark = pytest.mark.usefixtures("house")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def _echo(house: Living, *options: str, port: str = "dicom") -> subprocess.CompletedProcess[str]:
    return _run(program("echoscu"), *options, "127.0.0.1", str(house.port(port)))


def _found(house: Living, patient: Patient) -> int:
    with house.client("physician") as client:
        return len(wado.query(client, "instances", StudyInstanceUID=patient.study_uid, limit="1000"))


@pytest.fixture(scope="module")
def scanner(house: Living) -> Credentials:
    """A modality with a certificate of its own, pinned."""
    folder = house.folder / "scanner"
    folder.mkdir()
    made = credentials(folder, "scanner")
    house.run(
        "peer", "add", str(house.archive), "SCANNER", "--address", "127.0.0.1", "--certificate",
        str(made.certificate),
    )  # fmt: skip
    return made


def _tls(house: Living, own: Credentials) -> list[str]:
    authority = str(house.archive / "tls" / "ca.pem")
    return ["+tls", str(own.key), str(own.certificate), "+cf", authority]


# DCMTK, plain


def test_an_enrolled_peer_echoes_and_stores(house: Living) -> None:
    """echoscu, storescu and dcmsend, each in its own way."""
    assert _echo(house, "-aet", SENDER, "-aec", "HUISCLOS").returncode == 0
    files = [str(path) for path in ZEPHYRINE.write(house.folder / "plain")]
    sent = _run(
        program("storescu"), "-aet", SENDER, "-aec", "HUISCLOS", "127.0.0.1", str(house.port("dicom")), *files
    )
    assert sent.returncode == 0, sent.stderr
    assert _found(house, ZEPHYRINE) == 3
    again = house.store([Path(path) for path in files])
    assert again.returncode == 0, again.stderr
    assert _found(house, ZEPHYRINE) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-aet", SENDER, "-aec", "ANYSCP"), "Called AE Title Not Recognized"),
        (("-aet", "STRANGER", "-aec", "HUISCLOS"), "No Reason"),
        (("-aet", "SCANNER", "-aec", "HUISCLOS"), "No Reason"),
    ],
    ids=["other title called", "unknown", "pinned peer without TLS"],
)
def test_others_are_refused(house: Living, scanner: Credentials, options: tuple[str, ...], said: str) -> None:
    """A wrong called title says so; every refused identity reads the same."""
    del scanner
    refused = _echo(house, *options)
    assert refused.returncode != 0
    assert said in refused.stderr + refused.stdout


def test_a_refusal_is_a_knock(house: Living) -> None:
    """The page shows who knocked, with what it called, and admits it with one button."""
    assert _echo(house, "-aet", "KNOCKER", "-aec", "HUISCLOS").returncode != 0
    owner = house.person("owner")
    page = owner.get("/peers").text
    assert f"serve {house.archive} --lan</code>" in page, "what to type, as it is typed here"
    assert "KNOCKER" in page
    piece = next(part for part in page.split("<form") if "/admit" in part)
    address = piece.split('action="')[1].split('"')[0]
    answer = owner.post(address)
    assert answer.status_code in {200, 303}
    assert _echo(house, "-aet", "KNOCKER", "-aec", "HUISCLOS").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    page = owner.get("/peers").text
    field = page.split("KNOCKER")[1].split('id="port-')[1].split('"')[0]
    with subprocess.Popen([program("storescp"), "--ignore", str(port)]) as listening:
        until(lambda: _run(program("echoscu"), "127.0.0.1", str(port)).returncode == 0, 10, "storescp")
        told = owner.post(f"/peers/{field}/echo", {"port": str(port)}).text
        listening.terminate()
    assert "KNOCKER answered in" in told
    assert f"127.0.0.1:{port}" in told, "and the port is kept"


def test_a_known_title_at_another_address_is_refused(house: Living) -> None:
    """A plain peer is a title and an address: from elsewhere the title is worth nothing."""
    need("python:pynetdicom")
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    entity = AE(SENDER)
    entity.add_requested_context(Verification)
    for source, admitted in (("127.0.0.2", False), ("127.0.0.1", True)):
        association = entity.associate(
            "127.0.0.1", house.port("dicom"), ae_title="HUISCLOS", bind_address=(source, 0)
        )
        assert association.is_established is admitted
        if admitted:
            association.release()
    until(lambda: "127.0.0.2" in house.person("owner").get("/peers").text, 5, "the knock")


def test_peers_come_and_go_without_a_restart(house: Living) -> None:
    """Added, it stores; removed, its living association ends and the next is refused."""
    need("python:pynetdicom")
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    archive = str(house.archive)
    options = ("-aet", "COMING", "-aec", "HUISCLOS")
    assert _echo(house, *options).returncode != 0
    house.run("peer", "add", archive, "COMING", "--address", "127.0.0.1")
    assert _echo(house, *options).returncode == 0
    entity = AE("COMING")
    entity.add_requested_context(Verification)
    living = entity.associate("127.0.0.1", house.port("dicom"), ae_title="HUISCLOS")
    assert living.is_established
    house.run("peer", "remove", archive, "COMING")
    until(lambda: not living.is_established, 5, "its association is over")
    assert _echo(house, *options).returncode != 0
    assert house.try_("peer", "remove", archive, "COMING").returncode == 4


def test_a_peer_that_may_only_echo_stores_nothing(house: Living) -> None:
    """Rights are what was given, no more."""
    house.run("peer", "add", str(house.archive), "ECHOER", "--address", "127.0.0.1", "--may", "echo")
    assert _echo(house, "-aet", "ECHOER", "-aec", "HUISCLOS").returncode == 0
    assert house.store(WILHELMA.write(house.folder / "echoer"), "ECHOER").returncode != 0
    assert _found(house, WILHELMA) == 0


def test_plain_peers_get_no_more_than_the_rules_allow(house: Living) -> None:
    """Finding over a plain connection needs an end date, 90 days at most; public addresses are no peers'."""
    add = ("peer", "add", str(house.archive), "FINDER1", "--address")
    assert house.try_(*add, "127.0.0.1", "--may", "echo,find").returncode != 0
    assert house.try_(*add, "127.0.0.1", "--may", "echo,find", "--until", "2099-01-01").returncode != 0
    assert house.try_(*add, "8.8.8.8").returncode != 0
    assert house.try_(*add, "0.0.0.0/0").returncode != 0


# TLS


def test_a_pinned_peer_stores_over_tls(house: Living, scanner: Credentials) -> None:
    """DCMTK with the house's authority and its own key."""
    options = _tls(house, scanner)
    assert _echo(house, *options, "-aet", "SCANNER", "-aec", "HUISCLOS", port="dicom_tls").returncode == 0
    files = [str(path) for path in GLAFIRA.write(house.folder / "tls")]
    sent = _run(
        program("storescu"), *options, "-aet", "SCANNER", "-aec", "HUISCLOS", "-xi", "127.0.0.1",
        str(house.port("dicom_tls")), *files,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    assert _found(house, GLAFIRA) == 3


def test_a_certificate_that_ended_is_said_everywhere(house: Living, tmp_path: Path) -> None:
    """It still stores; asked for more, it is refused, and the page says why."""
    own = old(tmp_path)
    ran = house.try_(
        "peer", "add", str(house.archive), "OLDIE", "--address", "127.0.0.1", "--certificate",
        str(own.certificate), "--may", "echo,store,find",
    )  # fmt: skip
    assert "Its certificate has ended" in ran.stderr
    assert "its certificate has ended" in house.run("peer", "list", str(house.archive))
    names = ("-aet", "OLDIE", "-aec", "HUISCLOS")
    assert _echo(house, *_tls(house, own), *names, port="dicom_tls").returncode == 0
    asked = ("-S", "-k", "QueryRetrieveLevel=STUDY", "127.0.0.1", str(house.port("dicom_tls")))
    assert _run(program("findscu"), *_tls(house, own), *names, *asked).returncode != 0
    page = house.person("technician").get("/peers").text
    assert "certificate ended" in page
    assert "Its certificate has ended: it may only test and send until a new one is pinned." in page


def test_another_certificate_is_refused(house: Living, scanner: Credentials, tmp_path: Path) -> None:
    """The right title with a key of one's own making, or with none, gets nowhere."""
    del scanner
    other = credentials(tmp_path, "other")
    names = ("-aet", "SCANNER", "-aec", "HUISCLOS")
    assert _echo(house, *_tls(house, other), *names, port="dicom_tls").returncode != 0
    anonymous = ["+tla", "+cf", str(house.archive / "tls" / "ca.pem")]
    assert _echo(house, *anonymous, *names, port="dicom_tls").returncode != 0
    assert _echo(house, *names, port="dicom_tls").returncode != 0


def test_pynetdicom_stores_over_tls(house: Living, scanner: Credentials) -> None:
    """Its own acceptor is never used; its requestor checks the house's certificate and name."""
    need("python:pynetdicom")
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    context = ssl.create_default_context(cafile=str(house.archive / "tls" / "ca.pem"))
    context.load_cert_chain(scanner.certificate, scanner.key)
    entity = AE("SCANNER")
    instance = read(BETKA.file(1))
    association = entity.associate(
        "127.0.0.1",
        house.port("dicom_tls"),
        contexts=[build_context(str(instance.SOPClassUID), str(instance.file_meta.TransferSyntaxUID))],
        ae_title="HUISCLOS",
        tls_args=(context, "localhost"),
    )
    assert association.is_established
    try:
        assert association.send_c_store(instance).Status == 0
    finally:
        association.release()
    assert _found(house, BETKA) == 1


# leaving, with tools one already has


@pytest.fixture(scope="module")
def left(house: Living, tmp_path_factory: pytest.TempPathFactory) -> tuple[Living, Path]:
    """The house with one more study, and an empty folder for keys."""
    patient = replace(WILHELMA, patient_id="LEAVING-1")
    sent = house.store(patient.write(house.folder / "leaving"))
    assert sent.returncode == 0, sent.stderr
    house.settled(1)
    return house, tmp_path_factory.mktemp("keys")


def _age(key: Path, sealed: Path) -> bytes:
    ran = subprocess.run(
        [program("age"), "-d", "-i", str(key), str(sealed)], check=False, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_stock_age_program_opens_the_chain_of_keys(left: tuple[Living, Path]) -> None:
    """Recovery key, holder's file, keyring, study, object: each opens the next; the data set is as sent."""
    house, keys = left
    recovery = house.folder / "secrets" / "recovery"
    archive_key, opened = keys / "archive.txt", dict[str, bytes]()
    for holder in (house.archive / "keys" / "holders").glob("*.age"):
        ran = subprocess.run(
            [program("age"), "-d", "-i", str(recovery), str(holder)], check=False, capture_output=True
        )
        if ran.returncode == 0 and ran.stdout.startswith(b"{"):
            archive_key.write_text(json.loads(ran.stdout)["identity"] + "\n")
    for study_key in (house.archive / "keyring").glob("*/*.age"):
        key = keys / study_key.stem
        key.write_bytes(_age(archive_key, study_key))
        for sealed in (house.archive / "objects" / study_key.parent.name / study_key.stem).glob("*.dcm.age"):
            part10 = _age(key, sealed)
            opened[str(read(part10).SOPInstanceUID)] = part10
    patient = replace(WILHELMA, patient_id="LEAVING-1")
    for number in (1, 2, 3):
        part10 = opened[patient.instance_uid(number)]
        assert part10[128:132] == b"DICM"
        assert data_set_of(part10) == data_set_of(patient.file(number))
    assert len(opened) == house.status()["contents"]["instances"]


def test_export_writes_what_was_sent(left: tuple[Living, Path], tmp_path: Path) -> None:
    """`huisclos export`: files in clear, on demand, named by nothing of the patient, journalled."""
    house, _ = left
    patient = replace(WILHELMA, patient_id="LEAVING-1")
    out = tmp_path / "out"
    house.run("export", str(house.archive), "--study", patient.study_uid, "--to", str(out))
    written = [path for path in out.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"]
    contents = [path.read_bytes() for path in written if path.name != "DICOMDIR"]
    found = {str(read(content).SOPInstanceUID): content for content in contents}
    for number in (1, 2, 3):
        assert data_set_of(found[patient.instance_uid(number)]) == data_set_of(patient.file(number))
    lines: list[dict[str, Any]] = house.json("journal", "show", str(house.archive))
    assert lines[-1]["act"] == "exported" or "exported" in {line["act"] for line in lines[-3:]}
    unknown = house.try_("export", str(house.archive), "--study", "1.2.3", "--to", str(tmp_path / "none"))
    assert unknown.returncode == 4
