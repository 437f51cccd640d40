"""Presentation contexts: what to propose, what to take, what was agreed (PS3.8 section 7.1.1.13)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from huisclos.dimse.protocol.events import AcceptedContext
from huisclos.dimse.protocol.items import INVALID_PARAMETER
from huisclos.dimse.protocol.names import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN, is_uid
from huisclos.dimse.protocol.pdus import (
    AnsweredContext,
    AssociateAccept,
    AssociateRequest,
    ContextAnswer,
    ProposedContext,
)
from huisclos.errors import BadPDU


@dataclass(frozen=True, slots=True)
class Proposal:
    """An abstract syntax to ask a peer for; `scp` when we are to be its provider (C-GET stores)."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...] = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
    scp: bool = False


def answer_contexts(
    proposed: Iterable[ProposedContext], takes: Callable[[str], bool]
) -> tuple[AnsweredContext, ...]:
    """Accept each context whose abstract syntax `takes` takes, in the first transfer syntax proposed.

    Nothing is decoded here, so any transfer syntax that is a UID will do, and the first is what
    the sender would rather write.
    """
    return tuple(_answer(context, takes) for context in proposed)


def agreed(request: AssociateRequest, accept: AssociateAccept) -> dict[int, AcceptedContext]:
    """The accepted contexts by number; `BadPDU` for an answer to what was not proposed."""
    asked = {context.id: context for context in request.contexts}
    contexts: dict[int, AcceptedContext] = {}
    for answer in accept.contexts:
        question = asked.get(answer.id)
        if question is None:
            raise BadPDU("an answer to a context that was not proposed", reason=INVALID_PARAMETER)
        if answer.answer != ContextAnswer.ACCEPTANCE:
            continue
        if answer.transfer_syntax not in question.transfer_syntaxes:
            raise BadPDU("a transfer syntax that was not proposed", reason=INVALID_PARAMETER)
        contexts[answer.id] = AcceptedContext(answer.id, question.abstract_syntax, answer.transfer_syntax)
    return contexts


def _answer(context: ProposedContext, takes: Callable[[str], bool]) -> AnsweredContext:
    if not is_uid(context.abstract_syntax) or not takes(context.abstract_syntax):
        syntax = context.transfer_syntaxes[0]
        return AnsweredContext(context.id, ContextAnswer.ABSTRACT_SYNTAX_NOT_SUPPORTED, syntax)
    for syntax in context.transfer_syntaxes:
        if is_uid(syntax):
            return AnsweredContext(context.id, ContextAnswer.ACCEPTANCE, syntax)
    syntax = context.transfer_syntaxes[0]
    return AnsweredContext(context.id, ContextAnswer.TRANSFER_SYNTAXES_NOT_SUPPORTED, syntax)
