"""DICOM servers that mean harm: bounded in time and in memory, no name kept, called what they are."""

from __future__ import annotations

import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from huisclos.findings.nouns import Reason
from tests.doors.auditing import closed_doors, open_doors, probe, untested
from tests.doors.scripted import accept_all, field_of, message, number_of, scripted, success

NAME = b"MARTIN^LEA"
RELEASED = b"\x06\0\0\0\0\x04\0\0\0\0"
PATIENT = struct.pack("<HHI", 0x0010, 0x0010, len(NAME)) + NAME
MOST_BYTES = 32 * 1024 * 1024
Answer = Callable[[socket.socket, bytes], None]


def serving(answer: Answer, version: bytes = b"SCRIPTED") -> Callable[[socket.socket], None]:
    """Accept everything, echo and release; `answer` does the rest."""

    def script(connection: socket.socket) -> None:
        connection.sendall(accept_all(connection.recv(65536), version))
        while request := connection.recv(65536):
            if request[0] == 5:
                connection.sendall(RELEASED)
            elif request[0] == 4 and field_of(request) == 0x0030:
                connection.sendall(success(request))
            elif request[0] == 4:
                answer(connection, request)
            else:
                return

    return script


def _asked(script: Callable[[socket.socket], None], **manners: Any) -> tuple[Any, Any, float]:
    """The report, the server's own count, and the seconds it took; memory is bounded."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with scripted(script) as server:
            report = probe(f"127.0.0.1:{server.port}", **({"seconds": 0.5} | manners))
            seconds = time.monotonic() - started
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert server.most_at_once == 1
    assert server.connections <= 12
    assert "MARTIN" not in str(report)
    return report, server, seconds


def test_one_that_lets_us_in_and_says_no_more() -> None:
    """Each silence is an attempt with its reason, and after three it is left alone."""
    report, _, seconds = _asked(serving(lambda _connection, _request: None))
    assert {"DCM-003", "DCM-005"} <= set(open_doors(report))
    assert Reason.TIMED_OUT is untested(report)["DCM-006"]
    assert not {"DCM-006", "DCM-009"} & closed_doors(report)
    assert seconds < 8


def test_one_that_says_a_byte_at_a_time() -> None:
    """Signs of life do not lengthen the whole."""

    def script(connection: socket.socket) -> None:
        whole = accept_all(connection.recv(65536))
        for at in range(len(whole)):
            connection.sendall(whole[at : at + 1])
            time.sleep(0.1)

    report, _, seconds = _asked(script)
    assert {} == open_doors(report)
    assert "*" in untested(report)
    assert seconds < 20


@pytest.mark.parametrize(
    "sends",
    [
        b"\x02\0\xff\xff\xff\xff",
        b"\x04\0\xff\xff\xff\xff",
        b"\x03\0\xff\xff\xff\xff",
        b"\x02\0\0\0\xff\xff" + b"\xff" * 70000,
    ],
)
def test_lengths_of_four_gigabytes(sends: bytes) -> None:
    """A length is believed only within its bound, before anything is kept."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(sends)
        connection.recv(65536)

    report, _, _ = _asked(script)
    assert {} == open_doors(report)
    assert "*" in untested(report)


@pytest.mark.parametrize(
    "flood",
    [
        b"\x04\0\0\x02\0\0" + struct.pack(">IBB", 131066, 3, 0) + bytes(131064),
        message(3, _0100=b"\x20\x80", _0120=b"\x02\0", _0900=b"\0\xff", data=PATIENT) * 200,
        RELEASED * 4000,
    ],
    ids=["data", "matches", "releases"],
)
def test_a_flood_over_a_question(flood: bytes) -> None:
    """Megabytes that nobody asked for are dropped as they come, and the association is cut."""

    def answer(connection: socket.socket, _request: bytes) -> None:
        for _ in range(2000):
            connection.sendall(flood)

    report, _, seconds = _asked(serving(answer))
    assert "DCM-005" in open_doors(report)
    assert seconds < 20


