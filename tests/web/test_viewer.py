"""The viewer's origin: one study, reading only, nothing kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from huisclos.access.nouns import Proof, ProofKind, Right
from huisclos.errors import NotFound
from huisclos.web.app import make_app, make_viewer_app
from huisclos.web.dicomweb.caller import Caller
from huisclos.web.viewer import Built
from tests import corpus
from tests.web.browser import ORIGIN, Browser
from tests.web.world import World


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as the viewer's package holds it, in small."""
    folder = tmp_path / "viewer"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(
        '<html><script>inline()</script><script rel="preload" src="/app-config.js"></script>'
        '<script defer="defer" src="/app.bundle.0123456789abcdef.js"></script>'
        '<link href="/app.bundle.css" rel="stylesheet"></html>'
    )
    for name in (
        "app.bundle.0123456789abcdef.js",
        "app.bundle.css",
        "sw.js",
        "app-config.js",
        "assets/a.png",
    ):
        (folder / name).write_bytes(b"x")
    (folder / "secret.txt").write_text("no")
    return folder


@pytest.fixture
async def opened(world: World, built: Path) -> tuple[Browser, dict[str, str], str]:
    """A browser at the viewer, the grant it got, and the study it is for."""
    world.site = replace(world.site, viewer=built)
    for name in ("CT_small.dcm", "MR_small.dcm"):
        await world.put(corpus.named(name).read_bytes())
    row = world.books.seen()[0]
    proof_secret = world.house.session_for("Dr Martin")
    ticket = await world.house.begin_viewing(
        Proof(ProofKind.SESSION, proof_secret), row.study_id, row.study_uid
    )
    browser = Browser(make_viewer_app(world.site), "https://localhost:8445", world)
    answer = await browser.submit("/open", {"ticket": ticket})
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    again = await browser.submit("/open", {"ticket": ticket})
    assert again.status_code == 401
    return browser, answer.json(), row.study_uid


async def test_opening_from_the_study_page(world: World, built: Path) -> None:
    """One press sends the browser on with a ticket in the fragment, which no server sees."""
    await world.put(corpus.named("CT_small.dcm").read_bytes())
    world.site = replace(world.site, viewer=built)
    async with Browser(make_app(world.site), ORIGIN, world) as at:
        at.be("Dr Martin")
        page = await at.see(f"/studies/{world.study_ids()[0]}")
        assert "Open in the viewer" in page.text
        sent = await at.submit(f"/studies/{world.study_ids()[0]}/view")
    assert sent.status_code == 303
    assert sent.headers["location"].startswith("https://localhost:8445/open#")
    allowed = "form-action 'self' https://localhost:8445 https://localhost:8444;"
    assert allowed in sent.headers["content-security-policy"]


async def test_the_page(opened: tuple[Browser, dict[str, str], str]) -> None:
    """Our own page around the viewer's bundle: no inline script, no other host, no worker of another kind."""
    browser, _, study_uid = opened
    page = await browser.see("/open")
    assert 'data-scripts="/app.bundle.0123456789abcdef.js"' in page.text
    assert "inline()" not in page.text
    assert study_uid not in page.text
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self' blob: data:" in policy
    assert "'unsafe-eval'" not in policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy
    script = await browser.fetch("/app.bundle.0123456789abcdef.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    for path in (
        "/sw.js",
        "/app-config.js",
        "/secret.txt",
        "/../secret.txt",
        "/assets/../secret.txt",
        "/index.html",
    ):
        assert (await browser.fetch(path)).status_code == 404


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "The recovery key is not confirmed"), ("fr", "La clé de secours n’est pas confirmée")],
)
async def test_until_the_recovery_key_is_confirmed_it_says_so(
    opened: tuple[Browser, dict[str, str], str], world: World, language: str, said: str
) -> None:
    """Above the viewer, with the way to confirm it; the page asks again, and is told nothing from then on."""
    browser = opened[0]
    policy = (await browser.see("/open")).headers["content-security-policy"]
    world.house.recovered = False
    for path in ("/open", "/viewer", "/warning"):
        page = await browser.see(path, **{"Accept-Language": language})
        assert said in page.text, path
        assert f'href="{ORIGIN}/recovery"' in page.text, path
        assert page.headers["content-security-policy"] == policy
    world.house.recovered = True
    for path in ("/open", "/viewer", "/warning"):
        assert 'id="warning"' not in (await browser.see(path)).text, path
    assert not (await browser.see("/warning")).text.strip()


