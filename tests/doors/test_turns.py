"""Twelve connections to a host in a run, none after three silences; and what is left is said."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from huisclos.doors.probes.host import CONNECTIONS, SILENCES
from huisclos.doors.probes.ports import USUAL_PORTS, after
from huisclos.doors.runner import _once_each
from huisclos.doors.target import Target
from huisclos.findings.nouns import Outcome, Reason, Severity
from huisclos.findings.report import Report, exit_code
from tests.doors.auditing import closed_doors, open_doors, probe, started
from tests.doors.scripted import Script, Scripted, scripted, success
from tests.doors.test_dicom_hostile import serving
from tests.doors.test_tls import certificate
from tests.tools import program

ADDRESS = "127.0.27.12"
"""where nothing else of this machine listens"""
ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
QUESTIONS = {"DCM-006", "DCM-007", "DCM-008", "DCM-009", "DCM-010"}
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"

answers_all = serving(lambda made, request: made.sendall(success(request)))
aborts_each = serving(lambda made, _request: made.sendall(ABORT))


def silent(connection: socket.socket) -> None:
    """Take everything, say nothing."""
    while connection.recv(65536):
        pass


def waits_for_a_line(connection: socket.socket) -> None:
    """A web server that says nothing to what has no end of line, and keeps its connection."""
    held = b""
    while raw := connection.recv(65536):
        held += raw
        while b"\r\n\r\n" in held:
            held = held.partition(b"\r\n\r\n")[2]
            connection.sendall(PAGE)


def one_answer(connection: socket.socket) -> None:
    """A web server that hangs up after each answer."""
    if b"\r\n\r\n" in connection.recv(65536):
        connection.sendall(PAGE.replace(b"HTTP/1.1", b"HTTP/1.0"))


@contextmanager
def host(monkeypatch: pytest.MonkeyPatch, *scripts: Script) -> Iterator[list[Scripted]]:
    """A host whose usual ports are these servers', in this order."""
    with ExitStack() as stack:
        servers = [stack.enter_context(scripted(one, 0, ADDRESS)) for one in scripts]
        monkeypatch.setattr("huisclos.doors.runner.USUAL_PORTS", tuple(one.port for one in servers))
        monkeypatch.setattr("huisclos.doors.runner.HL7_PORTS", frozenset())
        yield servers


def reasons(report: Report, server: Scripted) -> dict[str, Reason | None]:
    """Why what stays open at `server` does."""
    place = f"{ADDRESS}:{server.port}"
    return {one.check: one.reason for one in report.untested if one.target == place}


@pytest.mark.parametrize("port", [0, 8080, 8443, 5432, 445])
def test_a_listener_that_says_nothing_is_asked_three_times(port: int) -> None:
    """Whatever its port is usually for, each silence counts."""
    with scripted(silent, port, ADDRESS) as server:
        report = probe(f"{ADDRESS}:{server.port}", seconds=0.3)
    assert SILENCES == server.connections
    assert {"*": Reason.TIMED_OUT} == reasons(report, server)
    assert 4 == exit_code(report, Severity.LOW)


@pytest.mark.parametrize("port", [0, 8443, 5432])
def test_a_web_server_that_waits_for_a_line_is_found_by_the_third_silence(port: int) -> None:
    """Silent to DICOM, to TLS and to a database's hello, it is asked in its own words in time."""
    with scripted(waits_for_a_line, port, ADDRESS) as server:
        report = probe(f"{ADDRESS}:{server.port}", seconds=0.4)
    assert server.connections <= SILENCES
    assert "WEB-001" in closed_doors(report)
    assert {} == reasons(report, server)


def test_a_greeting_is_heard_over_another_question() -> None:
    """VNC says its name before it hears anything: one connection tells."""
    with scripted(lambda made: made.sendall(b"RFB 003.008\n"), 0, ADDRESS) as server:
        report = probe(f"{ADDRESS}:{server.port}", seconds=1.0)
    assert "WEB-030" in closed_doors(report)
    assert 1 == server.connections


