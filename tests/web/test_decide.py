"""The page "to decide": what a card says, who may look, and what each choice does."""

from __future__ import annotations

import io

import msgspec
import pydicom
import pytest

from huisclos.archive.compare import Comparison, Pixels
from huisclos.archive.nouns import Choice, Cut, Doubt, DoubtKind
from huisclos.web.pages.attributes import attribute_names
from huisclos.web.pages.doubts import card, told_pixels, told_rest
from huisclos.web.words import Words
from tests import corpus
from tests.web.browser import Browser
from tests.web.world import World

CT = "CT_small.dcm"


def changed(name: str, **values: str) -> bytes:
    """A file of the corpus with some values replaced."""
    data_set = pydicom.dcmread(corpus.named(name))
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    buffer = io.BytesIO()
    data_set.save_as(buffer)
    return buffer.getvalue()


def waiting(world: World) -> Doubt:
    """The card of the quarantine."""
    return next(one for one in world.books.doubt_list if one.kind is DoubtKind.QUARANTINE)


async def test_a_quarantine_says_who_how_many_and_since_when(browser: Browser, world: World) -> None:
    """Title, address, images; the owner has three choices, a physician none but to know."""
    world.furnish()
    page = await browser.be("Camille Exemple").see("/decide")
    for said in ("NEWCT", "192.168.1.40", "24 images", "12.6 MB", "Admit this machine", "Keep waiting",
                 "type NEWCT", "cannot be undone"):  # fmt: skip
        assert said in page.text, said
    page = await browser.be("Dr Martin").see("/decide")
    assert "NEWCT" in page.text
    assert "An owner of the archive decides" in page.text
    assert "Admit this machine" not in page.text


async def test_many_doubts_are_counted_first(browser: Browser, world: World) -> None:
    """Whoever has more to decide than a page shows is told how many before the first card."""
    world.furnish()
    card = world.books.doubt_list[0]
    world.books.doubt_list = tuple(msgspec.structs.replace(card, id=f"{at:032x}") for at in range(60))
    page = await browser.be("Camille Exemple").see("/decide")
    assert page.text.index("60 wait; the newest come first.") < page.text.index("<article")
    assert "35 more wait" in page.text


async def test_admitting_from_the_card(browser: Browser, world: World) -> None:
    """The vault admits, the card says so, and no undo is offered."""
    world.furnish()
    doubt = waiting(world)
    done = await browser.be("Camille Exemple").submit(f"/decide/{doubt.id}", {"choice": "admit"})
    assert "NEWCT is admitted" in done.text
    assert world.quarantine.admitted == ["NEWCT"]
    assert waiting(world).decided is Choice.ADMIT
    assert "Undo" not in done.text
    again = await browser.submit(f"/decide/{doubt.id}", {"choice": "admit"})
    assert "Nothing waits of NEWCT any more" in again.text


async def test_refusing_needs_the_name_typed(browser: Browser, world: World) -> None:
    """Another word destroys nothing; the name does, and the page says how much."""
    world.furnish()
    doubt = waiting(world)
    browser.be("Camille Exemple")
    for word in ("", "newct", "CT01"):
        refused = await browser.submit(f"/decide/{doubt.id}", {"choice": "refuse", "word": word})
        assert "nothing was destroyed" in refused.text
    assert not world.quarantine.discarded
    done = await browser.submit(f"/decide/{doubt.id}", {"choice": "refuse", "word": "NEWCT"})
    assert "24 images were destroyed" in done.text
    assert world.quarantine.discarded == ["NEWCT"]


async def test_only_an_owner_decides_about_a_sender(browser: Browser, world: World) -> None:
    """Whatever a form says."""
    world.furnish()
    doubt = waiting(world)
    browser.be("Dr Martin")
    for choice in ("admit", "refuse"):
        answer = await browser.submit(f"/decide/{doubt.id}", {"choice": choice, "word": "NEWCT"})
        assert answer.status_code == 403
    assert world.quarantine.waiting
    assert (await browser.submit(f"/decide/{doubt.id}", {"choice": "leave"})).status_code == 303
    assert waiting(world).decided is Choice.LEAVE


