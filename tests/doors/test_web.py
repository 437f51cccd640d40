"""Web doors, each pair in both directions; nothing of a record is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from huisclos.findings.nouns import Outcome, Reason, Verdict
from tests.doors.auditing import closed_doors, open_doors, probe, started, untested, web_server
from tests.peers.orthanc import PLUGIN, orthanc
from tests.tools import program

Answers = tuple[int, Mapping[str, str], bytes]
JSON = {"Content-Type": "application/dicom+json"}


def test_an_open_orthanc(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Without a password: REST, pages, search and its size are proved open."""
    port = free_port()
    with orthanc(tmp_path / "o", dicom_port=free_port(), http_port=port):
        report = probe(f"http://127.0.0.1:{port}")
    found = open_doors(report)
    assert {"WEB-001", "WEB-003", "WEB-004", "WEB-022"} <= set(found)
    assert Verdict.PROVED is found["WEB-001"]
    assert Verdict.OFFERED is found["WEB-008"]
    assert PLUGIN.exists() == ("WEB-013" in found)
    assert PLUGIN.exists() == ("WEB-014" in found)


def test_an_orthanc_with_a_password(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """With one: closed, but for the password that crosses in clear."""
    port = free_port()
    settings = {"AuthenticationEnabled": True, "RegisteredUsers": {"practice": "a good one"}}
    with (
        pytest.raises(RuntimeError),
        orthanc(tmp_path / "o", dicom_port=free_port(), http_port=port, settings=settings),
    ):
        pass  # its own helper asks without a password and gives up: what runs is started below
    command = [program("Orthanc"), str(tmp_path / "o" / "orthanc.json")]
    with started(command, port, tmp_path):
        report = probe(f"http://127.0.0.1:{port}")
    assert {"WEB-022"} == set(open_doors(report))
    assert {"WEB-001", "WEB-008", "WEB-013"} <= closed_doors(report)
    assert {"WEB-003", "WEB-004", "WEB-006", "WEB-034"} <= closed_doors(report), "each was asked"


@pytest.mark.parametrize("page", ["/app/explorer.html", "/webdav/"])
def test_a_login_at_the_interface_of_orthanc_alone(page: str) -> None:
    """A proxy that guards Orthanc's REST and forgets what lies beside it is found."""
    asks = {"WWW-Authenticate": 'Basic realm="Orthanc Secure Area"'}

    def respond(path: str, _headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        return (200, {"DAV": "1,2"}, b"<title>Orthanc Explorer</title>") if path == page else (401, asks, b"")

    with web_server(respond) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    door = {"/app/explorer.html": "WEB-004", "/webdav/": "WEB-006"}[page]
    assert {door, "WEB-022"} == set(open_doors(report))
    assert "WEB-001" in closed_doors(report)


def test_a_login_on_the_front_page_alone(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """Nginx that asks at / and not at /dicom-web; and one that asks at both."""
    back, front, whole = free_port(), free_port(), free_port()
    (tmp_path / "users").write_text("a:{PLAIN}b\n")
    login = f'auth_basic "images"; auth_basic_user_file {tmp_path}/users;'
    to = f"proxy_pass http://127.0.0.1:{back};"
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;\n"
        f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n"
        f"server {{ listen 127.0.0.1:{front}; location / {{ {login} {to} }}\n"
        f"location /dicom-web/ {{ {to} }} }}\n"
        f"server {{ listen 127.0.0.1:{whole}; location / {{ {login} {to} }} }} }}\n"
    )
    nginx = program("nginx")
    with (
        orthanc(tmp_path / "o", dicom_port=free_port(), http_port=back),
        started([nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], front, tmp_path),
    ):
        half = probe(f"http://127.0.0.1:{front}")
        good = probe(f"http://127.0.0.1:{whole}")
    assert {"WEB-013", "WEB-018"} <= set(open_doors(half))
    assert "WEB-018" not in open_doors(good)
    assert "WEB-013" in closed_doors(good)


def _answering(table: Mapping[str, Answers]) -> Callable[[str, Mapping[str, str]], Answers]:
    def respond(path: str, _headers: Mapping[str, str]) -> Answers:
        for prefix, answer in table.items():
            if path.startswith(prefix):
                return answer
        return 404, {}, b"no such page"

    return respond


HTML = {"Content-Type": "text/html"}
SYSTEM = b'{"ApiVersion": 24, "Version": "1.12.11"}'
CASES: list[tuple[str, dict[str, Answers]]] = [
    (
        "WEB-010",
        {"/dcm4chee-arc/aets": (200, JSON, json.dumps([{"dicomAETitle": "DCM4CHEE"}]).encode())},
    ),
    (
        "WEB-009",
        {
            "/dcm4chee-arc/aets": (200, JSON, json.dumps([{"dicomAETitle": "DCM4CHEE"}]).encode()),
            "/dcm4chee-arc/ui2": (200, HTML, b"<title>dcm4che</title>"),
        },
    ),
    ("WEB-012", {"/cgi-bin/dgate": (200, HTML, b"<title>Conquest DICOM server</title>")}),
    ("WEB-013", {"/rs/studies": (200, JSON, b"[]")}),
    ("WEB-015", {"/wado?requestType": (404, {}, b"none"), "/wado": (400, {}, b"bad request")}),
    ("WEB-024", {"/rs/studies": (200, JSON | {"Access-Control-Allow-Origin": "*"}, b"[]")}),
    ("WEB-032", {"/_ping": (200, {"Api-Version": "1.44", "Server": "Docker/27"}, b"OK")}),
    (
        "WEB-033",
        {
            "/fhir/ImagingStudy": (
                200,
                {"Content-Type": "application/fhir+json"},
                b'{"resourceType":"Bundle"}',
            )
        },
    ),
    (
        "WEB-017",
        {
            "/app-config.js": (200, {}, b"window.config={dataSources:[{configuration:{qidoRoot:'/x/rs'}}]}"),
            "/x/rs/studies": (200, JSON, b"[]"),
            "/?": (404, {}, b""),
            "/dicom-web": (404, {}, b""),
            "/_": (404, {}, b""),
        },
    ),
    (
        "WEB-002",
        {"/system": (401, {"WWW-Authenticate": 'Basic realm="Orthanc Secure Area"'}, b"")},
    ),
    ("WEB-006", {"/system": (200, JSON, SYSTEM), "/webdav/": (200, {"DAV": "1"}, b"")}),
    ("WEB-007", {"/system": (200, JSON, SYSTEM), "/plugins": (200, JSON, b'["dicom-web", "serve-folders"]')}),
    ("WEB-011", {"/": (200, HTML, b"<title>Welcome to WildFly 30</title>")}),
    ("WEB-016", {"/rs/studies": (200, JSON | {"Allow": "GET, POST, OPTIONS"}, b"[]")}),
    ("WEB-019", {"/": (200, HTML, b"<title>Weasis</title>")}),
    ("WEB-025", {"/": (200, HTML | {"Set-Cookie": "session=1"}, b"<title>Weasis</title>")}),
    ("WEB-031", {"/": (200, HTML, b"<title>CABINET - Synology NAS</title>")}),
    (
        "WEB-034",
        {"/system": (200, JSON, SYSTEM), "/tools/metrics-prometheus": (200, {}, b"orthanc_disk_size_mb 1")},
    ),
    ("WEB-020", {"/": (200, HTML, b'<title>Index of /</title><a href="0001.dcm">MARTIN^LEA</a>')}),
    ("WEB-021", {"/DICOMDIR": (206, {}, b"DICM")}),
]


@pytest.mark.parametrize(("check", "table"), CASES, ids=[check for check, _ in CASES])
def test_what_a_server_shows_is_found(check: str, table: dict[str, Answers]) -> None:
    """Each web door on answers as its software gives them."""

    def respond(path: str, headers: Mapping[str, str]) -> Answers:
        if check == "WEB-017" and path == "/":
            return 200, HTML, b"<title>OHIF Viewer</title>"
        if check == "WEB-002" and "Authorization" in headers:
            return 200, JSON, SYSTEM
        return _answering(table)(path, headers)

    with web_server(respond) as (port, asked):
        report = probe(f"http://127.0.0.1:{port}", default_login=True)
    assert check in open_doors(report)
    assert "MARTIN" not in str(report)
    assert {"GET", "OPTIONS"} >= {line.partition(" ")[0] for line in asked}


@pytest.mark.parametrize(("status", "reason"), [(401, Reason.TURNED_AWAY), (404, Reason.NOT_TOLD)])
def test_plugins_that_are_kept_from_us_are_not_told_from_none(status: int, reason: Reason) -> None:
    """A list behind a proxy's login is no list without such plugins; nor is running scripts ever tried."""
    table: dict[str, Answers] = {"/system": (200, JSON, SYSTEM), "/plugins": (status, {}, b"")}
    with web_server(_answering(table)) as (port, asked):
        report = probe(f"http://127.0.0.1:{port}")
    told = {one.check: (one.outcome, one.reason) for one in report.attempts}
    assert told["WEB-007"] == (Outcome.FAILED, reason)
    assert told["WEB-005"] == (Outcome.SKIPPED, Reason.NOT_ASKED)
    assert not [line for line in asked if "execute-script" in line]


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_an_ordinary_web_server_is_not_cried_at(status: int) -> None:
    """A server that gives the same page or the same refusal to everything holds no imaging door."""
    with web_server(lambda _path, _headers: (status, HTML, b"<title>Welcome</title>")) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    # A demand for a password over HTTP is a door of its own.
    assert ({"WEB-022"} if status == 401 else set()) == set(open_doors(report))


def test_a_redirection_is_not_followed() -> None:
    """Wherever an answer leads, nothing but the target is asked."""
    with web_server(lambda _path, _headers: (302, {"Location": "http://203.0.113.9/"}, b"")) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert {} == open_doors(report)


def test_a_viewer_that_points_elsewhere_is_not_followed() -> None:
    """A search address on another host is noted, and left alone."""
    config = b"window.config={qidoRoot:'http://203.0.113.9/rs'}"
    pages: dict[str, Answers] = {"/app-config.js": (200, {}, config), "/dicom": (404, {}, b"")}

    def respond(path: str, headers: Mapping[str, str]) -> Answers:
        return (200, HTML, b"<title>OHIF Viewer</title>") if path == "/" else _answering(pages)(path, headers)

    with web_server(respond) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert "WEB-017" not in open_doors(report)


def test_a_flood_is_cut_off() -> None:
    """A body without an end is read to its bound and no further."""
    flood: dict[str, Any] = {"Content-Type": "text/html"}
    with web_server(lambda _path, _headers: (200, flood, b"<" * 3_000_000)) as (port, _):
        report = probe(f"http://127.0.0.1:{port}", seconds=2.0)
    assert {} == open_doors(report)
    assert {Reason.CONNECTIONS, Reason.SILENT, Reason.TIMED_OUT} >= set(untested(report).values())
