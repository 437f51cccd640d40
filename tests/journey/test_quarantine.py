"""What a sender sends who is not approved: kept apart, seen on the page, admitted or refused there.

With a stock sender, a real house and a browser; nothing is restarted in between.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page
from pynetdicom import AE

from tests.journey import browsing, wado
from tests.journey.living import PASSWORD, PEOPLE, Living, copy, stopping, until
from tests.journey.patients import BETKA, GLAFIRA, WILHELMA, read
from tests.tools import need

ADMITTED, REFUSED = "NEWCT", "STRANGEMR"
SECONDS = 30.0


@pytest.fixture(scope="module")
def house(template: Living, ground: Path) -> Iterator[Living]:
    """A house to which two machines were added while locked; both sent. Its tests follow each other."""
    need("dcmsend", "chromium", "certutil", "python:playwright")
    made = copy(template, Path(tempfile.mkdtemp(prefix="q", dir=ground)) / "house").serve(locked=True)
    for title in (ADMITTED, REFUSED):
        made.run("peer", "add", str(made.archive), title, "--address", "127.0.0.1")
    for title, contents in (
        (ADMITTED, [WILHELMA.file(number) for number in (1, 2, 3)]),
        (REFUSED, [GLAFIRA.file(1), GLAFIRA.file(2)]),
    ):
        assert made.store(written(made, title, contents), title).returncode == 0
    made.unlock()
    yield from stopping(made)


@pytest.fixture(scope="module")
def context(house: Living) -> Iterator[BrowserContext]:
    """A browser that trusts this house."""
    folder = house.folder / "browser"
    with browsing.browser(house, folder) as opened:
        yield opened
    browsing.clean(folder)


@pytest.fixture(scope="module")
def owner(context: BrowserContext, house: Living) -> Page:
    """A page of the owner."""
    page = context.new_page()
    browsing.log_in(page, house, PEOPLE["owner"], PASSWORD)
    return page


def written(house: Living, name: str, contents: list[bytes]) -> list[Path]:
    """Files to send."""
    folder = house.folder / "sources" / name
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.dcm" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def found(house: Living, study_uid: str) -> int:
    """How many instances of a study answer."""
    with house.client("physician") as client:
        return len(wado.query(client, "instances", StudyInstanceUID=study_uid))


def cards(page: Page, house: Living) -> list[str]:
    """The text of each open card."""
    page.goto(house.url() + "/decide")
    return page.locator("article.doubt").all_inner_texts()


def test_what_waits_is_listed(house: Living, owner: Page) -> None:
    """Who, from where, how many, since when, and what can be done; nothing of it is found."""
    until(lambda: len(cards(owner, house)) == 2, SECONDS, "both senders have a card")
    for title, images in ((ADMITTED, "3 images"), (REFUSED, "2 images")):
        (card,) = [text for text in cards(owner, house) if title in text]
        for said in ("127.0.0.1", images, "Since", "Admit this machine", "Keep waiting", "Refuse it"):
            assert said in card, (title, said)
    assert found(house, WILHELMA.study_uid) == found(house, GLAFIRA.study_uid) == 0
    assert house.status()["contents"]["doubts"] == 2


def test_more_of_it_is_counted(house: Living, owner: Page) -> None:
    """The sender goes on: the card follows, without a second one."""
    assert house.store(written(house, "more", [WILHELMA.file(4)]), ADMITTED).returncode == 0
    until(lambda: any("4 images" in text for text in cards(owner, house)), SECONDS, "the card follows")
    assert len(cards(owner, house)) == 2


def test_a_physician_sees_it_and_does_not_decide(house: Living) -> None:
    """The card says who does."""
    page = house.person("physician").get("/decide").text
    assert ADMITTED in page
    assert "An owner of the archive decides" in page
    assert "Admit this machine" not in page


def test_admitting_has_its_images_found(house: Living, owner: Page) -> None:
    """One button; within seconds they are in their study, and what it sends next goes there at once."""
    cards(owner, house)
    card = owner.locator("article.doubt", has_text=ADMITTED)
    card.get_by_role("button", name="Admit this machine").click()
    owner.get_by_role("status").filter(has_text=f"{ADMITTED} is admitted").wait_for()
    until(lambda: found(house, WILHELMA.study_uid) == 4, SECONDS, "its images are found")
    assert house.store(written(house, "then", [WILHELMA.file(5)]), ADMITTED).returncode == 0
    until(lambda: found(house, WILHELMA.study_uid) == 5, SECONDS, "and those that follow")
    assert [ADMITTED in text for text in cards(owner, house)] == [False]
    owner.locator(".decided", has_text=ADMITTED).wait_for()


def test_refusing_needs_the_name_and_destroys(house: Living, owner: Page) -> None:
    """Another name destroys nothing; with its own, the objects are gone and it is not let in."""
    for word, said in (("OTHER", "nothing was destroyed"), (REFUSED, "2 images were destroyed")):
        cards(owner, house)
        card = owner.locator("article.doubt", has_text=REFUSED)
        card.locator("summary").click()
        card.get_by_label(f"type {REFUSED}").fill(word)
        card.get_by_role("button", name="Destroy 2 images").click()
        owner.get_by_role("status").filter(has_text=said).wait_for()
        assert len(house.batched()) == (0 if word == REFUSED else 2)
    assert cards(owner, house) == []
    assert house.store(written(house, "again", [GLAFIRA.file(3)]), REFUSED).returncode != 0
    assert found(house, GLAFIRA.study_uid) == 0
    told = [
        line for line in house.json("journal", "show", str(house.archive)) if line["what"] == "quarantine"
    ]
    assert [(line["subject"], line["counts"]["instances"]) for line in told] == [(REFUSED, 2)]
    assert house.json("verify", str(house.archive))["problems"] == []


def test_two_contents_are_seen_side_by_side(house: Living, owner: Page) -> None:
    """Both pictures, what differs in words, and the effect of each choice; the reading is in the journal."""
    dataset = read(BETKA.file(1))
    dataset.StudyDescription = "Corrected by hand"
    corrected = house.folder / "corrected.dcm"
    dataset.save_as(corrected, enforce_file_format=True)
    assert house.stow(written(house, "rivals", [BETKA.file(1)])).status_code == 200
    assert house.stow([corrected]).status_code == 202  # kept, held apart
    until(lambda: len(cards(owner, house)) == 1, SECONDS, "the doubt has its card")
    card = owner.locator("article.doubt")
    card.get_by_text("only what is written about it differs").wait_for()
    assert "Corrected by hand" in card.inner_text()
    for side in ("Here first", "Came later"):
        picture = card.get_by_alt_text(f"Picture: {side}")
        picture.scroll_into_view_if_needed()
        owner.wait_for_function("image => image.naturalWidth > 8", arg=picture.element_handle())
    lines = house.json("journal", "show", str(house.archive))
    assert [
        line for line in lines if (line["act"], line["purpose"]) == ("granted", "decide") and line["study_id"]
    ]
    card.get_by_role("button", name="Take the second").click()
    owner.locator(".decided", has_text="Take the second").get_by_role("button", name="Undo").click()
    until(lambda: len(cards(owner, house)) == 1, SECONDS, "undone")


def test_a_cut_image_gives_way_by_itself(house: Living, owner: Page) -> None:
    """The beginning of an image, then the whole: the whole answers, and the page says why."""
    whole = BETKA.file(7)
    cut = written(house, "cut", [whole[:-200], whole])
    assert [house.stow([path]).status_code for path in cut] == [200, 202]

    def told() -> bool:
        owner.goto(house.url() + "/decide")
        return "An image came cut short" in owner.inner_text("main")

    until(told, SECONDS, "the house has compared")
    owner.locator(".decided li", has_text="An image came cut short").get_by_text("the house").wait_for()
    with house.client("physician") as client:
        kept = wado.study(client, BETKA.study_uid)
    assert len(kept[BETKA.instance_uid(7)]) > len(whole) - 1000
    assert whole.endswith(kept[BETKA.instance_uid(7)])


def _answered(house: Living, path: Path) -> int:
    """The status that a stock sender hears of one file (PS3.7 annex C)."""
    sender = AE(ADMITTED)
    dataset = read(path.read_bytes())
    sender.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = sender.associate("127.0.0.1", house.port("dicom"), ae_title="HUISCLOS")
    try:
        return int(association.send_c_store(dataset).Status)
    finally:
        association.release()


def test_a_machine_not_approved_fills_its_quota_and_no_more(fresh: Living) -> None:
    """The sender is told A700, an owner since when; restarted in the dark it counts on; admitting ends it."""
    need("dcmsend")
    settings = fresh.archive / "huisclos.toml"
    settings.write_text(settings.read_text("utf-8") + "quarantine_images = 3\n", encoding="utf-8")
    fresh.serve(locked=True)
    fresh.run("peer", "add", str(fresh.archive), ADMITTED, "--address", "127.0.0.1")
    files = written(fresh, "quota", [WILHELMA.file(number) for number in range(1, 7)])
    assert fresh.store(files[:2], ADMITTED).returncode == 0
    assert fresh.stop() == 0
    fresh.serve(locked=True)
    assert [_answered(fresh, path) for path in files[2:5]] == [0x0000, 0xA700, 0xA700]
    assert len(fresh.batched()) == 3
    fresh.unlock()
    (told,) = [
        line
        for line in fresh.json("journal", "show", str(fresh.archive))
        if line["what"] == "quarantine-full"
    ]
    assert (told["act"], told["subject"], told["counts"]["instances"]) == ("refused", ADMITTED, 3)

    def card() -> str:
        return fresh.person("owner").get("/decide").text

    until(lambda: "Quota full since" in card(), SECONDS, "the card says so")
    assert _answered(fresh, files[5]) == 0xA700
    (request,) = fresh.json("pending", "list", str(fresh.archive))
    fresh.run("pending", "approve", str(fresh.archive), request["id"])
    assert fresh.store(files, ADMITTED).returncode == 0
    until(lambda: found(fresh, WILHELMA.study_uid) == 6, SECONDS, "all of it is found")
