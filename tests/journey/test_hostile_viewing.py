"""A study whose texts were made to do harm, opened in the viewer in chromium: they stay text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

import pydicom
import pytest
from playwright.sync_api import BrowserContext, Page
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from huisclos.wiring.viewer import installed, viewer_folder
from tests import corpus
from tests.journey import browsing
from tests.journey.living import PASSWORD, PEOPLE, Living, stow, until
from tests.tools import need

ELSEWHERE: Final = "https://elsewhere.invalid/"
HARM: Final = (
    f"<img src={ELSEWHERE}a onerror=window.harm=1>",
    f"<script src={ELSEWHERE}b></script><script>window.harm=1</script>",
    f"${{window.harm=1}}${{fetch('{ELSEWHERE}c')}}",
    f"{{{{constructor.constructor('window.harm=1')()}}}}<a href={ELSEWHERE}d>",
    "javascript:window.harm=1",
    f'"><svg onload=window.harm=1><use href={ELSEWHERE}e>',
    f"<link rel=stylesheet href={ELSEWHERE}f><style>@import '{ELSEWHERE}g';",
    "A" * 10_000,
)
_TEXTS: Final = {"LO", "SH", "PN", "LT", "ST", "UT", "UC"}
_NAMED: Final = (
    *("PatientName", "PatientID", "PatientComments", "StudyDescription", "StudyID", "AccessionNumber"),
    *("SeriesDescription", "ProtocolName", "InstitutionName", "ReferringPhysicianName"),
    *("PerformingPhysicianName", "OperatorsName", "ManufacturerModelName", "StationName"),
    *("BodyPartExamined", "ImageComments", "ContrastBolusAgent"),
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def _hostile(name: str, number: int) -> bytes:
    """A public file in which every text is harmful, each another way, and every address is elsewhere."""
    dataset = pydicom.dcmread(corpus.named(name))
    dataset.remove_private_tags()
    harms = HARM[number:] + HARM[:number]
    for at, keyword in enumerate(_NAMED):
        vr = "LO" if keyword == "BodyPartExamined" else ""
        _say(dataset, keyword, harms[at % len(harms)], vr)
    dataset.RetrieveURL = ELSEWHERE + "retrieve"
    for at, element in enumerate(dataset.iterall()):
        if element.VR in _TEXTS and element.keyword not in _NAMED:
            element.value = harms[at % len(harms)]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"2.25.900{number}", f"2.25.901{number}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.902{number}")
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _say(dataset: Dataset, keyword: str, text: str, vr: str) -> None:
    tag = Tag(keyword)
    vr = vr or pydicom.datadict.dictionary_VR(tag)
    dataset[tag] = DataElement(tag, vr, text, validation_mode=pydicom.config.IGNORE)


@pytest.fixture(scope="module")
def opened(house: Living, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A browser that a physician has logged in with."""
    need("chromium", "certutil", "python:playwright")
    if not installed(viewer_folder()):
        pytest.skip("needs the viewer: huisclos viewer install")
    with browsing.browser(house, tmp_path_factory.mktemp("harm")) as context:
        browsing.log_in(context.new_page(), house, PEOPLE["physician"], PASSWORD)
        yield context


@pytest.mark.parametrize(
    ("name", "number", "shown"),
    [
        *(("CT_small.dcm", number, "1/1") for number in (0, 4)),
        ("reportsi.dcm", 9, "[IMAGE is not supported]"),
    ],
)
def test_texts_stay_text_in_the_viewer(
    house: Living, opened: BrowserContext, name: str, number: int, shown: str
) -> None:
    """Markup, templates, script addresses and 10,000 letters do nothing, and nothing is fetched elsewhere."""
    tab = opened.pages[0]
    before = _listed(tab, house)
    with house.client("physician") as client:
        assert stow(client, [_hostile(name, number)]).status_code == 200
    (study,) = _listed(tab, house) - before
    asked: list[str] = []
    dialogs: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("page", lambda page: page.on("dialog", lambda dialog: dialogs.append(dialog.message)))
    tab.goto(house.url() + study)
    tab.wait_for_selector("section .series")
    with opened.expect_page() as opening:
        tab.locator("form[action$='/view'] button.main").click()
    viewer = opening.value
    until(lambda: shown in viewer.inner_text("body"), 60, "the study is shown")
    viewer.get_by_text("Patient", exact=True).click()
    viewer.wait_for_timeout(1000)
    for page in (tab, viewer):
        _is_unharmed(page)
    viewer.close()
    origins = tuple(house.url(listener) for listener in ("http", "viewer"))
    assert [url for url in asked if not url.startswith((*origins, "data:", "blob:"))] == []
    assert not dialogs


def _listed(tab: Page, house: Living) -> set[str]:
    tab.goto(house.url() + "/studies")
    return {link.get_attribute("href") or "" for link in tab.locator("a.who").all()}


def _is_unharmed(page: Page) -> None:
    assert page.evaluate("window.harm") is None
    acting = "a[href^='javascript:'], [onerror], [onload], [src*='elsewhere'], [href*='elsewhere']"
    assert page.locator(acting).count() == 0
    over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert over <= 0, page.url
