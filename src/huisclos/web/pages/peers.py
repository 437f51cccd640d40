"""Peers: what to type into a modality, who knocked, who is admitted."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.accounts import PeerRight
from huisclos.access.gate import Stage
from huisclos.access.nouns import Right
from huisclos.access.peers import EchoOutcome, EchoResult, Knock, KnockReason, PeerAsked
from huisclos.clock import timestamp
from huisclos.errors import BadSetting, HuisclosError
from huisclos.web.bodies import read_form
from huisclos.web.pages.person import Visit, person, see
from huisclos.web.templating import fragment, page
from huisclos.web.words import Words, words_of

SILENT_SECONDS = 7 * 24 * 3600.0


@person(Right.PEERS)
async def peers_page(visit: Visit) -> Response:
    """The whole page."""
    return await _show(visit)


async def _show(visit: Visit, told: str = "", kind: str = "good") -> Response:
    site, words = visit.site, words_of(visit.request, visit.session.actor.language)
    listed = await site.peers.peers(visit.proof)
    quiet = timestamp() - SILENT_SECONDS
    return await page(
        visit.request,
        "peers.html",
        visit.session,
        listening=await site.peers.listening(),
        knocks=told_knocks(await site.peers.knocks(visit.proof), words),
        peers=listed,
        rights=peer_rights(words),
        silent={peer.id for peer in listed if 0 < peer.last_heard_at < quiet},
        told=told,
        told_kind=kind,
    )


@person(Right.PEERS, active=False)
async def knocks(visit: Visit) -> Response:
    """The live list."""
    words = words_of(visit.request, visit.session.actor.language)
    listed = told_knocks(await visit.site.peers.knocks(visit.proof), words)
    return fragment(visit.request, "_knocks.html", visit.session, knocks=listed)


def peer_rights(words: Words) -> dict[PeerRight, str]:
    """What each service is called."""
    _ = words.gettext
    return {
        PeerRight.ECHO: _("test"),
        PeerRight.STORE: _("send"),
        PeerRight.FIND: _("search"),
        PeerRight.MOVE: _("have sent"),
        PeerRight.GET: _("fetch"),
    }


def told_knocks(listed: tuple[Knock, ...], words: Words) -> list[dict[str, Any]]:
    """Each knock with what happened and what it means, in words."""
    return [
        {**msgspec.structs.asdict(knock), "sentence": _sentence(knock, words), "means": _means(knock, words)}
        for knock in listed
        if not knock.ignored
    ]


def _sentence(knock: Knock, words: Words) -> str:
    _ = words.gettext
    if not knock.title:
        return _("Something knocked from %(address)s.") % {"address": knock.address}
    return _("%(title)s knocked from %(address)s.") % {"title": knock.title, "address": knock.address}


def _means(knock: Knock, words: Words) -> str:
    _ = words.gettext
    texts = {
        KnockReason.TITLE_UNKNOWN: _("It is not known here. Is it yours?"),
        KnockReason.ADDRESS_OTHER: _(
            "That title is known, and has another address: a moved machine, or another one."
        ),
        KnockReason.CALLED_OTHER: _(
            "It calls this archive “%(called)s”. Type the title above into the machine."
        ),
        KnockReason.RIGHT_MISSING: _("It is known, and asked for something it may not do."),
        KnockReason.RIGHT_ENDED: _("It is known, and its rights have ended."),
        KnockReason.CERTIFICATE_MISSING: _("It must show a certificate, and showed none."),
        KnockReason.CERTIFICATE_OTHER: _("It showed another certificate than the one that was pinned."),
        KnockReason.ADDRESS_PUBLIC: _(
            "It came from the Internet: a door in front of this house is open. It was cut off unheard. "
            "Close the port in your Internet box."
        ),
        KnockReason.NOT_DICOM: _("It did not speak DICOM: a scan of the network, or a wrong port."),
        KnockReason.TOO_MANY: _("It opened too many connections at once."),
    }
    return texts[knock.reason] % {"called": knock.called}


@person(Right.PEERS)
async def add(visit: Visit) -> Response:
    """Admit a peer by hand, to echo and store."""
    form = await read_form(visit.request)
    _ = words_of(visit.request, visit.session.actor.language).gettext
    port = form.get("port", "").strip()
    try:
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004
            raise BadSetting("a port is a number from 1 to 65535")
        asked = PeerAsked(form.get("title", "").strip(), form.get("address", "").strip(), int(port or 0))
        peer = await visit.site.peers.add(visit.proof, asked)
    except HuisclosError as error:
        return await _show(
            visit, refused(error, words_of(visit.request, visit.session.actor.language)), "bad"
        )
    return await _show(visit, _("%(title)s is admitted: it may test and store.") % {"title": peer.title})


def refused(error: HuisclosError, words: Words) -> str:
    """Why a change was not made."""
    _ = words.gettext
    texts = {
        "conflict": _("It is there already, or it is the last one that must stay."),
        "bad-identifier": _("An AE title has 1 to 16 plain characters."),
        "bad-setting": _("Something typed is not valid: look at the address, the port, the date."),
        "not-granted": _("This needs an owner."),
        "not-found": _("It is not there any more."),
        "weak-password": _("This would be guessed. Take words that have nothing to do with each other."),
    }
    return texts.get(error.kind) or _("It could not be done.")


@person(Right.PEERS)
async def remove(visit: Visit) -> Response:
    """Refuse a peer from now on."""
    await visit.site.peers.remove(visit.proof, visit.id("peer"))
    return see("/peers")


@person(Right.PEERS)
async def echo(visit: Visit) -> Response:
    """A test echo, and what came of it in words."""
    result = await visit.site.peers.echo(visit.proof, visit.id("peer"))
    good = result.outcome is EchoOutcome.ANSWERED
    told = _echoed(result, words_of(visit.request, visit.session.actor.language))
    return await _show(visit, told, "good" if good else "bad")


def _echoed(result: EchoResult, words: Words) -> str:
    _ = words.gettext
    texts = {
        EchoOutcome.ANSWERED: _("It answered in %(milliseconds)d ms."),
        EchoOutcome.NO_PORT: _("No port of its own is known: it sends, and cannot be called."),
        EchoOutcome.UNREACHABLE: _("It does not answer: is it switched on, and on this network?"),
        EchoOutcome.REFUSED: _("It answered, and refused us: admit this archive on the machine."),
        EchoOutcome.NO_ECHO: _("It answered, and does not do the test."),
    }
    text = texts[result.outcome] % {"milliseconds": result.milliseconds}
    return f"{text} ({result.code})" if result.code else text


@person(Right.PEERS)
async def admit(visit: Visit) -> Response:
    """Admit who knocked; with a port of its own, a test echo goes back."""
    words = words_of(visit.request, visit.session.actor.language)
    first = (await visit.site.set_up.state()).stage is Stage.MODALITY
    try:
        peer = await visit.site.peers.admit(visit.proof, visit.id("knock"))
    except HuisclosError as error:
        return await _show(visit, refused(error, words), "bad")
    if first:  # the set-up goes on where it was
        return see("/set-up")
    told = words.gettext("%(title)s is admitted: it may test and store.") % {"title": peer.title}
    if peer.port:
        told += " " + _echoed(await visit.site.peers.echo(visit.proof, peer.id), words)
    return await _show(visit, told)


@person(Right.PEERS)
async def ignore(visit: Visit) -> Response:
    """Do not show this knock again."""
    await visit.site.peers.ignore(visit.proof, visit.id("knock"))
    return see("/peers")


def routes() -> list[BaseRoute]:
    """Peers."""
    return [
        Route("/peers", peers_page, methods=["GET"]),
        Route("/peers/knocks", knocks, methods=["GET"]),
        Route("/peers/add", add, methods=["POST"]),
        Route("/peers/{peer}/remove", remove, methods=["POST"]),
        Route("/peers/{peer}/echo", echo, methods=["POST"]),
        Route("/peers/knocks/{knock}/admit", admit, methods=["POST"]),
        Route("/peers/knocks/{knock}/ignore", ignore, methods=["POST"]),
    ]