def test_one_that_answers_every_canary_with_a_patient() -> None:
    """One match is enough, undecoded; each search is told, and its association was cancelled and cut."""
    cancelled: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        field = (field_of(request) | 0x8000).to_bytes(2, "little")
        pending = message(
            request[10], _0002=b"1.2\0", _0100=field, _0120=number_of(request), _0900=b"\0\xff", data=PATIENT
        )
        connection.sendall(pending * 3)
        cancelled.append(connection.recv(65536))

    report, _, _ = _asked(serving(answer), checks=frozenset({"DCM-006", "DCM-007", "DCM-008", "DCM-013"}))
    assert {"DCM-006", "DCM-007", "DCM-008", "DCM-013"} <= set(open_doors(report))
    assert len(cancelled) == 3
    for said in cancelled:
        assert field_of(said) == 0x0FFF
        assert said.endswith(b"\x07\0\0\0\0\x04\0\0\0\0")


def test_one_that_sends_an_image_for_a_canary() -> None:
    """A C-GET that brings somebody's image is cut at the C-STORE's command: the image is not read."""
    sent: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        if field_of(request) != 0x0010:
            connection.sendall(success(request))
            return
        image = PATIENT + bytes(4096)
        connection.sendall(
            message(request[10], _0002=b"1.2\0", _0100=b"\x01\0", _0110=b"\x09\0", _1000=b"1.2\0", data=image)
        )
        sent.append(connection.recv(65536))

    report, _, _ = _asked(serving(answer), checks=frozenset({"DCM-009", "DCM-013"}))
    assert {"DCM-009", "DCM-013"} <= set(open_doors(report))
    assert [b"\x07\0\0\0\0\x04\0\0\0\0"] == sent


def test_one_that_aborts_each_question_is_asked_no_more_than_it_must() -> None:
    """A refusal costs one association each, one after the other; none is called open."""

    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(b"\x07\0\0\0\0\x04\0\0\0\0")

    report, server, _ = _asked(serving(answer))
    assert {"DCM-006", "DCM-007", "DCM-008", "DCM-009", "DCM-010"} <= closed_doors(report)
    assert server.connections == 6, "and one under a user name that nobody has"


def test_what_it_calls_itself_is_not_kept() -> None:
    """A name where the version belongs is not repeated; a decoy that accepts an invented class is told."""
    report, _, _ = _asked(serving(lambda made, request: made.sendall(success(request)), NAME))
    assert "DCM-030" in open_doors(report)
    assert "DCM-022" not in open_doors(report)


def test_one_that_dies_of_a_question() -> None:
    """A server that listens no more after a question that the Standard has is said to."""
    doomed: list[socket.socket] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(accept_all(connection.recv(65536)))
        connection.recv(65536)
        doomed[0].close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        doomed.append(server)

        def once() -> None:
            connection, _ = server.accept()
            with connection:
                script(connection)

        thread = threading.Thread(target=once)
        thread.start()
        report = probe(f"127.0.0.1:{server.getsockname()[1]}", seconds=1.0)
        thread.join()
    assert "DCM-029" in open_doors(report)


def test_a_port_for_hl7_is_connected_to_and_never_spoken_to() -> None:
    """DCM-027: whatever listens there is not sent a byte."""
    said: list[bytes] = []

    def script(connection: socket.socket) -> None:
        said.append(connection.recv(65536))

    with scripted(script, 2575) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    assert {"DCM-027"} == set(open_doors(report))
    assert [b""] == said


def test_the_port_of_tls_in_clear() -> None:
    """DCM-021: DICOM in clear where TLS is registered."""
    script = serving(lambda made, request: made.sendall(success(request)))
    with scripted(script, 2762, "127.0.27.62") as server:  # where no house of this machine listens
        report = probe(f"127.0.27.62:{server.port}", seconds=1.0)
    assert {"DCM-015", "DCM-021"} <= set(open_doors(report))


def test_services_that_few_need_and_a_toolkit_past_its_time() -> None:
    """DCM-014 and DCM-024, from what the answer to an association says."""
    with scripted(
        serving(lambda made, request: made.sendall(success(request)), b"OFFIS_DCMTK_354")
    ) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    assert {"DCM-014", "DCM-024"} <= set(open_doors(report))
