"""What every `huisclos doors` command shares: the report's options, how it is shown, its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

from huisclos.cli import output
from huisclos.errors import BadSetting, HuisclosError, Refused

if TYPE_CHECKING:
    from huisclos.doors.assemble import Audit
    from huisclos.doors.observation import Seen
    from huisclos.findings.nouns import Finding, Language
    from huisclos.findings.report import Consent, Report

JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="F", help="The report as JSON; - for stdout.")
]
HtmlFile = Annotated[Path | None, typer.Option("--html", metavar="F", help="The report as one HTML page.")]
PdfFile = Annotated[Path | None, typer.Option("--pdf", metavar="F", help="The report, typeset.")]
SarifFile = Annotated[Path | None, typer.Option("--sarif", metavar="F", help="The findings as SARIF 2.1.0.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", metavar="F", help="The findings as CSV.")]
Lang = Annotated[str, typer.Option("--lang", metavar="fr|en", help="Language of the report. [the system's]")]
Mutes = Annotated[
    Path | None,
    typer.Option("--mutes", metavar="FILE", help="TOML: doors lived with, by whom, why, until when."),
]
Baseline = Annotated[
    Path | None, typer.Option("--baseline", metavar="FILE", help="An earlier JSON report to compare with.")
]
FailOn = Annotated[
    str,
    typer.Option("--fail-on", metavar="SEVERITY", help="From which severity the exit code is 1. [low]"),
]
Site = Annotated[str, typer.Option("--site", metavar="NAME", help="A name of the practice, for the report.")]

USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Options:
    """The report options: each field is one, of every command that makes a report."""

    json: JsonFile = None
    html: HtmlFile = None
    pdf: PdfFile = None
    sarif: SarifFile = None
    csv: CsvFile = None
    lang: Lang = ""
    mutes: Mutes = None
    baseline: Baseline = None
    fail_on: FailOn = "low"
    site: Site = ""


def own_codes(command: Callable[..., int]) -> Callable[..., int]:
    """Exit codes of `doors`: 3 for what is refused, 2 for every other mistake of the request."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> int:
        try:
            return command(*arguments, **options)
        except Refused:
            raise
        except HuisclosError as error:
            output.tell(error)
            return USAGE

    return run


def reporting(command: Callable[..., int]) -> Callable[..., int]:
    """A command with the report options after its own, handed to it as `options`; and `own_codes`."""
    hints = get_type_hints(Options, include_extras=True)
    shared = [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in fields(Options)
    ]
    own = signature(command, eval_str=True)
    kept = [one for one in own.parameters.values() if one.name != "options"]

    @own_codes
    @wraps(command)
    def run(**given: Any) -> int:
        options = Options(**{one.name: given.pop(one.name) for one in shared})
        return command(**given, options=options)

    run.__signature__ = own.replace(parameters=[*kept, *shared])  # type: ignore[attr-defined] # read by inspect
    run.__annotations__ = {one.name: one.annotation for one in (*kept, *shared)} | {"return": int}
    return run


def begin(command: str, options: Options, consents: tuple[Consent, ...] = ()) -> Audit:
    """An audit to be filled. Raises `BadSetting` and `Unreadable` before anything is asked."""
    for path in (options.json, options.html, options.pdf, options.sarif, options.csv):
        if path is not None and str(path) != "-":
            can_be_written(path, "the report")
    from huisclos.clock import now
    from huisclos.doors.assemble import Audit, read_mutes
    from huisclos.findings.nouns import Severity
    from huisclos.findings.report import decode

    if options.fail_on not in tuple(Severity):
        raise BadSetting("--fail-on is critical, high, medium, low or info")
    mutes = read_mutes(_text(options.mutes)) if options.mutes is not None else ()
    if options.baseline is not None:
        decode(_bytes(options.baseline))
    return Audit(
        command, language_of(options.lang), now(), site=options.site or None, consents=consents, mutes=mutes
    )


def can_be_written(path: Path, what: str) -> None:
    """Raises `BadSetting` now rather than after a minute of asking."""
    import os

    wrong = "it is a folder" if path.is_dir() else "" if path.parent.is_dir() else "its folder does not exist"
    place = path if path.exists() else path.parent
    if not wrong and not os.access(place, os.W_OK):
        wrong = "this account may not write there"
    if wrong:
        raise BadSetting(f"{what} cannot be written: {wrong}")


def language_of(text: str) -> Language:
    """The language asked for, or the system's. Raises `BadSetting`."""
    from huisclos.findings.nouns import Language

    try:
        return Language(text or output.language_of_system())
    except ValueError:
        raise BadSetting("--lang is fr or en") from None


def take(audit: Audit, seen: Iterable[Seen]) -> None:
    """Judge, and show each new door at once on stderr when a person watches."""
    import sys

    from huisclos.clock import now
    from huisclos.doors.facts import place
    from huisclos.doors.reports.typeset import typeset
    from huisclos.doors.reports.words import word
    from huisclos.findings.nouns import Severity

    opened = audit.take(seen, now())
    if sys.stderr.isatty():
        for finding in opened:
            if finding.severity is Severity.INFO:
                continue
            severity = word(finding.severity.value, audit.language)
            colon = typeset(" :", audit.language) if audit.language == "fr" else ":"
            title = typeset(finding.title, audit.language)
            where = place(finding.target, audit.language, finding.check)
            line = f"{severity:8} {finding.check} {where}{colon} {title}"
            output.say(output.fitted(line, sys.stderr, indent=17))


