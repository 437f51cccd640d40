"""Coming and going."""

from __future__ import annotations

import msgspec

from tests.web.browser import Browser
from tests.web.house import PASSWORD
from tests.web.world import World


async def test_log_in_and_out(browser: Browser, world: World) -> None:
    """Name and password, a cookie out of reach of scripts, and a clean browser at the end."""
    response = await browser.submit("/login", {"name": "Dr Martin", "password": PASSWORD})
    assert (response.status_code, response.headers["location"]) == (303, "/studies")
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert word in cookie
    secret = cookie.split("=", 1)[1].split(";")[0]
    assert (await browser.show(secret).see("/studies")).status_code == 200
    gone = await browser.submit("/logout")
    assert gone.headers["clear-site-data"] == '"cache", "storage"'
    assert (await browser.see("/studies")).headers["location"] == "/login"
    assert not world.house.sessions


async def test_wrong_password(browser: Browser) -> None:
    """One sentence for a wrong name and a wrong password."""
    first = await browser.submit("/login", {"name": "Dr Martin", "password": "wrong"})
    second = await browser.submit("/login", {"name": "Nobody", "password": PASSWORD})
    assert first.status_code == second.status_code == 401
    assert first.text.replace("Dr Martin", "") == second.text.replace("Nobody", "")
    assert "do not go together" in first.text


async def test_second_factor(browser: Browser, world: World) -> None:
    """The code is asked for on a page of its own; the password is not sent back to the browser."""
    world.house.put_user("Alex Code", next(iter(world.house.user_list.values())).role, totp=True)
    asked = await browser.submit("/login", {"name": "Alex Code", "password": PASSWORD})
    assert "Your code" in asked.text
    assert PASSWORD not in asked.text
    ticket = asked.text.split('name="ticket" value="')[1].split('"')[0]
    wrong = await browser.submit("/login/code", {"ticket": ticket, "code": "000000"})
    assert wrong.status_code == 401
    assert "wait for the next one" in wrong.text
    spent = await browser.submit("/login/code", {"ticket": ticket, "code": "abcd-ef23-ghij-kl45"})
    assert spent.status_code == 401
    assert "none of your recovery codes" in spent.text
    assert (await browser.submit("/login/code", {"ticket": ticket, "code": "123456"})).status_code == 303


async def test_idle_screen(browser: Browser, world: World) -> None:
    """An idle session shows nothing but the page that asks for the password; scripts get 401."""
    secret = world.house.session_for("Dr Martin")
    world.house.sessions[secret] = msgspec.structs.replace(world.house.sessions[secret], idle=True)
    browser.show(secret)
    assert (await browser.see("/studies")).headers["location"] == "/confirm"
    piece = await browser.submit("/studies/search", {"text": ""}, **{"X-Piece": "yes", "Accept": "*/*"})
    assert piece.status_code == 401
    assert "Screen locked" in (await browser.see("/confirm")).text
    assert (await browser.submit("/confirm", {"password": "no"})).status_code == 401
    assert (await browser.submit("/confirm", {"password": PASSWORD})).headers["location"] == "/studies"
    assert (await browser.see("/studies")).status_code == 200


async def test_a_first_password_must_be_changed(browser: Browser, world: World) -> None:
    """Until then there is nothing but the account page."""
    people = world.site.people
    owner = browser.be("Camille Exemple")
    made = await owner.submit("/people/add", {"name": "Nina Nouvelle", "role": "physician"})
    assert "Premier-Mot-De-Passe-42" in made.text
    browser.be("Nina Nouvelle")
    assert (await browser.see("/studies")).headers["location"] == "/account"
    asked = await browser.see("/account")
    assert asked.status_code == 200
    assert "Choose a password of your own" in asked.text
    short = await browser.submit("/account/password", {"old": PASSWORD, "new": "short"})
    assert "too short" in short.text
    done = await browser.submit("/account/password", {"old": PASSWORD, "new": "Quite-Another-One-9"})
    assert "is changed" in done.text
    assert (await browser.see("/studies")).status_code == 200
    assert people is world.site.people


async def test_language(browser: Browser, world: World) -> None:
    """French for a French browser, English otherwise; the account's choice wins."""
    assert (
        "Se connecter" in (await browser.see("/login", **{"Accept-Language": "fr-FR,fr;q=0.9,en;q=0.8"})).text
    )
    assert "Log in" in (await browser.see("/login", **{"Accept-Language": "de, en;q=0.5"})).text
    chosen = await browser.submit("/language", {"language": "fr"})
    assert "__Host-language=fr" in chosen.headers["set-cookie"]
    browser.be("Dr Martin")
    await browser.submit("/language", {"language": "fr"})
    assert "Examens" in (await browser.see("/studies")).text
    assert world.house.languages


async def test_locking(browser: Browser, world: World) -> None:
    """Two steps; everybody is out, reads say locked, people are shown the gate."""
    browser.be("Noa Controle")
    assert (await browser.see("/lock")).status_code == 200
    assert not world.house.is_locked
    done = await browser.submit("/lock")
    assert done.headers["location"] == "https://localhost:8444/"
    assert world.house.is_locked
    page = await browser.see("/studies")
    assert page.status_code == 503
    assert "https://localhost:8444/" in page.text
    assert (await browser.see("/")).headers["location"] == "https://localhost:8444/"


async def test_each_role_lands_where_its_work_is(browser: Browser) -> None:
    """The first page of each role."""
    homes = {
        "Camille Exemple": "/studies",
        "Lou Accueil": "/studies",
        "Sam Technique": "/peers",
        "Noa Controle": "/journal",
    }
    for name, home in homes.items():
        assert (await browser.be(name).see("/")).headers["location"] == home
