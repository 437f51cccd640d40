"""What was not answered is never called closed, and nothing that was seen is lost (rules 4, 5 and 11).

Each of these servers was once told as closed, or hid what had been found beside it.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from huisclos.clock import now
from huisclos.dimse.protocol.statuses import Status
from huisclos.doors.assemble import Audit
from huisclos.doors.observation import Miss, Observation, What
from huisclos.doors.probes import smb
from huisclos.doors.probes.tls import certificate_facts
from huisclos.doors.rules import judge
from huisclos.doors.statuses import Word, word
from huisclos.findings.evidence import Key, facts
from huisclos.findings.nouns import Language, Outcome, Reach, Reason, Severity
from huisclos.findings.report import exit_code
from tests.doors.auditing import closed_doors, open_doors, probe, untested, web_server
from tests.doors.scripted import accept_all, scripted, success
from tests.doors.test_dicom_hostile import serving
from tests.doors.test_tls import certificate
from tests.tools import program

ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
QUESTIONS = {"DCM-006", "DCM-007", "DCM-008", "DCM-009", "DCM-010"}
TITLE = bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 7))
"""A-ASSOCIATE-RJ, called title not recognised"""
NO_REASON = bytes((3, 0, 0, 0, 0, 4, 0, 1, 1, 1))
LATER = bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
"""local limit exceeded"""


@contextmanager
def _once(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a listener that takes one connection, and refuses every other."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        server.close()
        with connection, suppress(OSError):
            script(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        thread.join(10)


def _hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)


def test_a_listener_that_refuses_its_second_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It listens: what it would have said to another protocol is not known."""
    with _once(_hangs_up) as port:
        monkeypatch.setattr("huisclos.doors.runner.USUAL_PORTS", (port,))
        report = probe("127.0.0.1", seconds=1.0)
    assert {"*": Reason.UNREACHABLE} == untested(report)
    assert 4 == exit_code(report, Severity.LOW)


