"""One association as a stranger holds it, without a socket: questions in order, what each came to.

Bytes in, bytes out (PS3.8 section 9.2, the requestor's half). What can be written before is: a request for
an association differs from host to host by one title, a question by one canary. Bytes of a data set that a
peer sends are counted and dropped; they are never put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from huisclos.dimse.protocol.bounds import Bounds
from huisclos.dimse.protocol.commands import RESPONSE, Command, Field, Tag, cancel_request, write_command
from huisclos.dimse.protocol.contexts import Proposal, agreed
from huisclos.dimse.protocol.events import AcceptedContext, CommandReceived, DataReceived
from huisclos.dimse.protocol.items import RoleSelection, UserIdentity, UserInformation
from huisclos.dimse.protocol.messages import Assembler, fragments
from huisclos.dimse.protocol.names import write_ae_title
from huisclos.dimse.protocol.pdus import (
    Abort,
    AbortReason,
    AbortSource,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    Kind,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    read_pdu,
    write_pdu,
)
from huisclos.dimse.protocol.reader import Control, Fragment, Reader
from huisclos.dimse.protocol.statuses import Category, Status, category
from huisclos.errors import BadPDU

BOUNDS: Final = Bounds(
    announced_pdu_length=16 * 1024,
    pdu_length=128 * 1024,
    associate_length=64 * 1024,
    identifier_length=64 * 1024,
)
_TITLE_AT: Final = 10
"""where the called title lies in A-ASSOCIATE-RQ (PS3.8 table 9-11)"""
_TITLE_LENGTH: Final = 16
_ITEMS_AT: Final = 68
"""where the items of an A-ASSOCIATE PDU begin, its header taken off"""
_REMEMBERED: Final = 256
"""answers that a script remembers"""
_REMEMBERED_LENGTH: Final = 4 * 1024
"""bytes of such an answer"""
_ANY_LENGTH: Final = 128 * 1024
"""bytes of our PDUs to a peer that sets no bound"""

_HEADER: Final = 6
"""bytes of a PDU's header (PS3.8 section 9.3.1)"""
_FOREIGN: Final = 128
"""bytes of another protocol that are looked at"""
TRANSIENT: Final = 2
"""a result of A-ASSOCIATE-RJ: not now (PS3.8 table 9-21)"""
PROVIDER: Final = 3
"""who rejects so for want of room; pynetdicom's users reject a name in a transient way, too"""
_ACCEPTS: Final = bytes((Kind.ASSOCIATE_AC,))
_RETRIEVES: Final = (Field.C_GET, Field.C_MOVE)
_ABORT: Final = write_pdu(Abort(AbortSource.USER, AbortReason.NOT_SPECIFIED))
_RELEASE: Final = write_pdu(ReleaseRequest())
_RELEASED: Final = write_pdu(ReleaseReply())


class End(Enum):
    """How an association ended."""

    RELEASED = "released"
    REJECTED = "rejected"
    ABORTED = "aborted"
    """by the peer, in form: a refusal"""
    LEFT = "left"
    """the peer releases or hangs up of its own accord"""
    BROKEN = "broken"
    """the peer breaks the protocol"""
    LATE = "late"
    """a deadline ran out"""
    RECORD = "record"
    """the peer answered a canary with somebody's record or image, which is not looked at"""


@dataclass(frozen=True, slots=True)
class Question:
    """A request of DIMSE for a thing that does not exist."""

    check: str
    sop_class: str
    field: Field
    make: Callable[[int], Command]
    """the command, by message id"""
    key: Callable[[], bytes] | None = None
    """the identifier, anew for each host, implicit little endian"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to; without a status, the association ended over it."""

    question: Question
    status: int | None = None
    sub_operations: int | None = None
    record: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an A-ASSOCIATE-AC says."""

    contexts: dict[str, int]
    """the number of each abstract syntax that was accepted"""
    pdu_length: int
    uid: str | None
    version: str | None
    knows_user: bool = False
    """whether it says that it took the user who was named (PS3.7 annex D.3.3.7.2)"""


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """Servers that accepted in the same words, and what they were found to mean by others."""

    accepted: Accepted
    contexts: dict[int, AcceptedContext]
    answers: dict[tuple[str, bytes], Answer] = field(default_factory=dict)
    """by the question's check and the bytes that came: what is the same was read before"""
    commands: dict[str, bytes] = field(default_factory=dict)
    """by check, cut into PDUs"""

    def remember(self, question: Question, data: bytes, answer: Answer) -> None:
        """The next one that sends `data` to `question` is not read again."""
        if len(data) <= _REMEMBERED_LENGTH and len(self.answers) < _REMEMBERED:
            self.answers[question.check, data] = answer

    def command(self, check: str, context: int, raw: bytes) -> bytes:
        """The command `raw` in the PDUs that these servers take."""
        made = self.commands.get(check)
        if made is None:
            made = self.commands[check] = _cut(context, raw, self.accepted.pdu_length, command=True)
        return made


