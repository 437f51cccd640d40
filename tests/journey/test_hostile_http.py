"""The web door of a house that is lived in: every route under every role, and bytes that are no request.

Whatever is said, what comes back is a page, a problem or nothing; then every process stands as it stood.
"""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from huisclos.web.app import house_routes
from tests.journey import hostile
from tests.journey.hostile import Watch, ct, file_of
from tests.journey.living import PASSWORD, PEOPLE, Living, Person, multipart, stow
from tests.journey.patients import ZEPHYRINE

NOBODY: Final = "nobody"
ANYBODY: Final = frozenset({NOBODY, *PEOPLE})
LOGGED_IN: Final = frozenset(PEOPLE)
OWNER: Final = frozenset({"owner"})
PATIENTS: Final = frozenset({"owner", "physician", "secretary"})
READERS: Final = frozenset({"owner", "physician"})
MACHINES: Final = frozenset({"owner", "technician"})
CONTROL: Final = frozenset({"owner", "auditor"})
DOORS: Final = frozenset({"owner", "technician", "auditor"})

MAY: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("/static", ANYBODY),
    ("/login", ANYBODY),
    ("/language", ANYBODY),
    ("/line", ANYBODY),
    ("/trust", ANYBODY),
    ("/confirm", ANYBODY),
    ("/logout", ANYBODY),
    ("/set-up", frozenset({NOBODY, "owner"})),
    ("/set-up/start", ANYBODY),
    ("/set-up/who", ANYBODY),
    ("/set-up/passphrase", ANYBODY),
    ("/set-up/finish", OWNER),
    ("/", LOGGED_IN),
    ("/awake", LOGGED_IN),
    ("/lock", LOGGED_IN),
    ("/account", LOGGED_IN),
    ("/account/holder", OWNER),
    ("/state", LOGGED_IN),
    ("/recovery", OWNER),
    ("/studies", PATIENTS),
    ("/studies/{study}/view", READERS),
    ("/studies/{study}/export", READERS),
    ("/studies/{study}/series", READERS),
    ("/upload", PATIENTS),
    ("/decide", READERS),
    ("/peers", MACHINES),
    ("/people", OWNER),
    ("/journal", CONTROL),
    ("/doors", DOORS),
    ("/dicom-web", READERS),
)
"""The beginning of a path: who may go there at all; the longest that fits counts. A new one is a decision."""
LISTS: Final = frozenset(
    {
        "/dicom-web/studies",
        "/dicom-web/series",
        "/dicom-web/instances",
        "/dicom-web/studies/{study}/series",
        "/dicom-web/studies/{study}/instances",
        "/dicom-web/studies/{study}/series/{series}/instances",
    }
)
"""What a secretary may ask too: who came when, no pixels."""
OVER: Final = frozenset(
    {
        "/logout",
        "/lock",
        "/recovery/new",
        "/doors/look",
        "/account/totp",
        "/account/others",
        "/account/password",
    }
)
"""Posts that would change the house for the tests that follow: tried only by who may not."""
STORES: Final = frozenset({"/dicom-web/studies", "/dicom-web/studies/{study}"})
_ID: Final = "0" * 32


def _served(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount) and route.routes:
            yield from _served(list(route.routes), prefix + route.path)
        elif isinstance(route, Mount):
            yield "GET", f"{prefix}{route.path}/app.js"
        elif isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, prefix + route.path


SERVED: Final = tuple(sorted(set(_served(house_routes()))))


def _may(method: str, path: str) -> frozenset[str]:
    fits = [
        (len(begin), who) for begin, who in MAY if path == begin or path.startswith(f"{begin.rstrip('/')}/")
    ]
    allowed = max(fits, key=lambda one: one[0])[1]
    if path == "/":
        return LOGGED_IN
    if (method, path) != ("POST", path) and path in LISTS:
        return allowed | {"secretary"}
    return PATIENTS if method == "POST" and path in STORES else allowed


pytestmark = pytest.mark.usefixtures("watch")


@pytest.fixture(scope="module")
def persons(house: Living) -> dict[str, Person]:
    """Everybody logged in, and somebody who is not."""
    with house.client("physician") as client:
        assert stow(client, [ZEPHYRINE.file(1)]).status_code == 200
    return {NOBODY: Person(house), **{role: house.person(role) for role in PEOPLE}}


