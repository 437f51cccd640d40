"""Where imaging lies on a web server, and what answers the same to everything."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from huisclos.findings.nouns import Reason, Verdict
from tests.doors.auditing import closed_doors, open_doors, probe, untested, web_server
from tests.doors.test_web import HTML, JSON, SYSTEM, Answers

PLUGINS = b'[ "dicom-web", "explorer.js" ]'
ASKED = (401, {"WWW-Authenticate": 'Basic realm="practice"'}, b"")


def _orthanc(path: str) -> Answers:
    if path.endswith("/system"):
        return 200, JSON, SYSTEM
    if path.endswith("/plugins"):
        return 200, JSON, PLUGINS
    if "/dicom-web/studies?" in path:
        return 200, JSON, b"[]"
    return 404, {}, b"no"


@pytest.mark.parametrize("url", ["", "/orthanc/", "/orthanc/app/explorer.html", "/imaging/pacs/ui/"])
def test_an_orthanc_below_a_path_of_a_proxy(url: str) -> None:
    """Orthanc is found below the path that a URL leads to, and where proxies usually put it."""
    base = "/imaging/pacs" if "pacs" in url else "/orthanc"
    with web_server(
        lambda path, _: _orthanc(path) if path.startswith(f"{base}/") else (404, HTML, b"no")
    ) as (port, asked):
        report = probe(f"http://127.0.0.1:{port}{url}")
    found = open_doors(report)
    assert {"WEB-001", "WEB-013", "WEB-014", "WEB-015"} <= set(found)
    assert Verdict.INFERRED is found["WEB-015"]
    assert {"GET", "OPTIONS"} >= {line.partition(" ")[0] for line in asked}


@pytest.mark.parametrize("answer", [(204, {}, b""), (200, JSON, b"[]"), (200, JSON, SYSTEM[:1] + b"}")])
def test_the_same_answer_to_everything_is_no_door(answer: Answers) -> None:
    """A server that says "nothing" or "done" to any address has not searched for a canary."""
    with web_server(lambda _path, _headers: answer) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert set() == {"WEB-013", "WEB-014", "WEB-015", "WEB-022"} & set(open_doors(report))
    assert {"WEB-001", "WEB-013", "WEB-014", "WEB-015"} <= closed_doors(report)


def test_a_login_before_everything_closes_each_door() -> None:
    """Whoever asks at a proxy with a login is told which doors that closes."""
    with web_server(lambda _path, _headers: ASKED) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert {"WEB-001", "WEB-013", "WEB-014", "WEB-015"} <= closed_doors(report)
    assert {"WEB-022"} == set(open_doors(report))


def test_a_client_certificate_before_everything_closes_each_door() -> None:
    """What nginx says to a caller without a certificate is a no to every question."""
    no = b"<title>400 No required SSL certificate was sent</title>"
    with web_server(lambda _path, _headers: (400, HTML, no)) as (port, asked):
        report = probe(f"http://127.0.0.1:{port}")
    assert {"WEB-001", "WEB-013", "WEB-014", "WEB-015"} <= closed_doors(report)
    assert 2 == len(asked)


def test_a_server_that_fails_is_not_called_closed() -> None:
    """A proxy whose backend is away says nothing of the doors behind it."""
    with web_server(lambda _path, _headers: (502, HTML, b"bad gateway")) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert Reason.FAULT is untested(report)["WEB-001"]
    assert set() == closed_doors(report)


@pytest.mark.parametrize(
    ("allow", "is_open"), [({"Allow": "GET, POST"}, True), ({"Allow": "GET"}, False), ({}, None)]
)
def test_storing_is_told_by_what_is_allowed(allow: Mapping[str, str], is_open: bool | None) -> None:
    """A server that does not say whether it takes images has not said that it does not."""

    def respond(path: str, _headers: Mapping[str, str]) -> Answers:
        if path == "/dicom-web/studies":
            return 405, allow, b""
        return _orthanc(path) if path.startswith("/dicom-web") else (404, {}, b"none")

    with web_server(respond) as (port, _):
        report = probe(f"http://127.0.0.1:{port}")
    assert (is_open is True) == ("WEB-016" in open_doors(report))
    assert (is_open is False) == ("WEB-016" in closed_doors(report))
    assert (is_open is None) == ("WEB-016" in untested(report))
