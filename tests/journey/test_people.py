"""People at the command line, on a served archive: at once, without a restart, or pending in the dark."""

from __future__ import annotations

import pytest

from tests.journey.living import PASSWORD, PEOPLE, Living, Person

NEW_PASSWORD = "Walnut-Harbour-Prism-8123!"


def _ids(house: Living) -> dict[str, str]:
    return {user["name"]: user["id"] for user in house.json("user", "list", str(house.archive))}


def _roles(house: Living) -> dict[str, str]:
    return {user["id"]: user["role"] for user in house.json("user", "list", str(house.archive))}


def _logs_in(house: Living, name: str, password: str) -> bool:
    answer = Person(house).post("/login", {"name": name, "password": password})
    return answer.status_code == 303


def test_a_role_a_password_a_person_change_without_a_restart(house: Living) -> None:
    """Sessions under way have the new role at once; a reset password ends them; a removed person is out."""
    archive, sara = str(house.archive), PEOPLE["secretary"]
    session = house.person("secretary")
    assert session.get("/journal").status_code == 403
    house.run("user", "role", archive, sara, "--role", "auditor")
    assert session.get("/journal").status_code == 200
    made = house.run("user", "reset", archive, sara).strip()
    assert session.get("/journal").status_code == 303
    assert not _logs_in(house, sara, PASSWORD)
    assert _logs_in(house, sara, made)
    secret = house.folder / "secrets" / "new"
    secret.touch(mode=0o600)
    secret.write_text(NEW_PASSWORD + "\n", encoding="utf-8")
    assert house.run("user", "reset", archive, sara, "--password-file", str(secret)) == ""
    assert _logs_in(house, sara, NEW_PASSWORD)
    house.run("user", "remove", archive, sara)
    assert not _logs_in(house, sara, NEW_PASSWORD)
    assert house.try_("user", "remove", archive, sara).returncode == 4
    assert house.try_("user", "role", archive, PEOPLE["owner"], "--role", "auditor").returncode == 7
    changes = {line["what"] for line in house.json("journal", "show", archive) if line["act"] == "changed"}
    assert {"role-changed", "password-reset", "user-removed"} <= changes


def test_tokens_are_listed_and_end_at_once(house: Living) -> None:
    """Listed without their secrets; removed, the next request is refused."""
    archive = str(house.archive)
    tokens = house.json("token", "list", archive)
    assert "hc_" not in str(tokens)
    mine = next(token for token in tokens if token["user_name"] == PEOPLE["physician"])
    with house.client("physician") as client:
        assert client.get("/dicom-web/studies").status_code in {200, 204}
        house.run("token", "remove", archive, mine["id"])
        assert client.get("/dicom-web/studies").status_code == 401
    assert house.try_("token", "remove", archive, mine["id"]).returncode == 4


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_what_widens_waits_in_the_dark_and_is_decided_after(fresh: Living, decision: str) -> None:
    """A role and a password asked for while locked: no effect, shown once unlocked, decided there."""
    house, archive = fresh.serve(), str(fresh.archive)
    phil, aude = PEOPLE["physician"], PEOPLE["auditor"]
    ids = _ids(house)
    house.lock()
    assert house.run("user", "reset", archive, phil) == ""
    house.run("user", "role", archive, aude, "--role", "owner")
    waiting = house.json("pending", "list", archive)
    assert [one["kind"] for one in waiting] == [None, None]
    assert house.try_("pending", "approve", archive, waiting[0]["id"]).returncode == 3
    house.unlock()
    assert _logs_in(house, phil, PASSWORD)
    assert _roles(house)[ids[aude]] == "auditor"
    page = house.person("owner").get("/people").text
    for one in house.json("pending", "list", archive):
        assert (one["kind"], one["subject"]) in {("password", phil), ("role", aude)}
        assert one["id"] in page
        made = house.run("pending", decision, archive, one["id"]).strip()
        if decision == "approve" and one["kind"] == "password":
            assert _logs_in(house, phil, made)
    assert _logs_in(house, phil, PASSWORD) is (decision == "refuse")
    assert _roles(house)[ids[aude]] == ("owner" if decision == "approve" else "auditor")
    assert house.json("pending", "list", archive) == []


def test_what_narrows_works_in_the_dark(fresh: Living) -> None:
    """A person by id, a token and a request go while the archive is locked, and stay gone."""
    house, archive = fresh.serve(), str(fresh.archive)
    ids = _ids(house)
    sara = ids[PEOPLE["secretary"]]
    house.lock()
    listed = house.json("user", "list", archive)
    assert {user["id"]: user["name"] for user in listed} == dict.fromkeys(ids.values())
    assert house.try_("user", "remove", archive, PEOPLE["secretary"]).returncode == 3
    house.run("user", "remove", archive, sara)
    assert house.try_("user", "remove", archive, ids[PEOPLE["owner"]]).returncode == 7
    (token,) = (one for one in house.json("token", "list", archive) if one["user_id"] != ids[PEOPLE["owner"]])
    house.run("token", "remove", archive, token["id"])
    with house.client("physician") as client:
        assert client.post("/dicom-web/studies", content=b"").status_code == 401
    house.run("user", "add", archive, "Eve Extra", "--role", "owner")
    (request,) = house.json("pending", "list", archive)
    house.run("pending", "refuse", archive, request["id"])
    house.unlock()
    assert house.json("pending", "list", archive) == []
    assert sara not in _roles(house)
    assert not _logs_in(house, PEOPLE["secretary"], PASSWORD)
    assert [one["user_name"] for one in house.json("token", "list", archive)] == [PEOPLE["owner"]]