@pytest.fixture(scope="module")
def watch(house: Living, persons: dict[str, Person]) -> Iterator[Watch]:
    """The house before all of it; after all of it nothing has grown."""
    assert len(persons) > len(PEOPLE)
    watch = Watch(house)
    yield watch
    watch.nothing_grew()


def _session(person: Person) -> str:
    return [cookie.value or "" for cookie in person.cookies.jar if cookie.name == "__Host-session"][-1]


@pytest.fixture(scope="module")
def study(persons: dict[str, Person]) -> str:
    """The random id of a study."""
    found = re.search(r"/studies/([0-9a-f]{32})", persons["physician"].get("/studies").text)
    assert found is not None
    return found[1]


def _ask(person: Person, method: str, path: str, study: str) -> httpx.Response:
    filled = (
        path.replace("{study}", ZEPHYRINE.study_uid if path.startswith("/dicom-web") else study)
        .replace("{series}", ZEPHYRINE.series_uid if path.startswith("/dicom-web") else _ID)
        .replace("{instance}", ZEPHYRINE.instance_uid(1))
        .replace("{frames}", "1")
        .replace("{path:path}", "7FE00010")
    )
    while "{" in filled:
        filled = filled[: filled.index("{")] + _ID + filled[filled.index("}") + 1 :]
    if method == "GET":
        return person.ask(filled, Accept="*/*") if path.startswith("/dicom-web") else person.get(filled)
    return person.post(filled, {})


@pytest.mark.parametrize(("method", "path"), SERVED, ids=[" ".join(one) for one in SERVED])
def test_every_route_under_every_role(persons: dict[str, Person], study: str, method: str, path: str) -> None:
    """Whoever may not is told so, or sent to log in, before anything else is looked at; nothing is a bug."""
    may = _may(method, path)
    for role, person in persons.items():
        if role in may and method == "POST" and path in OVER:
            continue
        answer = _ask(person, method, path, study)
        assert answer.status_code < 500, (role, answer.text[:500])
        refused = answer.status_code in {401, 403} or answer.headers.get("location") == "/login"
        if role not in may:
            assert refused, (role, answer.status_code)
            assert "Kerguélen" not in answer.text
        elif role != NOBODY:
            assert answer.status_code != 401, role
            assert answer.status_code != 403, (role, answer.text[:500])


def test_another_persons_things(house: Living, persons: dict[str, Person]) -> None:
    """A session is one person's: one letter more, less or other, and it is nobody's."""
    name = "__Host-session"
    own = _session(persons["secretary"])
    for forged in (
        own[:-1] + ("A" if own[-1] != "A" else "B"),
        own.swapcase(),
        own + "A",
        "",
        "0" * 43,
        "../../x",
    ):
        person = Person(house)
        person.cookies.set(name, forged, domain="localhost", path="/")
        assert person.get("/studies").headers.get("location") == "/login"
    assert persons["secretary"].get("/studies").status_code == 200


def test_a_session_that_was_planted(house: Living) -> None:
    """Logging in gives a new session, whatever the browser came with; the planted one opens nothing."""
    planted = "A" * 43
    person = Person(house)
    person.cookies.set("__Host-session", planted, domain="localhost", path="/")
    person.login(PEOPLE["technician"], PASSWORD)
    own = [cookie.value or "" for cookie in person.cookies.jar if cookie.value != planted]
    assert own
    other = Person(house)
    other.cookies.set("__Host-session", planted, domain="localhost", path="/")
    assert other.get("/peers").headers.get("location") == "/login"
    person.post("/logout")
    left = Person(house)
    left.cookies.set("__Host-session", own[-1], domain="localhost", path="/")
    assert left.get("/peers").headers.get("location") == "/login"


FORGED: Final[tuple[dict[str, str], ...]] = (
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "OWN", "Sec-Fetch-Site": "same-site"},
    {"Origin": "OWN", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "OWN.evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Authorization": "Bearer x"},
)


