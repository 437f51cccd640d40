"""Who may do what: every role against every action, tokens, changes without a restart, holders."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.journey import wado
from tests.journey.living import PASSWORD, PEOPLE, UNTIL, Living, Person, secret_file, stow
from tests.journey.patients import BETKA, GLAFIRA, ZEPHYRINE

ALLOWED: Final = frozenset({200, 303})
ROLES: Final = tuple(PEOPLE)


@pytest.fixture(scope="module")
def seen(house: Living) -> str:
    """The address of a study's page."""
    with house.client("physician") as client:
        assert stow(client, [ZEPHYRINE.file(1), GLAFIRA.file(1)]).status_code == 200
    page = house.person("physician").post("/studies/search", {"text": "zephyrine"}).text
    found = re.search(r'href="(/studies/[0-9a-f]{32})"', page)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def persons(house: Living) -> dict[str, Person]:
    """Everybody, logged in."""
    return {role: house.person(role) for role in ROLES}


def _thumbnail(person: Person, study: str, physician: Person) -> httpx.Response:
    found = re.search(r'src="(/studies/[0-9a-f/]+series/[0-9a-f]+/thumbnail)"', physician.get(study).text)
    assert found is not None
    return person.get(found[1])


def _dicomweb(path: str, accept: str = "application/json") -> Callable[[Person, str], httpx.Response]:
    return lambda person, _: person.ask(f"/dicom-web/{path}", Accept=accept)


_OCTETS: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_INSTANCE: Final = wado.instance_path(ZEPHYRINE.study_uid, ZEPHYRINE.series_uid, ZEPHYRINE.instance_uid(1))[
    11:
]
ACTIONS: Final[dict[str, tuple[frozenset[str], Callable[[Person, str], httpx.Response]]]] = {
    "list": (frozenset({"owner", "physician", "secretary"}), lambda person, _: person.get("/studies")),
    "study page": (frozenset({"owner", "physician", "secretary"}), lambda person, study: person.get(study)),
    "open the viewer": (
        frozenset({"owner", "physician"}), lambda person, study: person.post(f"{study}/view"),
    ),
    "upload": (
        frozenset({"owner", "physician", "secretary"}), lambda person, _: person.upload(BETKA.file(1)),
    ),
    "decide": (frozenset({"owner", "physician"}), lambda person, _: person.get("/decide")),
    "peers": (frozenset({"owner", "technician"}), lambda person, _: person.get("/peers")),
    "add a peer": (
        frozenset({"owner", "technician"}),
        lambda person, _: person.post("/peers/add", {"title": "X1", "address": "127.0.0.9"}),
    ),
    "people": (frozenset({"owner"}), lambda person, _: person.get("/people")),
    "add a person": (
        frozenset({"owner"}), lambda person, _: person.post("/people/add", {"name": "Zoe", "role": "owner"}),
    ),
    "journal": (frozenset({"owner", "auditor"}), lambda person, _: person.get("/journal")),
    "state": (frozenset(ROLES), lambda person, _: person.get("/state")),
    "query": (frozenset({"owner", "physician", "secretary"}), _dicomweb("studies")),
    "metadata": (
        frozenset({"owner", "physician"}), _dicomweb(f"studies/{ZEPHYRINE.study_uid}/metadata"),
    ),
    "retrieve": (frozenset({"owner", "physician"}), _dicomweb(_INSTANCE, wado.AS_STORED)),
    "rendered": (frozenset({"owner", "physician"}), _dicomweb(f"{_INSTANCE}/rendered", "image/jpeg")),
    "frames": (frozenset({"owner", "physician"}), _dicomweb(f"{_INSTANCE}/frames/1", _OCTETS)),
}  # fmt: skip
"""What is done: who may, and how."""


@pytest.mark.parametrize("action", ACTIONS)
def test_each_role_does_what_it_may(persons: dict[str, Person], seen: str, action: str) -> None:
    """Whoever may does; everybody else is told 403, and no data comes with it."""
    may, do = ACTIONS[action]
    for role, person in persons.items():
        answer = do(person, seen)
        assert (answer.status_code in ALLOWED) == (role in may), (role, answer.status_code)
        if role not in may:
            assert answer.status_code == 403
            assert "Kerguélen" not in answer.text


