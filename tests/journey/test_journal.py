"""Promise P9: a grant is in the journal before the first byte that is read under it, and sums come after."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import httpx
import pytest

from tests.journey import wado
from tests.journey.living import PEOPLE, Living, stow, until
from tests.journey.patients import BETKA, GLAFIRA, ZEPHYRINE, Patient, data_set_of


@pytest.fixture(scope="module")
def filled(house: Living) -> Living:
    """Three studies."""
    with house.client("physician") as client:
        for patient in (ZEPHYRINE, GLAFIRA, BETKA):
            assert stow(client, [patient.file(number) for number in (1, 2, 3)]).status_code == 200
    return house


def _lines(house: Living) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = house.json("journal", "show", str(house.archive))
    return lines


def _fresh(house: Living, since: int, act: str) -> list[dict[str, Any]]:
    return [line for line in _lines(house)[since:] if line["act"] == act]


def _retrieve(client: httpx.Client, patient: Patient) -> dict[str, bytes]:
    return wado.study(client, patient.study_uid)


def test_a_read_is_granted_then_summed(filled: Living) -> None:
    """One grant for the study, before its read; then how many instances and bytes, within seconds."""
    since = len(_lines(filled))
    with filled.client("physician") as client:
        found = _retrieve(client, ZEPHYRINE)
    octets = sum(map(len, found.values()))
    until(lambda: bool(_fresh(filled, since, "read")), 5, "the sum")
    grants = [line for line in _fresh(filled, since, "granted") if line["study_id"]]
    sums = _fresh(filled, since, "read")
    assert len(grants) == 1
    assert grants[0]["actor_kind"] == "token"
    assert grants[0]["purpose"]
    assert {line["study_id"] for line in sums} == {grants[0]["study_id"]}
    assert min(line["sequence"] for line in sums) > grants[0]["sequence"]
    assert sum(line["counts"]["instances"] for line in sums) == 3
    assert sum(line["counts"]["octets"] for line in sums) >= octets


def test_no_byte_leaves_while_the_journal_cannot_be_written(filled: Living) -> None:
    """With the vault halted a study that is not open yet gives nothing; woken, it gives all, journalled."""
    since = len(_lines(filled))
    vault = filled.processes()["vault"]
    came: list[Any] = []

    def read() -> None:
        with filled.client("owner") as client:
            came.append(_retrieve(client, GLAFIRA))

    os.kill(vault, signal.SIGSTOP)
    try:
        reading = threading.Thread(target=read)
        reading.start()
        time.sleep(1.5)
        assert came == []
    finally:
        os.kill(vault, signal.SIGCONT)
    reading.join(30)
    assert came[0][GLAFIRA.instance_uid(1)] == data_set_of(GLAFIRA.file(1))
    until(lambda: bool(_fresh(filled, since, "read")), 5, "the sum")
    granted = [line for line in _fresh(filled, since, "granted") if line["study_id"]]
    assert granted[0]["sequence"] < _fresh(filled, since, "read")[0]["sequence"]


def test_pixels_of_a_page_are_reads_too(filled: Living) -> None:
    """A thumbnail is granted and summed for the person who saw it; a list is granted once for a while."""
    since = len(_lines(filled))
    person = filled.person("physician")
    page = person.post("/studies/search", {"text": "vlcnovska"}).text
    study = page.split('href="/studies/')[1].split('"')[0]
    shown = person.get(f"/studies/{study}").text
    picture = shown.split('<img src="')[1].split('"')[0]
    assert person.get(picture).headers["content-type"] == "image/jpeg"
    until(lambda: bool(_fresh(filled, since, "read")), 5, "the sum")
    granted = _fresh(filled, since, "granted")
    assert {line["actor"] for line in granted} == {PEOPLE["physician"]}
    assert [line["purpose"] for line in granted if line["study_id"] == study] == ["thumbnail"]
    lists = [(line["what"], line["purpose"]) for line in granted if not line["study_id"]]
    assert ("list", "list") in lists
    assert len(lists) == len(set(lists))
    again = len(_lines(filled))
    for _ in range(5):
        person.post("/studies/search", {"text": "vlcnovska"})
    assert _fresh(filled, again, "granted") == []


def test_stores_unlocks_and_changes_are_entries(filled: Living) -> None:
    """What was received from whom, who unlocked, who was given what: all there, with no patient in it."""
    archive = str(filled.archive)
    filled.lock()
    filled.unlock()
    filled.run("peer", "add", archive, "JOURNALLED", "--address", "127.0.0.8")
    lines = _lines(filled)
    acts = {line["act"] for line in lines}
    assert {"stored", "unlocked", "locked", "changed", "granted", "read"} <= acts
    stored = [line for line in lines if line["act"] == "stored"]
    assert sum(line["counts"]["instances"] for line in stored) == 9
    everything = str(lines)
    for patient in (ZEPHYRINE, GLAFIRA, BETKA):
        for value in (*patient.values(), *patient.dates()):
            assert value not in everything
    assert filled.json("journal", "verify", archive)["entries"] >= len(lines)
    assert filled.json("journal", "verify", archive)["holds"]