async def test_two_sides_and_what_differs(browser: Browser, world: World) -> None:
    """Pictures of both, read under a grant for their study; each attribute that differs, old and new."""
    other = changed(CT, PatientBirthDate="19620413", SeriesDescription="Corrected", ImageComments="new")
    doubt = await world.rivals(corpus.named(CT).read_bytes(), other)
    browser.be("Dr Martin")
    page = await browser.see("/decide")
    assert f'data-load="/decide/{doubt.id}/compared"' in page.text
    assert not world.keys.opened
    for side in ("first", "second"):
        assert (await browser.fetch(f"/decide/{doubt.id}/{side}")).headers["content-type"] == "image/jpeg"
    assert [name for name, _ in world.keys.opened] == ["Dr Martin"] * 2
    assert world.keys.read
    piece = await browser.fetch(f"/decide/{doubt.id}/compared", **{"X-Piece": "yes"})
    assert "only what is written about it differs" in piece.text
    for said in ("Comments on the image", "Uncompressed", "new"):
        assert said in piece.text, said
    for known in ("Patient&#39;s name", "Birth date", "Series description"):
        assert known not in piece.text, known
    for said in ("13/04/1962", "Corrected"):
        assert said in page.text, said
    alone = await browser.see(f"/decide/{doubt.id}")
    assert "13/04/1962" in alone.text
    assert "Keep the first" in alone.text


async def test_another_picture_is_said(browser: Browser, world: World) -> None:
    """When the pixels themselves differ."""
    original = pydicom.dcmread(corpus.named(CT))
    other = changed(CT)
    pixels = bytes(original.PixelData)
    doubt = await world.rivals(corpus.named(CT).read_bytes(), other.replace(pixels, pixels[::-1]))
    piece = await browser.be("Dr Martin").fetch(f"/decide/{doubt.id}/compared")
    assert "The picture itself is another one." in piece.text
    assert "All that is written about them is the same." in piece.text


async def test_pixels_are_for_those_who_may_see_them(browser: Browser, world: World) -> None:
    """Neither the secretary, nor the technician, nor the auditor, sees a card or a picture."""
    doubt = await world.rivals(corpus.named(CT).read_bytes(), changed(CT, PatientSex="F"))
    for name in ("Lou Accueil", "Sam Technique", "Noa Controle"):
        browser.be(name)
        for path in ("", "/first", "/second", "/compared"):
            assert (await browser.fetch(f"/decide/{doubt.id}{path}")).status_code == 403, path
    assert not world.keys.opened


async def test_a_cut_image_is_told_in_plain_words(browser: Browser, world: World) -> None:
    """Not "other content": it stops before its end, and the whole one answers."""
    doubt = await world.rivals(
        corpus.named("MR_small.dcm").read_bytes(),
        corpus.named("MR_truncated.dcm").read_bytes(),
        cut=Cut.SECOND,
    )
    page = await browser.be("Dr Martin").see("/decide")
    assert "An image came cut short" in page.text
    assert "stops before its end" in page.text
    assert "Two images claim" not in page.text
    piece = await browser.fetch(f"/decide/{doubt.id}/compared")
    assert "only the beginning of the other" in piece.text
    assert "another one" not in piece.text
    await browser.submit(f"/decide/{doubt.id}", {"choice": "keep-first"})
    assert "Keep the first" in (await browser.see("/decide")).text


async def test_a_doubt_that_is_gone(browser: Browser) -> None:
    """Is not found, whatever is asked of it."""
    browser.be("Dr Martin")
    for path in ("", "/first", "/compared"):
        assert (await browser.see(f"/decide/{'0' * 32}{path}")).status_code == 404


@pytest.mark.parametrize("language", ["fr", "en"])
def test_everything_has_words(language: str) -> None:
    """Each kind of card and each outcome of a comparison is said."""
    words = Words(language)
    for pixels in Pixels:
        assert told_pixels(pixels, words)
    for cut in Cut:
        for kind in DoubtKind:
            doubt = Doubt("1", kind, 0.0, *(World()._doubt().left,) * 2, tuple(Choice), cut=cut)
            told = card(doubt, words)
            assert told.title
            assert told.explained
            assert len(told.choices) == len(Choice)
    rest = told_rest(Comparison(Cut.NEITHER, (), 5, 2, Pixels.SAME), words)
    assert "2" in rest
    assert "3" in rest
    assert told_rest(Comparison(Cut.NEITHER, (), 0, 0, Pixels.SAME, readable=False), words)
    assert all(attribute_names(words).values())
