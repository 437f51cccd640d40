"""Configurations: each wrong key is found, each right one is not, hostile files cannot be read."""

from __future__ import annotations

import json
import plistlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.config import orthanc, others, proxies
from huisclos.doors.config.files import Places, read_configs
from huisclos.errors import Unreadable
from huisclos.findings.nouns import Language, Reach, Reason
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested

CLOSED = {
    "DicomAet": "PRACTICE",
    "RemoteAccessAllowed": False,
    "DicomCheckCalledAet": True,
    "DicomCheckModalityHost": True,
    "DicomTlsEnabled": True,
}


def read(*paths: Path, environment: Mapping[str, str] | None = None) -> Report:
    """The report on configurations."""
    audit = Audit("config", Language.EN, now())
    audit.take(read_configs(paths, Places(), environment), now())
    return audit.report()


@pytest.mark.parametrize(
    ("settings", "check"),
    [
        ({"RemoteAccessAllowed": True, "AuthenticationEnabled": False, "SslEnabled": True}, "CFG-001"),
        ({"RemoteAccessAllowed": True, "SslEnabled": True}, "CFG-002"),
        ({"RegisteredUsers": {"alice": "alicePassword"}}, "CFG-003"),
        ({"RegisteredUsers": {"bob": "bob"}}, "CFG-003"),
        ({"DicomAlwaysAllowFind": True}, "CFG-004"),
        ({"DicomAlwaysAllowFindWorklist": True}, "CFG-004"),
        ({"DicomCheckCalledAet": False}, "CFG-005"),
        ({"DicomTlsEnabled": False}, "CFG-006"),
        ({"DicomTlsRemoteCertificateRequired": False}, "CFG-006"),
        ({"HttpsVerifyPeers": False}, "CFG-007"),
        ({"ExecuteLuaEnabled": True}, "CFG-008"),
        ({"OrthancPeers": {"away": ["https://8.8.8.8/"]}}, "CFG-018"),
        ({"DicomModalities": {"away": {"AET": "A", "Host": "2001:4860::8", "Port": 104}}}, "CFG-018"),
    ],
)
def test_orthanc_by_each_wrong_key(tmp_path: Path, settings: dict[str, Any], check: str) -> None:
    """One wrong key opens one check; without it nothing is open."""
    path = tmp_path / "orthanc.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(CLOSED))
    assert {} == open_doors(read(path))
    path.write_text(json.dumps(CLOSED | settings))
    assert {check} == set(open_doors(read(path)))


def test_orthanc_with_comments_files_and_environment(tmp_path: Path) -> None:
    """Comments go but not from texts, files of a folder are merged, the environment has the last word."""
    (tmp_path / "a.json").write_text(
        '/* a // b */ {"DicomAet": "A//B", // own\n "RemoteAccessAllowed": true, "SslEnabled": true,'
        ' "DicomCheckCalledAet": true, "DicomCheckModalityHost": true, "DicomTlsEnabled": true}'
    )
    (tmp_path / "b.json").write_text('{"RegisteredUsers": {"practice": "sturdy-words-of-its-own"}}')
    (tmp_path / "b.json").chmod(0o600)
    assert {} == open_doors(read(tmp_path))
    opened = read(tmp_path, environment={"ORTHANC__AUTHENTICATION_ENABLED": "false"})
    assert {"CFG-001"} == set(open_doors(opened))
    (tmp_path / "b.json").chmod(0o644)
    assert {"CFG-009"} == set(open_doors(read(tmp_path)))


def test_a_secret_is_never_in_the_report(tmp_path: Path) -> None:
    """Neither the password nor the name nor the file's own name gets into a report."""
    path = tmp_path / "MARTIN LEA orthanc.json"
    path.write_text(json.dumps({"RegisteredUsers": {"drmartin": "drmartin"}, "RemoteAccessAllowed": True}))
    text = str(read(tmp_path))
    assert "CFG-003" in text
    assert "drmartin" not in text
    assert "MARTIN" not in text


