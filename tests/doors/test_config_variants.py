"""Configurations as people write them: no variant hides an open door, none makes a closed one look open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.doors.auditing import open_doors
from tests.doors.test_config import read

TO = "proxy_pass http://127.0.0.1:8042;"
PLACE = "server { %s location / { %s } }"
BLOG = "server { server_name %s; location / { proxy_pass http://127.0.0.1:8080; } }"
ORTHANC = "services: {orthanc: {image: orthancteam/orthanc, %s}}"
ARC = "services: {arc: {image: 'dcm4che/dcm4chee-arc-psql:5.35.2-secure%s'}}"
VHOST = "<VirtualHost *:80>\nCustomLog a b\n%s\n</VirtualHost>\n"
PASS = "ProxyPass / http://127.0.0.1:8042/\n"
BY = (
    "ProxyPass /images/ balancer://b/\n<Proxy balancer://b>\nBalancerMember http://127.0.0.1:8042\n</Proxy>\n"
)

VARIANTS: list[tuple[str, str, str, bool]] = [
    (
        "CFG-014",
        "a.conf",
        "upstream b { server a:8042; } " + PLACE % ("", "proxy_pass http://b;"),
        True,
    ),
    ("CFG-014", "a.conf", "server { set $up http://orthanc:80; location / { proxy_pass $up; } }", True),
    ("CFG-014", "a.conf", PLACE % ("", "allow all; deny all; " + TO), True),
    ("CFG-014", "a.conf", PLACE % ("", "allow 0.0.0.0/0; deny all; " + TO), True),
    ("CFG-014", "a.conf", PLACE % ("", "allow 192.168.1.0/24; deny all; " + TO), False),
    (
        "CFG-014",
        "a.conf",
        BLOG % "blog.example",
        False,
    ),
    (
        "CFG-014",
        "a.conf",
        BLOG % "pacs.example",
        True,
    ),
    ("CFG-014", "a.conf", "server { location /fonts/ { add_header Access-Control-Allow-Origin *; } }", False),
    ("CFG-014", "a.conf", "server { location /mirror/ { root /srv; autoindex on; } }", False),
    ("CFG-014", "a.conf", VHOST % (PASS + "<Location />\nRequire valid-user\n</Location>"), False),
    ("CFG-014", "a.conf", VHOST % (PASS + "<Location /admin>\nRequire valid-user\n</Location>"), True),
    ("CFG-014", "a.conf", VHOST % (PASS + "<Proxy *>\nRequire valid-user\n</Proxy>"), False),
    ("CFG-014", "a.conf", VHOST % (PASS + "SSLVerifyClient require"), False),
    (
        "CFG-014",
        "a.conf",
        VHOST
        % (
            PASS + "<Location />\nRequire valid-user\n</Location>\n"
            "<Location /dicom-web>\nRequire all granted\n</Location>"
        ),
        True,
    ),
    ("CFG-014", "a.conf", VHOST % "RewriteRule ^/(.*)$ http://127.0.0.1:8042/$1 [P,L]", True),
    ("CFG-014", "a.conf", VHOST % BY, True),
    ("CFG-014", "a.conf", VHOST % "<Directory /var/www>\nOptions Indexes\n</Directory>", False),
    ("CFG-014", "Caddyfile", "a.example\nlog\nreverse_proxy localhost:8042\n", True),
    ("CFG-014", "Caddyfile", "{$DOMAIN} {\n log\n reverse_proxy orthanc:8042\n}\n", True),
    (
        "CFG-014",
        "Caddyfile",
        "a {\n log\n @far not remote_ip private_ranges\n respond @far 403\n reverse_proxy b:8042\n}\n",
        False,
    ),
    (
        "CFG-014",
        "Caddyfile",
        "a {\n log\n basic_auth /admin/* {\n  a b\n }\n reverse_proxy /dicom-web/* b:8042\n}\n",
        True,
    ),
    ("CFG-010", "acrnema.map", "/* ****\n * AE  host  port *\n **** */\nCT01 192.168.1.20 104 un\n", False),
    ("CFG-011", "a.ldif", "dn: a\nobjectClass: dcmNetworkAE\ndcmAcceptedCallingAETitle:: Q1QwMQ==\n", False),
    ("CFG-015", "compose.yaml", ORTHANC % "ports: ['4240-4245:4240-4245']", True),
    ("CFG-015", "compose.yaml", "services: {blog: {image: tomcat, ports: ['8080:8080']}}", False),
    ("CFG-015", "compose.yaml", ORTHANC % "ports: ['${HTTP:-8042}:8042']", True),
    ("CFG-015", "compose.yaml", ORTHANC % "ports: ['${BIND:-127.0.0.1}:8042:8042']", False),
    (
        "CFG-001",
        "compose.yaml",
        ORTHANC % "environment: ['ORTHANC__AUTHENTICATION_ENABLED=${A:-false}']",
        True,
    ),
    (
        "CFG-001",
        "compose.yaml",
        'configs: {o: {content: \'{"RemoteAccessAllowed": true, "AuthenticationEnabled": false}\'}}',
        True,
    ),
    (
        "CFG-011",
        "compose.yaml",
        ARC % "-ui",
        True,
    ),
    ("CFG-011", "compose.yaml", ARC % "", False),
    (
        "CFG-001",
        "orthanc.json",
        '{"HttpServerEnabled": false, "RemoteAccessAllowed": true, "AuthenticationEnabled": false}',
        False,
    ),
    (
        "CFG-001",
        "orthanc.json",
        '{"RemoteAccessAllowed": true, "AuthenticationEnabled": ${LOGIN:-false}}',
        True,
    ),
    ("CFG-007", "orthanc.json", '{"HttpPort": 8042, "SslMinimumProtocolVersion": 1}', False),
    ("CFG-004", "orthanc.json", '{"DicomAlwaysAllowFindWorklist": true}', True),
]


@pytest.mark.parametrize(("check", "name", "text", "is_open"), VARIANTS)
def test_variants_both_ways(tmp_path: Path, check: str, name: str, text: str, is_open: bool) -> None:
    """However it is written, what is open is found and what is closed is not called open."""
    (tmp_path / name).write_text(text)
    assert is_open == (check in open_doors(read(tmp_path / name)))


def test_a_file_of_variables_beside(tmp_path: Path) -> None:
    """`env_file` and `.env` count; what `environment` says stands over them."""
    (tmp_path / "o.env").write_text("# ours\nexport ORTHANC__AUTHENTICATION_ENABLED='false'\n")
    (tmp_path / ".env").write_text("BIND=127.0.0.1\n")
    path = tmp_path / "compose.yaml"
    path.write_text(ORTHANC % "env_file: [{path: ./o.env}], ports: ['${BIND}:8042:8042']")
    assert "CFG-001" in (found := open_doors(read(path)))
    assert "CFG-015" not in found
    path.write_text(ORTHANC % "env_file: o.env, environment: [ORTHANC__AUTHENTICATION_ENABLED=true]")
    assert "CFG-001" not in open_doors(read(path))


def test_orthanc_by_variables_inside(tmp_path: Path) -> None:
    """`${NAME}` in Orthanc's own file is what its environment says."""
    path = tmp_path / "orthanc.json"
    path.write_text('{"RemoteAccessAllowed": true, "AuthenticationEnabled": ${LOGIN}}')
    assert "CFG-001" in open_doors(read(path, environment={"LOGIN": "false"}))
    assert "CFG-001" not in open_doors(read(path, environment={"LOGIN": "true"}))


