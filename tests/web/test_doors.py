"""The page of the doors: in each state, in both languages, for whom it is."""

from __future__ import annotations

from huisclos.access.nouns import Proof, ProofKind
from huisclos.doors.house import DoorState
from huisclos.findings.nouns import Language
from huisclos.web.pages.doors import rows
from huisclos.web.words import Words
from tests.web.browser import Browser
from tests.web.world import World


async def test_a_house_that_has_not_looked(browser: Browser) -> None:
    """Nothing is called closed before it was looked at; the view from outside is named as the other half."""
    page = await browser.be("Sam Technique").see("/doors")
    assert "has not looked at its doors yet" in page.text
    assert "huisclos doors outside ask" in page.text
    assert "Closed since" not in page.text


async def test_each_state(browser: Browser, world: World) -> None:
    """Open doors come first, with proof, since when and how to close them; then what nobody could test."""
    world.doors.furnish()
    text = (await browser.be("Noa Controle").see("/doors")).text
    order = [text.index(mark) for mark in ("BOX-016", "RST-001", "BOX-002", "DCM-006")]
    assert sorted(order) == order
    assert "12 connections from public addresses were refused" in text
    assert 2 == text.count("How to close it:")
    assert "Open since" in text
    assert "Nobody knows whether this is so. No answer in time" in text
    assert "Closed since" in text


async def test_look_again(browser: Browser, world: World) -> None:
    """One button looks again, and leads back to the page."""
    answer = await browser.be("Camille Exemple").submit("/doors/look")
    assert "/doors" == answer.headers["location"]
    assert 1 == world.doors.looks
    assert 403 == (await browser.be("Dr Martin").submit("/doors/look")).status_code


async def test_both_languages(world: World) -> None:
    """Titles, fixes and states are in the reader's language."""
    world.doors.furnish()
    found = await world.doors.doors(Proof(ProofKind.SESSION))
    for language in Language:
        words = Words(language.value)
        for state in DoorState:
            made = rows(found.doors, state, words)
            assert made
            assert all(one.title and one.state for one in made)
    assert rows(found.doors, DoorState.OPEN, Words("fr"))[0].title.startswith("Internet atteint")