NGINX = (
    "events {} http { server { listen 443 ssl; %s"
    " location /dicom-web/ { %s proxy_pass http://127.0.0.1:8042; } } }"
)
FILES: list[tuple[str, str, str, bool]] = [
    ("CFG-014", "nginx.conf", NGINX % ("", ""), True),
    ("CFG-014", "nginx.conf", NGINX % ('auth_basic "x";', ""), False),
    ("CFG-014", "nginx.conf", NGINX % ('auth_basic "x";', "auth_basic off;"), True),
    ("CFG-014", "nginx.conf", NGINX % ("", "auth_request /login;"), False),
    ("CFG-014", "nginx.conf", NGINX % ("ssl_verify_client on;", ""), False),
    ("CFG-014", "nginx.conf", NGINX % ('auth_basic "x";', "add_header Access-Control-Allow-Origin *;"), True),
    ("CFG-014", "nginx.conf", "server { root /srv/images; autoindex on; }", True),
    (
        "CFG-014",
        "site.conf",
        "<VirtualHost *:443>\nProxyPass /orthanc http://127.0.0.1:8042/\n</VirtualHost>",
        True,
    ),
    (
        "CFG-014",
        "site.conf",
        "<VirtualHost *:443>\nProxyPass /orthanc http://127.0.0.1:8042/\nRequire valid-user\n</VirtualHost>",
        False,
    ),
    ("CFG-014", "Caddyfile", "images.example {\n  reverse_proxy 127.0.0.1:8042\n}\n", True),
    (
        "CFG-014",
        "Caddyfile",
        "images.example {\n  basic_auth {\n    a b\n  }\n  reverse_proxy 127.0.0.1:8042\n}\n",
        False,
    ),
    ("CFG-015", "compose.yaml", "services: {pacs: {image: orthanc, ports: ['8042:8042']}}", True),
    ("CFG-015", "compose.yaml", "services: {pacs: {image: orthanc, ports: ['127.0.0.1:8042:8042']}}", False),
    ("CFG-015", "compose.yaml", "services: {p: {image: x, ports: [{target: 4242, published: 4242}]}}", True),
    (
        "CFG-015",
        "compose.yaml",
        "services: {p: {image: x, ports: [{target: 4242, host_ip: 192.168.1.2}]}}",
        False,
    ),
    ("CFG-015", "compose.yaml", "services: {orthanc: {image: x, network_mode: host}}", True),
    ("CFG-010", "acrnema.map", "CT01 192.168.1.20 104 un\nV*  *  1234 un\n", True),
    ("CFG-010", "acrnema.map", "CT01 192.168.1.20 104 un\n", False),
    ("CFG-010", "dicom.ini", "MyACRNema = A\nviewOnly = 0\nreadOnly = 0\n", True),
    ("CFG-010", "dicom.ini", "MyACRNema = A\nviewOnly = 1\nreadOnly = 1\n", False),
    ("CFG-011", "export.ldif", "dn: dicomAETitle=A\nobjectClass: dcmNetworkAE\ndicomAETitle: A\n", True),
    (
        "CFG-011",
        "export.ldif",
        "dn: dicomAETitle=A\nobjectClass: dcmNetworkAE\ndcmAcceptedCallingAETitle: CT01\n",
        False,
    ),
]


@pytest.mark.parametrize(("check", "name", "text", "is_open"), FILES)
def test_each_reader_both_ways(tmp_path: Path, check: str, name: str, text: str, is_open: bool) -> None:
    """What is open is found; what is closed is read, and closed."""
    (tmp_path / name).write_text(text)
    report = read(tmp_path / name)
    assert ({check} if is_open else set()) == set(open_doors(report))
    assert is_open or check in closed_doors(report)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("preferences", "is_open"),
    [
        ({"AETITLE": "MAC", "STORESCP": "1"}, True),
        ({"AETITLE": "MAC", "STORESCP": False}, False),
        ({"STORESCP": "0", "httpWebServer": True}, True),
        ({"STORESCP": 0, "httpWebServer": 1, "passwordWebServer": 1, "encryptedWebServer": 1}, False),
    ],
)
def test_the_preferences_of_a_mac(
    tmp_path: Path, preferences: dict[str, Any], is_open: bool, binary: bool
) -> None:
    """Horos out of the box listens and answers; with its listener off it does not."""
    path = tmp_path / "com.horosproject.horos.plist"
    path.write_bytes(plistlib.dumps(preferences, fmt=plistlib.FMT_BINARY if binary else plistlib.FMT_XML))
    assert is_open == ("CFG-012" in open_doors(read(path)))


def test_includes_are_followed_and_bounded(tmp_path: Path) -> None:
    """A login in an included file counts; a file that includes itself ends."""
    (tmp_path / "login.inc").write_text('auth_basic "x";')
    (tmp_path / "nginx.conf").write_text(NGINX % ("include login.inc;", ""))
    assert {} == open_doors(read(tmp_path / "nginx.conf"))
    (tmp_path / "loop.conf").write_text("server { include loop.conf; }")
    read(tmp_path / "loop.conf")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A missing file, one of nobody's and a broken one are untested, not closed."""
    (tmp_path / "orthanc.json").write_text("{")
    assert {"*": Reason.UNREADABLE} == untested(read(tmp_path / "absent"))
    assert "*" in untested(read(tmp_path / "orthanc.json"))


def test_reach_is_the_configurations() -> None:
    """A password that only this machine can try is a milder door."""
    settings = {one.name: one for one in orthanc.judge_settings({"RegisteredUsers": {"a": "a"}})}
    assert Reach.LOOPBACK is settings["known-password"].reach


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)


def test_a_bomb_of_references_does_not_grow() -> None:
    """A YAML file of nested references is read as what it is."""
    assert [] == others.judge_compose(BOMB + "services: *m\n")


@given(st.text(alphabet="{}[]\";:/*\\ abcON*<>=\n'#", max_size=300))
def test_readers_take_anything(text: str) -> None:
    """No text makes a reader stumble: it is read, or it is `Unreadable`."""
    readers = (
        orthanc.parse, others.judge_compose, others.judge_ini, others.judge_map, others.judge_ldif,
        proxies.judge_apache, proxies.judge_caddy,
        lambda one: proxies.judge_nginx(proxies.parse_nginx(one, lambda _: [])),
        lambda one: others.judge_plist(one.encode()),
    )  # fmt: skip
    for reader in readers:
        try:
            reader(text)
        except Unreadable:
            continue
