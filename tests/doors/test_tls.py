"""TLS doors: a certificate that is asked for, one that anybody can make, old versions, weak certificates."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from huisclos.clock import now
from huisclos.doors.probes.tls import certificate_facts
from huisclos.findings.evidence import Key
from tests.doors.auditing import closed_doors, open_doors, probe, started
from tests.doors.scripted import scripted
from tests.tools import program


def certificate(folder: Path, name: str, *, bits: int = 2048, days: int = 300) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key, in files."""
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = now() - dt.timedelta(days=30)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return paths


def _storescp(folder: Path, port: int, *options: str) -> Any:
    cert, key = certificate(folder, "server")
    command = [program("storescp"), "--ignore", "+tls", str(key), str(cert), *options, str(port)]
    return started(command, port, folder)


@pytest.mark.parametrize("demands", [True, False])
def test_a_second_receiver_over_tls(tmp_path: Path, free_port: Callable[[], int], *, demands: bool) -> None:
    """DCMTK's dcmrecv, which refuses nobody by title, is closed by its authority's certificates alone."""
    port = free_port()
    cert, key = certificate(tmp_path, "server")
    authority, _ = certificate(tmp_path, "authority")
    wanted = ("--require-peer-cert", "+cf", str(authority)) if demands else ("--ignore-peer-cert",)
    with started([program("dcmrecv"), "+tls", str(key), str(cert), *wanted, str(port)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}")
    if demands:
        assert {"DCM-016", "DCM-017"} <= closed_doors(report)
        assert "DCM-003" not in open_doors(report)
    else:
        assert {"DCM-003", "DCM-016"} <= set(open_doors(report))


def test_a_server_that_asks_for_no_certificate(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """TLS without client certificates is sealed on the way, and open to all; no port tells its protocol."""
    port = free_port()
    with _storescp(tmp_path, port, "--ignore-peer-cert"):
        report = probe(f"127.0.0.1:{port}")
    assert {"DCM-003", "DCM-016"} <= set(open_doors(report))
    assert {"DCM-015", "DCM-020"} <= closed_doors(report)


def test_a_server_that_asks_for_a_certificate(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """One that takes only its own authority's certificates is closed, also to one made for the question."""
    port = free_port()
    authority, _ = certificate(tmp_path, "authority")
    with _storescp(tmp_path, port, "--require-peer-cert", "+cf", str(authority)):
        report = probe(f"127.0.0.1:{port}")
    assert {} == {check: known for check, known in open_doors(report).items() if check != "DCM-018"}
    assert {"DCM-016", "DCM-017"} <= closed_doors(report)


def test_a_web_server_that_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    """A web server over TLS that says nothing to what is no line of HTTP is asked as one all the same."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "web"))
    page = b'{"ApiVersion": 1, "Version": "1.10.1", "Name": "Orthanc"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    whole = head % len(page) + page

    def script(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as sealed:
            held = b""
            while raw := sealed.recv(65536):
                held += raw
                if b"\r\n\r\n" in held:
                    held = b""
                    sealed.sendall(whole)

    with scripted(script) as server:
        report = probe(f"https://127.0.0.1:{server.port}", seconds=1.0)
    assert "WEB-001" in open_doors(report)


@pytest.mark.parametrize(("days", "check"), [(3000, True), (20, True), (300, False)])
def test_certificates_out_of_their_time(tmp_path: Path, days: int, check: bool) -> None:
    """Expired and over-long certificates are told by their days; a good one is not."""
    path, _ = certificate(tmp_path, "one", days=days)
    der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)
    found = {fact.key: fact.value for fact in certificate_facts(der, now())}
    left, width = found[Key.DAYS], found[Key.WIDTH]
    assert check == (int(left) < 0 or int(width) > 825)
    assert "one" not in str(found)


def test_no_certificate_is_read_from_noise() -> None:
    """Bytes that are none say nothing."""
    assert () == certificate_facts(b"\x30\x03\x02\x01\x01", now())
