"""Emulated boxes: servers of this process that answer as each maker's interface is documented or seen.

None is a real box. Shapes follow dev.freebox.fr/sdk/os, public Livebox and Bbox clients, SFR's API REST and
AVM's TR-064; descriptions hold invented people, so that a test can look for them in what is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAME = "Mac de Dr MARTIN"
PASSWORD = "invented-password"


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Reply = tuple[int, Mapping[str, str], bytes]
Respond = Callable[[Asked], Reply]


@contextmanager
def served(respond: Respond) -> Iterator[tuple[int, list[Asked]]]:
    """A web server on loopback; its port, and everything it was asked."""
    asked: list[Asked] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            one = Asked(self.command, self.path, dict(self.headers), body)
            asked.append(one)
            status, headers, answer = respond(one)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _json(value: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): one for name, one in headers.items()}
    return status, {"Content-Type": "application/json", **named}, json.dumps(value).encode()


@dataclass
class Freebox:
    """Freebox OS, API 8."""

    token: str = "app-token"
    redirections: list[dict[str, Any]] = field(default_factory=list)
    dmz: bool = False
    upnp: bool = False
    mappings: list[dict[str, Any]] = field(default_factory=list)
    ipv4: str = "9.9.9.9"
    port_range: list[int] = field(default_factory=lambda: [0, 65535])
    six_firewall: bool = True
    routed: str = ""
    remote: bool = False
    ddns: bool = False
    agreed: list[str] = field(default_factory=lambda: ["pending", "granted"])

    def __call__(self, asked: Asked) -> Reply:
        """The answer to one request."""
        if asked.path == "/api_version":
            return _json(
                {"api_version": "8.2", "api_base_url": "/api/", "box_model": "fbxgw8-r1", "device_name": NAME}
            )
        name = asked.path.removeprefix("/api/v8/")
        if name == "login/":
            return _json({"success": True, "result": {"challenge": "Bj6x", "logged_in": False}})
        if name == "login/authorize/":
            return _json({"success": True, "result": {"app_token": self.token, "track_id": 42}})
        if name == "login/authorize/42":
            return _json({"success": True, "result": {"status": self.agreed.pop(0)}})
        if name == "login/session/":
            proof = hmac.new(self.token.encode(), b"Bj6x", "sha1").hexdigest()
            if json.loads(asked.body)["password"] != proof:
                return _json({"success": False, "error_code": "invalid_token"}, 403)
            return _json({"success": True, "result": {"session_token": "a-session"}})
        if asked.headers.get("X-Fbx-App-Auth") != "a-session":
            return _json({"success": False, "error_code": "auth_required"}, 403)
        return _json({"success": True, "result": self._result(name)})

    def _result(self, name: str) -> object:
        return {
            "connection/": {"ipv4": self.ipv4, "ipv4_port_range": self.port_range, "state": "up"},
            "connection/config/": {"remote_access": self.remote, "remote_access_port": 8080},
            "connection/ipv6/config/": {
                "ipv6_enabled": True,
                "ipv6_firewall": self.six_firewall,
                "ipv6_prefix_firewall": False,
                "delegations": [{"prefix": "2001:db8::/64", "next_hop": self.routed}],
            },
            "fw/redir/": self.redirections,
            "fw/dmz/": {"enabled": self.dmz, "ip": "192.168.1.42"},
            "upnpigd/config/": {"enabled": self.upnp, "version": 1},
            "upnpigd/redir/": self.mappings,
            "system/": {"firmware_version": "4.8.9", "serial": NAME},
            "connection/ddns/ovh/status/": {"enabled": self.ddns, "hostname": NAME},
        }.get(name, {"enabled": False})


def freebox_forward(first: int, last: int, inner: int, source: str = "") -> dict[str, Any]:
    """A redirection as Freebox OS lists it."""
    return {
        "enabled": True, "ip_proto": "tcp", "wan_port_start": first, "wan_port_end": last, "lan_port": inner,
        "lan_ip": "192.168.1.42", "src_ip": source, "comment": NAME, "hostname": NAME,
    }  # fmt: skip


@dataclass
class Livebox:
    """A Livebox's sysbus, in the older shape of answers."""

    model: str = "Livebox 6"
    forwards: dict[str, Any] = field(default_factory=dict)
    mappings: dict[str, Any] = field(default_factory=dict)
    dmz: dict[str, Any] = field(default_factory=dict)
    pinholes: dict[str, Any] = field(default_factory=dict)
    level: str = "Medium"
    six: str = "Medium"
    upnp: bool = False
    remote: bool = False
    hosts: list[Any] = field(default_factory=list)
    address: str = "9.9.9.9"
    denied: tuple[str, ...] = ()
    wrap: bool = True

    def __call__(self, asked: Asked) -> Reply:
        """The answer to one request."""
        if asked.path != "/ws":
            return 404, {}, b""
        call = json.loads(asked.body)
        name = f"{call['service']}.{call['method']}"
        if name.endswith("createContext"):
            good = call["parameters"]["password"] == PASSWORD
            said = {"status": 0, "data": {"contextID": "a-context"}} if good else {"status": 1, "errors": []}
            return _json(said, 200 if good else 401, Set_Cookie="a1b2/sessid=xyz; path=/")
        if name.endswith("releaseContext"):
            return _json({"status": 0})
        if name == "DeviceInfo.get":
            return self._said({"status": {"ProductClass": self.model, "SerialNumber": NAME}})
        if asked.headers.get("X-Context") != "a-context" or name in self.denied:
            return self._said({"status": None, "errors": [{"error": 13, "description": "Permission denied"}]})
        return self._said(self._answer(name, call["parameters"]))

    def _said(self, value: Mapping[str, Any]) -> Reply:
        return _json({"result": value} if self.wrap else value)

    def _answer(self, name: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        by_origin = self.mappings if parameters.get("origin") == "upnp" else self.forwards
        answers: dict[str, Mapping[str, Any]] = {
            "NMC.getWANStatus": {"status": True, "data": {"IPAddress": self.address, "LinkState": "up"}},
            "Firewall.getPortForwarding": {"status": by_origin},
            "Firewall.getDMZ": {"status": self.dmz},
            "Firewall.getPinhole": {"status": self.pinholes},
            "Firewall.getFirewallLevel": {"status": self.level},
            "Firewall.getFirewallIPv6Level": {"status": self.six},
            "UPnP-IGD.get": {"status": {"Enable": self.upnp}},
            "RemoteAccess.get": {"status": {"Enable": self.remote, "Port": 51000}},
            "DynDNS.getHosts": {"status": self.hosts},
        }
        return answers[name]


def livebox_forward(outer: str, inner: str, prefix: str = "") -> dict[str, Any]:
    """A rule as a Livebox lists it."""
    return {
        "Id": NAME, "Origin": "webui", "ExternalPort": outer, "InternalPort": inner, "Protocol": "6",
        "DestinationIPAddress": "192.168.1.42", "SourcePrefix": prefix, "Enable": True, "Description": NAME,
    }  # fmt: skip


@dataclass
class Bbox:
    """Bouygues Telecom's API, version 1."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    dmz: int = 0
    upnp: int = 0
    firewall: int = 1
    firewall_rules: list[dict[str, Any]] = field(default_factory=list)
    remote: int = 0
    dyndns: int = 0
    address: str = "9.9.9.9"
    port_range: str = ""
    locked: bool = False

    def __call__(self, asked: Asked) -> Reply:
        """The answer to one request."""
        name = asked.path.removeprefix("/api/v1/")
        if name == "login":
            if self.locked:
                return _json({"exception": {"code": "429"}}, 429)
            if parse_qs(asked.body.decode()).get("password") != [PASSWORD]:
                return _json({"exception": {"code": "401"}}, 401)
            return 200, {"Set-Cookie": "BBOX_ID=abc123; Path=/; HttpOnly"}, b""
        if name == "summary":
            return _json([{"device": {"modelname": "F@st5330b-r1"}}])
        if "BBOX_ID=abc123" not in asked.headers.get("Cookie", ""):
            return _json({"exception": {"code": "401"}}, 401)
        return self._answer(name)

    def _answer(self, name: str) -> Reply:
        answers: dict[str, object] = {
            "wan/ip": {"wan": {"ip": {"address": self.address, "portrange": self.port_range}}},
            "nat/rules": {"nat": {"enable": 1, "rules": self.rules}},
            "nat/dmz": {"nat": {"dmz": {"enable": self.dmz, "ipaddress": "192.168.1.42"}}},
            "upnp/igd": {"upnp": {"igd": {"enable": self.upnp}}},
            "upnp/igd/rules": {"upnp": {"igd": {"rules": []}}},
            "firewall": {"firewall": {"enable": self.firewall}},
            "firewall/rules": {"firewall": {"rules": self.firewall_rules}},
            "services": {"services": {"remote": {"admin": {"enable": self.remote, "port": 8560}}}},
            "dyndns": {"dyndns": {"enable": self.dyndns, "hostname": NAME}},
        }
        return _json([answers[name]]) if name in answers else _json([], 404)


def bbox_forward(outer: str, inner: str, remote: str = "") -> dict[str, Any]:
    """A rule as a Bbox lists it."""
    return {
        "id": 1, "enable": 1, "description": NAME, "protocol": "tcp", "externalport": outer,
        "internalport": inner, "internalip": "192.168.1.42", "ipremote": remote,
    }  # fmt: skip


@dataclass
class SfrBox:
    """SFR's API REST 1.0."""

    address: str = "9.9.9.9"
    shares: str = "on"
    ddns: str = "off"

    def __call__(self, asked: Asked) -> Reply:
        """The answer to one request."""
        parts = urlsplit(asked.path)
        query = {key: one[0] for key, one in parse_qs(parts.query).items()}
        method = query.get("method", "")
        if parts.path != "/api/1.0/":
            return 404, {}, b""
        if method == "system.getInfo":
            return self._rsp(f'<system product_id="NB6VAC-FXC-r0" serial_number="{NAME}"/>')
        if method == "auth.getToken":
            return self._rsp('<auth token="fe5be7a" method="all"/>')
        if method == "auth.checkToken":
            good = query.get("hash") == _sfr_proof("owner") + _sfr_proof(PASSWORD)
            return self._rsp('<auth token="fe5be7a"/>') if good else self._fail()
        if method == "wan.getInfo":
            return self._rsp(f'<wan status="up" ip_addr="{self.address}"/>')
        if query.get("token") != "fe5be7a":
            return self._fail()
        if method == "firewall.getInfo":
            inner = f'<winsharedrop active="{self.shares}"/><icmpdrop active="off"/>'
            return self._rsp(f'<firewall mode="simple">{inner}</firewall>')
        return self._rsp(f'<ddns active="{self.ddns}" hostname="{NAME}"/>')

    def _rsp(self, inner: str) -> Reply:
        return 200, {}, f'<?xml version="1.0"?><rsp stat="ok" version="1.0">{inner}</rsp>'.encode()

    def _fail(self) -> Reply:
        return 200, {}, b'<rsp stat="fail"><err code="115" msg="Authentication needed"/></rsp>'


def _sfr_proof(value: str) -> str:
    digest = hashlib.sha256(value.encode()).hexdigest()
    return hmac.new(b"fe5be7a", digest.encode(), "sha256").hexdigest()


@dataclass
class Fritz:
    """TR-064 of a FRITZ!Box on DSL: its WAN is PPP."""

    forwards: list[tuple[int, int]] = field(default_factory=list)
    address: str = "9.9.9.9"
    version: str = "154.08.02"
    waiting: int = 0
    remote: int = 0
    dyndns: int = 0

    def __call__(self, asked: Asked) -> Reply:
        """The answer to one request."""
        if asked.path == "/tr64desc.xml":
            return 200, {}, (
                b'<root xmlns="urn:dslforum-org:device-1-0"><device><manufacturer>AVM Berlin</manufacturer>'
                b"<modelName>FRITZ!Box 7590</modelName></device></root>"
            )  # fmt: skip
        if not asked.path.startswith("/upnp/control/"):
            return 404, {}, b""
        if not self._known(asked):
            return (
                401,
                {"WWW-Authenticate": 'Digest realm="F!Box SOAP-Auth", nonce="5C1", qop="auth"'},
                b"<html>",
            )
        return self._action(asked)

    def _known(self, asked: Asked) -> bool:
        found = dict(re.findall(r'(\w+)="?([^",]+)', asked.headers.get("Authorization", "")))
        if found.get("nonce") != "5C1":
            return False
        one = _md5(f"owner:F!Box SOAP-Auth:{PASSWORD}")
        two = _md5(f"POST:{asked.path}")
        return bool(found["response"] == _md5(f"{one}:5C1:{found['nc']}:{found['cnonce']}:auth:{two}"))

    def _action(self, asked: Asked) -> Reply:
        service, _, action = asked.headers["SOAPAction"].strip('"').partition("#")
        ppp = "WANPPPConnection" in service
        if action == "GetExternalIPAddress" and ppp:
            return _soap(f"<NewExternalIPAddress>{self.address}</NewExternalIPAddress>")
        if action == "GetGenericPortMappingEntry" and ppp:
            index = int(re.findall(rb"Index>(\d+)<", asked.body)[0])
            if index < len(self.forwards):
                outer, inner = self.forwards[index]
                return _soap(
                    f"<NewExternalPort>{outer}</NewExternalPort><NewInternalPort>{inner}</NewInternalPort>"
                    f"<NewEnabled>1</NewEnabled><NewPortMappingDescription>{NAME}</NewPortMappingDescription>"
                )
            return _soap("<errorCode>713</errorCode>", 500)
        return _soap(
            {
                "DeviceInfo": f"<NewSoftwareVersion>{self.version}</NewSoftwareVersion>"
                f"<NewDeviceLog>{NAME}</NewDeviceLog>",
                "UserInterface": f"<NewUpgradeAvailable>{self.waiting}</NewUpgradeAvailable>",
                "X_AVM-DE_RemoteAccess": f"<NewEnabled>{self.remote if action == 'GetInfo' else self.dyndns}"
                "</NewEnabled><NewPort>443</NewPort>",
            }.get(service.split(":")[3], "<errorCode>401</errorCode>")
        )


def _md5(value: str) -> str:
    return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()


def _soap(inner: str, status: int = 200) -> Reply:
    body = f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><r>{inner}</r></s:Body></s:Envelope>'
    return status, {"Content-Type": "text/xml"}, body.encode()
