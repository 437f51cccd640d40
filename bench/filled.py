"""Archives and peers with many invented studies of one instance each, the same in both.

Ours are filled through the finder's own rows while nobody serves them: what a search reads is all there,
objects are not. A few studies are told apart by name, id, birth date or day, as many whatever the size.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import io
import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID

from bench.finder_people import studies
from bench.store import free_ports
from huisclos.access.nouns import ActorKind, Source
from huisclos.archive.index_ports import Settling
from huisclos.archive.nouns import Standing, StoredObject
from huisclos.database.index import SqlIndex
from huisclos.dicom.attributes import ATTRIBUTES
from huisclos.dicom.heading import Heading
from huisclos.finder.keys import keys_of
from huisclos.finder.records import (
    SealedStudy,
    encode,
    instance_of,
    pack_series,
    series_of,
    study_of,
)
from huisclos.finder.rows import KeptStudy, RowKeeper
from huisclos.finder.text import study_text
from huisclos.seal.records import RecordKey
from huisclos.stores.local import LocalStore
from huisclos.vault import places
from huisclos.vault.core import RECORD_KEY_FOR
from huisclos.vault.holders import Holders
from huisclos.vault.signed_key import open_key
from tests.peers import orthanc

FOUND: Final = 50
"""Studies that the name, the birth date and the day below find; the id finds `FOUND_BY_ID`."""
FOUND_BY_ID: Final = 3
PAGE: Final = "50"


@dataclass(frozen=True)
class Question:
    """A search, and how many studies it answers."""

    parameters: Mapping[str, str]
    finds: int = FOUND


QUESTIONS: Final = {
    "name by prefix": Question({"PatientName": "XYLANDE*", "limit": PAGE}),
    "id": Question({"PatientID": "XI000000", "limit": PAGE}, FOUND_BY_ID),
    "birth date": Question({"PatientBirthDate": "19010203", "limit": PAGE}),
    "day": Question({"StudyDate": "19990131", "limit": PAGE}),
}
MANY: Final = Question({"PatientName": "MAR*", "limit": PAGE})
"""Finds more the more there are: one page of them is answered."""

_STEP: Final = 2_000
_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"
_SYNTAX: Final = "1.2.840.10008.1.2.1"
_SENDERS: Final = 4
_EDITION: Final = 1
"""Of what Orthanc is filled with: raised when it changes, so that an older store is not taken for it."""
_RECIPIENT: Final = "age1" + "q" * 58
_SOURCE: Final = Source(ActorKind.PEER, "0" * 32, "BENCH")


def headings(count: int) -> Iterator[Heading]:
    """What each of `count` studies says of itself."""
    for number, (_, study, _, _) in enumerate(studies(count)):
        told = {
            "patient_name": study.patient_name,
            "patient_id": study.patient_id,
            "patient_birth_date": study.patient_birth_date,
            "study_date": study.study_date,
        } | _told_apart(number)
        yield Heading(
            transfer_syntax_uid=_SYNTAX,
            specific_character_set="ISO_IR 192",
            study_uid=study.study_uid,
            series_uid=f"{study.study_uid}.1",
            instance_uid=f"{study.study_uid}.1.1",
            sop_class_uid=_CLASS,
            patient_sex=study.patient_sex,
            study_time=study.study_time,
            study_id=study.study_id,
            study_description=study.study_description,
            accession_number=study.accession_number,
            referring_physician=study.referring_physician,
            modality=study.modalities[0],
            series_number=1,
            instance_number=1,
            patient_name=told["patient_name"],
            patient_id=told["patient_id"],
            patient_birth_date=told["patient_birth_date"],
            study_date=told["study_date"],
        )


def _told_apart(number: int) -> dict[str, str]:
    """What one of the first studies says, so that it is found; none is of a patient who has others."""
    kind, place = divmod(number, FOUND)
    if kind == 0:
        return {"patient_name": f"XYLANDER^Zoe{place}", "patient_id": f"XN{place:06}"}
    if kind == 1:
        return {"patient_birth_date": "19010203", "patient_id": f"XB{place:06}"}
    if kind == 2:  # noqa: PLR2004 - the third of four
        return {"study_date": "19990131", "patient_id": f"XD{place:06}"}
    if kind == 3 and place < FOUND_BY_ID:  # noqa: PLR2004 - the last of four
        return {"patient_name": "GARNIER^Pierre", "patient_id": "XI000000", "patient_birth_date": "19500505"}
    return {}


def record_key(archive: Path, kept: Path) -> RecordKey:
    """The key of the index of an archive made by `tests.peers.house.make_archive`."""
    store = LocalStore(archive)
    secret, _ = Holders(store).open((kept / "passphrase").read_text().strip())
    return RecordKey(open_key(secret, RECORD_KEY_FOR, store.read(places.RECORD_KEY)))


def fill(archive: Path, key: RecordKey, count: int) -> None:
    """Write the rows of `count` studies into the index of an archive that nobody serves."""
    index = SqlIndex(archive / "index.sqlite")
    rows = RowKeeper(index, key)
    waiting = enumerate(headings(count))
    while some := list(itertools.islice(waiting, _STEP)):
        kept = [_row(rows, number, heading) for number, heading in some]
        asyncio.run(rows.commit(partial(list, kept)))
    index.close()


def _row(rows: RowKeeper, number: int, heading: Heading) -> tuple[str, KeptStudy]:
    """The row of a study whose only instance is in `rows` now: at rest, and nothing left to do for it."""
    study_id = hashlib.sha256(heading.study_uid.encode()).hexdigest()[:32]
    study, series = study_of(heading), series_of(heading, study_id[::-1])
    study.received_at = 1.7e9 + number
    study.instances = study.series = series.instances = 1
    study.modalities = (heading.modality,)
    series.described = True
    stored = StoredObject(
        instance_id=hashlib.sha256(heading.instance_uid.encode()).hexdigest()[:32],
        study_id=study_id,
        batch_id="",
        transfer_syntax=_SYNTAX,
        digest=bytes(32),
        length=1000,
        data_set_offset=300,
        header_mac=bytes(32),
        payload_nonce=bytes(16),
        source=_SOURCE,
        received_at=study.received_at,
        heading=heading,
    )
    rows.put_instance(instance_of(stored, Standing.PRIMARY))
    sealed = SealedStudy(_RECIPIENT, encode(study), pack_series([series]), study_text(study), keys_of(study))
    return heading.study_uid, KeptStudy(study_id, 1, bytes(32), Settling.SETTLED, sealed)


# the peer


@contextmanager
def filled_orthanc(kept: Path, work: Path, count: int) -> Iterator[orthanc.Orthanc]:
    """Orthanc over a copy of its store of `count` studies, which is made once and stays in `kept`."""
    whole = kept / f"orthanc-{count}-{_EDITION}"
    if not whole.exists():
        making = kept / f"{whole.name}.part"
        shutil.rmtree(making, ignore_errors=True)
        with _orthanc(making, {"SyncStorageArea": False}) as peer:
            _send(peer, count)
        making.rename(whole)
    shutil.copytree(whole, work)
    with _orthanc(work, {}) as peer:
        yield peer


@contextmanager
def _orthanc(folder: Path, settings: Mapping[str, Any]) -> Iterator[orthanc.Orthanc]:
    dicom, http_port = free_ports(2)
    best = {"TCP_NODELAY": "1"}
    with orthanc.orthanc(
        folder, dicom_port=dicom, http_port=http_port, settings=settings, environment=best
    ) as peer:
        yield peer


def _send(peer: orthanc.Orthanc, count: int) -> None:
    """Upload a file for each study, over several connections that stay."""
    every = list(headings(count))
    with ThreadPoolExecutor(_SENDERS) as senders:
        shares = (every[place::_SENDERS] for place in range(_SENDERS))
        for done in [senders.submit(_send_all, peer.http_port, share) for share in shares]:
            done.result()


def _send_all(port: int, share: Sequence[Heading]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for heading in share:
        connection.request("POST", "/instances", part10(heading))
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"Orthanc does not take an instance: {answer.status}")
    connection.close()


def part10(heading: Heading) -> bytes:
    """A Part 10 file that says what `heading` does, without pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(heading.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(heading.instance_uid)
    meta.TransferSyntaxUID = UID(heading.transfer_syntax_uid)
    dataset = Dataset()
    dataset.SpecificCharacterSet = heading.specific_character_set
    for attribute in ATTRIBUTES:
        value = getattr(heading, attribute.field)
        if value not in ("", None):
            setattr(dataset, attribute.keyword, value)
    buffer = io.BytesIO()
    whole = FileDataset(buffer, dataset, file_meta=meta, preamble=bytes(128))
    whole.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