def test_the_bound_is_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirteen open listeners: twelve are met, the last is said not to have been asked, and not closed."""
    with host(monkeypatch, *[answers_all] * 13) as servers:
        report = probe(ADDRESS, seconds=1.0)
    assert CONNECTIONS == sum(one.connections for one in servers)
    assert {"*": Reason.CONNECTIONS} == reasons(report, servers[-1])
    assert {"DCM-026": Reason.CONNECTIONS} == {
        check: why for check, why in reasons(report, servers[0]).items() if why is not Reason.NOT_ASKED
    }
    assert not [one for one in report.attempts if one.check == "*" and one.outcome is Outcome.CLOSED]


def test_targets_that_name_one_host_share_its_bound() -> None:
    """However the host is named, and whatever stands between."""
    with ExitStack() as stack:
        servers = [stack.enter_context(scripted(aborts_each, 0, ADDRESS)) for _ in range(3)]
        other = stack.enter_context(scripted(answers_all))
        names = [f"{ADDRESS}:{one.port}" for one in servers]
        report = probe(names[0], f"127.0.0.1:{other.port}", *names[1:], seconds=1.0)
    assert CONNECTIONS == sum(one.connections for one in servers)
    assert Reason.CONNECTIONS in {one.reason for one in report.untested}
    assert 2 == other.connections


def test_a_listener_named_twice_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a usual port, by its port, by its URL, and once more: no more connections, one answer each."""
    with host(monkeypatch, answers_all, one_answer) as servers:
        once = probe(ADDRESS, seconds=1.0)
        asked = [one.connections for one in servers]
        dicom, web = (f"{ADDRESS}:{one.port}" for one in servers)
        twice = probe(ADDRESS, dicom, web, f"http://{web}/", dicom, ADDRESS, seconds=1.0)
        assert [2 * one for one in asked] == [one.connections for one in servers]
    assert open_doors(once)
    assert (open_doors(once), closed_doors(once)) == (open_doors(twice), closed_doors(twice))
    assert len(once.findings) == len(twice.findings)


def test_a_port_named_by_itself_and_in_a_url_may_speak_dicom() -> None:
    """The URL takes no question away; sites that one address holds under two names are asked each."""
    with ExitStack() as stack:
        dicom = stack.enter_context(scripted(answers_all, 0, ADDRESS))
        report = probe(f"http://{ADDRESS}:{dicom.port}/", f"{ADDRESS}:{dicom.port}", seconds=1.0)
        assert "DCM-006" in open_doors(report)
        first = Target("one.example", ip_address(ADDRESS), 80, "http")
        assert _once_each([first, replace(first, host="two.example"), first]) == [
            first,
            replace(first, host="two.example"),
        ]


def test_silence_at_some_ports_costs_no_question_at_those_that_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the third silence ends it all, the listener that answers is asked all that it was to be."""
    with host(monkeypatch, silent, aborts_each, silent, silent, silent) as servers:
        report = probe(ADDRESS, seconds=0.4)
    assert [1, 6, 1, 1, 0] == [one.connections for one in servers]
    assert QUESTIONS <= closed_doors(report)
    assert {Reason.NOT_ASKED} >= set(reasons(report, servers[1]).values())
    assert [{"*": Reason.TIMED_OUT}] * 3 == [reasons(report, servers[at]) for at in (0, 2, 3)]
    assert {"*": Reason.SILENT} == reasons(report, servers[4])


def test_what_belongs_together_is_asked_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one listener of a product answers, its others are asked before silence elsewhere ends it."""
    with host(monkeypatch, silent, aborts_each, silent, silent, answers_all) as servers:
        together = {servers[1].port: (servers[4].port,)}
        monkeypatch.setattr("huisclos.doors.probes.ports.TOGETHER", together)
        report = probe(ADDRESS, seconds=0.4)
    assert [1, 6, 1, 1, 2] == [one.connections for one in servers]
    assert "DCM-006" in {one.check for one in report.findings if one.target.endswith(f":{servers[4].port}")}


