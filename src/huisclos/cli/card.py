"""The recovery card: one page of A4, made in memory from card.typ with the fonts that Typst carries."""

from __future__ import annotations

import io
from datetime import date, datetime, time
from importlib.resources import files

import segno
import typst

from huisclos.access.gate import RecoveryKey


def render_card(key: RecoveryKey, place: str, today: date, language: str) -> bytes:
    """The card as PDF. `place` is the archive's folder, `language` is `fr` or `en`."""
    picture = io.BytesIO()
    # capitals and figures alone: QR's alphanumeric mode, and a code with large modules
    segno.make(key.line, error="q", micro=False).save(picture, kind="svg", border=0, xmldecl=False)
    made = typst.compile(
        files("huisclos.cli").joinpath("card.typ").read_bytes(),
        format="pdf",
        ignore_system_fonts=True,
        timestamp=datetime.combine(today, time.min).astimezone(),
        sys_inputs={
            "words": " ".join(key.words),
            "line": key.line,
            "qr": picture.getvalue().decode(),
            "place": place,
            "date": f"{today:%d/%m/%Y}" if language == "fr" else f"{today.day} {today:%B %Y}",
            "language": language,
        },
    )
    assert isinstance(made, bytes)  # noqa: S101 - one document gives one file
    return made