def test_what_is_included_is_judged_where_it_is_included(tmp_path: Path) -> None:
    """A login around an `include` holds for it; a file that nobody includes is judged by itself."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text(PLACE % ("include snippets/b;", TO))
    (tmp_path / "nginx.conf").write_text('http { auth_basic "x"; limit_req zone=a; include conf.d/*.conf; }')
    assert {} == open_doors(read(tmp_path))
    assert {"CFG-014"} == set(open_doors(read(tmp_path / "conf.d")))
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "b").write_text("auth_request /login;")
    assert {} == open_doors(read(tmp_path / "conf.d"))


def test_a_site_has_any_name(tmp_path: Path) -> None:
    """Debian's sites have no ending; they are read all the same."""
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "sites-enabled" / "default").write_text(PLACE % ("", TO))
    assert {"CFG-014"} == set(open_doors(read(tmp_path)))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe in the place of a configuration, or named by one, keeps no audit waiting."""
    os.mkfifo(tmp_path / "site.conf")
    os.mkfifo(tmp_path / "told.env")
    service = (
        "environment: {ORTHANC__REMOTE_ACCESS_ALLOWED: 'true'}, env_file: told.env, ports: ['8042:8042']"
    )
    (tmp_path / "compose.yml").write_text(ORTHANC % service)
    assert "CFG-015" in open_doors(read(tmp_path))