class Script:
    """What is proposed and what is asked, encoded once for all hosts that are asked the same."""

    __slots__ = ("_raw", "_remembered", "_request", "commands", "message_ids")

    def __init__(
        self,
        calling: str,
        proposals: Sequence[Proposal],
        questions: Sequence[Question],
        user: UserIdentity | None = None,
    ) -> None:
        self._request = AssociateRequest(
            called="X" * _TITLE_LENGTH,
            calling=calling,
            contexts=tuple(
                ProposedContext(2 * at + 1, one.abstract_syntax, one.transfer_syntaxes)
                for at, one in enumerate(proposals)
            ),
            user=UserInformation(
                max_length=BOUNDS.announced_pdu_length,
                roles=tuple(RoleSelection(one.abstract_syntax, True, True) for one in proposals if one.scp),
                identity=user,
            ),
        )
        self._raw = write_pdu(self._request)
        self._remembered: dict[bytes, Acquaintance] = {}
        self.message_ids = {one.check: at for at, one in enumerate(questions, 1)}
        """by check"""
        self.commands = {one.check: write_command(one.make(at)) for at, one in enumerate(questions, 1)}
        """by check, encoded"""

    def opening(self, called: str) -> bytes:
        """A-ASSOCIATE-RQ to `called`. Raises `BadIdentifier`."""
        return self._raw[:_TITLE_AT] + write_ae_title(called) + self._raw[_TITLE_AT + _TITLE_LENGTH :]

    def recall(self, data: bytes) -> Acquaintance | None:
        """Who accepts in a PDU that was read before, if `data` is just that."""
        if data[:1] != _ACCEPTS or int.from_bytes(data[2:_HEADER], "big") != len(data) - _HEADER:
            return None
        return self._remembered.get(data[_HEADER + _ITEMS_AT :])

    def read(self, body: bytes) -> Acquaintance:
        """What an A-ASSOCIATE-AC says. Raises `BadPDU`.

        Servers of one make answer alike but for the titles, which only repeat ours: what was read once is
        remembered.
        """
        items = body[_ITEMS_AT:]
        if (known := self._remembered.get(items)) is not None:
            return known
        found = Acquaintance(*_read_accept(body, self._request))
        if len(items) <= _REMEMBERED_LENGTH and len(self._remembered) < _REMEMBERED:
            self._remembered[items] = found
        return found


