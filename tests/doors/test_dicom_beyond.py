"""What goes beyond looking, on real servers and with the owner's word only; and Orthanc over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huisclos.clock import now
from huisclos.doors.mandate import Beyond, OutsideMandate, check_beyond
from huisclos.doors.target import parse_target
from huisclos.findings.evidence import Key
from huisclos.findings.nouns import Outcome, Reason
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, probe, started, untested
from tests.doors.scripted import field_of, scripted, success
from tests.doors.test_dicom_hostile import serving
from tests.doors.test_tls import certificate
from tests.peers.orthanc import orthanc
from tests.tools import program

ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
LOOSE = {"DicomCheckCalledAet": False, "DicomCheckModalityHost": False}


@pytest.mark.parametrize("stores", [True, False])
def test_a_write_test_stores_and_deletes(
    tmp_path: Path, free_port: Callable[[], int], *, stores: bool
) -> None:
    """Orthanc that stores for strangers is proved to, and holds nothing after; one that refuses is closed."""
    port, rest = free_port(), free_port()
    settings = LOOSE | {"DicomAlwaysAllowStore": stores, "DicomAlwaysAllowEcho": True}
    with orthanc(tmp_path / "o", dicom_port=port, http_port=rest, settings=settings) as peer:
        report = probe(f"127.0.0.1:{port}", delete_at=parse_target(f"http://127.0.0.1:{rest}"))
        left = peer.get("/instances")
    assert [] == left
    if stores:
        (found,) = [one for one in report.findings if one.check == "DCM-012"]
        assert "deleted" in {fact.value for fact in found.evidence if fact.key is Key.VALUE}
    else:
        assert "DCM-012" in closed_doors(report)


class Keeper:
    """An archive that keeps one instance, and the web page that deletes it."""

    def __init__(
        self, *, status: int | None, keeps: bool = True, login: bool = False, base: str = ""
    ) -> None:
        self.kept: list[bytes] = []
        self.asked: list[str] = []
        self.breaks = False
        """whether its page fails once it was asked something"""
        self.status, self.keeps, self.login, self.base = status, keeps, login, base
        self.dicom = serving(self._store)

    def _store(self, connection: socket.socket, request: bytes) -> None:
        if field_of(request) != 0x0001:
            connection.sendall(ABORT)
            return
        if self.keeps:
            self.kept.append(request)
        if self.status is not None:
            connection.sendall(success(request)[:-2] + self.status.to_bytes(2, "little"))

    def web(self, tls: ssl.SSLContext | None) -> Callable[[socket.socket], None]:
        """The script of its page."""

        def script(connection: socket.socket) -> None:
            made = tls.wrap_socket(connection, server_side=True) if tls is not None else connection
            with made:
                while raw := made.recv(65536):
                    made.sendall(self._answer(raw.partition(b"\r\n")[0].decode()))

        return script

    def _answer(self, line: str) -> bytes:
        self.asked.append(line)
        status, body = b"200 OK", b"[]"
        if self.breaks and len(self.asked) > 1:
            status = b"502 Bad Gateway"
        elif self.login:
            status = b"401 Unauthorized"
        elif line.startswith(f"DELETE {self.base}/instances/"):
            self.kept.clear()
        elif not line.startswith(f"POST {self.base}/tools/lookup "):
            status = b"404 Not Found"
        elif self.kept:
            body = b'[{"ID":"00000000-11111111-22222222-33333333-44444444","Type":"Instance"}]'
        return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def _written(keeper: Keeper, folder: Path, *, scheme: str = "http") -> Report:
    tls = None
    if scheme == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate(folder, "server"))
    with scripted(keeper.dicom) as dicom, scripted(keeper.web(tls)) as rest:
        there = parse_target(f"{scheme}://127.0.0.1:{rest.port}{keeper.base}/")
        return probe(f"127.0.0.1:{dicom.port}", delete_at=there, seconds=1.0, checks=frozenset({"DCM-012"}))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("base", ["", "/orthanc"])
@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, None])
def test_what_was_stored_is_found_and_deleted(
    tmp_path: Path, status: int | None, base: str, scheme: str
) -> None:
    """With a warning, without an answer, over TLS, below a folder: it is deleted, and told as open."""
    keeper = Keeper(status=status, base=base)
    report = _written(keeper, tmp_path, scheme=scheme)
    (found,) = [one for one in report.findings if one.check == "DCM-012"]
    assert "deleted" in {fact.value for fact in found.evidence if fact.key is Key.VALUE}
    assert "deleted again" in found.is_
    assert [] == keeper.kept


@pytest.mark.parametrize(
    ("status", "reason"),
    [(0x0124, None), (0xA700, Reason.BUSY), (0xC000, Reason.FAULT), (None, Reason.TIMED_OUT)],
)
def test_what_was_not_stored(tmp_path: Path, status: int | None, reason: Reason | None) -> None:
    """Only a refusal is called closed."""
    report = _written(Keeper(status=status, keeps=False), tmp_path)
    assert (reason is None) == ("DCM-012" in closed_doors(report))
    assert reason is untested(report).get("DCM-012")


def test_what_lies_elsewhere_than_where_it_is_deleted_is_said_to_be_left(tmp_path: Path) -> None:
    """It was stored by the one, and the other, whose address was given, knows nothing of it."""
    (found,) = _written(Keeper(status=0, keeps=False), tmp_path).findings
    assert "left-behind" in {fact.value for fact in found.evidence if fact.key is Key.VALUE}
    assert "delete it" in found.is_


@pytest.mark.parametrize("status", [None, 0])
def test_where_deleting_fails_later_that_is_said(tmp_path: Path, status: int | None) -> None:
    """It answered before, and not after: what was answered for is left; of the other nobody knows."""
    keeper = Keeper(status=status)
    keeper.breaks = True
    report = _written(keeper, tmp_path)
    (told,) = [one for one in report.attempts if one.check == "DCM-012"]
    assert (Outcome.OPEN if status == 0 else Outcome.FAILED) is told.outcome
    assert "left-behind" in {fact.value for fact in told.evidence if fact.key is Key.VALUE}


def test_nothing_is_stored_where_nothing_can_be_deleted(tmp_path: Path) -> None:
    """Whoever deletes is asked first: who wants a login would have left the instance there."""
    keeper = Keeper(status=0, login=True)
    report = _written(keeper, tmp_path)
    assert [] == keeper.kept
    assert Reason.NEEDS_LOGIN is untested(report)["DCM-012"]


def test_nothing_is_stored_unasked(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without a place to delete at, no instance is sent, and DCM-012 is said to be held back."""
    port = free_port()
    settings = LOOSE | {"DicomAlwaysAllowStore": True}
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port(), settings=settings) as peer:
        report = probe(f"127.0.0.1:{port}")
        assert [] == peer.get("/instances")
    held = next(one for one in report.attempts if one.check == "DCM-012")
    assert (Outcome.SKIPPED, Reason.NOT_ASKED) == (held.outcome, held.reason)


