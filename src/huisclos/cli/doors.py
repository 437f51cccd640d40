"""`huisclos doors`: find the doors left open. It has its own exit codes (docs/reference/doors.md)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import (
    doors_box,
    doors_check,
    doors_mandate,
    doors_more,
    doors_outside,
    doors_record,
    output,
)
from huisclos.cli.doors_record import RecordFile, recorded
from huisclos.cli.doors_report import Options, begin, can_be_written, finish, reporting, take
from huisclos.cli.doors_walk import name_places, walk_tree
from huisclos.errors import BadSetting

if TYPE_CHECKING:
    from huisclos.access.addresses import Network
    from huisclos.doors.assemble import Audit
    from huisclos.doors.mandate import Right
    from huisclos.doors.observation import Seen
    from huisclos.doors.rest.copies import Copies
    from huisclos.doors.rest.tally import Tally
    from huisclos.doors.runner import Manners
    from huisclos.doors.target import Target
    from huisclos.findings.report import Consent

app = typer.Typer(no_args_is_help=True)
app.add_typer(doors_mandate.app, name="mandate", help="The written, signed, dated right to probe.")
app.add_typer(doors_outside.app, name="outside", help="The view from outside: look, or be looked at.")
app.command("check")(doors_check.check)
app.command("round")(doors_more.round_)
app.command("rescue")(doors_more.rescue)
app.command("record")(doors_record.record)
app.command("box")(doors_box.box)
Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help="Files and folders.")]


@app.command("probe")
@reporting
def probe(
    targets: Annotated[list[str], typer.Argument(metavar="TARGET", help="host, host:port, or a URL.")],
    consent: Annotated[
        str, typer.Option(metavar='"NAME, ROLE"', help="Who agreed, for this machine's own private networks.")
    ] = "",
    mandate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A signed mandate, for anything else.")
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(metavar="FINGERPRINT", help="The owner's key: a mandate of another is refused."),
    ] = None,
    gentle: Annotated[
        bool, typer.Option("--gentle", help="One association, for a modality at work: DCM-001 to DCM-003.")
    ] = False,
    called: Annotated[str, typer.Option(metavar="AETITLE", help="The title the server is called by.")] = "",
    checks: Annotated[str, typer.Option(metavar="LIST", help="Only these, such as DCM-006,DCM-009.")] = "",
    default_login: Annotated[
        bool, typer.Option("--default-login", help="Try the one login that Orthanc makes by itself, once.")
    ] = False,
    write_test: Annotated[
        str,
        typer.Option(
            metavar="URL", help="Store one synthetic instance, and delete it by Orthanc's REST at this URL."
        ),
    ] = "",
    not_in_production: Annotated[
        bool, typer.Option("--not-in-production", help="The system of the write test treats nobody.")
    ] = False,
    two_at_once: Annotated[
        bool,
        typer.Option("--two-at-once", help="Hold one association for a second while asking for another."),
    ] = False,
    record: RecordFile = None,
    *,
    options: Options,
) -> int:
    """Ask a server what it lets a stranger do, by identifiers that exist nowhere: no record is ever read.

    This machine itself needs no consent. A private address on a network that this machine is on needs
    --consent, which the report keeps; anything else needs a mandate that covers it, or ends with exit
    code 3 before a packet is sent. Anybody can sign a mandate: --trust names its owner's key, as its owner
    read it out. --default-login, --two-at-once and --write-test go beyond looking: a
    mandate must allow them by name.

    \b
    Example:
      huisclos doors probe 127.0.0.1:4242 --html report.html
    """
    from huisclos.access.addresses import is_loopback
    from huisclos.doors.record import only_at
    from huisclos.doors.runner import Manners, many, spread
    from huisclos.doors.target import parse_target

    parsed = [parse_target(one) for one in targets]
    right = _read_mandate(mandate, trust or [])
    manners = Manners(
        called=called or None,
        gentle=gentle,
        checks=_checks(checks),
        default_login=default_login,
        delete_at=_write_test(write_test, parsed, sure=not_in_production),
        two_at_once=two_at_once,
        hosts_per_second=_pace(right),
    )
    _only_gently(parsed, manners)
    asked = parsed if manners.delete_at is None else [*parsed, manners.delete_at]
    audit = begin("probe", options, _consents(asked, manners, right, consent.strip()))
    audit.only = manners.checks
    here = all(is_loopback(one.address) for one in parsed)
    with many():
        with recorded(record, audit, only_at((one.address, one.port) for one in asked)):
            _probe(parsed if here else spread(parsed), manners, audit)
        return finish(audit, options)


def _only_gently(targets: list[Target], manners: Manners) -> None:
    """Raises `BadSetting` for what one association cannot be."""
    if not manners.gentle:
        return
    if manners.default_login or manners.two_at_once or manners.delete_at is not None:
        raise BadSetting("--gentle is one association and nothing beyond it", hint="leave one of them out")
    if any(one.scheme is not None for one in targets):
        raise BadSetting(
            "--gentle asks a modality, as host or host:port", hint="a web server is asked without it"
        )


def _consents(
    targets: list[Target], manners: Manners, right: Right | None, consent: str
) -> tuple[Consent, ...]:
    """By what right all this is asked of `targets`. Raises `OutsideMandate`."""
    from huisclos import clock
    from huisclos.access.addresses import is_loopback
    from huisclos.doors.mandate import Beyond, check_beyond, check_right

    moment = clock.now()
    own = () if all(is_loopback(one.address) for one in targets) else own_networks()
    consents = check_right(targets, own, consent or None, right, moment)
    for asked, what, enough in (
        (manners.default_login, Beyond.DEFAULT_LOGIN, bool(consent)),
        (manners.two_at_once, Beyond.TWO_AT_ONCE, bool(consent)),
        (manners.delete_at is not None, Beyond.WRITE_TEST, False),
    ):
        if asked:
            check_beyond(targets, right, what, moment, consent=enough)
    return consents


def _pace(right: Right | None) -> float:
    from huisclos.doors.runner import HOSTS_PER_SECOND

    return min(HOSTS_PER_SECOND, right.mandate.scope.hosts_per_second) if right else HOSTS_PER_SECOND


def _write_test(url: str, targets: list[Target], *, sure: bool) -> Target | None:
    """Where what is stored is deleted; None when nothing is stored. Raises `BadSetting`."""
    from huisclos.doors.target import parse_target

    if not url:
        return None
    place = parse_target(url)
    if not sure:
        raise BadSetting("a write test is for systems that treat nobody", hint="say so: --not-in-production")
    if place.scheme is None or {one.address for one in targets} != {place.address}:
        raise BadSetting("what a write test stores is deleted on the same machine, at an http(s) URL")
    return place


def _probe(targets: list[Target], manners: Manners, audit: Audit) -> None:
    import asyncio

    from huisclos.doors.reports.words import word
    from huisclos.doors.runner import run

    async def work() -> None:
        done = 0
        with output.progress(word("asking", audit.language)) as step:
            async for _, seen in run(targets, manners):
                done += 1
                step(done, len(targets))
                take(audit, seen)

    asyncio.run(work())


def own_networks() -> tuple[Network, ...]:
    """The private networks that this machine is on."""
    from ipaddress import ip_network

    from huisclos.wiring import listeners

    return tuple(ip_network(text, strict=False) for text in listeners.own_networks())


def _read_mandate(path: Path | None, trust: list[str]) -> Right | None:
    from huisclos.doors.mandate import parse_fingerprint, read, with_exclusions_pinned
    from huisclos.doors.target import resolve_all

    trusted = [parse_fingerprint(one) for one in trust]
    if path is None:
        if trusted:
            raise BadSetting("--trust names who signs a mandate", hint="give it with --mandate FILE")
        return None
    try:
        right = with_exclusions_pinned(read(path.read_bytes(), trusted=trusted), resolve_all)
    except OSError as error:
        raise BadSetting(f"the mandate cannot be read: {error.strerror}") from None
    if not right.vouched:
        output.say(
            f"the mandate is signed by {right.fingerprint}, and nobody vouches for that key: "
            "have its owner read it out, then name it with --trust"
        )
    return right


def _checks(text: str) -> frozenset[str] | None:
    from huisclos.doors.catalogue import catalogue

    if not text:
        return None
    wanted = frozenset(one.strip().upper() for one in text.split(","))
    if unknown := sorted(wanted - set(catalogue())):
        raise BadSetting(f"no such check: {unknown[0]}", hint="docs/reference/doors.en.md lists them")
    return wanted


ShowPaths = Annotated[
    bool, typer.Option("--show-paths", help="Name each place on the terminal; never in a report.")
]


@app.command("config")
@reporting
def config(
    paths: Paths,
    show_paths: ShowPaths = False,
    *,
    options: Options,
) -> int:
    """Read configurations: Orthanc, Conquest, dcm4chee, Horos, OsiriX, nginx, Apache, Caddy, compose.

    Orthanc's files in one folder count as one configuration, with ORTHANC__... of the environment over them.

    \b
    Example:
      huisclos doors config /etc/orthanc /etc/nginx
    """
    import os

    from huisclos.doors.config.files import Places, read_configs

    audit, places = begin("config", options), Places()
    take(audit, read_configs(paths, places, os.environ))
    code = finish(audit, options)
    name_places(places.shown if show_paths else {})
    return code


@app.command("logs")
@reporting
def logs(
    paths: Paths,
    *,
    options: Options,
) -> int:
    """Read logs: do they name patients, and did strangers from the Internet already come in.

    Lines are counted by day; no line, name or address is kept.

    \b
    Example:
      huisclos doors logs /var/log/orthanc /var/log/nginx
    """
    from huisclos.doors.logs import read_logs

    audit = begin("logs", options)
    take(audit, read_logs(paths))
    return finish(audit, options)


@app.command("rest")
@reporting
def rest(
    paths: Paths,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that read. [2]")] = 2,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Kept while it runs, to go on after a stop.")
    ] = None,
    keep_years: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=200, help="How long images are kept: older ones are told."),
    ] = None,
    copies: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Carried from machine to machine: which images lie on several."),
    ] = None,
    show_paths: ShowPaths = False,
    *,
    options: Options,
) -> int:
    """Find images, indexes and dumps that lie in clear, in archives too; count persons, keep no name.

    Folders' names hold names as well: the report gives the root that you named, and counts for each
    sub-tree under a token that only this run can make.

    --copies holds a key and digests of instances, no UID; take it to the next machine, and delete it after
    the last. The key is in it: keep it as you keep a report.

    \b
    Example:
      huisclos doors rest /srv/images --workers 4 --html report.html
    """
    from huisclos.doors.rest.audit import Walk, forget, trees

    audit = begin("rest", options)
    for path, what in ((resume, "the file of --resume"), (copies, "the file of --copies")):
        if path is not None:
            can_be_written(path, what)
    known = _copies(copies)
    walk = Walk(keep_paths=show_paths, resume=resume, copies=known is not None)
    if known is not None:
        walk.key = known.key
    there, absent = trees(paths)
    for root in there:
        also = partial(_also, keep_years=keep_years, copies=known)
        take(audit, walk_tree(root, walk, workers, show=show_paths, language=audit.language, also=also))
    take(audit, [_absent(root) for root in absent])
    if known is not None:
        if walk.key != known.key:
            raise BadSetting("this --resume was begun without these --copies", hint="begin again without it")
        known.save()
    code = finish(audit, options)
    forget(walk)
    return code


def _copies(path: Path | None) -> Copies | None:
    import platform

    from huisclos.doors.rest.copies import Copies

    return None if path is None else Copies.load(path, platform.node())


def _also(root: Path, tally: Tally, *, keep_years: int | None, copies: Copies | None) -> list[Seen]:
    """What only the owner's word, or another machine's, makes a finding of; else held back."""
    from huisclos.clock import now
    from huisclos.doors.observation import Miss
    from huisclos.doors.rest.copies import CHECK
    from huisclos.doors.rest.retention import CHECK as RETENTION
    from huisclos.doors.rest.retention import observe_retention
    from huisclos.findings.nouns import Outcome, Reason

    seen: list[Seen] = []
    if keep_years is not None:
        seen.append(observe_retention(root, tally, now().year - keep_years))
    if copies is not None:
        seen.append(copies.observe(root, tally))
    held = [name for name, given in ((RETENTION, keep_years), (CHECK, copies)) if given is None]
    if held:
        seen.append(Miss(tuple(held), str(root), Reason.NOT_ASKED, outcome=Outcome.SKIPPED))
    return seen


def _absent(root: Path) -> Seen:
    from huisclos.doors.observation import Miss
    from huisclos.findings.nouns import Reason

    return Miss(("*",), str(root), Reason.UNREADABLE)
