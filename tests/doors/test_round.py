"""One page for many practices: worst first, what changed since the last visit, each repair once."""

from __future__ import annotations

import datetime as dt
import random
import re

import pytest

from huisclos.clock import now
from huisclos.doors.assemble import Audit
from huisclos.doors.catalogue import catalogue
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.doors.reports.round import practices, to_round
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import SEVERITIES, Language, Mute, Reach, Reason
from huisclos.findings.report import Report

NAMES = (
    "Cabinet de l'Orme", "Centre d'imagerie des Lilas", "Dr Inventé", "Échographie du Port",
    "Maison de santé", "Radiologie Saint-Modèle", "Clinique vétérinaire du Bac", "Cabinet des Tilleuls",
    "IRM Nord", "Dr Exemple",
)  # fmt: skip
WHATS = (
    What.STUDY_QUERY, What.ECHO, What.GET, What.DICOM_TRANSPORT, What.DICOM_LISTENER, What.REST, What.QIDO,
    What.IMPLEMENTATION,
)  # fmt: skip


def visit(
    name: str | None, whats: tuple[What, ...], language: Language, days: int = 0, *, silent: bool = False
) -> Report:
    """One visit, some days ago."""
    at = now() - dt.timedelta(days=days)
    where = facts(port=4242, status=0, http_status=200, contexts=2, transport="plain")
    seen: list[Seen] = [Observation(what, "192.168.1.20:4242", Reach.LAN, where) for what in whats]
    refused = facts(port=4242, status=0x0110, http_status=401, contexts=0, reject_reason=3)
    seen += [
        Observation(what, "192.168.1.20:4242", Reach.LAN, refused) for what in WHATS[:3] if what not in whats
    ]
    if silent:
        seen.append(Miss(("DCM-010", "DCM-011"), "192.168.1.30:104", Reason.TIMED_OUT))
    mutes = (Mute(check="DCM-001", reason="lab", author="A. Martin", until="2099-01-01"),)
    audit = Audit("probe", language, at, site=name, mutes=mutes if silent else ())
    audit.take(seen, at)
    return audit.report()


def tour(language: Language) -> list[Report]:
    """Ten practices, most of them seen twice."""
    chance, made = random.Random(7), []
    for number, name in enumerate(NAMES):
        before = tuple(chance.sample(WHATS, number % 5))
        after = tuple(chance.sample(WHATS, (number * 3) % 7))
        if number % 3:
            made.append(visit(name, before, language, 90))
        made.append(visit(name, after, language, silent=not number % 4))
    return made


def test_ten_practices_worst_first() -> None:
    """Each practice once, by its newest visit, the worst at the top."""
    sites = practices(tour(Language.FR), Language.FR)
    assert sorted(NAMES) == sorted(name for name, _ in sites)
    worst = [
        tuple(
            -sum(one.severity is rank and one.muted is None for one in made.findings) for rank in SEVERITIES
        )
        for _, made in sites
    ]
    assert worst == sorted(worst)


def test_what_changed_since_the_last_visit() -> None:
    """Two reports of one practice are compared; a question that was not put closes nothing."""
    first, second = (What.STUDY_QUERY, What.REST), (What.ECHO,)
    reports = [visit("A", second, Language.EN), visit("A", first, Language.EN, 30)]
    ((_, made),) = practices(reports, Language.EN)
    assert {"DCM-005"} <= {one.check for one in made.opened}
    assert {"DCM-006"} <= {one.check for one in made.closed}
    assert "WEB-001" not in {one.check for one in made.closed}
    page = to_round(reports, Language.EN)
    assert "Opened since" in page
    assert "Closed since" in page


@pytest.mark.parametrize("language", list(Language))
def test_the_page_speaks_one_language(language: Language) -> None:
    """Reports in the other language are told again; nothing is fetched, names are escaped."""
    other = Language.EN if language is Language.FR else Language.FR
    page = to_round([*tour(other), visit("<b>A & B</b>", (What.STUDY_QUERY,), other)], language)
    check = catalogue()["DCM-006"]
    assert check.title.in_(language) in page.replace("’", "'").replace("\u00a0", " ")
    assert check.title.in_(other) not in page.replace("’", "'").replace("\u00a0", " ")
    assert "<b>A &" not in page
    assert "&lt;b&gt;A &amp; B" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "<script" not in page


def test_each_repair_once_with_the_practices_that_need_it() -> None:
    """Two practices with the same door share a line; without a name each is one of its own."""
    reports = [visit(None, (What.STUDY_QUERY,), Language.EN) for _ in range(2)]
    page = to_round(reports, Language.EN)
    assert 1 == page.count("What to do:</b> Allow queries to named peers only")
    assert "Practice 1" in page
    assert "Practice 2" in page
