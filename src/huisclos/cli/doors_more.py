"""`huisclos doors round`, `huisclos doors rescue`: what is done with reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from huisclos.cli import output
from huisclos.cli.doors_report import HtmlFile, Lang, language_of, own_codes
from huisclos.cli.options import UnlockWith
from huisclos.errors import BadSetting

_AT_REST: Final = ("RST-001", "RST-002", "RST-003", "RST-004", "RST-013", "RST-014")
"""findings on images that an import takes in"""


@own_codes
def round_(
    reports: Annotated[
        list[Path], typer.Argument(metavar="REPORT", help="JSON reports, of one --site each.")
    ],
    html: HtmlFile = None,
    lang: Lang = "",
) -> int:
    """Merge the reports of many practices into one page: worst first, what changed, what to fix.

    \b
    Example:
      huisclos doors round practice1.json practice2.json --html round.html
    """
    from huisclos.doors.reports.round import to_round
    from huisclos.findings.report import decode

    read = [decode(_bytes(path)) for path in reports]
    page = to_round(read, language_of(lang))
    if html is None:
        for path, report in zip(reports, read, strict=True):
            doors = [one for one in report.findings if one.muted is None]
            worst = doors[0].severity.value if doors else "-"
            output.data(f"{report.site or path.name}  {len(doors)}  {worst}  {len(report.untested)} untested")
    else:
        try:
            html.write_text(page, encoding="utf-8")
        except OSError as error:
            raise BadSetting(f"the page cannot be written: {error.strerror}") from None
    return 0


@own_codes
def rescue(
    finding: Annotated[str, typer.Argument(metavar="REPORT#ID", help="A finding on images in clear.")],
    into: Annotated[Path, typer.Option(metavar="ARCHIVE", help="The archive that takes them in.")],
    unlock_with: UnlockWith = None,
) -> int:
    """Take the images of a finding into a sealed archive, print the receipt, and look again.

    Nothing is removed: it says how to wipe the clear copies once the archive has been verified.

    \b
    Example:
      huisclos doors rescue report.json#F1 --into /srv/images
    """
    from huisclos.cli.transfer import import_
    from huisclos.doors.rest.audit import Walk, audit
    from huisclos.findings.report import decode, digest

    name, _, number = finding.rpartition("#")
    raw = _bytes(Path(name))
    found = next((one for one in decode(raw).findings if one.id == number), None)
    if found is None or found.check not in _AT_REST:
        raise BadSetting(
            "this is not a finding on images in clear", hint="name it as REPORT#ID, such as report.json#F1"
        )
    root = Path(found.target)
    if not root.exists():
        raise BadSetting("what this finding is about is not there any more")
    output.say(f"report {digest(raw)}, {number}: {found.is_}")
    code = import_(into, [root], unlock_with=unlock_with)
    if code:
        return code
    tally = audit(root, Walk())
    left = sum(heap.images for heap in tally.heaps.values())
    output.say(f"{output.number(left, 'image')} still in clear below {root}.")
    output.say(f"  verify first:   huisclos verify {into}")
    output.say(f"  then wipe:      find {root} -type f -exec shred -u {{}} +")
    output.say("  on flash memory and copy-on-write disks that leaves traces: encrypt or destroy the disk")
    output.say(f"  and look again: huisclos doors rest {root}")
    return 1 if left else 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"this file cannot be read: {error.strerror}") from None
