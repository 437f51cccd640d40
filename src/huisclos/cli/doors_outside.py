"""`huisclos doors outside`: the view from outside, as the service that looks and as who asks it to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from huisclos.cli import output
from huisclos.cli.doors_record import RecordFile, recorded
from huisclos.cli.doors_report import Options, begin, finish, own_codes, reporting, take
from huisclos.errors import BadSetting

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from huisclos.access.addresses import Address
    from huisclos.doors.observation import Seen
    from huisclos.doors.outside_service import OutsideService
    from huisclos.doors.target import Target

app = typer.Typer(no_args_is_help=True)
PORT: Final = 8449


@app.command("serve")
@own_codes
def serve(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="A public address of this machine.")],
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM chain. [one made for this run]")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM key of the certificate.")] = None,
    proxy: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A proxy of yours in front, which names who asks.")
    ] = "",
    contact: Annotated[
        str, typer.Option(metavar="TEXT", help="Whom to write to, for whoever sees packets from here.")
    ] = "",
    record: RecordFile = None,
    ready_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Written once it listens: address and pin, as JSON.")
    ] = None,
) -> int:
    """Look at whoever asks, from here: a machine on the Internet that is not on the practice's network.

    It tests the address that a request came from, after a token served there, once an hour, and nobody
    else's. Imaging ports are asked what they speak, nothing more. No address is kept; in a --record,
    addresses are tokens that only this run can make. A request that comes through a proxy is refused,
    unless it is --proxy and names exactly one address.

    \b
    Example:
      huisclos doors outside serve --listen 203.0.113.7:8449 --contact security@example.org
    """
    import asyncio
    import contextlib
    import logging

    from huisclos.access.addresses import parse_address, split_host_port
    from huisclos.doors.outside_service import OutsideService
    from huisclos.doors.record import Record, watched

    host, port = split_host_port(listen, PORT)
    # The library's own words about a connection that failed name who made it.
    logging.getLogger("asyncio").disabled = True
    service = OutsideService(proxy=parse_address(proxy) if proxy else None, contact=contact)
    kept = Record(record) if record is not None else None
    with contextlib.ExitStack() as stack:
        tls, pin = _identity(certificate, key)
        if kept is not None:
            kept.write("begin", about="doors outside serve")
            stack.callback(kept.close)
        stack.enter_context(watched(kept, service.allowed, service.tempo.veil))
        asyncio.run(_serve(service, (str(host), port), tls, lambda url: _tell(url, pin, ready_file)))
        if kept is not None:
            kept.write("end")
    return 0


async def _serve(
    service: OutsideService, where: tuple[str, int], tls: ssl.SSLContext, ready: Callable[[str], None]
) -> None:
    import asyncio
    import signal

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.set_exception_handler(lambda _loop, _context: None)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        server = await service.listen(*where, tls)
    except OSError as error:
        raise BadSetting(f"this address cannot be listened on: {error.strerror}") from None
    port = int(server.sockets[0].getsockname()[1])
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    ready(f"https://{host}:{port}")
    await stop.wait()
    server.close()


def _tell(url: str, pin: str, ready_file: Path | None) -> None:
    import msgspec

    output.say(f"The view from outside is at {url}. Its certificate's pin:")
    output.say(f"  {pin}")
    if ready_file is not None:
        ready_file.write_bytes(msgspec.json.encode({"url": url, "pin": pin}))


def _identity(certificate: Path | None, key: Path | None) -> tuple[ssl.SSLContext, str]:
    """What the service shows, and its certificate's SHA-256."""
    import contextlib
    import hashlib
    import ssl

    from huisclos import clock
    from huisclos.doors.probes.tls import throwaway

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if (certificate is None) != (key is None):
        raise BadSetting("--certificate and --key go together")
    try:
        given = contextlib.nullcontext((certificate, key)) if certificate and key else None
        with given or throwaway(clock.now(), days=90) as (chain, secret):
            context.load_cert_chain(chain, secret)
            pem = chain.read_text("ascii")
        first = pem[pem.index("-----BEGIN CERTIFICATE") :]
        der = ssl.PEM_cert_to_DER_cert(first[: first.index("-----END CERTIFICATE-----") + 25])
    except (OSError, ssl.SSLError, ValueError):
        raise BadSetting("the certificate or its key cannot be read") from None
    return context, hashlib.sha256(der).hexdigest()


@app.command("ask")
@reporting
def ask(
    service: Annotated[str, typer.Argument(metavar="URL", help="https://HOST:PORT of a service you trust.")],
    pin: Annotated[
        str, typer.Option(metavar="HEX", help="SHA-256 of its certificate, as its owner told you.")
    ] = "",
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="PEM of who signed it. [the system's]")
    ] = None,
    token_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Where this machine shows its token. [any]")
    ] = 0,
    no_box: Annotated[
        bool, typer.Option("--no-box", help="Do not ask the box which address it has outside.")
    ] = False,
    record: RecordFile = None,
    *,
    options: Options,
) -> int:
    """Have this practice looked at from the Internet: which imaging ports answer there, and what they speak.

    Run it on the machine that the box's doors lead to. The service first fetches a token from this
    machine at its public address. Where the box lets that in (a DMZ, a forwarded range, IPv6) all
    imaging ports are looked at. Where it does not, nothing is, and the report says so: forward one port
    for the time of the test and name it with --token-port.

    \b
    Example:
      huisclos doors outside ask https://203.0.113.7:8449 --pin 5e8f... --html report.html
    """
    from huisclos.doors.outside_ask import read_pin, trust
    from huisclos.doors.record import only
    from huisclos.doors.target import parse_target

    target = parse_target(service)
    if target.scheme != "https":
        raise BadSetting("the service is named by its https:// address")
    pinned = read_pin(pin)
    tls = trust(pin=pinned, authority=str(ca) if ca is not None else "")
    audit = begin("outside", options)
    box = None if no_box else _gateway()
    with recorded(record, audit, only(frozenset({target.address, *([box] if box else [])}))):
        take(audit, _ask(target, tls, pinned, token_port, box))
    return finish(audit, options)


def _gateway() -> Address | None:
    from huisclos.doors.box.igd import gateway

    return gateway()


def _ask(target: Target, tls: ssl.SSLContext, pin: str, port: int, box: Address | None) -> list[Seen]:
    import asyncio

    from huisclos.doors.observation import Miss
    from huisclos.doors.outside import observe
    from huisclos.doors.outside_ask import ask, outside_address
    from huisclos.errors import PeerTooSlow, PeerUnreachable
    from huisclos.findings.nouns import Reason

    async def work() -> list[Seen]:
        own = await outside_address(box) if box is not None else None
        view = await ask(target, tls, pin=pin, port=port)
        return observe(view, own)

    try:
        return asyncio.run(work())
    except PeerTooSlow:
        reason = Reason.TIMED_OUT
    except PeerUnreachable:
        reason = Reason.UNREACHABLE
    return [Miss(("BOX-015", "BOX-016"), target.name, reason)]
