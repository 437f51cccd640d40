"""The pages in Debian's chromium: by keyboard, on a telephone, and into the viewer."""

from __future__ import annotations

import asyncio
import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from huisclos.access.gate import Stage
from huisclos.wiring.viewer import installed, viewer_folder
from tests import corpus
from tests.tools import need, program
from tests.web.chromium import Chromium, chromium
from tests.web.demo import Running
from tests.web.house import PASSWORD
from tests.web.live import live
from tests.web.test_decide import changed
from tests.web.world import World

PAGES = [
    "/studies",
    "/upload",
    "/decide",
    "/peers",
    "/people",
    "/journal",
    "/state",
    "/trust",
    "/account",
    "/lock",
    "/recovery",
]


@pytest.fixture(scope="module")
def browsing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chromium, Running]]:
    """A furnished practice and a browser that trusts it."""
    need("chromium", "certutil", "python:playwright")
    folder: Path = tmp_path_factory.mktemp("browsing")
    viewer = viewer_folder()
    world = World()
    files = [corpus.named(name) for name in ("CT_small.dcm", "MR_small.dcm", "US1_J2KI.dcm")]
    with live(folder, files, viewer=viewer if installed(viewer) else None, world=world) as house:
        one = corpus.named("SC_rgb_small_odd.dcm")
        other = changed(one.name, SeriesDescription="Corrected", PatientSex="M")
        asyncio.run(world.rivals(one.read_bytes(), other))
        world.furnish()
        with chromium(folder, house) as browser:
            yield browser, house


def clean(page: Page, browser: Chromium) -> None:
    """Nothing overflows, nothing is refused by our own policy, nothing goes elsewhere."""
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, page.url
    assert not [line for line in browser.console if line.startswith("error")], browser.console
    assert all(url.startswith(("https://localhost:", "data:", "blob:")) for url in browser.asked)


def draws(viewer: Page) -> bool:
    """Whether an image is seen within a while: the middle of the canvas is not of one shade."""
    canvas = viewer.locator("canvas.cornerstone-canvas").first
    for _ in range(120):
        seen = Image.open(io.BytesIO(canvas.screenshot())).convert("L")
        low, high = seen.crop(
            (seen.width // 4, seen.height // 4, seen.width * 3 // 4, seen.height * 3 // 4)
        ).getextrema()
        if int(str(high)) - int(str(low)) > 60:
            return True
        viewer.wait_for_timeout(250)
    return False


@pytest.mark.parametrize("width", [1280, 360])
def test_every_page(browsing: tuple[Chromium, Running], width: int) -> None:
    """Each fits its screen, names its parts, and has one heading."""
    browser, house = browsing
    page = browser.page("Camille Exemple", width=width)
    for path in PAGES:
        page.goto(house.url + path)
        clean(page, browser)
        assert page.locator("h1").count() == 1, path
        unnamed = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select,textarea')].filter((one) => "
            "!one.labels.length && !one.closest('[hidden]')).length"
        )
        assert unnamed == 0, path
    Chromium.leave(page)


