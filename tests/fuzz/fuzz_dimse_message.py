"""Bytes as a whole association, from the acceptor's and from the requestor's seat, and as a command set."""

from __future__ import annotations

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import (
    cancel_request,
    echo_request,
    find_request,
    read_command,
    respond,
    store_request,
    write_command,
)
from huisclos.dimse.protocol.contexts import answer_contexts
from huisclos.dimse.protocol.events import AssociateRequested, CommandReceived, DataReceived, ReleaseRequested
from huisclos.dimse.protocol.items import UserInformation
from huisclos.dimse.protocol.machine import Machine, Side
from huisclos.dimse.protocol.messages import fragments
from huisclos.dimse.protocol.pdus import AssociateAccept, ReleaseRequest, write_pdu
from huisclos.dimse.protocol.states import Sta
from huisclos.errors import HuisclosError
from tests.fuzz.fuzz_dimse_pdu import ACCEPT, REQUEST

BOUNDS = Bounds(object_length=1 << 20)
_ECHO, _STORE = echo_request(1), store_request(2, "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")


def message(context_id: int, body: bytes, *, command: bool, pdu_length: int = 64) -> bytes:
    """The PDUs that carry `body`."""
    return b"".join(
        fragments(context_id, memoryview(body), command=command, last=True, pdu_length=pdu_length)
    )


WHOLE = b"".join(
    (
        write_pdu(REQUEST),
        message(1, write_command(_ECHO), command=True),
        message(3, write_command(_STORE), command=True),
        message(3, bytes(range(256)) * 4, command=False, pdu_length=100),
        write_pdu(ReleaseRequest()),
    )
)
"""What a sender says in an association with one echo and one store."""
SEEDS: list[bytes] = [
    WHOLE,
    write_pdu(ACCEPT) + message(1, write_command(respond(_ECHO, 0)), command=True),
    *(
        write_command(command)
        for command in (_ECHO, _STORE, find_request(3, "1.2.3"), cancel_request(3), respond(_STORE, 0xB000))
    ),
]


def one(data: bytes) -> str:
    """Let the two seats read `data`, and read it as a command set."""
    return f"{_as_acceptor(data)}; {_as_requestor(data)}; {_as_command(data)}"


def _as_command(data: bytes) -> str:
    try:
        command = read_command(data)
    except HuisclosError as error:
        return type(error).__name__
    assert read_command(write_command(command)) == command
    if not command.is_response and command.field != 0x0FFF:
        respond(command, 0)
    return f"{command.field:04X}"


def _as_acceptor(data: bytes) -> str:
    machine = Machine(Side.ACCEPTOR, BOUNDS)
    machine.open_transport()
    machine.feed(memoryview(data))
    seen: dict[str, None] = {}
    while (event := machine.next_event()) is not None:
        seen[type(event).__name__] = None
        match event:
            case AssociateRequested(request):
                machine.accept(
                    AssociateAccept(
                        called=request.called,
                        calling=request.calling,
                        contexts=answer_contexts(request.contexts, lambda _: True),
                        user=UserInformation(max_length=16384),
                    )
                )
            case CommandReceived(context, command):
                _answer(machine, context.id, command)
            case DataReceived(piece=piece):
                assert len(piece) <= len(data)
            case ReleaseRequested():
                machine.confirm_release()
        machine.take_outgoing()
    return _ended(machine, seen)


def _answer(machine: Machine, context_id: int, command: object) -> None:
    try:
        machine.send_command(context_id, respond(command, 0))  # type: ignore[arg-type]
    except (HuisclosError, KeyError):
        # A cancel or a response is not answered.
        return


def _as_requestor(data: bytes) -> str:
    machine = Machine(Side.REQUESTOR, BOUNDS)
    machine.ask(REQUEST)
    machine.open_transport()
    machine.feed(memoryview(data))
    seen: dict[str, None] = {}
    while (event := machine.next_event()) is not None:
        seen[type(event).__name__] = None
        machine.take_outgoing()
    return _ended(machine, seen)


def _ended(machine: Machine, seen: dict[str, None]) -> str:
    state = machine.state.name
    machine.close_transport()
    assert machine.state is Sta.STA1
    return " ".join((*seen, state))