SYSTEM = b'{"ApiVersion": 1, "Version": "1.12.1"}'


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("http://[x", Reason.OUT_OF_SCOPE),
        ("/a b", Reason.OUT_OF_SCOPE),
        ("/h\xf4pital/rs", Reason.OUT_OF_SCOPE),
        ("https://elsewhere.invalid/rs", Reason.OUT_OF_SCOPE),
        ("http://127.0.0.1/rs", Reason.OUT_OF_SCOPE),
        ("", Reason.NOT_TOLD),
        ("/away", Reason.FAULT),
    ],
)
def test_a_viewer_that_leads_where_nobody_can_follow(root: str, reason: Reason) -> None:
    """Beside an open Orthanc: that stays found, and where the viewer leads is said not to be known."""

    def respond(path: str, _headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        if path == "/system":
            return 200, {}, SYSTEM
        if path == "/app-config.js":
            return 200, {}, f"window.config = {{ qidoRoot: '{root}' }}".encode("latin-1")
        if path.startswith("/away/"):
            return 502, {}, b""
        return (200, {}, b"<title>OHIF Viewer</title>") if path == "/" else (404, {}, b"")

    with web_server(respond) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert "WEB-001" in open_doors(report)
    assert reason is untested(report)["WEB-017"]
    assert Reason.OWN_FAULT not in untested(report).values()


def test_our_own_mistake_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen before it stands; the mistake is said."""

    def wrong(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("huisclos.doors.probes.dicom._found", wrong)
    with scripted(serving(lambda made, request: made.sendall(success(request)))) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    assert {"DCM-002", "DCM-003"} <= set(open_doors(report))
    assert Reason.OWN_FAULT is untested(report)["*"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_lies_behind_a_proxy_and_is_away(status: int) -> None:
    """A page answers, and all else fails: no door was closed to anybody."""

    def respond(path: str, _headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        behind = path.startswith(("/orthanc", "/dicom-web", "/wado", "/dcm4chee", "/cgi-bin"))
        return (status, {}, b"") if behind else (404, {}, b"") if path != "/" else (200, {}, b"hello")

    with web_server(respond) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    expected = {"WEB-001", "WEB-010", "WEB-012", "WEB-013", "WEB-014", "WEB-015", "WEB-022"}
    assert dict.fromkeys(expected - {"WEB-022"}, Reason.FAULT).items() <= untested(report).items()
    assert Reason.NOT_TOLD is untested(report)["WEB-022"], "imaging may lie where it failed"
    assert not expected & closed_doors(report)
    assert {} == open_doors(report)


@pytest.mark.parametrize(
    ("again", "reason"), [(LATER, Reason.BUSY), (NO_REASON, Reason.TURNED_AWAY), (TITLE, Reason.TURNED_AWAY)]
)
def test_one_that_takes_a_stranger_once(again: bytes, reason: Reason) -> None:
    """It took the same caller a moment before: of what is left its rejection says nothing."""
    taken: list[int] = []
    first = serving(lambda made, _request: made.sendall(ABORT))

    def script(connection: socket.socket) -> None:
        taken.append(1)
        if len(taken) == 1:
            first(connection)
        else:
            connection.recv(65536)
            connection.sendall(again)
            connection.recv(1)

    with scripted(script) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    left = QUESTIONS - {"DCM-006"}
    assert dict.fromkeys(left, reason).items() <= untested(report).items()
    assert "DCM-006" in closed_doors(report), "that one it aborted over"
    assert not left & closed_doors(report)
    if again is LATER:
        assert Reason.BUSY is untested(report)["DCM-026"]


@pytest.mark.parametrize(
    ("status", "find", "move"),
    [
        (Status.SUCCESS, Word.SERVED, Word.SERVED),
        (Status.COERCION, Word.SERVED, Word.SERVED),
        (Status.SOP_CLASS_NOT_SUPPORTED, Word.REFUSED, Word.REFUSED),
        (Status.NOT_AUTHORIZED, Word.REFUSED, Word.REFUSED),
        (Status.NO_SUCH_INSTANCE, Word.REFUSED, Word.REFUSED),
        (Status.OUT_OF_RESOURCES, Word.BUSY, Word.BUSY),
        (Status.MOVE_DESTINATION_UNKNOWN, Word.UNTOLD, Word.SERVED),
        (0xC511, Word.UNTOLD, Word.SERVED),
        (0xC001, Word.UNTOLD, Word.SERVED),
        (Status.PROCESSING_FAILURE, Word.UNTOLD, Word.UNTOLD),
        (Status.CANCEL, Word.UNTOLD, Word.UNTOLD),
        (0xFFFF, Word.UNTOLD, Word.UNTOLD),
    ],
)
def test_each_status_has_one_meaning(status: int, find: Word, move: Word) -> None:
    """By the tables of PS3.4; and a server that answers so is told so."""
    assert (find, move) == (word(status, retrieve=False), word(status, retrieve=True))

    def answer(connection: socket.socket, request: bytes) -> None:
        # The status is the last element of a response.
        connection.sendall(success(request)[:-2] + status.to_bytes(2, "little"))

    with scripted(serving(answer)) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0, checks=frozenset({"DCM-006", "DCM-010"}))
    for check, said in (("DCM-006", find), ("DCM-010", move)):
        assert (said is Word.SERVED) == (check in open_doors(report))
        assert (said is Word.REFUSED) == (check in closed_doors(report))
        assert (said is Word.BUSY) == (untested(report).get(check) is Reason.BUSY)


def test_a_filter_of_checks_filters_what_was_not_answered() -> None:
    """A question that nobody wanted answered is no reason to say that something was not tested."""
    audit = Audit("probe", Language.EN, now(), only=frozenset({"DCM-006"}))
    audit.take([Miss(("DCM-007", "DCM-006"), "127.0.0.1:104", Reason.TIMED_OUT)], now())
    assert ["DCM-006"] == [one.check for one in audit.report().attempts]


def _shown(old: bytes, new: bytes) -> bytes:
    """A certificate of which each `old` is `new`, as long; that its signature holds no more nobody asks."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now() - dt.timedelta(days=1))
        .not_valid_after(now() + dt.timedelta(days=1000))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    assert old in made
    return made.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2a8648ce3d030107", "2a8648ce3d03017f"),  # the curve
        ("2a8648ce3d040302", "2a8648ce3d04037f"),  # the signature
        ("2a8648ce3d0201", "2a8648ce3d027f"),  # the kind of key
    ],
)
def test_a_certificate_with_a_kind_that_nobody_knows(old: str, new: str) -> None:
    """Its dates are told all the same."""
    found = {
        fact.key: fact.value for fact in certificate_facts(_shown(*map(bytes.fromhex, (old, new))), now())
    }
    assert (999, 1001) == (found[Key.DAYS], found[Key.WIDTH])


