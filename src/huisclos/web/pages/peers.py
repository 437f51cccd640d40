"""Peers: what to type into a modality, who knocked, who is admitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.accounts import PeerRight
from huisclos.access.addresses import parse_address
from huisclos.access.gate import Stage
from huisclos.access.nouns import Right
from huisclos.access.peers import (
    EchoOutcome,
    EchoResult,
    Knock,
    KnockReason,
    Listening,
    Peer,
    PeerAsked,
)
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
        listening=for_machines(await site.peers.listening()),
        knocks=told_knocks(await site.peers.knocks(visit.proof), words),
        peers=listed,
        rights=peer_rights(words),
        silent={peer.id for peer in listed if 0 < peer.last_heard_at < quiet},
        ended={peer.id for peer in listed if peer.fingerprint and peer.certificate_until < timestamp()},
        told=told,
        told_kind=kind,
    )


def for_machines(listening: Listening) -> Listening:
    """What a modality can reach: not this machine's own loopback, once the network is listened to."""
    if not listening.lan:
        return listening
    ports = tuple(
        msgspec.structs.replace(port, addresses=_beyond_loopback(port.addresses)) for port in listening.ports
    )
    return msgspec.structs.replace(listening, ports=ports)


def _beyond_loopback(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in addresses if not parse_address(one).is_loopback) or addresses


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
        KnockReason.CERTIFICATE_ENDED: _(
            "Its certificate has ended: it may only test and send until a new one is pinned."
        ),
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
    words = words_of(visit.request, visit.session.actor.language)
    try:
        asked = PeerAsked(form.get("title", "").strip(), form.get("address", "").strip(), _port(form))
        peer = await visit.site.peers.add(visit.proof, asked)
    except HuisclosError as error:
        return await _show(visit, refused(error, words, _known(words)), "bad")
    return await _show(visit, _admitted(peer, words))


def _port(form: Mapping[str, str]) -> int:
    text = form.get("port", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):  # noqa: PLR2004
        raise BadSetting("a port is a number from 1 to 65535")
    return int(text or 0)


def _known(words: Words) -> str:
    return words.gettext("This peer is admitted already. Remove it first to change it.")


def _admitted(peer: Peer, words: Words) -> str:
    return words.gettext("%(title)s is admitted: it may test and store.") % {"title": peer.title}


def refused(error: HuisclosError, words: Words, conflict: str = "") -> str:
    """Why a change was not made; `conflict` says what it would have clashed with."""
    _ = words.gettext
    texts = {
        "conflict": conflict or _("It cannot be done as things are."),
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
    words = words_of(visit.request, visit.session.actor.language)
    try:
        port = _port(await read_form(visit.request))
    except BadSetting:
        return await _show(visit, words.gettext("A port is a number from 1 to 65535."), "bad")
    peer_id = visit.id("peer")
    known = {peer.id: peer.title for peer in await visit.site.peers.peers(visit.proof)}
    result = await visit.site.peers.echo(visit.proof, peer_id, port)
    good = result.outcome is EchoOutcome.ANSWERED
    return await _show(visit, _echoed(known.get(peer_id, ""), result, words), "good" if good else "bad")


def _echoed(title: str, result: EchoResult, words: Words) -> str:
    _ = words.gettext
    texts = {
        EchoOutcome.ANSWERED: _("%(title)s answered in %(milliseconds)d ms."),
        EchoOutcome.NO_PORT: _("No port of %(title)s is known: type the one at which it listens."),
        EchoOutcome.UNREACHABLE: _(
            "%(title)s does not answer: is it switched on, on this network, and is this its port?"
        ),
        EchoOutcome.REFUSED: _("%(title)s answered, and refused us: admit this archive on the machine."),
        EchoOutcome.NO_ECHO: _("%(title)s answered, and does not do the test."),
    }
    text = texts[result.outcome] % {"title": title, "milliseconds": result.milliseconds}
    return f"{text} ({result.code})" if result.code else text


@person(Right.PEERS)
async def admit(visit: Visit) -> Response:
    """Admit who knocked. Where it listens is not known yet: the test echo asks for it."""
    words = words_of(visit.request, visit.session.actor.language)
    first = (await visit.site.set_up.state()).stage is Stage.MODALITY
    try:
        peer = await visit.site.peers.admit(visit.proof, visit.id("knock"))
    except HuisclosError as error:
        return await _show(visit, refused(error, words, _known(words)), "bad")
    if first:  # the set-up goes on where it was
        return see("/set-up")
    return await _show(visit, _admitted(peer, words))


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
