"""The doors of the house: each a row with its state, since when, the proof, and how to close it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.nouns import Right
from huisclos.doors.catalogue import Check, catalogue
from huisclos.doors.facts import place, said
from huisclos.doors.house import OUTSIDE, DoorState, HouseDoor
from huisclos.doors.reports.typeset import ended, typeset
from huisclos.doors.reports.words import why_unknown, word
from huisclos.findings.nouns import Language, severity_at
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of

MAX_CLOSED = 500
"""rows of closed doors on one page"""
_INFORMATION = "info"


class Row(Struct, frozen=True):
    """One door, in the reader's language."""

    kind: str
    """`bad`, `warn` or `good`"""
    check: str
    title: str
    target: str
    state: str
    proof: str = ""
    fix: str = ""


@person(Right.DOORS)
async def doors_page(visit: Visit) -> Response:
    """Open doors first, then what nobody could test, then the closed ones."""
    words = words_of(visit.request, visit.session.actor.language)
    found = await visit.site.watched.doors(visit.proof)
    return await page(
        visit.request,
        "doors.html",
        visit.session,
        open=rows(found.doors, DoorState.OPEN, words),
        untested=rows(found.doors, DoorState.UNTESTED, words),
        closed=rows(found.doors, DoorState.CLOSED, words)[:MAX_CLOSED],
        looked_at=found.looked_at,
        looking=found.looking,
    )


@person(Right.DOORS)
async def look(visit: Visit) -> Response:
    """Look again, and show what was seen."""
    await visit.site.watched.look(visit.proof)
    return see("/doors")


def rows(doors: tuple[HouseDoor, ...], state: DoorState, words: Words) -> list[Row]:
    """The doors in one state, worst first."""
    known = catalogue()
    chosen = [one for one in doors if one.state is state]
    made = (
        _row(one, known.get(one.check), words) for one in sorted(chosen, key=lambda one: _order(one, known))
    )
    language = Language(words.language)
    return [
        replace(
            row,
            title=typeset(row.title, language),
            proof=typeset(row.proof, language),
            fix=typeset(row.fix, language),
        )
        for row in made
    ]


def _order(one: HouseDoor, known: dict[str, Check]) -> tuple[int, str, str]:
    check = known.get(one.check)
    if check is None:
        return -1, one.check, one.target
    severity = severity_at(check.severity, one.reach) if one.reach is not None else check.severity
    return severity.rank, one.check, one.target


def _row(one: HouseDoor, check: Check | None, words: Words) -> Row:
    _ = words.gettext
    language = Language(words.language)
    when = words.when(one.since)
    target = "" if one.target == "*" else place(one.target, language, one.check)
    if one.state is DoorState.UNTESTED:
        why = why_unknown(one.check, one.target, one.reason, language)
        title = check.should.in_(language) if check is not None else _("Everything that would be asked there")
        if one.check == OUTSIDE:
            why = _("From in here nobody sees what the Internet sees. Ask the view from outside:")
            why += " `huisclos doors outside ask`"
        why = ended(why[:1].upper() + why[1:])
        return Row("warn", one.check, title, target, _("Nobody knows whether this is so."), why)
    if check is None or one.state is DoorState.CLOSED:
        title = check.should.in_(language) if check is not None else one.check
        return Row("good", one.check, title, target, _("Closed since %(when)s.") % {"when": when})
    mild = check.severity == _INFORMATION
    state = _("So since %(when)s.") if mild else _("Open since %(when)s.")
    return Row(
        "warn" if mild else "bad",
        one.check,
        check.title.in_(language),
        target,
        state % {"when": when},
        _proof(one, words, language),
        check.fix.in_(language),
    )


def _proof(one: HouseDoor, words: Words, language: Language) -> str:
    _ = words.gettext
    verdict = word(one.verdict.value, language) if one.verdict is not None else ""
    how = _("Known by: %(how)s") % {"how": verdict}
    if one.check == OUTSIDE and one.what == "house":
        count = next((fact.value for fact in one.evidence if fact.key == "count"), 1)
        times = words.ngettext(
            "%(num)s connection from a public address was refused",
            "%(num)s connections from public addresses were refused",
            int(count),
        ) % {"num": words.number(int(count))}
        last = _("the last one %(ago)s") % {"ago": words.ago(one.seen_at)}
        return _("%(how)s; %(times)s, %(last)s.") % {"how": how, "times": times, "last": last}
    shown = ", ".join(said(one.evidence, language))
    return f"{how} ({shown})." if shown else f"{how}."


def routes() -> list[BaseRoute]:
    """The doors."""
    return [
        Route("/doors", doors_page, methods=["GET"]),
        Route("/doors/look", look, methods=["POST"]),
    ]