def test_a_certificate_with_a_name_that_is_no_text() -> None:
    """Nothing is told of it, and nothing fails."""
    assert () == certificate_facts(_shown(b"\x0c\x06server", b"\x0c\x06\xff\xfe\xff\xfe\xff\xfe"), now())


def test_a_network_folder_that_tells_too_much_of_itself() -> None:
    """A challenge that would not fit into our answer is none."""
    token = b"NTLMSSP\0" + bytes(32) + (0xFFF0).to_bytes(2, "little") * 2 + (48).to_bytes(4, "little")
    token += bytes(0xFFF0)
    body = (9).to_bytes(2, "little") + bytes(2) + (72).to_bytes(2, "little") + b"\xff\xff" + token
    with pytest.raises(smb.NotSmb):
        smb.name(smb.Said(0xC0000016, 1, body), "huisclos-0")


@contextmanager
def _behind_any_certificate(folder: Path, port: int, answer: bytes) -> Iterator[None]:
    """OpenSSL's own server, which wants a certificate, takes any, and says `answer` to whatever comes."""
    cert, key = certificate(folder, "server")
    command = [program("openssl"), "s_server", "-Verify", "1", "-quiet", "-accept", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "-cert", str(cert), "-key", str(key)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )

    def speak() -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        while process.stdout.read(65536):
            with suppress(OSError):
                process.stdin.write(answer)

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        _wait(port)
        yield
    finally:
        process.kill()
        speaking.join(5)
        for end in (process.stdin, process.stdout):
            assert end is not None
            end.close()
        process.wait()


def _wait(port: int) -> None:
    listening = f":{port:04X} 00000000:0000 0A"
    for _ in range(500):
        if listening in Path("/proc/net/tcp").read_text(encoding="ascii"):
            return
        threading.Event().wait(0.01)
    raise TimeoutError


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (TITLE, Outcome.OPEN, None),
        (NO_REASON, Outcome.CLOSED, None),
        (ABORT, Outcome.CLOSED, None),
        (LATER, Outcome.FAILED, Reason.BUSY),
        (b"", Outcome.FAILED, Reason.TIMED_OUT),
        (b"SSH-2.0-no DICOM", Outcome.FAILED, Reason.PROTOCOL),
    ],
)
def test_what_comes_after_a_certificate_that_anybody_can_make(
    tmp_path: Path, free_port: Callable[[], int], answer: bytes, outcome: Outcome, reason: Reason | None
) -> None:
    """One that refuses only the title took the certificate; one that falls silent told nothing."""
    port = free_port()
    with _behind_any_certificate(tmp_path, port, answer):
        report = probe(f"127.0.0.1:{port}", seconds=1.0)
    (told,) = [one for one in report.attempts if one.check == "DCM-017"]
    assert (outcome, reason) == (told.outcome, told.reason)
    if outcome is not Outcome.CLOSED:
        assert not QUESTIONS & closed_doors(report)