@pytest.mark.parametrize("path", [path for method, path in SERVED if method == "POST"])
def test_every_post_from_elsewhere(house: Living, persons: dict[str, Person], path: str) -> None:
    """An owner's cookie on a form of another origin, of another port, of no origin, does nothing at all."""
    for forged in FORGED:
        headers = {name: value.replace("OWN", house.url()) for name, value in forged.items()}
        with house.client() as client:
            client.cookies = persons["owner"].cookies
            if path.startswith("/dicom-web") and headers.get("Authorization"):
                continue
            answer = client.post(path.replace("{", "").replace("}", ""), data={}, headers=headers)
        assert answer.status_code in {401, 403}, (forged, answer.status_code)


# bytes


def _wire(house: Living) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(house.archive / "tls" / "ca.pem"))
    return context.wrap_socket(
        socket.create_connection(("127.0.0.1", house.port("http")), 10), server_hostname="localhost"
    )


def _say(house: Living, said: bytes, seconds: float = 5.0) -> bytes:
    """What comes back until the house hangs up, or is silent for `seconds`."""
    got = b""
    with _wire(house) as wire:
        wire.settimeout(seconds)
        try:
            wire.sendall(said)
            while piece := wire.recv(65536):
                got += piece
        except (TimeoutError, OSError):
            pass
    return got


