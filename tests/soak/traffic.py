"""What a house is put under for long: somebody who sends without end, somebody who looks at what was sent."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import httpx
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from tests.journey import wado
from tests.journey.living import SENDER, Living
from tests.journey.patients import WILHELMA, Patient, data_set_of, read

INSTANCES: Final = 12
"""Of each study."""
AT_HAND: Final = 20
"""Studies the reader chooses from: the last ones."""
BUDGET_SECONDS: Final = 700.0
"""A little more than the time over which the reading budget counts."""


def somebody(number: int) -> Patient:
    """The patient of one study."""
    return replace(WILHELMA, patient_id=f"SOAK-{number:06}", accession=f"SO{number}", instances=INSTANCES)


def digest(data_set: bytes) -> str:
    """What is remembered of an instance."""
    return hashlib.sha256(data_set).hexdigest()


@dataclass
class Acknowledged:
    """What a success was said for."""

    patient: Patient
    digests: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID to the digest of its data set."""


@dataclass
class Latencies:
    """Seconds that something took, one after the other."""

    seconds: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Measure what is done inside, unless it raises."""
        began = time.monotonic()
        yield
        self.seconds.append(time.monotonic() - began)

    def at(self, share: float, since: int = 0) -> float:
        """Milliseconds that this share of them, from the one numbered `since`, took at most; 0 for none."""
        some = sorted(self.seconds[since:])
        return round(some[min(len(some) - 1, int(len(some) * share))] * 1000, 1) if some else 0.0


class Background:
    """Work in a thread of its own that can be held, and is told when to end."""

    def __init__(self) -> None:
        self._ends, self._held, self._idle = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure: BaseException | None = None

    def begin(self) -> None:
        """Begin to work."""
        self._thread.start()

    def hold(self) -> None:
        """Wait until nothing is under way, and keep it so until `resume`."""
        self._held.set()
        while not self._idle.wait(0.1):
            self.check()

    def resume(self) -> None:
        """Go on."""
        self._idle.clear()
        self._held.clear()

    def end(self) -> None:
        """End; raises what went wrong in the thread."""
        self._ends.set()
        self._thread.join(60)
        self.check()

    def check(self) -> None:
        """Raise what went wrong in the thread."""
        if self._failure is not None:
            raise self._failure

    def step(self) -> None:
        """One piece of work; again and again."""
        raise NotImplementedError

    def _run(self) -> None:
        try:
            while not self._ends.is_set():
                if self._held.is_set():
                    self._idle.set()
                    time.sleep(0.02)
                else:
                    self.step()
        except BaseException as failure:  # noqa: BLE001 - raised again where it is seen, in `check`
            self._failure = failure


class Sender(Background):
    """One study after the other by C-STORE, each instance until it is acknowledged."""

    def __init__(self, house: Living, first: int = 1) -> None:
        super().__init__()
        self.house = house
        self.sent: list[Acknowledged] = []
        self.took = Latencies()
        self.refused = self.lost = 0
        self._number = first
        self._waiting: list[tuple[str, str, bytes]] = []
        self._association: Association | None = None

    @property
    def count(self) -> int:
        """Instances acknowledged."""
        return sum(len(study.digests) for study in self.sent)

    def hold(self) -> None:
        """See `Background`."""
        super().hold()
        self._hang_up()

    def step(self) -> None:
        """One instance."""
        if not self._waiting:
            self._next_study()
        association = self._associated()
        if association is None:
            time.sleep(0.05)
            return
        uid, known_by, part10 = self._waiting[0]
        try:
            with self.took.measured():
                status = association.send_c_store(read(part10))
        except RuntimeError:
            # pynetdicom's word for an association that has just ended
            status = Dataset()
        if "Status" not in status:
            self.lost += 1
            self._hang_up()
        elif status.Status == 0:
            self.sent[-1].digests[uid] = known_by
            self._waiting.pop(0)
        else:
            self.refused += 1
            time.sleep(0.05)

    def _next_study(self) -> None:
        patient = somebody(self._number)
        self._number += 1
        self.sent.append(Acknowledged(patient))
        for number in range(1, INSTANCES + 1):
            part10 = patient.file(number)
            self._waiting.append((patient.instance_uid(number), digest(data_set_of(part10)), part10))

    def _associated(self) -> Association | None:
        if self._association is None or not self._association.is_established:
            self._hang_up()
            entity = AE(SENDER)
            entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = 10
            some = read(self._waiting[0][2])
            context = build_context(str(some.SOPClassUID), str(some.file_meta.TransferSyntaxUID))
            self._association = entity.associate(
                "127.0.0.1", self.house.port("dicom"), contexts=[context], ae_title="HUISCLOS"
            )
        return self._association if self._association.is_established else None

    def _hang_up(self) -> None:
        if self._association is not None:
            if self._association.is_established:
                self._association.release()
            else:
                self._association.abort()
            self._association = None


class Reader(Background):
    """Retrieves a random acknowledged instance, again and again; what comes must be what was sent."""

    def __init__(self, house: Living, sender: Sender, seed: int = 1, pause: float = 0.02) -> None:
        super().__init__()
        self._house, self._sender = house, sender
        self._random = random.Random(seed)
        self._pause = pause
        self.took, self.asked = Latencies(), Latencies()
        self.same = self.away = 0
        self._client: httpx.Client | None = None

    def step(self) -> None:
        """One search and one instance."""
        time.sleep(self._pause)
        # Not faster than people read: who opens more studies than that is stopped, and rightly.
        studies = [study for study in self._sender.sent[-AT_HAND:-1] if study.digests]
        if not studies:
            return
        study = self._random.choice(studies)
        uid, known_by = self._random.choice(list(study.digests.items()))
        try:
            client = self._connected()
            with self.asked.measured():
                found = wado.query(client, "studies", PatientID=study.patient.patient_id)
            with self.took.measured():
                answer = wado.instance(client, study.patient.study_uid, study.patient.series_uid, uid)
                (part,) = wado.parts(answer)
        except (httpx.HTTPError, OSError):
            # Locked, or who answered has just been killed: what lasts is found by the final check.
            self.away += 1
            self._drop()
            return
        assert digest(data_set_of(part)) == known_by, "what came is not what was sent"
        # A finder that has just come back may not have caught up; one study is never two.
        assert len(found) <= 1, "one study is listed twice"
        self.same += 1

    def _connected(self) -> httpx.Client:
        self._client = self._client or self._house.client("owner")
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def missing(house: Living, studies: list[Acknowledged]) -> list[str]:
    """The acknowledged instances of these studies that are not listed, or not retrieved byte for byte."""
    gone: list[str] = []
    with house.client("physician") as client:
        for study in studies:
            if not study.digests:
                continue
            listed = wado.query(client, "studies", PatientID=study.patient.patient_id)
            found = _whole(client, study.patient.study_uid) if len(listed) == 1 else {}
            gone += [
                uid for uid, known_by in study.digests.items() if digest(found.get(uid, b"")) != known_by
            ]
    return gone


def _whole(client: httpx.Client, study_uid: str) -> dict[str, bytes]:
    """A study, once the reading budget of whoever asks allows it."""
    ends = time.monotonic() + BUDGET_SECONDS
    while True:
        try:
            return wado.study(client, study_uid)
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code != 403 or time.monotonic() > ends:
                raise
        time.sleep(10)
