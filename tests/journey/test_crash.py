"""Promise P3: what was acknowledged survives the sudden death of any process of the house."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.journey import wado
from tests.journey.living import Living, until
from tests.journey.patients import WILHELMA, Patient, data_set_of
from tests.journey.sending import Load
from tests.tools import need

NUMBERS = range(1, 41)
# pynetdicom leaves the socket of an association that was refused to the collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
ROLES = ("gate", "cage", "scribe", "finder", "reception", "web", "vault")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected before the next."""
    yield
    gc.collect()


def somebody(number: int) -> Patient:
    """Another patient, so that each crash has a study of its own."""
    return replace(WILHELMA, patient_id=f"CRASH-{number:04}", accession=f"CR{number}")


def _back(house: Living, role: str, before: int) -> bool:
    return house.processes().get(role, before) != before


def _check_all(house: Living, patient: Patient, sent: dict[str, bytes]) -> None:
    """Everything acknowledged is found and the same, and what is found is whole.

    What was durable and not yet registered is caught up by the scribe, soon after and not at once.
    """

    def caught_up() -> bool:
        with house.client("physician") as client:
            listed = wado.query(client, f"studies/{patient.study_uid}/instances", limit="1000")
        return set(sent) <= {wado.value(one, "00080018") for one in listed}

    until(caught_up, 30, "what was acknowledged is caught up")
    with house.client("physician") as client:
        found = wado.study(client, patient.study_uid)
        listed = wado.query(client, f"studies/{patient.study_uid}/instances", limit="1000")
    assert {wado.value(one, "00080018") for one in listed} == set(found)
    lost = set(sent) - set(found)
    assert not lost, f"{len(lost)} of {len(sent)} acknowledged instances are gone"
    for uid, part10 in sent.items():
        assert found[uid] == data_set_of(part10)


@pytest.mark.parametrize("role", ROLES)
def test_a_process_dies_while_instances_are_stored(house: Living, role: str) -> None:
    """Killed in the middle of a load, it is back by itself, and every acknowledged instance is there."""
    need("python:pynetdicom")
    patient = somebody(ROLES.index(role))
    load = Load(house, patient, NUMBERS, by="stow" if role == "web" else "dicom")
    load.begin()
    until(lambda: len(load.acknowledged) >= 12, 30, "a dozen acknowledged")
    before = house.processes()[role]
    os.kill(before, signal.SIGKILL)
    until(lambda: _back(house, role, before), 15, f"the {role} is back")
    load.end()
    assert len(load.acknowledged) == len(NUMBERS)
    if role == "vault":
        assert house.status()["locked"]
        house.unlock()
    until(lambda: not house.batched(), 30, "batches are settled")
    _check_all(house, patient, load.acknowledged)


def test_who_can_end_a_process_again_and_again_does_not_end_the_house(house: Living) -> None:
    """The faces die more often in a minute than chance would have it: they come back, and the others stay."""
    others = {role: pid for role, pid in house.processes().items() if role not in ("web", "cage")}
    for _ in range(7):
        before = house.processes()["web"]
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: _back(house, "web", before), 20, "a new web")  # type: ignore[misc]
    assert {role: house.processes()[role] for role in others} == others
    assert house.status()["served"]


def test_after_all_this_everything_verifies(house: Living) -> None:
    """No crash left anything that `verify` or the journal's own check would name."""
    assert house.json("verify", str(house.archive))["problems"] == []
    assert house.json("journal", "verify", str(house.archive))["holds"]


def test_the_supervisor_dies_and_the_house_is_served_again_at_once(house: Living) -> None:
    """All processes go with it, the next start needs no cleaning up, and nothing acknowledged is lost."""
    need("python:pynetdicom")
    patient = somebody(90)
    load = Load(house, patient, range(1, 400))
    load.begin()
    until(lambda: len(load.acknowledged) >= 12, 30, "a dozen acknowledged")
    children = house.processes()
    house.kill()
    began = time.monotonic()
    load.end(30, give_up=True)
    house.serve()
    assert time.monotonic() - began < 30
    assert [role for role, pid in children.items() if _lives(pid)] == []
    until(lambda: house.status()["contents"] is not None, 10)
    with house.client("physician") as client:
        until(lambda: _answers(client, patient, len(load.acknowledged)), 20, "all are found")
    _check_all(house, patient, load.acknowledged)


def _lives(pid: int) -> bool:
    """Whether it runs; one that ended and whose parent, init, has not looked yet does not."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[0] not in ("Z", "X")


def _answers(client: httpx.Client, patient: Patient, wanted: int) -> bool:
    found = wado.query(client, "instances", StudyInstanceUID=patient.study_uid, limit="1000")
    return len(found) >= wanted


def test_a_second_house_on_the_same_archive_is_refused(house: Living) -> None:
    """Only one house serves an archive; the other is told so, and the first does not notice."""
    refused = house.try_("serve", str(house.archive), "--unlock-with", "none", "--http", "127.0.0.1:0")
    assert refused.returncode == 7
    assert "served already" in refused.stderr
    assert house.status()["served"]
