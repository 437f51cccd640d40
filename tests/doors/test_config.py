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
from huisclos.doors.config import apache, caddy, compose, orthanc, others, proxies, shares
from huisclos.doors.config.files import Places, read_configs
from huisclos.errors import Unreadable
from huisclos.findings.nouns import Language, Reach, Reason, Verdict
from huisclos.findings.report import Report
from tests.doors.auditing import closed_doors, open_doors, untested

CLOSED = {
    "DicomAet": "PRACTICE",
    "RemoteAccessAllowed": False,
    "DicomCheckCalledAet": True,
    "DicomCheckModalityHost": True,
    "DicomTlsEnabled": True,
    "WebDavEnabled": False,
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
        ({"ExecuteLuaEnabled": True}, "WEB-005"),
        ({"RestApiWriteToFileSystemEnabled": True}, "CFG-008"),
        ({"StorageCompression": True}, "RST-024"),
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
        ' "DicomCheckCalledAet": true, "DicomCheckModalityHost": true, "DicomTlsEnabled": true,'
        ' "WebDavEnabled": false}'
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
    "events {} http { server { listen 443 ssl; limit_req zone=a burst=5; %s"
    " location /dicom-web/ { %s proxy_pass http://127.0.0.1:8042; } } }"
)
APACHE = "<VirtualHost *:443>\nCustomLog a.log combined\nProxyPass /orthanc http://127.0.0.1:8042/\n%s</VirtualHost>"
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
        APACHE % "",
        True,
    ),
    (
        "CFG-014",
        "site.conf",
        APACHE % "Require valid-user\n",
        False,
    ),
    ("CFG-014", "Caddyfile", "images.example {\n  log\n  reverse_proxy 127.0.0.1:8042\n}\n", True),
    (
        "CFG-014",
        "Caddyfile",
        "images.example {\n  log\n  basic_auth {\n    a b\n  }\n  reverse_proxy 127.0.0.1:8042\n}\n",
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


TRAEFIK = """
http:
  routers:
    images: {rule: "Host(`images.example`)", service: pacs%s}
  services:
    pacs: {loadBalancer: {servers: [{url: "http://orthanc:8042"}]}}
  middlewares:
    who: {basicAuth: {users: ["a:b"]}}
    fast: {rateLimit: {average: 1}}
"""
WILDFLY = (
    '<server xmlns="urn:jboss:domain:20.0"><deployments>'
    '<deployment name="dcm4chee-arc-ear-5.35.2-psql%s.ear"/></deployments></server>'
)
LABELS = "services: {orthanc: {image: x, labels: ['traefik.http.routers.a.rule=Host(`a`)'%s]}}"
FILES += [
    ("LOG-003", "nginx.conf", NGINX % ('auth_basic "x"; access_log off;', ""), True),
    ("LOG-003", "nginx.conf", NGINX % ('auth_basic "x"; access_log off;', "access_log /a;"), False),
    ("LOG-003", "traefik.yml", "entryPoints: {web: {address: ':80'}}", True),
    ("LOG-003", "traefik.yml", "entryPoints: {web: {address: ':80'}}\naccessLog: {}", False),
    ("LOG-003", "traefik.toml", "[entryPoints.web]\naddress = ':80'\n[accessLog]\n", False),
    ("WEB-026", "nginx.conf", NGINX.replace("limit_req", "#\n", 1) % ('auth_basic "x";', ""), True),
    ("CFG-014", "dynamic.yml", TRAEFIK % "", True),
    ("CFG-014", "dynamic.yml", TRAEFIK % ", middlewares: [fast]", True),
    ("CFG-014", "dynamic.yml", TRAEFIK % ", middlewares: [who]", False),
    ("CFG-014", "dynamic.yml", TRAEFIK % ", middlewares: [login-auth@docker]", False),
    ("CFG-014", "compose.yaml", LABELS % "", True),
    ("CFG-014", "compose.yaml", LABELS % ", 'traefik.http.routers.a.middlewares=auth@file'", False),
    (
        "CFG-014",
        "Caddyfile",
        "(in) {\n log\n}\na.example {\n import in\n reverse_proxy orthanc:80\n}\n",
        True,
    ),
    (
        "CFG-014",
        "Caddyfile",
        "(in) {\n log\n forward_auth a:1\n}\na.example {\n import in\n reverse_proxy orthanc:80\n}\n",
        False,
    ),
    ("CFG-011", "standalone.xml", WILDFLY % "", True),
    ("CFG-011", "standalone.xml", WILDFLY % "-secure", False),
    (
        "WEB-028",
        "smb.conf",
        "[global]\nmap to guest = Bad User\n[Images]\npath = /srv\nGuest OK = Yes\n",
        True,
    ),
    (
        "WEB-028",
        "smb.conf",
        "[global]\nguest ok = yes\n[images]\npublic = no\n[homes]\nguest ok = no\n",
        False,
    ),
    ("WEB-029", "exports", "# images\n/srv/images *(ro,no_subtree_check)\n", True),
    ("WEB-029", "exports", "/srv/images\n", True),
    ("WEB-029", "exports", '"/srv/my images" 192.168.1.0/24(rw) ct01(ro)\n', False),
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


def test_includes_of_apache_and_imports_of_caddy(tmp_path: Path) -> None:
    """A login in an included file counts in both; loops end."""
    (tmp_path / "login.inc").write_text("Require valid-user\nCustomLog a.log combined\n")
    site = "<VirtualHost *:443>\nInclude %s\nProxyPass /orthanc http://127.0.0.1:8042/\n</VirtualHost>\n"
    (tmp_path / "site.conf").write_text(site % "login.inc")
    assert {} == open_doors(read(tmp_path / "site.conf"))
    (tmp_path / "site.conf").write_text(site % "site.conf")
    assert {"CFG-014", "LOG-003"} == set(open_doors(read(tmp_path / "site.conf")))
    (tmp_path / "in.caddy").write_text("(who) {\n log\n basic_auth {\n  a b\n }\n}\n")
    (tmp_path / "Caddyfile").write_text(
        "import in.caddy\na.example {\n import who\n reverse_proxy orthanc:80\n}\n"
    )
    assert {} == open_doors(read(tmp_path / "Caddyfile"))
    (tmp_path / "Caddyfile").write_text("import Caddyfile\n(a) {\n import a\n}\nb {\n import a\n}\n")
    read(tmp_path / "Caddyfile")


def test_apache_logs_in_whichever_file(tmp_path: Path) -> None:
    """One CustomLog for the server has the requests of all its sites written down."""
    (tmp_path / "site.conf").write_text(
        "<VirtualHost *:443>\nProxyPass / http://127.0.0.1:8042/\nRequire valid-user\n</VirtualHost>\n"
    )
    assert {"LOG-003"} == set(open_doors(read(tmp_path)))
    (tmp_path / "logs.conf").write_text("ProxyPass /wado http://a:8042/\nRequire valid-user\nCustomLog a b\n")
    assert {} == open_doors(read(tmp_path))


@pytest.mark.parametrize(
    ("environment", "checks"),
    [
        ("[ORTHANC__AUTHENTICATION_ENABLED=false]", {"CFG-001"}),
        ("{ORTHANC__AUTHENTICATION_ENABLED: false}", {"CFG-001"}),
        ("{ORTHANC__AUTHENTICATION_ENABLED: true}", {"CFG-002"}),
        ("['ORTHANC_JSON={\"AuthenticationEnabled\": false}']", {"CFG-001"}),
        ("{TZ: Europe/Paris}", set()),
        ("[TZ]", set()),
        ("7", set()),
    ],
)
def test_orthanc_in_a_container(tmp_path: Path, environment: str, checks: set[str]) -> None:
    """What compose tells an Orthanc is judged as its configuration."""
    path = tmp_path / "compose.yaml"
    path.write_text(f"services: {{pacs: {{image: orthancteam/orthanc, environment: {environment}}}}}")
    found = set(open_doors(read(path)))
    assert checks == found & {"CFG-001", "CFG-002"}
    assert bool(checks) == bool(found)


@pytest.mark.parametrize(
    ("name", "text", "affected"),
    [
        ("compose.yaml", "services: {pacs: {image: 'jodogne/orthanc-plugins:1.12.3'}}", True),
        ("compose.yaml", "services: {pacs: {image: 'jodogne/orthanc:1.12.11'}}", False),
        ("compose.yaml", "services: {pacs: {image: 'orthancteam/orthanc:25.1.1'}}", False),
        ("compose.yaml", "services: {view: {image: 'ohif/app:v3.8.0'}}", True),
        ("standalone.xml", WILDFLY.replace("5.35.2", "5.35.1") % "-secure", True),
        ("standalone.xml", WILDFLY % "-secure", False),
    ],
)
def test_versions_that_are_named(tmp_path: Path, name: str, text: str, affected: bool) -> None:
    """A tag or a deployment names a version, which is looked up and at most possible."""
    (tmp_path / name).write_text(text)
    found = open_doors(read(tmp_path / name))
    assert affected == (Verdict.INFERRED is found.get("DCM-023"))


@pytest.mark.parametrize(
    ("image", "unknown"),
    [
        ("orthancteam/orthanc", True),
        ("orthancteam/orthanc:25.1.1", True),
        ("jodogne/orthanc-plugins:latest", True),
        ("jodogne/orthanc@sha256:0123", True),
        ("registry.example:5000/jodogne/orthanc", True),
        ("registry.example:5000/jodogne/orthanc:1.12.11", False),
        ("postgres", False),
    ],
)
def test_an_image_without_a_version_is_said_not_to_be_judged(
    tmp_path: Path, image: str, unknown: bool
) -> None:
    """`latest`, or a tag that counts something else, is no version that faults are looked up for."""
    path = tmp_path / "compose.yaml"
    path.write_text(f"services: {{a: {{image: '{image}'}}}}")
    report = read(path)
    assert unknown == (Reason.NO_VERSION is untested(report).get("DCM-023"))
    assert "DCM-023" not in open_doors(report)


def test_hostile_xml_is_not_read(tmp_path: Path) -> None:
    """A billion laughs in WildFly's file or in preferences is untested, and does not grow."""
    laughs = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY a{number} "{f"&a{number - 1 if number else str()};" * 10}">' for number in range(12)
    )
    for name in ("standalone.xml", "com.horosproject.horos.plist"):
        (tmp_path / name).write_text(laughs + "]><a>&a11;</a>")
        assert {"*": Reason.UNREADABLE} == untested(read(tmp_path / name))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A missing file, one of nobody's and a broken one are untested, not closed."""
    (tmp_path / "orthanc.json").write_text('{"DicomAet": ')
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
    assert [] == compose.judge_compose(BOMB + "services: *m\n")


@given(st.text(alphabet="{}[]\";:/*\\ abcON*<>=\n'#", max_size=300))
def test_readers_take_anything(text: str) -> None:
    """No text makes a reader stumble: it is read, or it is `Unreadable`."""
    readers = (
        orthanc.parse, compose.judge_compose, others.judge_ini, others.judge_map, others.judge_ldif,
        apache.judge_apache, caddy.judge_caddy, shares.judge_smb, shares.judge_exports,
        lambda one: others.judge_wildfly(one.encode()),
        lambda one: proxies.judge_nginx(proxies.parse_nginx(one, lambda _: [])),
        lambda one: others.judge_plist(one.encode()),
    )  # fmt: skip
    for reader in readers:
        try:
            reader(text)
        except Unreadable:
            continue