@pytest.mark.parametrize(("password", "open_"), [("orthanc", True), ("a good one", False)])
def test_the_default_login_is_tried_once_and_only_when_ticked(
    tmp_path: Path, free_port: Callable[[], int], password: str, *, open_: bool
) -> None:
    """Orthanc's own login is found where it stands; without the word it is said not to have been tried."""
    port = free_port()
    settings = {"AuthenticationEnabled": True, "RegisteredUsers": {"orthanc": password}}
    with (
        pytest.raises(RuntimeError),
        orthanc(tmp_path / "o", dicom_port=free_port(), http_port=port, settings=settings),
    ):
        pass  # its own helper asks without a password and gives up: what runs is started below
    with started([program("Orthanc"), str(tmp_path / "o" / "orthanc.json")], port, tmp_path):
        untried = probe(f"http://127.0.0.1:{port}")
        tried = probe(f"http://127.0.0.1:{port}", default_login=True)
    (skipped,) = [one for one in untried.attempts if one.check == "WEB-002"]
    assert (Outcome.SKIPPED, Reason.NOT_ASKED) == (skipped.outcome, skipped.reason)
    assert open_ == ("WEB-002" in open_doors(tried))
    assert open_ != ("WEB-002" in closed_doors(tried))
    assert {} == untested(tried)


@pytest.mark.parametrize("demands", [True, False])
def test_orthanc_over_tls(tmp_path: Path, free_port: Callable[[], int], *, demands: bool) -> None:
    """Closed to strangers where it demands certificates of its own authority; open where it does not."""
    port = free_port()
    cert, key = certificate(tmp_path, "server")
    authority, _ = certificate(tmp_path, "authority")
    settings: dict[str, Any] = LOOSE | {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(cert),
        "DicomTlsPrivateKey": str(key),
        "DicomTlsTrustedCertificates": str(authority),
        "DicomTlsRemoteCertificateRequired": demands,
        "DicomAlwaysAllowFind": True,
    }
    with orthanc(tmp_path / "o", dicom_port=port, http_port=free_port(), settings=settings):
        report = probe(f"127.0.0.1:{port}")
    found = set(open_doors(report))
    if demands:
        assert {"DCM-016", "DCM-017"} <= closed_doors(report)
        assert not {"DCM-003", "DCM-006", "DCM-016"} & found
    else:
        assert {"DCM-003", "DCM-006", "DCM-016"} <= found
    assert "DCM-015" not in found
    assert {"DCM-018", "DCM-019"} <= found | closed_doors(report)


def test_a_mandate_that_does_not_say_so_allows_nothing_beyond() -> None:
    """Loopback needs no word; elsewhere the mandate's own, or consent for a login, is needed."""
    here, there = parse_target("127.0.0.1:104"), parse_target("192.0.2.7:104")
    check_beyond([here], None, Beyond.WRITE_TEST, now(), consent=False)
    check_beyond([there], None, Beyond.DEFAULT_LOGIN, now(), consent=True)
    with pytest.raises(OutsideMandate):
        check_beyond([here, there], None, Beyond.WRITE_TEST, now(), consent=False)
