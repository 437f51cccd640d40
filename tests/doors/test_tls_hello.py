"""The hello of our own: a property for the parser, and real servers of each version."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.doors.probes.hello import (
    ANY,
    NAMES,
    RSA_ONLY,
    WEAK,
    Alerted,
    Chosen,
    NotTlsAnswer,
    Version,
    client_hello,
    kind_of,
    read_answer,
)
from tests.doors.auditing import closed_doors, open_doors, probe
from tests.doors.test_tls import certificate
from tests.fuzz.fuzz_tls_hello import server_hello


@given(st.sampled_from(Version), st.integers(0, 0xFFFF), st.binary(max_size=64), st.integers(0, 200))
def test_an_answer_is_read_however_it_is_cut(version: Version, suite: int, rest: bytes, cut: int) -> None:
    """Fewer bytes mean more must come; what follows the hello changes nothing."""
    extensions = b"\0\x2b\0\x02" + version.to_bytes(2, "big") if version is Version.TLS_1_3 else b""
    whole = server_hello(min(version, Version.TLS_1_2), suite, extensions)
    assert Chosen(version, suite) == read_answer(whole + rest)
    assert read_answer(whole[: min(cut, len(whole) - 1)]) is None


@given(st.binary(max_size=400))
def test_noise_is_refused_or_waited_for(data: bytes) -> None:
    """Any bytes give an answer, a wish for more, or the one refusal."""
    with contextlib.suppress(NotTlsAnswer):
        assert read_answer(data) is None or read_answer(data) is not None


def test_an_alert_is_told() -> None:
    """protocol_version (70) is what a server in order says."""
    assert Alerted(2, 70) == read_answer(bytes.fromhex("15030100020246"))


def test_each_suite_has_at_most_one_weakness() -> None:
    """What is offered as weak has a word, what is offered as good has none."""
    assert all(kind_of(suite) for suite in (*WEAK, *RSA_ONLY))
    assert kind_of(0xC02F) is None
    assert len(set(ANY)) == len(ANY)


@given(st.sampled_from(Version), st.binary(min_size=32, max_size=32), st.sampled_from(["", "pacs.invalid"]))
def test_what_is_said_is_well_formed(version: Version, random: bytes, name: str) -> None:
    """Every length in a ClientHello is that of what it counts."""
    raw = client_hello(version, ANY, random, name)
    assert len(raw) == 5 + int.from_bytes(raw[3:5], "big")
    assert len(raw) == 9 + int.from_bytes(raw[6:9], "big")
    assert raw[9:11] == version.to_bytes(2, "big")


@contextlib.contextmanager
def _tls_server(context: ssl.SSLContext, answer: bytes) -> Iterator[int]:
    """A server of one answer, each connection on a thread of its own."""
    stop = threading.Event()

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), plain:
            plain.settimeout(3.0)
            with context.wrap_socket(plain, server_side=True) as sealed:
                while sealed.recv(4096):
                    sealed.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def accept() -> None:
            threads = []
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    threads.append(threading.Thread(target=serve, args=(server.accept()[0],)))
                    threads[-1].start()
            for thread in threads:
                thread.join()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            accepting.join()


PAGE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("least", "most", "ciphers", "found"),
    [
        (
            ssl.TLSVersion.TLSv1,
            ssl.TLSVersion.TLSv1_2,
            "DEFAULT:@SECLEVEL=0",
            {"TLSv1.0", "no-forward-secrecy"},
        ),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, "ECDHE+AESGCM", set()),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "AES128-SHA:ECDHE+AESGCM", {"no-forward-secrecy"}),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "ECDHE+AESGCM", set()),
    ],
)
def test_servers_of_each_version(
    tmp_path: Path, least: ssl.TLSVersion, most: ssl.TLSVersion, ciphers: str, found: set[str]
) -> None:
    """What a server takes is found, down to the lowest; what it does not take is not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "server"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = least, most
        context.set_ciphers(ciphers)
    with _tls_server(context, PAGE) as port:
        report = probe(f"https://127.0.0.1:{port}", seconds=3.0)
    shown = {
        str(fact.value)
        for one in report.findings
        if one.check == "WEB-023"
        for fact in one.evidence
        if fact.value in (*NAMES.values(), "no-forward-secrecy")
    }
    assert bool(found) == ("WEB-023" in open_doors(report))
    assert shown <= found
    assert bool(found) or "WEB-023" in closed_doors(report)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("demands", [True, False])
def test_a_certificate_is_demanded_in_each_version(
    tmp_path: Path, version: ssl.TLSVersion, *, demands: bool
) -> None:
    """TLS 1.3 refuses a client without one only at the first read; both versions are told right."""
    path, key = certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    context.minimum_version = context.maximum_version = version
    if demands:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(path)
    reject = bytes.fromhex("03000000000400010107")
    with _tls_server(context, reject) as port:
        report = probe(f"127.0.0.1:{port}", seconds=3.0, called="ARCHIVE")
    assert "DCM-016" not in open_doors(report)
    if demands:
        assert {"DCM-016", "DCM-017"} <= closed_doors(report)
