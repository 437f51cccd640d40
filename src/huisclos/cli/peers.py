"""`huisclos peer`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson, UnlockWith, end_of_day, words_of_list

if TYPE_CHECKING:
    from huisclos.access.peers import Peer
    from huisclos.vault.console import Waiting
    from huisclos.wiring.connection import House

app = typer.Typer(no_args_is_help=True)

Title = Annotated[
    str, typer.Argument(metavar="AETITLE", help="AE title of the machine, at most 16 characters.")
]


@app.command("add")
def add(
    archive: ArchiveFolder,
    title: Title,
    address: Annotated[str, typer.Option(metavar="IP", help="Its address, or a private prefix.")],
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Where it listens itself, for a test echo.")
    ] = 0,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its certificate, to be pinned: PEM or DER.")
    ] = None,
    may: Annotated[str, typer.Option(metavar="LIST", help="Of echo, store, find, move, get.")] = "echo,store",
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Last day of its rights.")] = "",
    unlock_with: UnlockWith = None,
) -> None:
    """Admit a machine. Takes effect without a restart.

    While the archive is locked, a machine that may only echo and store is taken at once, and what it
    sends stays apart until an owner approves it; anything more waits for an owner.

    \b
    Example:
      huisclos peer add /srv/images CT01 --address 192.168.1.20 --port 104
    """
    from huisclos import clock
    from huisclos.access.accounts import PeerBody, PeerRight
    from huisclos.certificates import to_der
    from huisclos.cli.files import read_public
    from huisclos.cli.house import unlocked_if_named

    body = PeerBody(
        title=title,
        address=address,
        may=words_of_list(may, PeerRight, "--may"),
        made_at=clock.timestamp(),
        port=port,
        certificate=to_der(read_public(certificate, "the certificate")) if certificate is not None else b"",
        until=end_of_day(until) if until else 0.0,
    )

    async def work(house: House) -> Peer:
        return await house.console.add_peer(body)

    peer = unlocked_if_named(archive, work, unlock_with)
    if peer.approved:
        output.say(f"{peer.title} at {peer.address} is admitted; it may {_listed(peer)}.")
        if _ended(peer):
            output.say("Its certificate has ended: it may only echo and store until a new one is pinned.")
    else:
        output.say(f"{peer.title} waits for an owner, since the archive is locked.")
        if body.may <= {PeerRight.ECHO, PeerRight.STORE}:
            output.say("It may send meanwhile: what it sends is kept apart until it is approved.")


@app.command("list")
def list_(archive: ArchiveFolder, json: AsJson = False) -> None:
    """List every machine that is admitted, or waits to be. Works locked.

    A machine that was asked for while locked, and for more than echo and store, is not among them: the
    request is sealed, and no association of it is heard until an owner approves it.

    \b
    Example:
      huisclos peer list /srv/images --json
    """
    from huisclos.cli.house import as_it_stands

    async def work(house: House) -> tuple[tuple[Peer, ...], int]:
        peers = await house.console.peers()
        return peers, _besides(peers, await house.console.pending())

    peers, besides = as_it_stands(archive, work)
    if json:
        output.document([_described(peer) for peer in peers])
    elif peers:
        headings = ("AE title", "address", "port", "may", "last day", "last heard", "")
        output.table(headings, [_row(peer) for peer in peers])
    else:
        output.say("No machine is admitted yet.")
    if besides:
        requests = output.number(besides, "request")
        output.say(
            f"Waiting for an owner besides: {requests}. See: huisclos pending list {quote(str(archive))}"
        )


@app.command("remove")
def remove(archive: ArchiveFolder, title: Title) -> None:
    """Remove a machine; its associations end at once. Works locked.

    \b
    Example:
      huisclos peer remove /srv/images CT01
    """
    from huisclos.cli.house import as_it_stands

    async def work(house: House) -> int:
        return await house.console.remove_peer(title)

    removed = as_it_stands(archive, work)
    output.say(f"Removed {output.number(removed, 'peer')}.")


def _besides(peers: tuple[Peer, ...], waiting: tuple[Waiting, ...]) -> int:
    """Requests that are for a machine, or may be since they are sealed, and that are not in the list."""
    from huisclos.access.people import PendingKind

    listed = {peer.id for peer in peers}
    unlisted = [one.asked for one in waiting if one.id not in listed]
    return sum(asked is None or asked.kind is PendingKind.PEER for asked in unlisted)


def _listed(peer: Peer) -> str:
    return ",".join(sorted(peer.may))


def _described(peer: Peer) -> dict[str, Any]:
    times = ("until", "certificate_until", "added_at", "last_heard_at")
    changed = {name: output.moment(getattr(peer, name)) for name in times}
    return output.plain(peer, may=sorted(peer.may), **changed)


def _row(peer: Peer) -> tuple[str, ...]:
    return (
        peer.title,
        peer.address,
        str(peer.port or ""),
        _listed(peer),
        # the end is the midnight after its last day
        output.local(peer.until - 1)[:10] if peer.until else "",
        output.local(peer.last_heard_at),
        ", ".join(_remarks(peer)),
    )


def _remarks(peer: Peer) -> list[str]:
    waits = [] if peer.approved else ["waits for an owner"]
    return [*waits, "its certificate has ended"] if _ended(peer) else waits


def _ended(peer: Peer) -> bool:
    from huisclos.clock import timestamp

    return bool(peer.fingerprint) and peer.certificate_until < timestamp()
