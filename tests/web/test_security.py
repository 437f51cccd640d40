"""What each response carries and what each request must show."""

from __future__ import annotations

import pytest

from tests.web.browser import Browser
from tests.web.world import World


async def test_pages_forbid_what_is_not_ours(browser: Browser) -> None:
    """No inline script, no other host, nothing kept, no frame."""
    response = await browser.see("/login")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in response.text
    assert "onclick" not in response.text


async def test_localhost_is_not_pinned_to_https(browser: Browser) -> None:
    """HSTS would bind every other server on localhost."""
    assert "strict-transport-security" not in (await browser.see("/login")).headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://localhost:8443"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://localhost:8445"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost:8445"},
    ],
)
async def test_changes_must_come_from_our_own_page(
    browser: Browser, world: World, headers: dict[str, str]
) -> None:
    """Anything less than same-origin and the exact origin changes nothing."""
    browser.be("Camille Exemple")
    response = await browser.post("/lock", data={"": ""}, headers=headers)
    assert response.status_code == 403
    assert not world.house.is_locked


async def test_a_program_without_a_token_cannot_post(browser: Browser) -> None:
    """The cookie alone is not enough for a store either: it is told what it lacks."""
    browser.be("Camille Exemple")
    for path in ("", "/", "/studies", "/studies/1.2", "/none"):
        response = await browser.post("/dicom-web" + path, content=b"x")
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer ")
    assert (await browser.post("/dicom-webs", content=b"x")).status_code == 403
    elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}
    response = await browser.post("/dicom-web/studies", content=b"x", headers=elsewhere)
    assert response.status_code == 403


async def test_another_origin_of_this_host_cannot_read(browser: Browser) -> None:
    """Cookies do not know ports: the viewer's origin would come with ours."""
    browser.be("Camille Exemple")
    headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}
    assert (await browser.get("/studies", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost:1", "", "localhost:8443:1", "[::1", "localhost@evil"]
)
async def test_other_names_are_misdirected(browser: Browser, host: str) -> None:
    """A rebound name of a stranger is not answered."""
    assert (await browser.get("/login", headers={"Host": host})).status_code == 421


async def test_other_methods(browser: Browser) -> None:
    """What is not GET, HEAD or POST is not there."""
    response = await browser.request("DELETE", "/studies", headers={"Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 405


async def test_no_third_party(browser: Browser, world: World) -> None:
    """No page names another host."""
    world.furnish()
    browser.be("Camille Exemple")
    for path in (
        "/studies",
        "/peers",
        "/people",
        "/journal",
        "/state",
        "/upload",
        "/decide",
        "/account",
        "/trust",
    ):
        text = (await browser.see(path)).text
        for start in ('src="http', 'href="http'):
            assert start not in text.replace('href="https://localhost:', ""), path


async def test_a_form_may_end_at_the_gate(browser: Browser, world: World) -> None:
    """Locking ends at the gate: a browser stops a form whose end the policy does not name."""
    browser.be("Camille Exemple")
    shown = await browser.see("/lock")
    form_action = shown.headers["content-security-policy"].split("form-action ")[1].split(";")[0]
    locked = await browser.submit("/lock")
    assert world.house.is_locked
    end = locked.headers["location"].removesuffix("/")
    assert end in form_action.split()


async def test_a_token_is_no_excuse_on_a_page(browser: Browser) -> None:
    """A form without an origin goes by its cookie, whatever token stands beside it: it changes nothing."""
    browser.be("Camille Exemple")
    answer = await browser.post("/lock", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 403
    assert answer.json()["type"].endswith("not-same-origin")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP"])
async def test_packed_bodies_are_refused(browser: Browser, coding: str) -> None:
    """Nothing is unpacked, wherever it is sent."""
    for path in ("/login", "/dicom-web/studies", "/upload"):
        answer = await browser.post(path, headers={"Content-Encoding": coding}, content=b"x")
        assert answer.status_code == 415
