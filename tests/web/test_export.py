"""Taking a study out from its page: one ZIP file, journalled, whole or visibly broken off."""

from __future__ import annotations

import io
import zipfile

from starlette.requests import Request

from huisclos.archive.export import README, README_ROOM, Exported, ExportReceipt, Leaving
from huisclos.archive.nouns import Standing
from huisclos.web.app import make_app
from huisclos.web.pages.export import NAME, _opened, _streamed, readme
from huisclos.web.pages.person import Visit
from huisclos.web.site import session_proof
from huisclos.web.words import Words
from tests import corpus
from tests.web.browser import ORIGIN, Browser
from tests.web.world import World


async def test_export(world: World) -> None:
    """The button is there; the answer is a download of the announced length, the images byte for byte."""
    content = corpus.named("CT_small.dcm").read_bytes()
    await world.put(content)
    study = world.study_ids()[0]
    async with Browser(make_app(world.site), ORIGIN, world) as browser:
        browser.be("Dr Martin")
        assert f'action="/studies/{study}/export"' in (await browser.see(f"/studies/{study}")).text
        answer = await browser.submit(f"/studies/{study}/export", None, **{"Accept-Language": "fr"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{NAME}"'
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    file = zipfile.ZipFile(io.BytesIO(answer.content))
    assert file.testzip() is None
    assert sorted(file.namelist()) == ["DICOMDIR", README, "SE000001/IM000001"]
    assert file.read("SE000001/IM000001") == content
    assert "Images médicales" in file.read(README).decode()
    assert world.keys.opened == [("Dr Martin", study)]
    grant, instances, octets = world.keys.read[-1]
    assert grant.startswith("export-")
    assert (instances, octets) == (1, len(content))


async def test_who_may(world: World) -> None:
    """Secretaries have no button; a form of another origin takes nothing out."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    study = world.study_ids()[0]
    async with Browser(make_app(world.site), ORIGIN, world) as browser:
        browser.be("Lou Accueil")
        assert "/export" not in (await browser.see(f"/studies/{study}")).text
        browser.be("Dr Martin")
        elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
        assert (await browser.submit(f"/studies/{study}/export", None, **elsewhere)).status_code == 403
        assert (await browser.see(f"/studies/{study}/export")).status_code == 405
        world.house.is_locked = True
        assert (await browser.submit(f"/studies/{study}/export")).status_code == 503
    assert not world.keys.opened
    assert not world.keys.read


async def test_going_away_half_way(world: World) -> None:
    """What was read is told to the vault though its reader left after the first piece."""
    for name in ("CT_small.dcm", "MR_small.dcm"):
        await world.put(corpus.named(name).read_bytes())
    study = world.study_ids()[0]
    app = make_app(world.site)
    browser = Browser(app, ORIGIN, world).be("Dr Martin")
    starlette = app.__dict__["_app"].__dict__["_app"]
    cookie = browser.headers["cookie"].encode()
    scope = {
        "type": "http", "method": "POST", "app": starlette, "path": "/", "query_string": b"",
        "path_params": {"study": study}, "headers": [(b"cookie", cookie)], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    request = Request(scope)
    session = await world.house.session(session_proof(request), active=True)
    visit = Visit(request, session)
    opened = await _opened(visit)
    leaving = Leaving(opened.study, lambda _: "")
    pieces = _streamed(visit, opened, leaving)
    await anext(pieces)
    await pieces.aclose()
    await browser.aclose()
    assert world.keys.read[-1][1:] == (1, leaving.receipt.read)
    assert leaving.receipt.read


def test_the_readme_fits() -> None:
    """In each language, with all there is to say and numbers of nine digits, it is not cut."""
    files = [Exported("SE000001/IM000001", 1, "", Standing.PRIMARY)]
    receipt = ExportReceipt(files, failed=123_456_789, held=123_456_789)
    for language in ("fr", "en"):
        text = readme(receipt, Words(language))
        assert len(text.encode()) < README_ROOM
        assert text.count("456") == 2
