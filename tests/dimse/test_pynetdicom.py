"""pynetdicom on loopback, both ways: the independent peer, which no part of the house leans on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from huisclos.dimse.handling import HowEnded
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, VERIFICATION
from huisclos.dimse.requestor import associate
from huisclos.errors import AssociationRejected, OperationFailed
from tests.corpus import named
from tests.dimse.listening import CT, TITLE, Book, listening, until
from tests.dimse.speaking import (
    QUICK,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    data_set_of,
    identifier,
)
from tests.tools import need


@contextlib.contextmanager
def _pynetdicom(handlers: list[Any], **settings: Any) -> Iterator[int]:
    """Pynetdicom's server with `handlers`; its port."""
    from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
    from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

    entity = AE("PEER")
    for name, value in settings.items():
        setattr(entity, name, value)
    entity.add_supported_context(Verification)
    entity.add_supported_context(CTImageStorage, ALL_TRANSFER_SYNTAXES)
    entity.add_supported_context(STUDY_ROOT_FIND)
    entity.add_supported_context(STUDY_ROOT_GET)
    server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


async def test_pynetdicom_is_served() -> None:
    """The independent peer, as it proposes all storage, stores and releases; then aborts."""
    need("python:pynetdicom")
    from pynetdicom import AE, StoragePresentationContexts
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    book = Book()

    def talk(port: int) -> list[int]:
        entity = AE("MODALITY")
        entity.requested_contexts = StoragePresentationContexts[:120]
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", port, ae_title=TITLE)
        assert association.is_established
        image = dcmread(named("CT_small.dcm"))
        statuses = [association.send_c_echo().Status, association.send_c_store(image).Status]
        association.release()
        again = entity.associate("127.0.0.1", port, ae_title=TITLE)
        again.abort()
        return statuses

    async with listening(book) as (_, port):
        assert await asyncio.to_thread(talk, port) == [0, 0]
        await until(lambda: len(book.ends) == 2)
    assert [end.how for end in book.ends] == [HowEnded.RELEASED, HowEnded.ABORTED]
    assert len(book.stored) == 1


async def test_pynetdicom_serves() -> None:
    """Find with many matches, get with its stores, and a failure in the middle, from the other side."""
    need("python:pynetdicom")
    from pynetdicom import evt

    image = dcmread(named("CT_small.dcm"))
    got: list[Any] = []

    def on_find(event: Any) -> Iterator[tuple[int, Dataset | None]]:
        for at in range(30):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            match = Dataset()
            match.QueryRetrieveLevel = "STUDY"
            match.StudyInstanceUID = f"1.2.{at}"
            yield 0xFF00, match

    def on_get(_event: Any) -> Iterator[Any]:
        yield 2
        yield 0xFF00, image
        yield 0xFF00, image

    def on_store(event: Any) -> int:
        got.append(event.encoded_dataset(include_meta=False))
        return 0xB000 if len(got) == 1 else 0xC001

    handlers = [(evt.EVT_C_FIND, on_find), (evt.EVT_C_GET, on_get), (evt.EVT_C_STORE, on_store)]
    contexts = [
        Proposal(VERIFICATION),
        Proposal(STUDY_ROOT_FIND, (IMPLICIT_LITTLE_ENDIAN,)),
        Proposal(STUDY_ROOT_GET),
        Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,), scp=True),
    ]
    with _pynetdicom(handlers) as port:
        async with associate(
            "127.0.0.1", port, calling=TITLE, called="PEER", contexts=contexts, timeouts=QUICK
        ) as association:
            assert await association.echo() == 0
            wanted = identifier(implicit=True, QueryRetrieveLevel="STUDY", StudyInstanceUID="")
            found = [one async for one in association.find(wanted, sop_class=STUDY_ROOT_FIND)]
            assert len(found) == 30
            few = [one async for one in association.find(wanted, sop_class=STUDY_ROOT_FIND, limit=3)]
            assert len(few) == 3
            data = data_set_of(named("CT_small.dcm"))
            stored = association.store(
                data, sop_class=CT, sop_instance="1.2.3", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
            assert await stored == 0xB000
            with pytest.raises(OperationFailed) as failed:
                await association.store(
                    data, sop_class=CT, sop_instance="1.2.3", transfer_syntax=EXPLICIT_LITTLE_ENDIAN
                )
            assert failed.value.status == 0xC001
    assert got == [data, data]


async def test_pynetdicom_over_its_limit_is_congestion() -> None:
    """A transient rejection is not a refusal of who we are."""
    need("python:pynetdicom")
    with _pynetdicom([], maximum_associations=1) as port:
        ask = {"calling": TITLE, "called": "PEER", "contexts": [Proposal(VERIFICATION)], "timeouts": QUICK}
        async with associate("127.0.0.1", port, **ask):  # type: ignore[arg-type]
            with pytest.raises(AssociationRejected) as rejected:
                async with associate("127.0.0.1", port, **ask):  # type: ignore[arg-type]
                    pass
    assert (rejected.value.result, rejected.value.source) == (2, 3)