async def test_it_sees_one_study(opened: tuple[Browser, dict[str, str], str], world: World) -> None:
    """Whatever is asked is about that study, under a name made of random bits."""
    browser, grant, study_uid = opened
    base = f"/grant/{grant['secret']}/dicom-web"
    alias = grant["study"]
    assert alias.startswith("2.25.")
    for path in (
        "/studies",
        f"/studies?StudyInstanceUID={alias}",
        "/studies?PatientID=*",
    ):
        rows = (await browser.fetch(base + path)).json()
        assert [row["0020000D"]["Value"] for row in rows] == [[alias]], path
    for other in ("StudyInstanceUID=1.2", "0020000d=1.2", f"StudyInstanceUID={alias}&0020000D=1.2"):
        assert (await browser.fetch(f"{base}/studies?{other}")).status_code == 404, other
    series = (await browser.fetch(f"{base}/studies/{alias}/series")).json()
    uid = series[0]["0020000E"]["Value"][0]
    metadata = await browser.fetch(f"{base}/studies/{alias}/series/{uid}/metadata")
    assert study_uid not in metadata.text
    model = metadata.json()[0]
    pixels = model["7FE00010"]["BulkDataURI"]
    assert pixels.startswith(f"https://localhost:8445{base}/studies/{alias}/")
    assert (await browser.fetch(pixels)).status_code == 200
    instance = model["00080018"]["Value"][0]
    frame = f"{base}/studies/{alias}/series/{uid}/instances/{instance}/frames/1"
    assert (await browser.fetch(frame)).status_code == 200
    other = next(row.study_uid for row in world.books.seen() if row.study_uid != study_uid)
    for path in (
        f"/studies/{other}",
        f"/studies/{other}/metadata",
        f"/studies/{other}/series",
        f"/studies?StudyInstanceUID={other}",
    ):
        assert (await browser.fetch(base + path)).status_code == 404, path


async def test_a_frame_it_would_show_wrong_is_decoded_for_it(world: World, built: Path) -> None:
    """One whose code stream and data set differ about its samples' sign; others get it as it is stored."""
    world.site = replace(world.site, viewer=built)
    heading = (await world.put(corpus.named("J2K_pixelrep_mismatch.dcm").read_bytes())).heading
    proof = Proof(ProofKind.SESSION, world.house.session_for("Dr Martin"))
    ticket = await world.house.begin_viewing(proof, world.study_ids()[0], heading.study_uid)
    browser = Browser(make_viewer_app(world.site), "https://localhost:8445", world)
    grant = (await browser.submit("/open", {"ticket": ticket})).json()
    frame = f"/series/{heading.series_uid}/instances/{heading.instance_uid}/frames/1"
    accept = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'}
    theirs = await browser.fetch(
        f"/grant/{grant['secret']}/dicom-web/studies/{grant['study']}{frame}", **accept
    )
    assert b"samples" in theirs.content
    assert b"application/octet-stream;transfer-syntax=1.2.840.10008.1.2.1" in theirs.content
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(world.site)), base_url=ORIGIN
    ) as program:
        accept["Authorization"] = f"Bearer {world.token(Right.READ)}"
        mine = await program.get(f"/dicom-web/studies/{heading.study_uid}{frame}", headers=accept)
    assert b"image/jp2;transfer-syntax=1.2.840.10008.1.2.4.90" in mine.content