def finish(audit: Audit, options: Options) -> int:
    """Write the files, show the report, give the exit code."""
    from huisclos.findings.nouns import Severity
    from huisclos.findings.report import exit_code

    report = audit.report(_bytes(options.baseline) if options.baseline is not None else None)
    written = write(report, options)
    if "-" not in written:
        show(report)
    return int(exit_code(report, Severity(options.fail_on)))


def write(report: Report, options: Options) -> set[str]:
    """Every file that was asked for; their names."""
    from huisclos.findings.report import pieces

    made: dict[Path, Callable[[Report], Iterable[bytes]]] = {}
    if options.json is not None:
        made[options.json] = pieces
    if options.html is not None:
        made[options.html] = _html
    if options.pdf is not None:
        made[options.pdf] = _pdf
    if options.sarif is not None:
        made[options.sarif] = _sarif
    if options.csv is not None:
        made[options.csv] = _csv
    for path, make in made.items():
        if str(path) == "-":
            output.raw(make(report))
        else:
            _save(path, make(report))
    return {str(path) for path in made}


def _html(report: Report) -> Iterable[bytes]:
    from huisclos.doors.reports.page import to_html

    return (to_html(report).encode(),)


def _pdf(report: Report) -> Iterable[bytes]:
    from huisclos.doors.reports.page import to_pdf

    return (to_pdf(report),)


def _sarif(report: Report) -> Iterable[bytes]:
    from huisclos.doors.reports.table import to_sarif

    return (to_sarif(report),)


def _csv(report: Report) -> Iterable[bytes]:
    from huisclos.doors.reports.table import to_csv

    return (to_csv(report).encode(),)


def show(report: Report) -> None:
    """The report on stdout: a sentence a door, worst first."""
    import sys

    from huisclos.doors.facts import place
    from huisclos.doors.reports.typeset import typeset
    from huisclos.doors.reports.view import changes, headline, open_doors, untested
    from huisclos.doors.reports.words import word

    language = report.language

    def say(name: str) -> str:
        return typeset(word(name, language), language)

    def told(sentence: str) -> str:
        return typeset(sentence, language)

    def shown(text: str) -> None:
        output.data(output.fitted(text, sys.stdout))

    colon = told(" :") if language == "fr" else ":"
    shown(told(headline(report)))
    changed = changes(report) or {"opened": [], "closed": []}
    for name, rows in (("opened-since", changed["opened"]), ("closed-since", changed["closed"])):
        for row in rows:
            shown(f"{say(name)}{colon} {told(row['title'])} {row['place']} ({row['check']})")
    for door, places in _doors(open_doors(report), language, colon).items():
        shown("\n" + "\n".join(places) + "\n" + door)
    for group in untested(report):
        checks = ", ".join(asked["check"] for asked in group["asked"] if asked["check"])
        reason = " ".join(told(one) for one in (group["question"], group["reason"]) if one)
        shown(f"\n{say('untested')}{colon} {group['place']}\n     {reason} {checks}".rstrip())
    for one in report.findings:
        if one.muted is not None:
            where = place(one.target, language, one.check)
            shown(
                f"\n{say('muted')}{colon} {one.check} {where}{colon} {one.muted.reason} "
                f"({one.muted.author}, {say('until')} {one.muted.until})"
            )


def _doors(found: Iterable[Finding], language: Language, colon: str) -> dict[str, list[str]]:
    """What each door is and how it is closed, once, with its places."""
    from huisclos.doors.facts import place
    from huisclos.doors.reports.words import word

    made: dict[str, list[str]] = {}
    known: set[tuple[str, str]] = set()
    for one in found:
        door, head = _door(one, language, colon), f"{word(one.severity.value, language)}  {one.check}"
        where = place(one.target, language, one.check)
        # The check and its severity stand at the first place alone.
        shown = " " * len(head) if (door, head) in known else head
        known.add((door, head))
        made.setdefault(door, []).append(f"{one.id:4} {shown}  {where}")
    return made


def _door(one: Finding, language: Language, colon: str) -> str:
    from huisclos.doors.reports.typeset import ended, moment, typeset
    from huisclos.doors.reports.words import word

    what = typeset(one.title, language)
    if not one.is_.startswith(one.title):
        what = f"{what}{colon} {typeset(one.is_, language)}"
    verdict = typeset(word(f"at-{one.verdict.value}", language, moment(one.seen_at, language)), language)
    return (
        f"     {ended(what)}\n"
        f"     {verdict}\n"
        f"     {word('fix', language)}{colon} {typeset(ended(one.fix), language)}"
    )


def _save(path: Path, pieces: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise BadSetting(f"the report cannot be written: {error.strerror}") from None


def _bytes(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"this file cannot be read: {error.strerror}") from None


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", errors="replace")