@pytest.mark.parametrize("width", [1280, 360])
def test_two_sides_of_a_doubt(browsing: tuple[Chromium, Running], width: int) -> None:
    """Both pictures come, what differs comes when it is near, and the destroying button asks for a name."""
    browser, house = browsing
    page = browser.page("Camille Exemple", width=width)
    page.goto(house.url + "/decide")
    card = page.locator("article.doubt", has_text="Two images claim to be the same one")
    card.scroll_into_view_if_needed()
    card.get_by_text("only what is written about it differs").wait_for()
    for image in card.locator("img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())
    told = card.locator("tr.differs", has_text="Sex").inner_text().split()
    assert told == ["Sex", "differs", "female", "male"]
    waiting = page.locator("article.doubt", has_text="NEWCT")
    waiting.locator("summary").click()
    waiting.get_by_role("button", name="Destroy 24 images").click()
    assert page.url.endswith("/decide"), "the name is asked for first"
    assert waiting.get_by_label("type NEWCT").evaluate("field => field.validity.valueMissing")
    clean(page, browser)
    Chromium.leave(page)


def test_log_in_and_search_by_keyboard(browsing: tuple[Chromium, Running]) -> None:
    """Name, password, letters, down, enter: no mouse; the address names nobody."""
    browser, house = browsing
    page = browser.page()
    page.goto(house.url + "/")
    page.locator("#name:focus").wait_for()
    page.keyboard.type("Dr Martin")
    page.keyboard.press("Tab")
    page.locator("#password:focus").wait_for()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies")
    page.locator("input[type=search]:focus").wait_for()
    page.keyboard.type("ct1")
    page.locator(".tally", has_text="1 study").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")
    assert "CompressedSamples" in page.inner_text("h1")
    assert "CompressedSamples" not in page.title() + page.url
    page.locator(".thumb img").wait_for()
    page.goto(house.url + "/studies")
    page.locator("input[type=search]:focus").wait_for()
    page.keyboard.type("ct1")
    page.locator(".tally", has_text="1 study").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*")  # the only one needs no choosing
    clean(page, browser)
    Chromium.leave(page)


@pytest.mark.parametrize(("path", "field"), [("/studies", "#text"), ("/journal", "#patient")])
def test_a_search_that_is_not_answered_says_so(
    browsing: tuple[Chromium, Running], path: str, field: str
) -> None:
    """What was found before is not taken for the answer; the next answer takes the words away."""
    browser, house = browsing
    page = browser.page("Camille Exemple")
    page.goto(house.url + path)
    told = page.get_by_text("The house did not answer.")
    assert not told.is_visible()
    page.route("**/*", lambda route: route.abort())
    page.fill(field, "ct1")
    told.wait_for(state="visible")
    page.unroute("**/*")
    page.fill(field, "compressed")
    told.wait_for(state="hidden")
    Chromium.leave(page)
    browser.console.clear()


def test_a_long_list_is_printed_from_the_first_sheet_on(
    browsing: tuple[Chromium, Running], tmp_path: Path
) -> None:
    """More studies than a sheet holds: the first sheet is full, below its heading."""
    need("pdftotext")
    browser, house = browsing
    page = browser.page("Camille Exemple")
    page.goto(house.url + "/studies")
    page.evaluate(
        "for (let n = 0, row = document.querySelector('tr.go'); n < 99; n++) row.after(row.cloneNode(true))"
    )
    sheet = tmp_path / "list.pdf"
    page.pdf(path=sheet, format="A4")
    command = [program("pdftotext"), "-layout", "-l", "1", str(sheet), "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert said[0].strip() == "Studies"
    assert len([line for line in said if line.strip()]) > 20
    Chromium.leave(page)


def test_the_link_in_a_tab_that_shows_the_set_up(browsing: tuple[Chromium, Running]) -> None:
    """The address first, then the link, in one tab: only the fragment changes, and it is spent."""
    browser, house = browsing
    house.world.house.stage = Stage.WHO
    try:
        page = browser.page()
        page.goto(house.url + "/")
        page.locator("#no-link:visible").wait_for()
        page.goto(f"{house.url}/set-up#used-up")
        page.locator(".fault:visible").wait_for()
        page.goto(house.url + "/set-up")
        page.goto(f"{house.url}/set-up#{house.world.set_up.LINK}")
        page.locator("#name:focus").wait_for()
        assert page.url == house.url + "/set-up"
        Chromium.leave(page)
    finally:
        house.world.house.stage = Stage.DONE


def test_dropping_files(browsing: tuple[Chromium, Running], tmp_path: Path) -> None:
    """Progress, what was kept, what was here, what was refused and why."""
    browser, house = browsing
    page = browser.page("Lou Accueil")
    page.goto(house.url + "/upload")
    text = tmp_path / "letter.txt"
    text.write_text("no image " * 100)
    # the browser's own line on the refusal may come late: it is not to be told of another test's page
    with page.expect_console_message(lambda said: "status of 400" in said.text):
        page.set_input_files("#files", [corpus.named("JPEG2000.dcm"), corpus.named("CT_small.dcm"), text])
        page.locator("#upload-tally", has_text="3 of 3: 1 kept, 1 here already, 1 refused").wait_for()
    assert "letter.txt – This is not a DICOM file." in page.inner_text("#upload-refused")
    Chromium.leave(page)
    browser.console.clear()


def test_files_that_are_dropped(browsing: tuple[Chromium, Running], tmp_path: Path) -> None:
    """By the browser's own drag and drop: what is set apart and what a ZIP file is, in words."""
    browser, house = browsing
    page = browser.page("Lou Accueil")
    page.goto(house.url + "/account")
    page.click("main button[value=fr]")
    page.goto(house.url + "/upload")
    packed, rival = tmp_path / "disc.ZIP", tmp_path / "rival.dcm"
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("IMAGE1", b"nothing")
    rival.write_bytes(changed("MR_small.dcm", SeriesDescription="Autre"))
    with page.expect_console_message(lambda said: "status of 400" in said.text):
        drop(page, [packed, rival])
        page.locator("#upload-tally", has_text="2 sur 2 : 1 mise à part, 1 refusée").wait_for()
    assert "disc.ZIP – C’est un fichier ZIP" in page.inner_text("#upload-refused")
    assert page.locator("#upload-held").is_visible()
    zone, card = page.locator(".drop-zone").bounding_box(), page.locator("#upload-progress").bounding_box()
    assert zone
    assert card
    assert card["y"] - zone["y"] - zone["height"] >= 12, "they do not touch"
    page.goto(house.url + "/account")
    page.click("main button[value=en]")
    Chromium.leave(page)
    browser.console.clear()


def drop(page: Page, files: list[Path]) -> None:
    """Drag files from outside over the middle of the zone, and let go."""
    box = page.locator(".drop-zone").bounding_box()
    assert box
    session = page.context.new_cdp_session(page)
    about = {
        "x": box["x"] + box["width"] / 2,
        "y": box["y"] + box["height"] / 2,
        "data": {"items": [], "files": [str(path) for path in files], "dragOperationsMask": 1},
    }
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **about})


