"""`huisclos doors round`, `huisclos doors rescue`: what is done with reports."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Final

import typer

from huisclos.cli import output
from huisclos.cli.doors_report import HtmlFile, Lang, can_be_written, language_of, own_codes
from huisclos.cli.options import UnlockWith
from huisclos.errors import BadSetting

_WHOLE: Final = frozenset({"clear", "headerless"})
"""kinds of files that are one image and nothing else"""
_HELD: Final = frozenset({"zip", "tar", "gz", "xz", "bz2", "iso", "7z", "sqlite"})
"""kinds that hold images among other things"""


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
    from huisclos.doors.reports.round import practices, to_round
    from huisclos.doors.reports.view import headline
    from huisclos.findings.report import decode

    language = language_of(lang)
    if html is not None:
        can_be_written(html, "the page")
    read = [decode(_bytes(path)) for path in reports]
    if html is None:
        for name, report in practices(read, language):
            output.data(f"{name}: {headline(report)}")
        return 0
    try:
        html.write_text(to_round(read, language), encoding="utf-8")
    except OSError as error:
        raise BadSetting(f"the page cannot be written: {error.strerror}") from None
    return 0


@own_codes
def rescue(
    finding: Annotated[str, typer.Argument(metavar="REPORT#ID", help="A finding on images in clear.")],
    into: Annotated[Path, typer.Option(metavar="ARCHIVE", help="The archive that takes them in.")],
    wipe_list: Annotated[
        Path | None,
        typer.Option(
            "--wipe-list", metavar="FILE", help="Where to write which clear files can be wiped now."
        ),
    ] = None,
    unlock_with: UnlockWith = None,
) -> int:
    """Take the images of a finding into a sealed archive, verify, print the receipt, and look again.

    Nothing is removed. With --wipe-list, the clear files that lie sealed in the archive now are listed, for
    this account alone, and the command that wipes them is shown; files that were not taken in are never in
    that list. Ends with exit code 1 while images are still in clear.

    \b
    Example:
      huisclos doors rescue report.json#F1 --into /srv/images --wipe-list to-wipe
    """
    from huisclos.cli.transfer import print_receipt, refusals, take_in
    from huisclos.clock import now
    from huisclos.doors.rest.audit import Walk, audit
    from huisclos.findings.report import named

    name, _, number = finding.rpartition("#")
    if not name or not number:
        raise BadSetting("a finding is named as REPORT#ID", hint="such as report.json#F1")
    found = named(_bytes(Path(name)), number)
    root = Path(found.finding.target)
    if wipe_list is not None:
        can_be_written(wipe_list, "the list")
    if found.finding.check not in _rescued():
        raise BadSetting(
            "this is not a finding on images in clear", hint="name it as REPORT#ID, such as report.json#F1"
        )
    if not root.exists():
        raise BadSetting("what this finding is about is not there any more")
    output.say(f"{found.finding.check} {output.one_line(root)}: {found.finding.is_}")
    taken: set[Path] = set()
    begun = now().timestamp()
    receipt = take_in(
        into, [root], unlock_with, lambda one: taken.add(Path(one.name).absolute()) if one.outcome else None
    )
    refused = refusals(receipt)
    output.data(f"finding       {found.reference}")
    print_receipt(receipt, len(refused))
    for one in refused:
        output.say(f"refused: {output.one_line(one.name)}: {one.refusal}")
    sound = _verified(into, unlock_with)
    tally = audit(root, Walk(keep_paths=True))
    left = sum(heap.images for heap in tally.heaps.values())
    output.data(f"in clear      {output.number(left, 'image')} below {output.one_line(root)}")
    if left and sound:
        _tell_wiping(root, sealed_by_now(tally.paths, taken, begun), tally.paths, wipe_list)
    return 1 if left or refused or not sound else 0


def _rescued() -> tuple[str, ...]:
    from huisclos.doors.reports.view import RESCUED

    return RESCUED


def _verified(archive: Path, unlock_with: str | None) -> bool:
    """Read the archive to its last byte; a locked one cannot be, and then nothing is to be wiped yet."""
    from huisclos.cli.upkeep import verify
    from huisclos.errors import HuisclosError, Locked

    try:
        code = verify(archive, unlock_with=unlock_with)
    except Locked:
        output.data("verified      not yet: the archive is locked")
        output.say(f"Wipe nothing yet. Unlock it, then: huisclos verify {quote(str(archive))}")
        return False
    except HuisclosError as error:
        output.data("verified      no")
        output.tell(error)
        return False
    output.data(f"verified      {'every object' if code == 0 else 'no: see above, and wipe nothing'}")
    return code == 0


def sealed_by_now(paths: list[tuple[str, str]], taken: set[Path], begun: float) -> list[str]:
    """The clear files that were taken in, as they are now: neither came one later, nor has one changed.

    An index of media is no image; it can go once nothing is left of what it lists.
    """
    sealed = {
        path
        for kind, path in paths
        if kind in _WHOLE and Path(path).absolute() in taken and Path(path).lstat().st_ctime < begun
    }
    left = any(path not in sealed for kind, path in paths if kind in _WHOLE)
    return sorted(sealed | {path for kind, path in paths if kind == "media" and not left})


def _tell_wiping(root: Path, files: list[str], paths: list[tuple[str, str]], wipe_list: Path | None) -> None:
    """Which clear files can go, and how. A file that holds more than one image is left to a person."""
    from os import fsencode

    from huisclos.cli.files import write_new

    others = len({path for kind, path in paths if kind in _HELD})
    if wipe_list is None:
        output.say("  to wipe:        the same command again, with --wipe-list FILE, lists what can go")
    else:
        write_new(wipe_list, b"".join(fsencode(path) + b"\0" for path in files))
        output.say(
            f"{output.number(len(files), 'clear file')} listed in {wipe_list}, sealed in the archive by now."
        )
        output.say(
            f"  to wipe them:   xargs -0 shred -u -- < {quote(str(wipe_list))} && rm {quote(str(wipe_list))}"
        )
        output.say(
            "  on flash memory and copy-on-write disks that leaves traces: encrypt or destroy the disk"
        )
    if others:
        output.say(
            f"{output.number(others, 'archive or database', 'archives or databases')} hold images as well:"
        )
        output.say("  look into them, then delete them by hand")
    output.say(f"  and look again: huisclos doors rest {quote(str(root))}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSetting(f"this file cannot be read: {error.strerror}") from None