def test_a_handshake_that_fails_over_nothing_in_common() -> None:
    """The same alert as for want of a certificate (RFC 5246 section 7.2.2), before any suite was chosen."""

    def script(connection: socket.socket) -> None:
        hello = connection.recv(65536)
        if hello[:1] == b"\x16":
            connection.sendall(b"\x15\x03\x03\0\x02\x02\x28")
            connection.recv(65536)

    with scripted(script) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    assert not {"DCM-016", "DCM-017"} & {one.check for one in report.attempts}
    assert {"*": Reason.NOT_IDENTIFIED} == untested(report)


def test_tls_that_is_reset_later_is_counted_and_is_no_crash(tmp_path: Path) -> None:
    """A connection that stood counts, whatever became of its handshake; nobody stopped listening."""
    cert, key = certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    taken: list[int] = []

    def script(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
            return
        taken.append(1)
        if len(taken) > 2:
            connection.recv(16)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            return
        with context.wrap_socket(connection, server_side=True) as tls:
            request = tls.recv(65536)
            tls.sendall(accept_all(request))
            if tls.recv(65536)[:1] == b"\x04":
                tls.sendall(ABORT)
            with suppress(OSError):
                tls.recv(1)

    with scripted(script) as server:
        report = probe(f"127.0.0.1:{server.port}", seconds=1.0)
    assert server.connections <= 12
    assert {"DCM-003", "DCM-016"} <= set(open_doors(report))
    assert "DCM-029" not in open_doors(report)
    assert not QUESTIONS & closed_doors(report)


def test_one_association_and_nothing_more() -> None:
    """--gentle is for a modality at work: a host gets one connection, however many of its ports are named."""
    answers = serving(lambda made, request: made.sendall(success(request)))
    with scripted(answers) as one, scripted(answers) as other:
        report = probe(f"127.0.0.1:{one.port}", f"127.0.0.1:{other.port}", gentle=True, seconds=1.0)
        told = probe(f"127.0.0.1:{one.port}", gentle=True, called="MODALITY", seconds=1.0)
    assert (2, 0) == (one.connections, other.connections)
    assert {"DCM-002", "DCM-003"} <= set(open_doors(report))
    assert Reason.CONNECTIONS is untested(report)["*"]
    assert "DCM-003" in open_doors(told)
    assert Outcome.SKIPPED in {one.outcome for one in told.attempts if one.check == "DCM-002"}


@pytest.mark.parametrize("speaks", ["web", "tls"])
def test_gentle_asks_no_other_protocol(tmp_path: Path, speaks: str) -> None:
    """A page, or TLS where nobody expects it, is not asked again in its own words."""
    cert, key = certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def script(connection: socket.socket) -> None:
        if speaks == "tls":
            with suppress(OSError):
                context.wrap_socket(connection, server_side=True)
            return
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with scripted(script) as server:
        report = probe(f"127.0.0.1:{server.port}", gentle=True, seconds=1.0)
    assert 1 == server.connections
    assert {"*": Reason.NOT_IDENTIFIED} == untested(report)


def test_gentle_without_a_port_stops_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the usual ports only those of DICOM, and none after one answered."""
    answers = serving(lambda made, request: made.sendall(success(request)))
    with scripted(answers) as page, scripted(answers) as first, scripted(answers) as second:
        ports = (page.port, first.port, second.port)
        monkeypatch.setattr("huisclos.doors.runner.USUAL_PORTS", ports)
        monkeypatch.setattr("huisclos.doors.runner.DICOM_PORTS", frozenset(ports[1:]))
        report = probe("127.0.0.1", gentle=True, seconds=1.0)
    assert (0, 1, 0) == (page.connections, first.connections, second.connections)
    assert "DCM-003" in open_doors(report)


def test_a_stored_instance_is_one_that_was_found() -> None:
    """Whatever was answered: what lies there was stored."""
    for found, expected in (
        (facts(status=0), True),
        (facts(status=0xB000, value="deleted"), True),
        (facts(value="deleted"), True),
        (facts(status=0x0124), False),
        ((), False),
    ):
        (told,) = judge([Observation(What.STORED, "127.0.0.1:104", Reach.LOOPBACK, found)])
        assert expected is told.open