def test_thumbnails_are_pixels(persons: dict[str, Person], seen: str) -> None:
    """Only who may read sees a thumbnail, also by its address."""
    for role, person in persons.items():
        answer = _thumbnail(person, seen, persons["physician"])
        assert answer.status_code == (200 if role in {"owner", "physician"} else 403)


@pytest.mark.parametrize(
    ("role", "may", "code"),
    [
        ("secretary", "read", 3), ("secretary", "read,store", 3), ("technician", "store", 3),
        ("auditor", "read", 3), ("physician", "read,store", 0), ("secretary", "store", 0),
        ("physician", "people", 2), ("owner", "journal", 2),
    ],
)  # fmt: skip
def test_a_token_never_exceeds_its_user(house: Living, role: str, may: str, code: int) -> None:
    """At the command line: beyond the role is refused (3), what no token holds is unknown (2)."""
    ran = house.try_(
        "token", "add", str(house.archive), "--user", PEOPLE[role], "--may", may, "--until", UNTIL
    )
    assert (ran.returncode in {2, 3}) if code == 2 else (ran.returncode == code), ran.stderr
    assert bool(ran.stdout) == (code == 0)


def test_what_a_token_does(house: Living, seen: str) -> None:
    """A store token reads nothing; a read token of a physician opens no page."""
    del seen
    study = f"/dicom-web/studies/{ZEPHYRINE.study_uid}"
    with house.client("secretary") as client:
        assert stow(client, [BETKA.file(2)]).status_code == 200
        for path in (study, f"{study}/metadata", f"{study}/rendered", "/dicom-web/studies"):
            assert client.get(path).status_code == 403, path
    with house.client("physician") as client:
        assert client.get(study).status_code == 200
        assert client.get("/studies").status_code == 303
        assert client.get("/people").status_code == 303
    with house.client() as client:
        assert client.get(study).status_code == 401
        assert stow(client, [BETKA.file(2)]).status_code in {401, 403}


def test_a_token_ends(house: Living) -> None:
    """A day that is over is no day to give a token to."""
    ran = house.try_("token", "add", str(house.archive), "--user", PEOPLE["owner"], "--may", "read",
                     "--until", "2020-01-01")  # fmt: skip
    assert ran.returncode == 2
    assert ran.stdout == ""


def test_another_role_takes_effect_at_once(house: Living, seen: str) -> None:
    """A physician made a secretary, then an auditor, keeps session and token; each does less with either."""
    archive, password = str(house.archive), str(house.folder / "secrets" / "password")
    house.run("user", "add", archive, "Carl Changing", "--role", "physician", "--password-file", password)
    token = house.run("token", "add", archive, "--user", "Carl Changing", "--may", "read,store",
                      "--until", UNTIL).strip()  # fmt: skip
    house.tokens["changing"] = token
    person = Person(house)
    person.login("Carl Changing", PASSWORD)
    study = f"/dicom-web/studies/{ZEPHYRINE.study_uid}/metadata"
    with house.client("changing") as client:
        assert client.get(study).status_code == 200
        assert client.get("/dicom-web/studies").status_code == 200
        assert person.ask(study).status_code == 200
        owner = house.person("owner")
        user = _user(owner, "Carl Changing")
        assert owner.post(f"/people/{user}/role", {"role": "secretary"}).status_code == 303
        assert client.get(study).status_code == 403
        assert person.ask(study).status_code in {401, 403}
        assert stow(client, [BETKA.file(3)]).status_code == 200
        assert owner.post(f"/people/{user}/role", {"role": "auditor"}).status_code == 303
        assert client.get("/dicom-web/studies").status_code == 403, "not even the list it had a moment ago"
        assert stow(client, [BETKA.file(3)]).status_code == 403
        assert owner.post(f"/people/{user}/remove").status_code == 303
        assert stow(client, [BETKA.file(3)]).status_code == 401
        assert person.get("/studies").status_code in {303, 401}
    del seen


def _user(owner: Person, name: str) -> str:
    for piece in owner.get("/people").text.split("<tr"):
        found = re.search(r'action="/people/([0-9a-f]+)/role"', piece)
        if found and name in piece:
            return found[1]
    raise LookupError(name)


