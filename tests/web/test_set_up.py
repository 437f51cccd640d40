"""The set-up in five steps, and the gate."""

from __future__ import annotations

import pytest

from huisclos.access.gate import DarkReceipt, Stage
from huisclos.web.site import SET_UP_COOKIE
from tests.web.browser import Browser
from tests.web.house import PASSPHRASE, PASSWORD, WORDS
from tests.web.world import World


def cookie(response: object, name: str) -> str:
    """The value a response sets."""
    header = next(one for one in response.headers.get_list("set-cookie") if one.startswith(name))  # type: ignore[attr-defined]
    return str(header.split("=", 1)[1].split(";")[0])


async def test_five_steps(browser: Browser, world: World) -> None:
    """From the link to the done page; the secret is taken from the fragment, and is in no address."""
    house = world.house
    house.stage, house.recovered = Stage.WHO, False
    assert (await browser.see("/")).headers["location"] == "/set-up"
    page = await browser.see("/set-up")
    assert "set-up.js" in page.text
    wrong = await browser.submit("/set-up/start", {"secret": "old"})
    assert wrong.status_code == 401
    started = await browser.submit("/set-up/start", {"secret": world.set_up.LINK})
    browser.headers["Cookie"] = f"{SET_UP_COOKIE}={cookie(started, SET_UP_COOKIE)}"
    assert "Step 1 of 5" in (await browser.see("/set-up")).text
    weak = await browser.submit("/set-up/who", {"name": "Camille Neuve", "password": "short"})
    assert "too short" in weak.text
    assert 'value="Camille Neuve"' in weak.text
    assert weak.text.index('id="name"') < weak.text.index("too short"), "beside the password it is about"
    await browser.submit("/set-up/who", {"name": "Camille Neuve", "password": PASSWORD})
    assert PASSPHRASE in (await browser.see("/set-up")).text
    guessed = await browser.submit("/set-up/passphrase", {"passphrase": "hello"})
    assert "This would be guessed" in guessed.text
    assert PASSPHRASE in guessed.text
    slipped = await browser.submit("/set-up/passphrase", {"passphrase": PASSPHRASE[:-1] + "x"})
    assert "letter by letter" in slipped.text
    opened = await browser.submit("/set-up/passphrase", {"passphrase": PASSPHRASE})
    browser.show(cookie(opened, "__Host-session"))
    assert "Step 3 of 5" in (await browser.see("/set-up")).text
    key = await browser.submit("/recovery/new")
    assert all(word in key.text for word in WORDS)
    assert "Step 3 of 5" in key.text
    confirmed = await browser.submit("/recovery", {"typed": " ".join(WORDS)})
    assert confirmed.headers["location"] == "/set-up"
    assert "192.168.1.10" in (await browser.see("/set-up")).text
    await browser.submit("/set-up/finish")
    assert house.stage is Stage.DONE


async def test_a_ticket_of_before_a_restart_gives_way(browser: Browser, world: World) -> None:
    """A browser that keeps an old ticket comes back to the start, where a fresh link is spent."""
    world.house.stage = Stage.WHO
    browser.headers["Cookie"] = f"{SET_UP_COOKIE}=old"
    page = await browser.see("/set-up")
    assert page.headers["location"] == "/set-up"
    assert cookie(page, SET_UP_COOKIE) == '""'


async def test_a_console_code_is_asked_for(browser: Browser, world: World) -> None:
    """Not from loopback: the code at the machine as well."""
    world.house.stage, world.set_up.code = Stage.WHO, True
    assert 'name="code"' in (await browser.see("/set-up")).text


@pytest.mark.parametrize("locked", [True, False])
async def test_an_archive_made_by_a_command_has_no_link(
    browser: Browser, gate: Browser, world: World, *, locked: bool
) -> None:
    """Its gate takes the passphrase before there is an owner, and the first page says how one comes to be."""
    house = world.house
    house.stage, house.recovered, house.by_command, house.is_locked = Stage.WHO, False, True, locked
    assert ('name="passphrase"' in (await gate.see("/")).text) is locked
    first = (await browser.see("/")).headers["location"]
    assert first == ("https://localhost:8444/" if locked else "/set-up")
    page = (await browser.see("/set-up")).text
    assert "huisclos user add ARCHIVE NAME --role owner" in page
    assert "set-up-start" not in page


@pytest.mark.parametrize("by_command", [True, False])
@pytest.mark.parametrize("stage", [Stage.WHO, Stage.RECOVERY])
async def test_each_page_says_that_the_recovery_key_is_not_confirmed(
    browser: Browser, gate: Browser, world: World, stage: Stage, *, by_command: bool
) -> None:
    """From the first page to the gate's, before there is an owner and after; with where to confirm it."""
    house = world.house
    house.stage, house.recovered, house.by_command = stage, False, by_command
    first = ("/set-up",) if stage is Stage.WHO else ()
    pages = [await browser.see(path) for path in (*first, "/login", "/trust", "/nothing")]
    pages.append(await gate.see("/"))
    for page in pages:
        assert "only this machine can reach" in page.text, page.url
    if not house.by_link:
        assert 'href="https://localhost:8443/recovery"' in pages[-1].text


async def test_gate_says_what_came_in_the_dark(gate: Browser, world: World) -> None:
    """One field; wrong passphrase is told; unlocking says what was received."""
    house = world.house
    house.is_locked = world.books.away = True
    house.dark = (DarkReceipt("CT01", 1204, house.time - 3600),)
    page = await gate.see("/")
    assert "CT01" in page.text
    assert "1,204" in page.text
    wrong = await gate.submit("/unlock", {"passphrase": "no", "name": ""})
    assert wrong.status_code == 403
    assert "No key of this archive" in wrong.text
    opened = await gate.submit("/unlock", {"passphrase": PASSPHRASE, "name": ""})
    assert "1,204 images came in the dark" in opened.text
    assert "set-cookie" not in opened.headers
    assert not house.is_locked
    assert "is unlocked" in (await gate.see("/")).text


async def test_a_holder_is_logged_in_by_unlocking(gate: Browser, world: World) -> None:
    """With a name, the pages know the person as well."""
    world.house.is_locked = world.books.away = True
    opened = await gate.submit("/unlock", {"passphrase": PASSPHRASE, "name": "Camille Exemple"})
    assert cookie(opened, "__Host-session") in world.house.sessions


async def test_a_damaged_holder_is_told_apart(gate: Browser, world: World) -> None:
    """The passphrase is not at fault, and the page says so before it is typed."""
    world.house.is_locked = True
    world.house.damaged = ("Cabinet",)
    assert "“Cabinet” is damaged" in (await gate.see("/")).text


@pytest.mark.parametrize("path", ["/studies", "/dicom-web/studies", "/login"])
async def test_the_gate_has_nothing_else(gate: Browser, path: str) -> None:
    """One page."""
    assert (await gate.see(path)).status_code == 404
