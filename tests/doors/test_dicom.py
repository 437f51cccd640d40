"""DICOM doors on real servers, each pair in both directions: open is found, closed is not cried at."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from huisclos.findings.nouns import Reason, Verdict
from tests.doors.auditing import closed_doors, open_doors, probe, query_server, started, untested
from tests.peers.house import make_archive, serve
from tests.peers.orthanc import orthanc
from tests.tools import need, program

CRITICAL = {"DCM-006", "DCM-007", "DCM-009", "DCM-010"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, set()),
        ({"DicomAlwaysAllowFind": True}, {"DCM-006", "DCM-007"}),
        ({"DicomAlwaysAllowGet": True}, {"DCM-009"}),
        ({"DicomAlwaysAllowMove": True}, {"DCM-010"}),
    ],
)
def test_orthanc_is_open_by_each_wrong_key_and_by_no_other(
    tmp_path: Path, free_port: Callable[[], int], settings: dict[str, Any], expected: set[str]
) -> None:
    """Each key that opens a service opens its check alone; refused ones are closed, not unknown."""
    port = free_port()
    loose = {"DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True, "DicomCheckModalityHost": False}
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port(), settings=loose | settings):
        report = probe(f"127.0.0.1:{port}")
    found = open_doors(report)
    assert expected == CRITICAL & set(found)
    assert CRITICAL - expected <= closed_doors(report)
    assert {found[check] for check in expected} <= {Verdict.PROVED}
    assert {"DCM-002", "DCM-003", "DCM-005", "DCM-015"} <= set(found)
    assert Verdict.OFFERED is found["DCM-011"]
    assert {"DCM-001", "DCM-013", "DCM-030"} <= closed_doors(report)
    assert {} == untested(report)


def test_a_title_is_asked_for_and_then_used(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A server that checks its title leaves questions open, and says so, until the owner tells the title."""
    port = free_port()
    settings = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowEcho": True, "DicomCheckModalityHost": False}
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port(), settings=settings):
        blind = probe(f"127.0.0.1:{port}")
        told = probe(f"127.0.0.1:{port}", called="ORTHANC")
    assert {} == open_doors(blind)
    assert Reason.NEEDS_TITLE is untested(blind)["DCM-006"]
    assert "DCM-002" in closed_doors(told)
    assert {"DCM-003", "DCM-006"} <= set(open_doors(told))


def test_reject_reasons_are_kept_apart(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Orthanc that lets no stranger in tells which title was wrong: that is a door of its own."""
    port = free_port()
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port()):
        report = probe(f"127.0.0.1:{port}", called="ORTHANC")
    assert {"DCM-004"} == set(open_doors(report))
    assert {"DCM-002", "DCM-003"} <= closed_doors(report)


def test_a_title_that_was_not_looked_at_is_not_called_checked(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Orthanc that lets no stranger in, and takes its peers' associations for any title: nobody can tell."""
    port = free_port()
    settings = {"DicomCheckCalledAet": False}
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port(), settings=settings):
        report = probe(f"127.0.0.1:{port}")
    assert "DCM-002" not in closed_doors(report)
    assert {} == open_doors(report)
    assert "DCM-003" in closed_doors(report)
    assert Reason.TURNED_AWAY is untested(report)["DCM-002"]


