"""What was acknowledged is durable (P3): a reception killed in the middle of stores."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import pytest

from huisclos.archive.layout import parse_place
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN
from huisclos.dimse.requestor import associate
from huisclos.errors import AssociationEnded
from huisclos.seal import X25519Identity, unseal
from huisclos.stores.local import LocalStore
from tests.archive.samples import CT, data_set, uid
from tests.dimse.listening import TITLE
from tests.dimse.speaking import QUICK
from tests.tools import PROJECT


async def send(port: int, study: int, acknowledged: dict[str, bytes]) -> None:
    """Store until the association breaks; what was acknowledged is written down."""
    async with associate(
        "127.0.0.1",
        port,
        calling="SCANNER",
        called=TITLE,
        contexts=[Proposal(CT, (EXPLICIT_LITTLE_ENDIAN,))],
        timeouts=QUICK,
    ) as association:
        for number in range(1, 10_000):
            sent, name = data_set(study, 1, number, pixels=os.urandom(60_000)), uid(study, 1, number)
            await association.store(
                sent, sop_class=CT, sop_instance=name, transfer_syntax=EXPLICIT_LITTLE_ENDIAN
            )
            acknowledged[name] = sent


@pytest.mark.parametrize("wanted", [1, 40])
async def test_killed_in_the_middle_of_stores(tmp_path: Path, wanted: int) -> None:
    """Three associations at once; every acknowledged instance opens, whole, and all else can be swept."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.reception.keyed",
        str(tmp_path),
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", os.environ.get("PYTHONPATH", "")])},
        stdout=asyncio.subprocess.PIPE,
    )
    acknowledged: dict[str, bytes] = {}
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        sending = [asyncio.create_task(_until_broken(port, study, acknowledged)) for study in (1, 2, 3)]
        async with asyncio.timeout(60):
            while len(acknowledged) < wanted:
                await asyncio.sleep(0.001)
    finally:
        process.kill()
        await process.wait()
    await asyncio.gather(*sending)
    found = {}
    store = LocalStore(tmp_path / "archive")
    for place, _ in store.list("objects"):
        secret = (tmp_path / "keys" / parse_place(place).owner_id).read_text(encoding="ascii")
        content = unseal(store.read(place), [X25519Identity.parse(secret)])
        found[hash(content[-50_000:])] = content
    for sent in acknowledged.values():
        assert found[hash(sent[-50_000:])].endswith(sent)
    store.sweep()
    assert not list((tmp_path / "archive" / "incoming").iterdir())


async def _until_broken(port: int, study: int, acknowledged: dict[str, bytes]) -> None:
    with contextlib.suppress(AssociationEnded):
        await send(port, study, acknowledged)