def test_the_last_owner_stays(house: Living) -> None:
    """Nobody can leave the archive without an owner."""
    owner = house.person("owner")
    for added in re.findall(r'action="/people/([0-9a-f]+)/remove"', owner.get("/people").text):
        if added != _user(owner, PEOPLE["owner"]) and "Zoe" in owner.get("/people").text:
            owner.post(f"/people/{_user(owner, 'Zoe')}/remove")
            break
    me = _user(owner, PEOPLE["owner"])
    assert owner.post(f"/people/{me}/role", {"role": "auditor"}).status_code != 303
    assert owner.post(f"/people/{me}/remove").status_code != 303
    assert owner.get("/people").status_code == 200


def test_a_refusal_is_journalled(house: Living, seen: str) -> None:
    """What was refused to whom is in the journal."""
    del seen
    house.person("technician").ask("/dicom-web/studies")
    lines: list[dict[str, Any]] = house.json("journal", "show", str(house.archive))
    refused = [line for line in lines if line["act"] == "refused"]
    assert any(line["actor"] == PEOPLE["technician"] for line in refused)


# holders


def test_a_wrong_passphrase_is_told_apart_from_a_damaged_file(fresh: Living) -> None:
    """Exit code 3 for one, 6 for the other, and neither says more than that."""
    wrong = secret_file(fresh.folder / "secrets" / "wrong", "nine-wrong-words-here-44")
    ask = ("verify", str(fresh.archive), "--unlock-with")
    ran = fresh.try_(*ask, f"file:{wrong}")
    assert ran.returncode == 3, ran.stderr
    holder = _passphrase_holder(fresh)
    content = bytearray(holder.read_bytes())
    content[len(content) // 2] ^= 1
    holder.write_bytes(content)
    ran = fresh.try_(*ask, fresh.passphrase)
    assert ran.returncode == 6, ran.stderr
    assert "holder" in ran.stderr


def _passphrase_holder(house: Living, *, oldest: bool = False) -> Path:
    """The holder's file of a passphrase; the one that `init` made, or any."""
    holders = (house.archive / "keys" / "holders").glob("*.age")
    found = [path for path in holders if b"-> scrypt" in path.read_bytes()]
    return min(found, key=lambda path: path.stat().st_ctime_ns) if oldest else found[0]


def test_the_recovery_key_opens_what_a_lost_passphrase_cannot(fresh: Living) -> None:
    """With every passphrase holder gone, the key on paper opens the archive, and all is there."""
    fresh.serve()
    with fresh.client("physician") as client:
        assert stow(client, [ZEPHYRINE.file(1)]).status_code == 200
    fresh.stop()
    _passphrase_holder(fresh).unlink()
    fresh.serve(locked=True)
    with fresh.client("physician") as client:
        assert client.get("/dicom-web/studies").status_code == 503
    fresh.run("unlock", str(fresh.archive), "--unlock-with", fresh.recovery)
    with fresh.client("physician") as client:
        assert len(wado.query(client, "studies")) == 1


def test_a_user_becomes_a_holder(fresh: Living) -> None:
    """With the first passphrase gone, the owner's own opens the archive at the gate, and logs them in."""
    passphrase = "copper-meadow-violin-harbor-69"
    fresh.serve()
    with fresh.client("physician") as client:
        assert stow(client, [ZEPHYRINE.file(1)]).status_code == 200
    owner = fresh.person("owner")
    answer = owner.post("/account/holder", {"old": PASSWORD, "passphrase": passphrase})
    assert answer.status_code == 200
    assert fresh.status()["holders"] == 3
    fresh.stop()
    first = _passphrase_holder(fresh, oldest=True)
    first.write_bytes(first.read_bytes()[:-1])
    fresh.serve(locked=True)
    gate = Person(fresh, "gate")
    assert gate.post("/unlock", {"passphrase": "nine-wrong-words-here-44"}).status_code in {403, 500}
    assert fresh.status()["locked"]
    opened = gate.post("/unlock", {"passphrase": passphrase, "name": PEOPLE["owner"]})
    assert opened.status_code == 200, opened.text
    assert not fresh.status()["locked"]
    here = Person(fresh)
    here.cookies = gate.cookies
    assert "Kerguélen" in here.get("/studies").text
    assert Person(fresh).post("/login", {"name": PEOPLE["owner"], "password": PASSWORD}).status_code == 401
