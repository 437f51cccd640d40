"""Promise P5: a locked archive goes on receiving, shows nothing, and has it all once it is unlocked."""

from __future__ import annotations

import datetime as dt
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.journey import wado
from tests.journey.living import PASSWORD, PEOPLE, UNTIL, Living, Person, copy, stopping, stow, until
from tests.journey.patients import BETKA, GLAFIRA, WILHELMA, ZEPHYRINE, data_set_of, read
from tests.tools import need

NEW_PEER = "NEWCT"


@pytest.fixture(scope="module")
def night(template: Living, ground: Path) -> Iterator[Living]:
    """A house that was served unlocked, received, and is locked now. Its tests follow each other."""
    need("dcmsend")
    house = copy(template, Path(tempfile.mkdtemp(prefix="n", dir=ground)) / "house").serve()
    with house.client("physician") as client:
        assert stow(client, [ZEPHYRINE.file(1)]).status_code == 200
    house.lock()
    yield from stopping(house)


def _changed(number: int) -> bytes:
    """Another image under the UID of an instance of `ZEPHYRINE`."""
    dataset = read(ZEPHYRINE.file(number))
    dataset.ImageComments = "corrected"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _files(house: Living, name: str, contents: list[bytes]) -> list[Path]:
    folder = house.folder / "sources" / name
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.dcm" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def _found(house: Living, study_uid: str) -> list[str]:
    with house.client("physician") as client:
        listed = wado.query(client, "instances", StudyInstanceUID=study_uid)
    return [str(wado.value(one, "00080018")) for one in listed]


def test_modalities_and_tokens_store_in_the_dark(night: Living) -> None:
    """C-STORE of known and new studies, and STOW with a store token, are acknowledged while locked."""
    known = _files(night, "known", [ZEPHYRINE.file(1), ZEPHYRINE.file(2), _changed(1)])
    new = _files(night, "new", [GLAFIRA.file(number) for number in (1, 2, 3, 3, 1)])
    for sent in (night.store(known), night.store(new)):
        assert sent.returncode == 0, sent.stderr
    with night.client("secretary") as client:
        answer = stow(client, [BETKA.file(1), BETKA.file(2)])
    assert answer.status_code == 200
    assert len(answer.json()["00081199"]["Value"]) == 2
    receipt = night.json("import", str(night.archive), str(_files(night, "cd", [BETKA.file(3)])[0]))
    assert receipt["batched"] == 1
    assert night.batched()


@pytest.mark.parametrize(
    "path",
    ["studies", "instances", f"studies/{ZEPHYRINE.study_uid}", f"studies/{ZEPHYRINE.study_uid}/metadata",
     f"studies/{ZEPHYRINE.study_uid}/rendered"],
)  # fmt: skip
def test_reads_answer_that_it_is_locked(night: Living, path: str) -> None:
    """Every read is 503 with a problem document whose type ends in `locked`, token or not."""
    with night.client("physician") as client:
        answer = client.get(f"/dicom-web/{path}")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].endswith("locked")
    assert int(answer.headers["retry-after"]) > 0


def test_a_wrong_token_is_not_told_that_it_is_locked(night: Living) -> None:
    """Who is nobody is told so, locked or not, and stores nothing."""
    with night.client() as client:
        client.headers["Authorization"] = "Bearer hc-nobody"
        assert client.get("/dicom-web/studies").status_code in {401, 503}
        assert stow(client, [BETKA.file(9)]).status_code == 401


def test_nobody_logs_in(night: Living) -> None:
    """The pages lead to the gate."""
    answer = Person(night).get("/")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(night.url("gate"))


def test_a_peer_added_in_the_dark_is_kept_apart(night: Living) -> None:
    """It may store at once; what it may more waits for an owner."""
    archive = str(night.archive)
    night.run("peer", "add", archive, NEW_PEER, "--address", "127.0.0.1")
    night.run("peer", "add", archive, "GREEDY", "--address", "127.0.0.1", "--may", "echo,store,find",
              "--until", _soon())  # fmt: skip
    listed = {one["title"]: one for one in night.json("peer", "list", archive)}
    assert not listed[NEW_PEER]["approved"]
    sent = night.store(_files(night, "quarantine", [WILHELMA.file(1), WILHELMA.file(2)]), NEW_PEER)
    assert sent.returncode == 0, sent.stderr
    refused = night.store(_files(night, "greedy", [WILHELMA.file(3)]), "GREEDY")
    assert refused.returncode != 0


def _soon() -> str:
    return str(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30))