class Dialogue:
    """One association, from its request to its end; `waiting` is emptied as questions are answered."""

    __slots__ = (
        "_asked", "_assembler", "_at_rest", "_known", "_reader", "_releasing", "_script",
        "accepted", "answers", "end", "foreign", "opening", "reject", "waiting",
    )  # fmt: skip

    def __init__(self, script: Script, called: str, waiting: list[Question]) -> None:
        self.opening = script.opening(called)
        self.waiting = waiting
        self.accepted: Accepted | None = None
        self.reject: AssociateReject | None = None
        self.answers: list[Answer] = []
        self.end: End | None = None
        """None while it goes on; then nothing more is read, and the transport is to be closed"""
        self.foreign = b""
        """how what is not DICOM began"""
        self._script = script
        self._known: Acquaintance | None = None
        self._at_rest = True
        """whether what comes next begins a PDU, and a message"""
        self._reader = Reader(BOUNDS)
        self._assembler = Assembler(BOUNDS)
        self._asked: Question | None = None
        self._releasing = False

    def feed(self, data: bytes) -> bytes:
        """Take what the peer sends; what is to be sent."""
        if self.end is not None:
            return b""
        if not self._at_rest:
            return self._read(data)
        # The same bytes at the same place come to the same: they are read once for all who send them.
        asked, known = self._asked, self._known
        if known is None:
            if (known := self._script.recall(data)) is not None:
                return self._met(known)
        elif asked is None:
            if self._releasing and data == _RELEASED:
                self._over(End.RELEASED)
                return b""
        elif (answer := known.answers.get((asked.check, data))) is not None:
            return self._answered(answer)
        before = len(self.answers)
        out = self._read(data)
        if asked is not None and known is not None:
            self._learn(known, asked, data, before)
        return out

    def _learn(self, known: Acquaintance, asked: Question, data: bytes, before: int) -> None:
        """Remember what `data` came to, if it was one whole answer and nothing else."""
        whole = self.end is None and self._at_rest and len(self.answers) == before + 1
        if whole and self.answers[before].question is asked:
            known.remember(asked, data, self.answers[before])

    def _read(self, data: bytes) -> bytes:
        out = b""
        try:
            self._reader.feed(memoryview(data))
            while (read := self._reader.read()) is not None:
                out += self._fragment(read) if isinstance(read, Fragment) else self._control(read)
                if self.end is not None:
                    break
        except BadPDU as bad:
            if self.accepted is None and self.reject is None:
                self.foreign = data[:_FOREIGN]
            self._over(End.BROKEN)
            out += write_pdu(Abort(AbortSource.PROVIDER, bad.reason))
        self._at_rest = self._reader.at_rest and self._assembler.at_rest
        return out

    def late(self) -> bytes:
        """A deadline ran out; what is to be sent before the transport is closed."""
        if self._releasing:
            self._over(End.RELEASED)
        else:
            self._over(End.LATE)
        return _ABORT

    def lost(self) -> None:
        """The transport is gone."""
        self._over(End.RELEASED if self._releasing else End.LEFT)

    def _over(self, end: End) -> None:
        if self.end is None:
            self.end = end

    def _control(self, read: Control) -> bytes:
        kind = read.kind
        if kind == Kind.ASSOCIATE_AC and self.accepted is None:
            return self._met(self._script.read(read.body))
        if kind == Kind.RELEASE_RP and self._releasing:
            self._over(End.RELEASED)
            return b""
        if kind == Kind.ABORT:
            self._over(End.RELEASED if self._releasing else End.ABORTED)
            return b""
        if kind == Kind.ASSOCIATE_RJ and self.accepted is None:
            reject = read_pdu(kind, read.body, BOUNDS)
            assert isinstance(reject, AssociateReject)  # noqa: S101 - by its kind
            self.reject = reject
            self._over(End.REJECTED)
            return b""
        if kind == Kind.RELEASE_RQ and self.accepted is not None:
            if not self._releasing:  # both at once: its answer to ours is still to come
                self._over(End.LEFT)
            return _RELEASED
        raise BadPDU("a PDU out of turn", reason=AbortReason.UNEXPECTED_PDU)

    def _met(self, known: Acquaintance) -> bytes:
        self._known = known
        self.accepted, self._assembler.contexts = known.accepted, known.contexts
        return self._next()

    def _fragment(self, read: Fragment) -> bytes:
        if self.accepted is None:
            raise BadPDU("data out of turn", reason=AbortReason.UNEXPECTED_PDU)
        if self._releasing:
            return b""
        event = self._assembler.take(read)
        if isinstance(event, CommandReceived):
            return self._command(event)
        if isinstance(event, DataReceived) and event.last and self._asked is None:
            return self._next()
        return b""

    def _command(self, event: CommandReceived) -> bytes:
        asked, command = self._asked, event.command
        if asked is None:
            raise BadPDU("an answer to nothing")
        number = self._script.message_ids[asked.check]
        if command.field == Field.C_STORE and asked.field is Field.C_GET:
            return self._record(asked) + _ABORT
        if command.field != asked.field | RESPONSE or command.message_id != number:
            raise BadPDU("an answer to something that was not asked")
        status = command.status or 0
        if category(status) is Category.PENDING:
            if asked.field is not Field.C_FIND:
                return b""
            assert self.accepted is not None  # noqa: S101 - called from an association that stands
            cancel = write_command(cancel_request(number))
            cut = _cut(event.context.id, cancel, self.accepted.pdu_length, command=True)
            return self._record(asked) + cut + _ABORT
        moved = None
        if asked.field in _RETRIEVES and category(status) is not Category.FAILURE:
            moved = sum(command.number(tag) or 0 for tag in (Tag.COMPLETED, Tag.FAILED, Tag.WARNINGS))
        if not command.has_data_set:
            return self._answered(Answer(asked, status, moved))
        self.answers.append(Answer(asked, status, moved))
        self._asked = None
        return b""

    def _answered(self, answer: Answer) -> bytes:
        self.answers.append(answer)
        self._asked = None
        return self._next()

    def _record(self, asked: Question) -> bytes:
        """Somebody's record comes: not another byte of it is read."""
        self.answers.append(Answer(asked, record=True))
        self._asked = None
        self._over(End.RECORD)
        return b""

    def _next(self) -> bytes:
        """The next question that can be put, or the release."""
        known = self._known
        assert known is not None  # noqa: S101 - called from an association that stands
        while self.waiting:
            question = self.waiting.pop(0)
            context = known.accepted.contexts.get(question.sop_class)
            if context is None:
                self.answers.append(Answer(question, Status.SOP_CLASS_NOT_SUPPORTED))
                continue
            self._asked = question
            command = known.command(question.check, context, self._script.commands[question.check])
            if question.key is None:
                return command
            return command + _cut(context, question.key(), known.accepted.pdu_length, command=False)
        self._releasing = True
        return _RELEASE

    @property
    def unanswered(self) -> Question | None:
        """The question over which the association ended."""
        return self._asked


def _cut(context: int, message: bytes, length: int, *, command: bool) -> bytes:
    """`message` in PDUs of at most `length` bytes."""
    return b"".join(fragments(context, memoryview(message), command=command, last=True, pdu_length=length))


def _read_accept(body: bytes, request: AssociateRequest) -> tuple[Accepted, dict[int, AcceptedContext]]:
    accept = read_pdu(Kind.ASSOCIATE_AC, body, BOUNDS)
    assert isinstance(accept, AssociateAccept)  # noqa: S101 - by its kind
    contexts = agreed(request, accept)
    numbers: dict[str, int] = {}
    for one in contexts.values():
        numbers.setdefault(one.abstract_syntax, one.id)
    user = accept.user
    length = min(user.max_length or _ANY_LENGTH, _ANY_LENGTH)
    knows_user = user.identity_response is not None
    return (
        Accepted(numbers, length, user.implementation_uid, user.implementation_version, knows_user),
        contexts,
    )
