"""The gate: one page on an origin and in a process of its own, where the passphrase is typed.

Nothing else runs here: no search, no picture, no script that reads what is typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from huisclos.access.gate import Gate, Unlocked
from huisclos.access.house import HouseState
from huisclos.clock import timestamp
from huisclos.errors import DamagedHolder, TooManyAttempts, WrongPassphrase
from huisclos.web.bodies import read_form
from huisclos.web.pages.person import keep_session, see
from huisclos.web.site import LANGUAGE_COOKIE, Origins, address_of
from huisclos.web.templating import page
from huisclos.web.words import LANGUAGES, words_of

_YEAR = 31_536_000


@dataclass(frozen=True)
class GateSite:
    """The two ports the gate stands on."""

    gate: Gate
    house: HouseState
    origins: Origins = field(default_factory=Origins)


def _site(request: Request) -> GateSite:
    return cast(GateSite, request.app.state.site)


async def gate_page(request: Request) -> Response:
    """One field, what was received in the dark, who unlocked last."""
    return await _show(request, "")


async def _show(
    request: Request, fault: str, *, opened: Unlocked | None = None, status: int = 200
) -> Response:
    state = await _site(request).gate.state()
    received = opened.received if opened else state.received
    return await page(
        request,
        "gate.html",
        gate=state,
        opened=opened,
        fault=fault,
        received_total=sum(one.objects for one in received),
        status=status,
    )


async def unlock(request: Request) -> Response:
    """Try a passphrase; whose password it is, is logged in as well."""
    form, words = await read_form(request), words_of(request)
    _ = words.gettext
    try:
        opened = await _site(request).gate.unlock(
            form.get("passphrase", ""), form.get("name", "").strip(), address_of(request)
        )
    except WrongPassphrase:
        return await _show(request, _("No key of this archive opens with this passphrase."), status=403)
    except TooManyAttempts:
        state = await _site(request).gate.state()
        wait = words.ngettext("%(num)d second", "%(num)d seconds", int(state.wait) + 1) % {
            "num": int(state.wait) + 1
        }
        return await _show(request, _("Too many attempts. Wait %(wait)s.") % {"wait": wait}, status=429)
    except DamagedHolder:
        return await _show(
            request, _("The key file is damaged; the passphrase was not tried. See below."), status=500
        )
    response = await _show(request, "", opened=opened)
    # the cookie belongs to the host, whatever the port: the pages know it too
    return keep_session(response, opened.session, timestamp()) if opened.session else response


async def language(request: Request) -> Response:
    """The language of this browser."""
    wanted = (await read_form(request)).get("language", "")
    response = see("/")
    if wanted in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, wanted, max_age=_YEAR, path="/", secure=True, httponly=True, samesite="strict"
        )
    return response