def test_silence_opens_no_other_door_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that says nothing brings nobody forward: the usual order goes on."""
    with host(monkeypatch, silent, silent, silent, answers_all) as servers:
        monkeypatch.setattr("huisclos.doors.probes.ports.TOGETHER", {servers[0].port: (servers[3].port,)})
        probe(ADDRESS, seconds=0.3)
    assert [1, 1, 1, 0] == [one.connections for one in servers]


@pytest.mark.parametrize(
    ("product", "found"),
    [
        ((4242, 8042), (4242, 8042)),
        ((11112, 8080, 8443), (11112, 8080, 8443)),
        ((104, 11112, 8080, 8443), (104, 11112, 8080, 8443)),
        ((11112, 8080), (11112, 8080)),
        ((11112, 8042), (11112, 8042)),
        ((11112, 4242, 8042), (11112, 8042, 4242)),
        ((104, 4242, 8042), (104, 4242, 8042)),
        ((104, 8042), (104, 8042)),
        ((104, 11112), (104, 11112)),
        ((104,), (104,)),
        ((11112,), (11112,)),
        ((4242,), (4242,)),
        ((8042,), ()),
        ((80, 443), ()),
    ],
)
def test_behind_a_firewall_that_drops(product: tuple[int, ...], found: tuple[int, ...]) -> None:
    """What of each usual set is met before the third silence (ADR 0012 has what it costs)."""
    met, silences, waiting = list[int](), 0, USUAL_PORTS
    while waiting and silences < SILENCES:
        port, waiting = waiting[0], waiting[1:]
        if port in product:
            met.append(port)
            waiting = after(port, waiting)
        else:
            silences += 1
    assert found == tuple(met)


def test_a_web_server_that_hangs_up_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take all twelve: the DICOM server beside it is asked what matters all the same."""
    with host(monkeypatch, one_answer, aborts_each) as servers:
        report = probe(ADDRESS, seconds=1.0)
    assert CONNECTIONS == sum(one.connections for one in servers)
    assert QUESTIONS <= closed_doors(report)
    assert Reason.CONNECTIONS in reasons(report, servers[0]).values()


def test_a_port_that_drops_is_one_silence() -> None:
    """Neither taken nor refused: nothing else is tried at that port."""
    with socket.create_server((ADDRESS, 0), backlog=0) as server:
        where = server.getsockname()
        waiting = []
        for _ in range(3):  # More than are queued: the next one's packets are dropped (listen(2)).
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(where)
            waiting.append(one)
        report = probe(f"{where[0]}:{where[1]}", seconds=0.5)
        for one in waiting:
            one.close()
    assert [("*", Reason.TIMED_OUT)] == [(one.check, one.reason) for one in report.untested]


def test_tls_that_says_so_in_clear(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A server that answers in clear to say that it wants TLS is asked in TLS, and not called closed."""
    shown, key = certificate(tmp_path, "web")
    port = free_port()
    folders = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in FOLDERS)
    settings = tmp_path / "nginx.conf"
    settings.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/log; events {{}}\n"
        f"http {{ access_log off; {folders}\nserver {{ listen 127.0.0.1:{port} ssl;\n"
        f'ssl_certificate {shown}; ssl_certificate_key {key}; return 200 "hello"; }} }}\n'
    )
    with started([program("nginx"), "-c", str(settings)], port, tmp_path):
        report = probe(f"127.0.0.1:{port}", seconds=2.0)
    asked = {one.check for one in report.attempts}
    assert "WEB-023" in asked, "versions of TLS were asked for"
    assert "WEB-022" in closed_doors(report), "nothing is served in clear"


FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def test_a_tls_server_is_met_within_three_silences(tmp_path: Path) -> None:
    """TLS that waits for more of a hello than others send is found, too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "web"))

    def script(connection: socket.socket) -> None:
        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
            silent(connection)
            return
        with context.wrap_socket(connection.dup(), server_side=True) as sealed:
            waits_for_a_line(sealed)

    with scripted(script, 0, ADDRESS) as server:
        report = probe(f"{ADDRESS}:{server.port}", seconds=1.0)
    assert "DCM-001" not in open_doors(report)
    assert server.connections <= CONNECTIONS
