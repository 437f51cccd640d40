"""`huisclos doors box`: what the Internet box lets in, asked of the box itself, of UPnP, and of its owner."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer

from huisclos.cli import output
from huisclos.cli.doors_record import RecordFile, recorded
from huisclos.cli.doors_report import Options, begin, finish, language_of, reporting, take
from huisclos.errors import BadSetting, LooseSecret

if TYPE_CHECKING:
    from huisclos.doors.assemble import Audit
    from huisclos.doors.box.ask import Asking, Kind, Where
    from huisclos.doors.box.declared import Answers
    from huisclos.doors.observation import Seen
    from huisclos.doors.record import Allowed
    from huisclos.findings.nouns import Language
    from huisclos.findings.report import Consent

PASSWORD: Final = "HUISCLOS_BOX_PASSWORD"  # noqa: S105 - the name of a variable
_MAX_SECRET: Final = 1024
_OTHERS: Final = 0o077


@reporting
def box(
    address: Annotated[str, typer.Option(metavar="HOST", help="The box. [this machine's gateway]")] = "",
    kind: Annotated[
        str,
        typer.Option(metavar="auto|upnp|freebox|livebox|bbox|sfr|fritz", help="How it is asked."),
    ] = "auto",
    consent: Annotated[
        str, typer.Option(metavar='"NAME, ROLE"', help="Who agreed that the box itself is asked.")
    ] = "",
    user: Annotated[str, typer.Option(metavar="NAME", help="Of the box's page. [its usual one]")] = "",
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The password of the box's page; else HUISCLOS_BOX_PASSWORD. Tried once."
        ),
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Freebox: be let in, by a hand on the box, and keep the token.")
    ] = False,
    neighbours: Annotated[
        bool, typer.Option("--neighbours", help="Also ask this network who announces imaging (mDNS).")
    ] = False,
    questions: Annotated[
        bool, typer.Option("--questions", help="Ask the owner what no box tells; write to --answers.")
    ] = False,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML: what the owner answered, by whom, when.")
    ] = None,
    record: RecordFile = None,
    *,
    options: Options,
) -> int:
    """Read the Internet box: what it passes on from the Internet, and who may open it further.

    Without --consent this machine's gateway is asked by UPnP and NAT-PMP only, as any program here may.
    With it, the box's own interface is read as well, with its owner's password where it wants one; a
    password is never guessed. Nothing is changed. A box that does not answer is not called closed.

    \b
    Example:
      huisclos doors box --html report.html
      huisclos doors box --kind livebox --password-file secret --consent "A. Martin, owner"
      huisclos doors box --questions --answers box.toml
    """
    declared = _declared(questions, answers, language_of(options.lang))
    asking = _asking(address, _kind(kind), user, password_file)
    consents = _rights(asking, consent.strip(), needed=bool(address) or register or neighbours)
    audit = begin("box", options, consents + _said_by(declared))
    with recorded(record, audit, _allowed(asking, neighbours=neighbours)):
        if register and asking is not None:
            asking = _register(asking)
        around, product = _neighbours(asking) if neighbours and asking is not None else ([], "")
        seen = around + gateway_seen(asking, maker=bool(consents) or _is_here(asking), product=product)
    _judge(audit, seen, asking, declared)
    tell_drift(audit, options)
    return finish(audit, options)


def gateway_seen(asking: Asking | None, *, maker: bool, product: str = "") -> list[Seen]:
    """What the box tells; without one, that there is none."""
    import asyncio

    from huisclos.access.addresses import is_private
    from huisclos.doors.box.ask import examine
    from huisclos.doors.observation import Miss
    from huisclos.findings.nouns import Reason

    if asking is None:
        return [Miss(("BOX-001", "BOX-002"), "gateway", Reason.ABSENT)]
    if not is_private(asking.where.address):
        return [Miss(("BOX-001", "BOX-002"), asking.where.name, Reason.OUT_OF_SCOPE)]
    return asyncio.run(examine(asking, maker=maker, product=product))


def gateway_asked() -> Asking | None:
    """The gateway of this machine, by what any program here may ask it."""
    from huisclos.doors.box.ask import Kind

    return _asking("", Kind.UPNP, "", None)


def _kind(text: str) -> Kind:
    from huisclos.doors.box.ask import Kind

    try:
        return Kind(text)
    except ValueError:
        raise BadSetting(f"--kind is {', '.join(Kind)}") from None


def _asking(text: str, kind: Kind, user: str, password_file: Path | None) -> Asking | None:
    from huisclos.doors.box.ask import Asking, Where
    from huisclos.doors.box.igd import gateway
    from huisclos.doors.box.line import Login
    from huisclos.doors.target import parse_target

    if text:
        target = parse_target(text)
        where: Where | None = Where(target.address, target.port)
    else:
        found = gateway()
        where = Where(found) if found is not None else None
    login = Login(user, _password(password_file))
    return None if where is None else Asking(where, kind, login, _token())


def _password(path: Path | None) -> str:
    """Raises `LooseSecret` for a file that others may read, `BadSetting` for one that cannot be read."""
    if path is None:
        return os.environ.get(PASSWORD, "")
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise LooseSecret(
                    "others may read the file of the box's password",
                    hint=f"chmod 600 {quote(str(path))}, then try again",
                )
            return file.read(_MAX_SECRET).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise BadSetting("the file of the box's password cannot be read") from None


def _rights(asking: Asking | None, consent: str, *, needed: bool) -> tuple[Consent, ...]:
    """By what right the box is asked. Raises `OutsideMandate`."""
    from huisclos import clock
    from huisclos.access.addresses import is_private
    from huisclos.cli.doors import own_networks
    from huisclos.doors.box.ask import Kind
    from huisclos.doors.mandate import OutsideMandate, check_right
    from huisclos.doors.target import Target

    if asking is None:
        return ()
    where = asking.where.address
    if not is_private(where):
        raise OutsideMandate("a box is asked from inside, at its private address")
    by_itself = asking.kind not in (Kind.AUTO, Kind.UPNP) or bool(asking.login.password)
    if not consent and not needed and not by_itself:
        return ()
    return check_right([Target(str(where), where)], own_networks(), consent or None, None, clock.now())


def _is_here(asking: Asking | None) -> bool:
    from huisclos.access.addresses import is_loopback

    return asking is not None and is_loopback(asking.where.address)


def _allowed(asking: Asking | None, *, neighbours: bool) -> Allowed:
    """Packets to the box, and the one question to the network where it was asked for."""
    from huisclos.cli.doors_record import only_addresses
    from huisclos.doors.box.neighbours import GROUP

    where = [] if asking is None else [asking.where.address]
    return only_addresses([*where, *([GROUP[0]] if neighbours else [])])


def _state() -> Path:
    base = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return folder / "huisclos" / "freebox.token"


def _token() -> str:
    try:
        return _state().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _register(asking: Asking) -> Asking:
    """Be let in by a hand on the Freebox, and keep the token where only this account reads it."""
    import asyncio
    from dataclasses import replace

    from huisclos.doors.box.ask import Kind, register

    if asking.kind is not Kind.FREEBOX:
        raise BadSetting("--register is for --kind freebox")
    output.say("Within 90 seconds, press the right arrow (or tap OK) on the screen of the Freebox.")
    token = asyncio.run(register(asking.where))
    path = _state()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token + "\n")
    except OSError as error:
        raise BadSetting(f"the token cannot be kept: {error.strerror}") from None
    output.say(
        f"The Freebox knows this program now. Its token is in {path}, for this account alone: delete it,\n"
        "and the application on the Freebox's page (Access management), when it is no longer needed.\n"
        "Leave the right to change settings off there: only reading is done."
    )
    return replace(asking, token=token)


def _neighbours(asking: Asking) -> tuple[list[Seen], str]:
    """Who announces imaging, and the model that the box announces."""
    import asyncio

    from huisclos.cli.doors import own_networks
    from huisclos.doors.box.ask import own_address
    from huisclos.doors.box.neighbours import neighbours, observe, product_at

    where = asking.where.address
    network = next((one for one in own_networks() if where in one), None)
    own = own_address(where)
    if network is None or not own:
        raise BadSetting("this machine is on no network with the box")
    found = asyncio.run(neighbours(own, network))
    return observe(found, asking.where.name), product_at(found, asking.where.name)


def _declared(asked: bool, path: Path | None, language: Language) -> Answers | None:  # noqa: FBT001 - a flag
    from huisclos.doors.box.declared import read_answers, write_answers

    if asked:
        if not sys.stdin.isatty():
            raise BadSetting("--questions needs a terminal", hint="give --answers FILE instead")
        answers = _ask_owner(language)
        if path is not None:
            from huisclos.cli.files import write_new

            write_new(path, write_answers(answers))
        return answers
    if path is None:
        return None
    try:
        return read_answers(path.read_bytes())
    except OSError as error:
        raise BadSetting(f"the answers cannot be read: {error.strerror}") from None


def _ask_owner(language: Language) -> Answers:
    from huisclos import clock
    from huisclos.doors.box.declared import Answers, check, questions
    from huisclos.doors.box.guides import guides

    french = language.value == "fr"
    words = {"o": "yes", "oui": "yes", "y": "yes", "yes": "yes", "n": "no", "non": "no", "no": "no"}
    by = typer.prompt("Qui répond (NOM, FONCTION)" if french else "Who answers (NAME, ROLE)", err=True)
    known = ", ".join(guides())
    box = typer.prompt(f"Box ({known})", default="", show_default=False, err=True).strip().lower()
    said = {}
    for one in questions():
        hint = "o/n, Entrée si inconnu" if french else "y/n, Enter if not known"
        text = typer.prompt(f"{one.ask.in_(language)} [{hint}]", default="", show_default=False, err=True)
        said[one.id] = words.get(text.strip().lower(), "unknown")
    answers = Answers(by=by, at=clock.now().date(), box=box if box in guides() else "", answers=said)  # type: ignore[arg-type] # words are the three that may be said
    check(answers)
    return answers


def _said_by(declared: Answers | None) -> tuple[Consent, ...]:
    from huisclos.doors.box.declared import declaration

    return () if declared is None else (declaration(declared),)


def _judge(audit: Audit, seen: list[Seen], asking: Asking | None, declared: Answers | None) -> None:
    from huisclos.doors.box.ask import settled
    from huisclos.doors.box.declared import declare

    name = "box" if asking is None else asking.where.name
    told = declare(declared, name) if declared is not None else []
    # The box's own word first: what it says open or closed, its owner's answer does not change.
    take(audit, settled([*seen, *told]))


def tell_drift(audit: Audit, options: Options) -> None:
    """BOX-021, when there is a baseline."""
    from huisclos.doors.box.drift import drift
    from huisclos.findings.report import decode

    if options.baseline is not None:
        take(audit, drift(decode(options.baseline.read_bytes()), audit.report()))