def test_people_asked_for_in_the_dark_wait(night: Living) -> None:
    """A user and a token are recorded, print nothing that opens anything, and have no effect."""
    archive, password = str(night.archive), str(night.folder / "secrets" / "password")
    user = night.try_("user", "add", archive, "Nina Night", "--role", "owner", "--password-file", password)
    assert (user.returncode, user.stdout) == (0, "")
    token = night.try_("token", "add", archive, "--user", PEOPLE["secretary"], "--may", "store",
                       "--until", UNTIL)  # fmt: skip
    assert token.returncode == 0
    night.tokens["dark"] = token.stdout.strip()
    assert night.status()["pending"] == 4
    with night.client("dark") as client:
        assert stow(client, [BETKA.file(8)]).status_code == 401


def test_unlocking_tells_what_came(night: Living) -> None:
    """How many, from whom; and what waits for an owner."""
    said = night.unlock()
    assert re.search(r"8 instances from STORESCU", said), said
    assert "2 instances from NEWCT" in said
    assert "4 requests" in said


def test_everything_is_found_grouped_and_once(night: Living) -> None:
    """Known and new studies hold each instance once; the conflict is held apart and listed to decide."""
    until(lambda: len(night.batched()) == 2, 30, "all but the quarantine is settled")
    assert sorted(_found(night, ZEPHYRINE.study_uid)) == [ZEPHYRINE.instance_uid(n) for n in (1, 2)]
    assert sorted(_found(night, GLAFIRA.study_uid)) == [GLAFIRA.instance_uid(n) for n in (1, 2, 3)]
    assert sorted(_found(night, BETKA.study_uid)) == [BETKA.instance_uid(n) for n in (1, 2, 3)]
    with night.client("physician") as client:
        kept = wado.study(client, ZEPHYRINE.study_uid)
    assert kept[ZEPHYRINE.instance_uid(1)] == data_set_of(ZEPHYRINE.file(1))
    page = night.person("physician").get("/decide").text
    assert "Two images claim to be the same one" in page
    assert "Sent by a machine that is not approved yet" in page
    assert NEW_PEER in page
    assert night.status()["contents"]["doubts"] == 2


def test_what_a_decision_chooses_answers(night: Living) -> None:
    """Keeping the second makes it answer; undoing it brings the first back."""
    person = night.person("physician")
    for choice, wanted in (("keep-second", _changed(1)), ("", ZEPHYRINE.file(1))):
        address = _decision(person.get("/decide").text)
        assert person.post(address, {"choice": choice}).status_code == 303, choice
        with night.client("physician") as client:
            kept = wado.study(client, ZEPHYRINE.study_uid)
        assert kept[ZEPHYRINE.instance_uid(1)] == data_set_of(wanted)


def _decision(page: str) -> str:
    """Where the doubt about two contents is decided, open or not."""
    found = re.search(r'(/decide/[0-9a-f]+)"[^<]*<button [^<]*(?:"keep-second"|class="plain")', page)
    assert found is not None, page
    return found[1]


def test_the_quarantine_waits_for_an_owner(night: Living) -> None:
    """Not found until the peer is approved, then found without another sending."""
    assert _found(night, WILHELMA.study_uid) == []
    owner = night.person("owner")
    _approve(owner.get("/people").text, owner, NEW_PEER)
    until(lambda: len(_found(night, WILHELMA.study_uid)) == 2, 30, "the quarantine is settled")
    assert not night.batched()
    assert {one["title"]: one["approved"] for one in night.json("peer", "list", str(night.archive))}[NEW_PEER]


def _approve(page: str, owner: Person, subject: str) -> None:
    for piece in page.split("<li>"):
        found = re.search(r'action="(/people/pending/[0-9a-f]+/approve)"', piece)
        if found and subject in piece:
            answer = owner.post(found[1])
            assert answer.status_code in {200, 303}, answer.text
            return
    raise AssertionError(f"{subject} does not wait")


def test_people_are_approved(night: Living) -> None:
    """Only then the user logs in and the token stores."""
    owner = night.person("owner")
    _approve(owner.get("/people").text, owner, "Nina Night")
    _approve(owner.get("/people").text, owner, PEOPLE["secretary"])
    Person(night).login("Nina Night", PASSWORD)
    with night.client("dark") as client:
        assert stow(client, [BETKA.file(8)]).status_code == 200
    assert night.status()["pending"] == 1


def test_what_is_asked_with_the_passphrase_is_done_at_once(night: Living) -> None:
    """Locked again, a command that names the passphrase opens the archive for itself and locks it after."""
    night.lock()
    night.run(
        "user", "add", str(night.archive), "Paula Prompt", "--role", "auditor", "--unlock-with",
        night.passphrase, "--password-file", str(night.folder / "secrets" / "password"),
    )  # fmt: skip
    assert night.status()["locked"]
    assert night.status()["pending"] == 1
    night.unlock()
    other = replace(WILHELMA, patient_id="AFTER-1")
    with night.client("physician") as client:
        assert stow(client, [other.file(1)]).status_code == 200
    assert night.json("verify", str(night.archive))["problems"] == []
