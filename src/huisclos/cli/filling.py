"""Filling a demonstration: unlock, an owner, a peer, and images sent as a modality would send them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

from msgspec import Struct

from huisclos import clock, confine
from huisclos.access.accounts import PeerBody, PeerRight
from huisclos.access.nouns import Role
from huisclos.cli import output
from huisclos.cli.house import as_it_stands
from huisclos.cli.samples import Sample
from huisclos.dimse.protocol.contexts import Proposal
from huisclos.dimse.requestor import associate
from huisclos.errors import HuisclosError, OperationFailed
from huisclos.vault.admission import TITLE
from huisclos.wiring.connection import House

DEMO: Final = "DEMO"
"""AE title of the sender."""
_LONGEST: Final = 256


class Filling(Struct, frozen=True):
    """What a new demonstration is filled with."""

    passphrase: str
    owner: str
    password: str
    recovery: str
    """`AGE-SECRET-KEY-1...`"""
    samples: tuple[Sample, ...]

    def __repr__(self) -> str:
        return f"Filling({len(self.samples)} samples)"


def fill(reading: int, root: Path, filling: Filling) -> int:
    """Wait for `host:port` of the DICOM listener on `reading`, then fill; the exit code."""
    confine.die_with_parent(signal.SIGTERM)
    try:
        where = os.read(reading, _LONGEST).decode()
        if not where:  # the house did not start
            return 0
        sent = as_it_stands(root, lambda house: _fill(house, where, filling))
    except HuisclosError as error:
        output.tell(error)
        output.say("The demonstration is not complete; the archive is served all the same.")
        return error.exit_code
    except KeyboardInterrupt:
        return output.INTERRUPTED
    studies = {sample.heading.study_uid for sample in sent}
    modalities = {sample.heading.modality for sample in sent} - {""}
    output.say(
        f"Sent by C-STORE from {DEMO}: {output.number(len(studies), 'study', 'studies')}, "
        f"{output.number(len(sent), 'instance')}, {len(modalities)} modalities. Log in now."
    )
    return 0


async def _fill(house: House, where: str, filling: Filling) -> list[Sample]:
    await house.console.confirm_recovery(filling.recovery)
    await house.gate.unlock(filling.passphrase, "", "")
    await house.console.add_user(filling.owner, Role.OWNER, filling.password)
    host, _, port = where.rpartition(":")
    may = frozenset({PeerRight.ECHO, PeerRight.STORE})
    await house.console.add_peer(PeerBody(DEMO, host.strip("[]"), may, clock.timestamp()))
    with output.progress("sending") as step:
        return await _send(host.strip("[]"), int(port), filling.samples, step)


async def _send(host: str, port: int, samples: tuple[Sample, ...], step: output.Step) -> list[Sample]:
    """Send by C-STORE; those that were taken."""
    kinds = dict.fromkeys((sample.heading.sop_class_uid, sample.transfer_syntax) for sample in samples)
    contexts = [Proposal(sop_class, (syntax,)) for sop_class, syntax in kinds]
    sent = []
    async with associate(host, port, calling=DEMO, called=TITLE, contexts=contexts) as association:
        for done, sample in enumerate(samples, 1):
            try:
                await association.store(
                    sample.path.read_bytes()[sample.data_offset :],
                    sop_class=sample.heading.sop_class_uid,
                    sop_instance=sample.heading.instance_uid,
                    transfer_syntax=sample.transfer_syntax,
                )
            except OperationFailed as error:
                output.complain(f"{sample.path.name} was not taken: {error.message}")
            else:
                sent.append(sample)
            step(done, len(samples))
    return sent