async def test_it_only_reads(opened: tuple[Browser, dict[str, str], str]) -> None:
    """No store below a grant, no page of the house, no cookie that counts."""
    browser, grant, _ = opened
    base = f"/grant/{grant['secret']}/dicom-web"
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": browser.origin, "Content-Type": "application/dicom"}
    assert (await browser.post(base + "/studies", content=b"x", headers=headers)).status_code == 405
    browser.be("Camille Exemple")
    assert (await browser.see("/studies")).status_code == 404
    assert (await browser.fetch("/dicom-web/studies")).status_code == 404


async def test_it_ends_with_the_session(opened: tuple[Browser, dict[str, str], str], world: World) -> None:
    """Log out, lock, or a wrong secret: nothing more is given, and the page is told at its next renewal."""
    browser, grant, _ = opened
    renew = f"/grant/{grant['secret']}/awake"
    assert (await browser.submit(renew, {"active": "1"})).status_code == 204
    assert (await browser.fetch("/grant/guessed/dicom-web/studies")).status_code == 401
    world.house.viewings.clear()
    assert (await browser.submit(renew, {"active": ""})).status_code == 401
    assert (await browser.fetch(f"/grant/{grant['secret']}/dicom-web/studies")).status_code == 401


async def test_without_a_viewer(viewer: httpx.AsyncClient) -> None:
    """The house serves without it, and says how to get it."""
    answer = await viewer.get("/open")
    assert answer.status_code == 404
    assert "huisclos viewer install" in answer.json()["hint"]


def test_a_folder_that_is_no_viewer(tmp_path: Path) -> None:
    """Told at start, not at the first opening."""
    with pytest.raises(NotFound):
        Built.at(tmp_path)
    (tmp_path / "index.html").write_text("<html></html>")
    with pytest.raises(NotFound):
        Built.at(tmp_path)


CALLED = b'"0040A043":{"vr":"SQ","Value":[{"00080104":{"vr":"LO","Value":["%s"]}}]}'


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (b'{"00280030":{"vr":"DS","Value":[0.5,0.5]}}', b'{"00280030":{"vr":"DS","Value":[0.5,0.5]}}'),
        (b'{"00280030":{"vr":"DS","Value":[0.0,0.0]}}', b'{"00280030":{"vr":"DS"}}'),
        (b'{"00181164":{"vr":"DS","Value":[1,null]}}', b'{"00181164":{"vr":"DS"}}'),
        (b'{"00280030":{"vr":"DS","Value":[-1,2e-3]}}', b'{"00280030":{"vr":"DS"}}'),
        (b'{"00080061":{"vr":"CS"}}', b'{"00080061":{"vr":"CS","Value":["OT"]}}'),
        (b'{"00080060":{"vr":"CS","Value":["CT"]}}', b'{"00080060":{"vr":"CS","Value":["CT"]}}'),
        (
            b'{"0040A040":{"vr":"CS","Value":["IMAGE"]},"0040A730":{"vr":"SQ"}}',
            b'{"0040A040":{"vr":"CS","Value":["IMAGE"]},%s,"0040A730":{"vr":"SQ"}}' % CALLED % b"IMAGE",
        ),
        (
            b'{"0040A040":{"vr":"CS","Value":["NUM"]},"0040A043":{"vr":"SQ"}}',
            b'{"0040A040":{"vr":"CS","Value":["NUM"]},%s}' % CALLED % b"NUM",
        ),
        (
            b'{"0040A040":{"vr":"CS","Value":["TEXT"]},"0040A043":{"vr":"SQ","Value":[{}]}}',
            b'{"0040A040":{"vr":"CS","Value":["TEXT"]},"0040A043":{"vr":"SQ","Value":[{}]}}',
        ),
        (b'{"0020000D":{"vr":"UI","Value":["1.2"]}}', b'{"0020000D":{"vr":"UI","Value":["2.25.7"]}}'),
    ],
)
def test_what_the_viewer_cannot_bear(stored: bytes, told: bytes) -> None:
    """What would show black, or as no such study, is told otherwise to it, and to it alone."""
    proof = Proof(ProofKind.SESSION, "s", "127.0.0.1")
    assert Caller(proof, "viewer", "", "1.2", "2.25.7").told(stored) == told
    assert Caller(proof, "dicomweb", "").told(stored) == stored