def _request(house: Living, line: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    host = f"Host: localhost:{house.port('http')}"
    lines = [f"{line} HTTP/{version}", host, "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


PATHS: Final = (
    "/../../../etc/passwd",
    "/static/../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/app.py",
    "/static/..%2f..%2fapp.py",
    "/static/....//app.py",
    "/static//etc/passwd",
    "/static/%00",
    "/static/app.js%00.png",
    "//evil.example/studies",
    "/studies/..%2f..%2fpeople",
    "/%2e%2e/",
    "/dicom-web/studies/..%2F..%2Fx",
    "/dicom-web/studies/%00/metadata",
    "/dicom-web/studies/1.2/series/1/instances/1/bulkdata/../../../x",
    "/studies/%0d%0aSet-Cookie:%20x=1",
    "/dicom-web/studies/%0d%0aX-Evil:%201",
    "/" + "a" * 60_000,
    "/%ff%fe",
    "/studies/%u002e",
    "/STUDIES",
    "/studies/",
    "https://evil.example/studies",
    "/login?next=https://evil.example",
    "/dicom-web/studies?%0d%0aX-Evil:1=1",
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_a_path_is_never_more_than_a_name(house: Living, persons: dict[str, Person], path: str) -> None:
    """Dots, slashes in disguise, NUL, line ends, 60,000 letters: no file, no header, no other host."""
    secret = _session(persons["owner"])
    for headers in (
        (),
        (f"Cookie: __Host-session={secret}",),
        (f"Authorization: Bearer {house.tokens['owner']}",),
    ):
        answer = _say(house, _request(house, f"GET {path}", *headers))
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert not head or head.split()[1] in {
            b"200",
            b"303",
            b"307",
            b"400",
            b"401",
            b"404",
            b"414",
            b"421",
        }, head
        assert b"root:" not in answer
        assert b"x-evil" not in head
        assert b"x=1" not in head
        assert b"evil.example" not in head
        if b" 200 " in head:
            assert path.startswith(("/login", "/dicom-web/studies?", "https://"))


MALFORMED: Final[dict[str, tuple[str, tuple[str, ...], bytes]]] = {
    "two lengths": ("POST /login", ("Content-Length: 4", "Content-Length: 40"), b"a=bc"),
    "a length and chunks": (
        "POST /login",
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ),
    "chunks in disguise": (
        "POST /login",
        ("Content-Length: 40", "Transfer-Encoding : chunked"),
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "chunks twice": (
        "POST /login",
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ),
    "chunks of another kind": (
        "POST /login",
        ("Transfer-Encoding: xchunked",),
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    ),
    "a negative length": ("POST /login", ("Content-Length: -1",), b""),
    "a length with a sign": ("POST /login", ("Content-Length: +4",), b"a=bc"),
    "a length of 2**64": ("POST /login", ("Content-Length: 18446744073709551617",), b"a=bc"),
    "a chunk of 2**64": (
        "POST /login",
        ("Transfer-Encoding: chunked",),
        b"10000000000000001\r\na=b\r\n0\r\n\r\n",
    ),
    "a chunk that is none": ("POST /login", ("Transfer-Encoding: chunked",), b"xyz\r\na=b\r\n0\r\n\r\n"),
    "another host": ("GET /login", ("Host: evil.example",), b""),
    "a folded header": ("GET /login", ("X: a", " folded: b"), b""),
    "a NUL in a header": ("GET /login", ("X: a\0b",), b""),
    "no colon": ("GET /login", ("Nothing",), b""),
    "a method that is none": ("BREW /login", (), b""),
    "a method of a proxy": ("CONNECT evil.example:443", (), b""),
    "trace": ("TRACE /login", (), b""),
    "options": ("OPTIONS *", (), b""),
    "http 2": ("PRI *", (), b""),
    "a web socket": (
        "GET /studies",
        (
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        b"",
    ),
    "clear http 2": (
        "GET /login",
        ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        b"",
    ),
    "a cookie of 60,000 letters": ("GET /studies", ("Cookie: __Host-session=" + "a" * 60_000,), b""),
    "2,000 cookies": (
        "GET /studies",
        ("Cookie: " + "; ".join(f"c{number}=x" for number in range(2000)),),
        b"",
    ),
    "70,000 bytes of headers": (
        "GET /login",
        tuple(f"X-{number}: {'a' * 100}" for number in range(700)),
        b"",
    ),
    "a range of nothing": ("GET /static/app.js", ("Range: bytes=9-1,0-0,-1," + "0-," * 500,), b""),
    "an accept of 20,000": ("GET /dicom-web/studies", ("Accept: " + "a/b," * 5000,), b""),
    "a language that is a path": (
        "GET /login",
        ("Accept-Language: ../../etc", "Cookie: __Host-language=../../etc/passwd"),
        b"",
    ),
    "behind another house": (
        "GET /login",
        (
            "X-Forwarded-For: 8.8.8.8",
            "X-Forwarded-Host: evil.example",
            "X-Original-URL: /people",
            "X-HTTP-Method-Override: DELETE",
        ),
        b"",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_request_that_is_none(house: Living, name: str, version: str) -> None:
    """One answer at most to one request, never to what was hidden in its body; no upgrade, no other host."""
    line, headers, body = MALFORMED[name]
    answer = _say(house, _request(house, line, *headers, body=body, version=version), 1.0)
    assert answer.count(b"HTTP/1.") <= 1, answer
    assert not answer or answer.split()[1] in {
        b"200",
        b"206",
        b"303",
        b"400",
        b"401",
        b"403",
        b"404",
        b"405",
        b"416",
        b"421",
    }, answer[:200]
    assert b"evil.example" not in answer
    assert b"Traceback" not in answer
    with house.client() as client:
        assert client.get("/login").status_code == 200


def test_an_old_client(house: Living) -> None:
    """HTTP/1.0 is answered; 0.9 and 3.7 are not."""
    assert _say(house, _request(house, "GET /login", version="1.0")).split()[1] == b"200"
    assert _say(house, b"GET /login\r\n\r\n", 1.0)[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 421"}
    assert _say(house, _request(house, "GET /login", version="3.7"), 1.0)[:12] in {b"", b"HTTP/1.1 400"}


# bodies


def _post(house: Living, path: str, body: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
    with house.client("physician") as client:
        return client.post(path, content=body, headers=headers)


def test_a_body_that_grows(house: Living) -> None:
    """Nothing is unpacked: a compressed body is refused where one would be read, or is no DICOM file."""
    packed = gzip.compress(file_of(ct("2.25.6001"), "2.25.6001") + bytes(64 * hostile.MEGABYTE))
    body, kind = multipart([file_of(ct("2.25.6002"), "2.25.6002")])
    for content, media in ((packed, "application/dicom"), (gzip.compress(body), kind)):
        for coding in ("gzip", "deflate", "br", "gzip, gzip", "identity, gzip"):
            answer = _post(
                house, "/dicom-web/studies", content, **{"Content-Type": media, "Content-Encoding": coding}
            )
            assert answer.status_code == 415, (coding, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
    plain = _post(house, "/dicom-web/studies", body, **{"Content-Type": kind, "Content-Encoding": "identity"})
    assert plain.status_code == 200
    person = house.person("physician")
    form = gzip.compress(b"text=" + b"a" * 60_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"}
    with house.client() as client:
        client.cookies = person.cookies
        answer = client.post(
            "/studies/search",
            content=form,
            headers={**headers, "Origin": house.url(), "Sec-Fetch-Site": "same-origin"},
        )
    assert answer.status_code == 415


def test_parts_without_end(house: Living) -> None:
    """Ten thousand parts, a head of a megabyte, a part of 64 MB that is nothing, a boundary that lies."""
    good = file_of(ct("2.25.6101", study="2.25.6100"), "2.25.6101")
    body, kind = multipart([b"x"] * 10_000 + [good])
    answer = _post(house, "/dicom-web/studies", body, **{"Content-Type": kind})
    assert answer.status_code == 202
    assert len(answer.json()["00081198"]["Value"]) == 10_000
    long = b"--b\r\nX: " + b"a" * hostile.MEGABYTE + b"\r\n\r\n" + good + b"\r\n--b--\r\n"
    related = 'multipart/related; type="application/dicom"; boundary=b'
    assert _post(house, "/dicom-web/studies", long, **{"Content-Type": related}).status_code == 413
    body, kind = multipart([bytes(64 * hostile.MEGABYTE), good])
    assert _post(house, "/dicom-web/studies", body, **{"Content-Type": kind}).status_code == 202
    for boundary in ("", "b" * 71, "other", "\u00e9"):
        media = f'multipart/related; type="application/dicom"; boundary="{boundary}"'.encode()
        with house.client("physician") as client:
            refused = client.post("/dicom-web/studies", content=long, headers=[(b"Content-Type", media)])
        assert refused.status_code in {400, 413}, boundary
    fields = "&".join(f"f{number}=x" for number in range(1000))
    with house.client() as client:
        answer = client.post(
            "/login",
            content=fields,
            headers={
                "Origin": house.url(),
                "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
    assert answer.status_code == 400


def test_slowness_by_the_hundred(house: Living) -> None:
    """Two hundred from the user's own address, four hundred from others: the user is served."""
    context = ssl.create_default_context(cafile=str(house.archive / "tls" / "ca.pem"))
    held: list[socket.socket] = []
    try:
        for number in range(600):
            source = "127.0.0.1" if number < 200 else f"127.0.3.{number % 20 + 1}"
            raw = socket.create_connection(("127.0.0.1", house.port("http")), 10, (source, 0))
            held.append(raw)
            if number % 10 == 0:
                try:
                    held[-1] = context.wrap_socket(raw, server_hostname="localhost")
                    held[-1].sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
                except OSError:
                    continue
        for _ in range(5):
            began = time.monotonic()
            with house.client("physician") as client:
                assert client.get("/dicom-web/studies").status_code == 200
            assert time.monotonic() - began < hostile.PATIENCE
    finally:
        for one in held:
            one.close()


def test_problems_are_of_one_shape(house: Living) -> None:
    """What a program is told is a problem document, whatever it asked wrongly (RFC 9457)."""
    asked: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("GET", "/dicom-web/studies", {"Authorization": "Bearer x"}),
        ("GET", "/dicom-web/nothing", {}),
        ("GET", "/dicom-web/studies/1.2.3/metadata", {}),
        ("GET", "/dicom-web/studies?limit=-1", {}),
        ("GET", "/dicom-web/studies?StudyDate=x", {}),
        ("GET", "/dicom-web/studies", {"Accept": "image/png"}),
        ("POST", "/dicom-web/studies", {"Content-Type": "text/plain"}),
        ("DELETE", "/dicom-web/studies/1.2.3", {}),
        ("PUT", "/dicom-web/studies", {}),
    )
    with house.client("physician") as client:
        for method, path, headers in asked:
            answer = client.request(method, path, headers=headers)
            told: dict[str, Any] = answer.json()
            assert answer.headers["content-type"] == "application/problem+json", path
            assert told["type"].startswith("urn:huisclos:problem:")
            assert told["status"] == answer.status_code >= 400
            assert told["title"]
            assert ("allow" in answer.headers) == (answer.status_code == 405)
