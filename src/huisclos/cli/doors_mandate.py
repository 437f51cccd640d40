"""`huisclos doors mandate`: the written, signed, dated right to probe."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from huisclos.cli import output
from huisclos.cli.doors_report import can_be_written, own_codes
from huisclos.cli.options import end_of_day, words_of_list
from huisclos.errors import BadSetting, Conflict, Unreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

app = typer.Typer(no_args_is_help=True)
MandateFile = Annotated[Path, typer.Argument(metavar="FILE", help="The mandate.")]


@app.command("new")
@own_codes
def new(
    file: MandateFile,
    owner: Annotated[str, typer.Option(metavar='"NAME, ROLE"', help="Who answers for the systems.")],
    contact: Annotated[str, typer.Option(metavar="TEXT", help="How to reach the owner while it runs.")],
    auditor: Annotated[str, typer.Option(metavar='"NAME, FIRM"', help="Who asks.")],
    basis: Annotated[str, typer.Option(metavar="TEXT", help="The contract or law it rests on.")],
    target: Annotated[list[str], typer.Option(metavar="WHAT", help="A network, an address or a name.")],
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The last day.")],
    exclude: Annotated[list[str] | None, typer.Option(metavar="WHAT", help="What is never asked.")] = None,
    port: Annotated[list[int] | None, typer.Option(metavar="N", help="Only these ports.")] = None,
    allow: Annotated[
        str, typer.Option(metavar="LIST", help="Beyond looking, allowed as well: default-login,write-test.")
    ] = "",
) -> int:
    """Write a mandate for its owner to read and sign.

    \b
    Example:
      huisclos doors mandate new clinic.json --owner "A. Martin, manager" --contact "01 00 00 00 00" \\
        --auditor "B. Durand, firm" --basis "contract 12" --target 192.0.2.0/28 --until 2030-01-31
    """
    from datetime import UTC, datetime

    import msgspec

    from huisclos.clock import now
    from huisclos.doors.mandate import Beyond, Mandate, Scope, check

    scope = Scope(
        targets=tuple(target),
        exclusions=tuple(exclude or ()),
        ports=tuple(port or ()),
        allows=tuple(sorted(words_of_list(allow, Beyond, "--allow"))) if allow else (),
    )
    mandate = Mandate(
        owner=owner,
        contact=contact,
        auditor=auditor,
        basis=basis,
        scope=scope,
        since=now().replace(microsecond=0),
        until=datetime.fromtimestamp(end_of_day(until), UTC),
    )
    check(mandate)
    _write(file, msgspec.json.format(msgspec.json.encode(mandate), indent=2) + b"\n")
    output.say(
        f"to be read by its owner, then signed: huisclos doors mandate sign {quote(str(file))} --key KEY"
    )
    return 0


@app.command("sign")
@own_codes
def sign(
    file: MandateFile,
    key: Annotated[Path, typer.Option(metavar="KEY", help="The owner's key; made when it is not there.")],
) -> int:
    """Sign a mandate in its place, as its owner.

    \b
    Example:
      huisclos doors mandate sign clinic.json --key owner.key
    """
    import msgspec

    from huisclos.doors.mandate import Mandate, Signed, read
    from huisclos.doors.mandate import sign as signed

    raw = _read(file)
    try:
        mandate = msgspec.json.decode(raw, type=Mandate)
    except (msgspec.MsgspecError, ValueError):
        with suppress(msgspec.MsgspecError, ValueError):
            msgspec.json.decode(raw, type=Signed)
            raise Conflict(
                "this mandate is signed already", hint="read it: huisclos doors mandate show FILE"
            ) from None
        raise Unreadable(
            "this is not a mandate to sign", hint="make one with: huisclos doors mandate new"
        ) from None
    made = signed(mandate, _key(key))
    _write(file, made)
    output.say(f"signed by {read(made).fingerprint}")
    return 0


@app.command("show")
@own_codes
def show(file: MandateFile) -> int:
    """Show what a signed mandate allows, and whether it holds today.

    \b
    Example:
      huisclos doors mandate show clinic.json
    """
    from huisclos.clock import now
    from huisclos.doors.mandate import read

    right = read(_read(file))
    mandate = right.mandate
    rows = {
        "owner": mandate.owner,
        "contact": mandate.contact,
        "auditor": mandate.auditor,
        "basis": mandate.basis,
        "targets": ", ".join(mandate.scope.targets),
        "never": ", ".join(mandate.scope.exclusions) or "nothing named",
        "ports": ", ".join(str(one) for one in mandate.scope.ports) or "all",
        "since": output.local(mandate.since.timestamp()),
        "until": output.local(mandate.until.timestamp() - 1),
        "signed by": right.fingerprint,
        "today": "holds" if mandate.since <= now() <= mandate.until else "does not hold",
    }
    for name, value in rows.items():
        output.data(f"{name:10} {value}")
    output.say("anybody can sign a mandate: have its owner read that key out, then probe with --trust")
    return 0


def _key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.exists():
        can_be_written(path, "the key")
        key = Ed25519PrivateKey.generate()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.private_bytes_raw().hex() + "\n")
        output.say(f"a key was made: {path}; keep it, and show it to nobody")
        return key
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_read(path).decode("ascii").strip()))
    except ValueError:
        raise BadSetting("this is not a key that `mandate sign` made") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"this file cannot be read: {error.strerror}") from None


def _write(path: Path, raw: bytes) -> None:
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise BadSetting(f"the mandate cannot be written: {error.strerror}") from None
