"""`huisclos doors`: find the doors left open. It has its own exit codes (docs/reference/doors.md)."""

from __future__ import annotations

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
from huisclos.cli.doors_record import RecordFile, only_addresses, recorded
from huisclos.cli.doors_report import (
    Baseline,
    CsvFile,
    FailOn,
    HtmlFile,
    JsonFile,
    Lang,
    Mutes,
    Options,
    PdfFile,
    SarifFile,
    Site,
    begin,
    finish,
    own_codes,
    take,
)
from huisclos.cli.doors_walk import name_places, walk_tree
from huisclos.errors import BadSetting

if TYPE_CHECKING:
    from huisclos.access.addresses import Network
    from huisclos.doors.assemble import Audit
    from huisclos.doors.mandate import Right
    from huisclos.doors.observation import Seen
    from huisclos.doors.runner import Manners
    from huisclos.doors.target import Target

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
@own_codes
def probe(
    targets: Annotated[list[str], typer.Argument(metavar="TARGET", help="host, host:port, or a URL.")],
    consent: Annotated[
        str, typer.Option(metavar='"NAME, ROLE"', help="Who agreed, for this machine's own private networks.")
    ] = "",
    mandate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A signed mandate, for anything else.")
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
    record: RecordFile = None,
    json: JsonFile = None,
    html: HtmlFile = None,
    pdf: PdfFile = None,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    lang: Lang = "",
    mutes: Mutes = None,
    baseline: Baseline = None,
    fail_on: FailOn = "low",
    site: Site = "",
) -> int:
    """Ask a server what it lets a stranger do, by identifiers that exist nowhere: no record is ever read.

    This machine itself needs no consent. A private address on a network that this machine is on needs
    --consent, which the report keeps; anything else needs a mandate that covers it, or ends with exit
    code 3 before a packet is sent. --default-login and --write-test go beyond looking: a mandate must allow
    them by name.

    \b
    Example:
      huisclos doors probe 127.0.0.1:4242 --html report.html
    """
    from huisclos import clock
    from huisclos.doors.mandate import Beyond, check_beyond, check_right
    from huisclos.doors.runner import HOSTS_PER_SECOND, Manners
    from huisclos.doors.target import parse_target

    options = Options(json, html, pdf, sarif, csv, lang, mutes, baseline, fail_on, site)
    parsed = [parse_target(one) for one in targets]
    right = _read_mandate(mandate)
    consents = check_right(parsed, own_networks(), consent.strip() or None, right, clock.now())
    if default_login:
        check_beyond(parsed, right, Beyond.DEFAULT_LOGIN, consent=bool(consents) and right is None)
    delete_at = _write_test(write_test, parsed, sure=not_in_production)
    if delete_at is not None:
        check_beyond(parsed, right, Beyond.WRITE_TEST, consent=False)
    audit = begin("probe", options, consents)
    pace = min(HOSTS_PER_SECOND, right.mandate.scope.hosts_per_second) if right else HOSTS_PER_SECOND
    audit.only = _checks(checks)
    manners = Manners(
        called=called or None,
        gentle=gentle,
        checks=audit.only,
        default_login=default_login,
        delete_at=delete_at,
        hosts_per_second=pace,
    )
    with recorded(record, audit, only_addresses(one.address for one in parsed)):
        _probe(parsed, manners, audit)
    return finish(audit, options)


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

    from huisclos.doors.runner import run

    async def work() -> None:
        done = 0
        with output.progress("asking") as step:
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


def _read_mandate(path: Path | None) -> Right | None:
    from huisclos.doors.mandate import read

    if path is None:
        return None
    try:
        return read(path.read_bytes())
    except OSError as error:
        raise BadSetting(f"the mandate cannot be read: {error.strerror}") from None


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
@own_codes
def config(
    paths: Paths,
    show_paths: ShowPaths = False,
    json: JsonFile = None,
    html: HtmlFile = None,
    pdf: PdfFile = None,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    lang: Lang = "",
    mutes: Mutes = None,
    baseline: Baseline = None,
    fail_on: FailOn = "low",
    site: Site = "",
) -> int:
    """Read configurations: Orthanc, Conquest, dcm4chee, Horos, OsiriX, nginx, Apache, Caddy, compose.

    Orthanc's files in one folder count as one configuration, with ORTHANC__... of the environment over them.

    \b
    Example:
      huisclos doors config /etc/orthanc /etc/nginx
    """
    import os

    from huisclos.doors.config.files import Places, read_configs

    options = Options(json, html, pdf, sarif, csv, lang, mutes, baseline, fail_on, site)
    audit, places = begin("config", options), Places()
    take(audit, read_configs(paths, places, os.environ))
    code = finish(audit, options)
    name_places(places.shown if show_paths else {})
    return code


@app.command("logs")
@own_codes
def logs(
    paths: Paths,
    json: JsonFile = None,
    html: HtmlFile = None,
    pdf: PdfFile = None,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    lang: Lang = "",
    mutes: Mutes = None,
    baseline: Baseline = None,
    fail_on: FailOn = "low",
    site: Site = "",
) -> int:
    """Read logs: do they name patients, and did strangers from the Internet already come in.

    Lines are counted by day; no line, name or address is kept.

    \b
    Example:
      huisclos doors logs /var/log/orthanc /var/log/nginx
    """
    from huisclos.doors.logs import read_logs

    options = Options(json, html, pdf, sarif, csv, lang, mutes, baseline, fail_on, site)
    audit = begin("logs", options)
    take(audit, read_logs(paths))
    return finish(audit, options)


@app.command("rest")
@own_codes
def rest(
    paths: Paths,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="Processes that read. [2]")] = 2,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Kept while it runs, to go on after a stop.")
    ] = None,
    show_paths: ShowPaths = False,
    json: JsonFile = None,
    html: HtmlFile = None,
    pdf: PdfFile = None,
    sarif: SarifFile = None,
    csv: CsvFile = None,
    lang: Lang = "",
    mutes: Mutes = None,
    baseline: Baseline = None,
    fail_on: FailOn = "low",
    site: Site = "",
) -> int:
    """Find images, indexes and dumps that lie in clear, in archives too; count persons, keep no name.

    Folders' names hold names as well: the report gives the root that you named, and counts for each
    sub-tree under a token that only this run can make.

    \b
    Example:
      huisclos doors rest /srv/images --workers 4 --html report.html
    """
    from huisclos.doors.rest.audit import Walk, forget, trees

    options = Options(json, html, pdf, sarif, csv, lang, mutes, baseline, fail_on, site)
    audit = begin("rest", options)
    walk = Walk(keep_paths=show_paths, resume=resume)
    there, absent = trees(paths)
    for root in there:
        take(audit, walk_tree(root, walk, workers, show=show_paths))
    take(audit, [_absent(root) for root in absent])
    code = finish(audit, options)
    forget(walk)
    return code


def _absent(root: Path) -> Seen:
    from huisclos.doors.observation import Miss
    from huisclos.findings.nouns import Reason

    return Miss(("*",), str(root), Reason.UNREADABLE)