def test_a_receiver_serves_nothing_but_storage(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's storescp lets everybody store, and has no query to leave open."""
    port = free_port()
    with started([program("storescp"), "--ignore", str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}")
    assert {"DCM-003", "DCM-005", "DCM-011", "DCM-015"} <= set(open_doors(report))
    assert CRITICAL <= closed_doors(report)


def test_a_second_receiver(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's dcmrecv lets everybody in, and takes no storage class until it is told which."""
    port = free_port()
    with started([program("dcmrecv"), str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}")
    assert {"DCM-003", "DCM-005"} <= set(open_doors(report))
    assert CRITICAL | {"DCM-011"} <= closed_doors(report)


@pytest.mark.parametrize("peers", ["ANY", "(modality, CT01, 127.0.0.1, 11199)"])
def test_a_query_server_with_and_without_a_list_of_peers(
    tmp_path: Path, free_port: Callable[[], int], peers: str
) -> None:
    """DCMTK's dcmqrscp is open when its table says ANY, and closed when it names a peer."""
    port = free_port()
    with started(query_server(tmp_path, port, peers), port, tmp_path):
        report = probe(f"127.0.0.1:{port}", called="ARCHIVE")
    if peers == "ANY":
        assert {"DCM-006", "DCM-007", "DCM-009", "DCM-010"} <= set(open_doors(report))
    else:
        assert set() == CRITICAL & set(open_doors(report))
        assert CRITICAL <= closed_doors(report) or "DCM-003" in closed_doors(report)


def test_a_worklist_server(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """DCMTK's wlmscpfs hands its worklist to strangers."""
    port = free_port()
    (tmp_path / "wl" / "WORKLIST").mkdir(parents=True)
    (tmp_path / "wl" / "WORKLIST" / "lockfile").touch()
    with started([program("wlmscpfs"), "-dfp", str(tmp_path / "wl"), str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}", called="WORKLIST")
    assert Verdict.PROVED is open_doors(report)["DCM-008"]
    assert CRITICAL <= closed_doors(report)


def test_a_worklist_server_that_is_not_called_by_its_name(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """The same server refuses a title without a worklist: nothing is open, and what is not known is said."""
    port = free_port()
    (tmp_path / "wl" / "WORKLIST").mkdir(parents=True)
    (tmp_path / "wl" / "WORKLIST" / "lockfile").touch()
    with started([program("wlmscpfs"), "-dfp", str(tmp_path / "wl"), str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}")
    assert {} == open_doors(report)
    assert "DCM-002" in closed_doors(report)
    assert Reason.NEEDS_TITLE is untested(report)["DCM-008"]


def test_nothing_is_found_at_huisclos(short_dir: Path, free_port: Callable[[], int]) -> None:
    """Our own house, as it stands, has no open door."""
    archive, kept = make_archive(short_dir)
    ports = [free_port() for _ in range(5)]
    with serve(archive, kept, ports) as house:
        report = probe(*(f"127.0.0.1:{port}" for port in ports))
        named = probe(f"127.0.0.1:{house.dicom_port}", called=house.title)
    assert {} == open_doors(report)
    assert {} == open_doors(named)
    assert "DCM-003" in closed_doors(named)


@contextmanager
def _pynetdicom(port: int, handlers: list[Any], contexts: list[str]) -> Iterator[None]:
    from pynetdicom import AE

    ae = AE()
    for uid in contexts:
        ae.add_supported_context(uid)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield
    finally:
        server.shutdown()


def test_a_server_that_answers_a_canary_with_a_patient(free_port: Callable[[], int]) -> None:
    """It is found out at the first answer, which is dropped: the report knows nothing of the record."""
    need("python:pynetdicom")
    from pydicom.dataset import Dataset
    from pynetdicom import evt

    sent = 0

    def answer(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        nonlocal sent
        for _ in range(1000):
            time.sleep(0.002)
            if event.is_cancelled:
                yield 0xFE00, None
                return
            record = Dataset()
            record.PatientName = "MARTIN^LEA"
            record.StudyInstanceUID = "1.2.3.4"
            sent += 1
            yield 0xFF00, record

    port = free_port()
    study = "1.2.840.10008.5.1.4.1.2.2.1"
    with _pynetdicom(port, [(evt.EVT_C_FIND, answer)], [study, "1.2.840.10008.1.1"]):
        report = probe(f"127.0.0.1:{port}")
    assert {"DCM-006", "DCM-013"} <= set(open_doors(report))
    assert 0 < sent < 1000
    assert "MARTIN" not in str(report)
    assert "1.2.3.4" not in str(report)


@pytest.mark.parametrize(
    "sends", [b"", b"\x02\x00\xff\xff\xff\xff", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 4096]
)
def test_a_hostile_listener_is_bounded(free_port: Callable[[], int], sends: bytes) -> None:
    """Silence, 4 GiB lengths, another protocol, noise: an attempt with a reason, within the deadline."""
    port = free_port()
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.1)

        def serve_hostile() -> None:
            held = []
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.sendall(sends)
                held.append(connection)
            for connection in held:
                connection.close()

        thread = threading.Thread(target=serve_hostile)
        thread.start()
        try:
            report = probe(f"127.0.0.1:{port}", seconds=0.5)
        finally:
            stop.set()
            thread.join()
    assert {} == open_doors(report)
    assert untested(report)["*"] in (Reason.TIMED_OUT, Reason.NOT_IDENTIFIED)


def test_nothing_listens(free_port: Callable[[], int]) -> None:
    """A port without a listener is not called closed: nobody could ask."""
    report = probe(f"127.0.0.1:{free_port()}")
    assert {"*": Reason.UNREACHABLE} == untested(report)
