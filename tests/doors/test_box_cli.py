"""`huisclos doors box` as a person types it: rights, passwords, registration, questions, drift."""

from __future__ import annotations

import json
import os
import pty
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from huisclos.access.addresses import parse_address
from huisclos.doors.box import ask as asking
from huisclos.doors.box.ask import Asking, Kind, Where, examine
from huisclos.doors.box.declared import questions
from huisclos.doors.box.line import Login
from huisclos.doors.observation import Miss
from huisclos.findings.nouns import Reason
from tests.doors.boxes import NAME, PASSWORD, Freebox, Livebox, freebox_forward, livebox_forward, served
from tests.peers.house import program as huisclos


def doors_box(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    ran = subprocess.run(
        [huisclos(), "doors", "box", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with the box's password."""
    path = tmp_path / "secret"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def test_rights(secret: Path) -> None:
    """A public address is never a box; another's, or a login, needs consent: exit 3, before a packet."""
    assert 3 == doors_box("--address", "9.9.9.9", "--consent", "A. Martin, owner")[0]
    assert 3 == doors_box("--address", "10.200.201.202")[0]
    assert 3 == doors_box("--address", "10.200.201.202", "--consent", "A. Martin, owner")[0]
    assert 2 == doors_box("--kind", "toaster")[0]
    assert 2 == doors_box("--address", "127.0.0.1", "--password-file", str(secret.parent / "absent"))[0]
    assert 2 == doors_box("--questions")[0]
    secret.chmod(0o644)
    code, _, said = doors_box("--address", "127.0.0.1", "--password-file", str(secret))
    assert 2 == code
    assert PASSWORD not in said


def test_a_livebox_by_its_password(secret: Path, tmp_path: Path) -> None:
    """The report names the doors and what to click, in both languages; no name and no password is in it."""
    box = Livebox(forwards={"a": livebox_forward("104", "104")}, dmz={"a": {"Enable": True}})
    for language, word in (("fr", "Paramètres avancés"), ("en", "Advanced settings")):
        report, page = tmp_path / f"{language}.json", tmp_path / f"{language}.html"
        with served(box) as (port, _):
            code, out, said = doors_box(
                "--address", f"127.0.0.1:{port}", "--kind", "livebox", "--password-file", str(secret),
                "--lang", language, "--json", str(report), "--html", str(page),
            )  # fmt: skip
        assert 1 == code
        fixes = {one["check"]: one["fix"] for one in json.loads(report.read_text())["findings"]}
        assert word in fixes["BOX-006"]
        assert word in page.read_text()
        for text in (out, said, report.read_text(), page.read_text()):
            assert PASSWORD not in text
            assert NAME not in text


def test_drift_since_the_baseline(tmp_path: Path) -> None:
    """A forward that was not there last time is a finding of its own."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    box = Livebox()
    with served(box) as (port, _):
        where = ("--address", f"127.0.0.1:{port}", "--kind", "livebox")
        doors_box(*where, "--json", str(first), HUISCLOS_BOX_PASSWORD=PASSWORD)
        box.forwards = {"a": livebox_forward("104", "104")}
        doors_box(*where, "--json", str(second), "--baseline", str(first), HUISCLOS_BOX_PASSWORD=PASSWORD)
    found = {one["check"]: one for one in json.loads(second.read_text())["findings"]}
    assert {"BOX-005", "BOX-021"} <= set(found)
    assert {"key": "port", "value": 104} in found["BOX-021"]["evidence"]
    assert not [one for one in json.loads(first.read_text())["findings"] if one["check"] == "BOX-021"]


def test_a_freebox_lets_in_by_hand(tmp_path: Path) -> None:
    """Registered once, asked after that; the token is this account's alone and in no report."""
    box = Freebox(redirections=[freebox_forward(104, 104, 104)])
    report = tmp_path / "report.json"
    with served(box) as (port, _):
        where = ("--address", f"127.0.0.1:{port}", "--kind", "freebox", "--json", str(report))
        state = {"XDG_STATE_HOME": str(tmp_path / "state")}
        code, _, said = doors_box(*where, "--register", **state)
        assert 1 == code
        assert "press" in said
        assert "BOX-005" in report.read_text()
        assert 1 == doors_box(*where, **state)[0]
        box.agreed = ["denied"]
        assert 3 == doors_box(*where, "--register", XDG_STATE_HOME=str(tmp_path / "other"))[0]
    (token,) = (tmp_path / "state").rglob("freebox.token")
    assert 0o600 == token.stat().st_mode & 0o777
    assert not list((tmp_path / "other").rglob("*"))
    assert box.token not in report.read_text()


def test_questions_on_a_terminal(tmp_path: Path) -> None:
    """The owner is asked, the answers are kept in a file, and the report says who declared them."""
    file, report = tmp_path / "box.toml", tmp_path / "report.json"
    replies = {"forwards": b"y\n", "dmz": b"y\n", "remote-without-vpn": b"y\n"}
    said = b"A. Martin, owner\nsfr-box\n" + b"".join(replies.get(one.id, b"\n") for one in questions())
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [huisclos(), "doors", "box", "--address", "127.0.0.1", "--kind", "upnp", "--questions",
         "--answers", str(file), "--json", str(report), "--lang", "en"],
        stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8"},
    ) as ran:  # fmt: skip
        os.close(theirs)
        os.write(ours, said)
        assert 1 == ran.wait(60)
    os.close(ours)
    document = json.loads(report.read_text())
    assert ("declared", "A. Martin, owner") == tuple(document["consents"][0][key] for key in ("kind", "by"))
    found = {one["check"]: one for one in document["findings"]}
    assert {"BOX-005", "BOX-006", "CFG-019"} <= set(found)
    assert "inferred" == found["BOX-006"]["verdict"]
    assert found["BOX-006"]["fix"].startswith("Box SFR")
    code, out, _ = doors_box(
        "--address", "127.0.0.1", "--kind", "upnp", "--answers", str(file), "--lang", "fr"
    )
    assert 1 == code
    assert "CFG-019" in out


@contextmanager
def _tls(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A server whose certificate nobody trusts; everything it was told after the handshake."""
    import socket

    key, told = ec.generate_private_key(ec.SECP256R1()), list[bytes]()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mabbox.bytel.fr")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(start).not_valid_after(start + timedelta(days=9))
    pem = folder / "pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                plain, _ = server.accept()
                with plain, context.wrap_socket(plain, server_side=True) as secured:
                    told.append(secured.recv(4096))
            except OSError:
                continue

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield server.getsockname()[1], told
        finally:
            stop.set()
            thread.join()


async def test_a_bbox_that_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A box whose certificate is not the maker's is told no password."""
    monkeypatch.setattr(asking, "is_loopback", lambda _: False)
    with _tls(tmp_path) as (port, told):
        where = Where(parse_address("127.0.0.1"), port)
        seen: list[Any] = await examine(Asking(where, Kind.BBOX, Login("", PASSWORD)), upnp=False)
    assert not [one for one in told if one]
    assert {Reason.PROTOCOL} == {one.reason for one in seen if isinstance(one, Miss)}