def test_the_page_one_is_on_is_in_sight(browsing: tuple[Chromium, Running]) -> None:
    """On a telephone the row of pages scrolls: the last of them too is seen to be the one that is shown."""
    browser, house = browsing
    page = browser.page("Camille Exemple", width=390)
    for path in ("/state", "/studies"):
        page.goto(house.url + path)
        place = page.locator('.nav [aria-current="page"]').bounding_box()
        assert place
        assert place["x"] >= 0
        assert place["x"] + place["width"] <= 390
    Chromium.leave(page)


def test_a_study_is_taken_out(browsing: tuple[Chromium, Running], tmp_path: Path) -> None:
    """One press on a physician's page: a ZIP file with the images, under a name that says nothing."""
    browser, house = browsing
    page = browser.page("Dr Martin")
    page.goto(house.url + "/studies")
    page.locator("tr.go", has_text="CompressedSamples CT1").locator("a").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "huisclos-images.zip"
    download.value.save_as(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as taken:
        assert taken.testzip() is None
        assert taken.read("SE000001/IM000001") == corpus.named("CT_small.dcm").read_bytes()
    clean(page, browser)
    Chromium.leave(page)


@pytest.mark.parametrize(
    ("width", "locale", "said"),
    [
        (1280, "fr-FR", "La clé de secours n’est pas confirmée"),
        (390, "en-GB", "The recovery key is not confirmed"),
    ],
)
def test_the_viewer_says_that_the_recovery_key_is_not_confirmed(
    browsing: tuple[Chromium, Running], width: int, locale: str, said: str
) -> None:
    """One line above it, which takes nothing of the image away, and goes once the key is confirmed."""
    browser, house = browsing
    if house.world.site.viewer is None:
        pytest.skip("needs the viewer: huisclos viewer install")
    house.world.house.recovered = False
    page = browser.page("Dr Martin", width=width, locale=locale)
    try:
        page.goto(house.url + "/studies")
        at = page.locator("a.who", has_text="CompressedSamples US1").get_attribute("href")
        page.goto(f"{house.url}{at}")
        with page.expect_popup() as popup:
            page.locator("form[action$='/view'] button.main").click()
        viewer = popup.value
        canvas, warning = viewer.locator("canvas.cornerstone-canvas").first, viewer.locator("#warning")
        canvas.wait_for(timeout=60_000)
        assert said in warning.inner_text()
        assert draws(viewer)
        bar, image = warning.bounding_box(), canvas.bounding_box()
        assert bar is not None
        assert image is not None
        assert (bar["x"], bar["y"], bar["width"]) == (0, 0, width)
        assert bar["height"] < 120
        assert image["y"] >= bar["y"] + bar["height"]
        assert 790 < image["y"] + image["height"] <= 800
        house.world.house.recovered = True
        viewer.evaluate("dispatchEvent(new Event('focus'))")
        warning.wait_for(state="detached")
        viewer.wait_for_function("image => image.getBoundingClientRect().y < 60", arg=canvas.element_handle())
        assert draws(viewer)
        assert not [line for line in browser.console if line.startswith("error")], browser.console
    finally:
        house.world.house.recovered = True
        Chromium.leave(page)


def test_the_viewer_speaks_the_language_of_its_person(browsing: tuple[Chromium, Running]) -> None:
    """Chosen in the account, as on every page, whatever the browser asks for."""
    browser, house = browsing
    if house.world.site.viewer is None:
        pytest.skip("needs the viewer: huisclos viewer install")
    house.world.house.recovered = False
    page = browser.page("Dr Martin")
    page.goto(house.url + "/account")
    page.click("main button[value=fr]")
    page.goto(house.url + "/studies")
    page.locator("tbody tr").first.click()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Ouvrir dans la visionneuse").click()
    popup.value.get_by_text("Études", exact=True).first.wait_for(timeout=60_000)
    popup.value.locator("#warning").get_by_text("La clé de secours n’est pas confirmée").wait_for()
    house.world.house.recovered = True
    assert popup.value.evaluate("document.documentElement.lang") == "fr"
    page.goto(house.url + "/account")
    page.click("main button[value=en]")
    Chromium.leave(page)


def test_the_viewer_opens_in_two_clicks(browsing: tuple[Chromium, Running]) -> None:
    """From the list: study, viewer; it draws, and asks nobody but its own origin; its address is an alias."""
    browser, house = browsing
    if house.world.site.viewer is None:
        pytest.skip("needs the viewer: huisclos viewer install")
    page = browser.page("Dr Martin")
    page.goto(house.url + "/studies")
    page.locator("tr.go", has_text="CompressedSamples US1").locator("a").click()
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Open in the viewer").click()
    viewer = popup.value
    viewer.locator("canvas.cornerstone-canvas").first.wait_for(timeout=60_000)
    viewer.wait_for_function("location.search.includes('2.25.')")
    assert draws(viewer)
    origin = f"https://localhost:{house.viewer}/"
    asked = [url for url in browser.asked if url.startswith(origin) and "/grant/" in url]
    assert asked
    kept = [cookie for cookie in page.context.cookies() if cookie["name"] != "__Host-session"]
    assert not kept
    stored = "Object.getOwnPropertyDescriptor(Window.prototype, 'localStorage')"
    assert not viewer.evaluate(f"Object.keys({stored}?.get?.call(window) ?? {{}}).length")
    assert viewer.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0
    clean(viewer, browser)
    refused = viewer.evaluate("fetch('https://127.0.0.1:1/').then(() => 'open', (error) => 'refused')")
    assert refused == "refused"
    Chromium.leave(page)
