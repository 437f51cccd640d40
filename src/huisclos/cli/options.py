"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from huisclos.errors import BadSetting

ArchiveFolder = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="Folder of the archive.")]
UnlockWith = Annotated[
    str | None,
    typer.Option(
        metavar="tty|file:PATH|env:NAME|none",
        help="Where the passphrase is. Without it: the running archive if it is unlocked, "
        "else the file that HUISCLOS_PASSPHRASE_FILE names.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
RecoveryFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with the recovery key: one AGE-SECRET-KEY-1... line."),
]
HttpAt = Annotated[
    str, typer.Option("--http", metavar="HOST:PORT", help="Pages and DICOMweb. [127.0.0.1:8443]")
]
GateAt = Annotated[
    str, typer.Option("--gate", metavar="HOST:PORT", help="Page that unlocks. [127.0.0.1:8444]")
]
ViewerAt = Annotated[str, typer.Option("--viewer", metavar="HOST:PORT", help="Viewer. [127.0.0.1:8445]")]
DicomAt = Annotated[
    str, typer.Option("--dicom", metavar="HOST:PORT", help="DICOM without TLS. [127.0.0.1:11112]")
]
DicomTlsAt = Annotated[
    str, typer.Option("--dicom-tls", metavar="HOST:PORT", help="DICOM over TLS. [127.0.0.1:2762]")
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="JSON written there once every listener accepts; removed at the end."),
]

WAITS = (
    "It waits for an owner, since the archive is locked: decide on the page People or with "
    "`huisclos pending`; or give --unlock-with."
)

Word = TypeVar("Word", bound=StrEnum)


def listeners(http: str, gate: str, viewer: str, dicom: str, dicom_tls: str) -> dict[str, str]:
    """Listener to `HOST:PORT`, of those that were named."""
    named = {"http": http, "gate": gate, "viewer": viewer, "dicom": dicom, "dicom_tls": dicom_tls}
    return {name: text for name, text in named.items() if text}


def words_of_list(text: str, known: Iterable[Word], option: str) -> frozenset[Word]:
    """Those of the `known` words that are in a list separated by commas. Raises `BadSetting`."""
    by_name = {word.value: word for word in known}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name.lower() not in by_name:
            raise BadSetting(f"{option}: {name!r} is not known", hint=f"known: {', '.join(by_name)}")
    return frozenset(by_name[name.lower()] for name in names)


def end_of_day(text: str) -> float:
    """The end of the day YYYY-MM-DD in this machine's zone, seconds since the epoch. Raises `BadSetting`."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day + timedelta(days=1), time.min).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise BadSetting("--until is a day, written YYYY-MM-DD") from None
