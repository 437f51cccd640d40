"""`huisclos status`."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from huisclos.cli import output
from huisclos.cli.options import ArchiveFolder, AsJson

if TYPE_CHECKING:
    from huisclos.access.gate import GateState
    from huisclos.access.house import Glance, HouseReport
    from huisclos.archive.nouns import ArchiveCounts
    from huisclos.wiring.connection import House


def status(archive: ArchiveFolder, json: AsJson = False) -> None:
    """Say how the house is.

    Locked or not, who may reach it, what a person must do. Works locked, needs no passphrase, and
    also when nobody serves the archive. With --json, one object; its fields are in
    docs/reference/json.md.

    \b
    Example:
      huisclos status /srv/images --json
    """
    from huisclos.cli.house import as_it_stands, meet_finder_if_open

    async def work(house: House) -> dict[str, Any]:
        report, gate = await house.console.report(), await house.gate.state()
        held = await house.catalog.counts() if await meet_finder_if_open(house) else None
        return _described(str(house.archive.root), report, gate, held, served=not house.private)

    found = as_it_stands(archive, work)
    if json:
        output.document(found)
    else:
        _print(found)


def _described(
    root: str, report: HouseReport, gate: GateState, held: ArchiveCounts | None, *, served: bool
) -> dict[str, Any]:
    glance, moment = report.glance, output.moment
    return {
        "archive": root,
        "served": served,
        "locked": glance.locked,
        "since": moment(report.since),
        "unlocked_by": report.unlocked_by,
        "set_up": glance.set_up,
        "recovery_confirmed": glance.recovery_confirmed,
        "recovery_confirmed_at": moment(report.recovery_confirmed_at),
        "listeners": dict(report.listeners),
        "separation": report.separation,
        "separation_missing": list(report.separation_missing),
        "peers": glance.peers,
        "silent_peers": [{"title": title, "last_heard_at": moment(at)} for title, at in report.silent],
        "knocks": glance.knocks,
        "pending": report.pending,
        "holders": report.holders,
        "contents": None
        if held is None
        else output.plain(held, last_received_at=moment(held.last_received_at)),
        "received_in_the_dark": [
            output.plain(receipt, last_at=moment(receipt.last_at)) for receipt in gate.received
        ],
        "disk": {"free": report.disk_free, "total": report.disk_total, "low": glance.disk_low},
        "journal": {
            "holds": glance.journal_holds,
            "written": report.journal_written,
            "entries": report.journal.entries,
            "verified_at": moment(report.journal.verified_at),
            "words": " ".join(report.journal.words),
        },
        "objects_verified_at": moment(report.objects_verified_at),
        "certificates": [
            output.plain(certificate, until=moment(certificate.until)) for certificate in report.certificates
        ],
        "version": report.version,
        "versions": report.versions,
        "findings": [*_unfinished(held), *_unnamed(report.glance), *_findings(root, report, gate)],
    }


def _unfinished(held: ArchiveCounts | None) -> list[dict[str, str]]:
    if held is None or not held.rebuilding:
        return []
    sentence = "The index is being made anew: nothing is shown until it is whole."
    return [{"kind": "rebuilding", "sentence": sentence, "hint": "wait: the house goes on by itself"}]


def _unnamed(glance: Glance) -> list[dict[str, str]]:
    if not glance.unnamed:
        return []
    sentence = f"The certificate does not name {', '.join(glance.unnamed)}: who comes there is warned."
    hint = "unlock the archive: it then makes one that does"
    if not glance.locked:
        hint = "it could not be made anew: see that the disk has room, and the page State"
    return [{"kind": "address-not-named", "sentence": sentence, "hint": hint}]


def _findings(root: str, report: HouseReport, gate: GateState) -> list[dict[str, str]]:
    """What a person must do something about: a kind, a sentence, what to do."""
    glance = report.glance
    judged = (
        (
            not glance.recovery_confirmed,
            "recovery-not-confirmed",
            "The recovery key was never typed back: only loopback listens.",
            f"huisclos recovery confirm {quote(str(root))} --recovery-file F",
        ),
        (
            not glance.set_up,
            "no-owner",
            "Nobody owns this archive yet.",
            f"huisclos user add {quote(str(root))} NAME --role owner",
        ),
        (
            not glance.journal_holds,
            "journal-broken",
            "The journal does not hold: entries were changed or removed.",
            f"huisclos journal verify {quote(str(root))}",
        ),
        (
            report.accounts_put_back,
            "accounts-put-back",
            "The accounts are older than the journal says: whoever was removed since may be back.",
            "look at the page People, then restore accounts.sqlite from the newest backup",
        ),
        (
            report.rows_ignored > 0,
            "accounts-written-to",
            "Rows of the accounts were not written by this archive; they have no effect.",
            "find out who can write to the archive's folder",
        ),
        (
            bool(gate.damaged),
            "holder-damaged",
            "A holder's key file is damaged.",
            "restore keys/holders from a backup",
        ),
        (
            report.clock_set_back,
            "clock-behind",
            "This machine's clock stands before the journal's last entry.",
            "set the clock; until then everything counts as done at the time of that entry",
        ),
        (
            report.passphrase_near,
            "passphrase-near",
            "The passphrase file lies on the archive's own file system: who takes the disk takes both.",
            "move it to another disk, or unlock at the gate",
        ),
        (glance.disk_low, "disk-low", "The disk is nearly full.", "make room, or move the objects"),
        (
            glance.open_listener,
            "open-listener",
            "Somebody knocked from a public address: a door may be open in front of the house.",
            "close the port in the Internet box",
        ),
        (
            bool(report.silent),
            "silent-peer",
            "A peer was not heard for 7 days.",
            f"huisclos peer list {quote(str(root))}",
        ),
        (
            report.pending > 0,
            "pending",
            "Requests made while locked wait for an owner.",
            "decide on the page People",
        ),
    )
    return [
        {"kind": kind, "sentence": sentence, "hint": hint} for is_so, kind, sentence, hint in judged if is_so
    ]


def _print(found: dict[str, Any]) -> None:
    state = "locked" if found["locked"] else f"unlocked by {found['unlocked_by']}"
    served = "served" if found["served"] else "not served"
    lines = [f"archive     {found['archive']}", f"state       {served}, {state}"]
    lines += [
        f"            {output.number(receipt['objects'], 'instance')} from {receipt['label']} while locked"
        for receipt in found["received_in_the_dark"]
    ]
    if found["contents"] is not None:
        held = found["contents"]
        amounts = (output.number(held[many], one, many) for one, many in _LEVELS)
        lines.append(f"holds       {', '.join(amounts)}; to decide: {held['doubts']}")
    lines.append(f"peers       {found['peers']}, {found['knocks']} knocking, {found['pending']} pending")
    lines += [f"{name:<11} {where}" for name, where in found["listeners"].items()]
    missing = f" (missing: {', '.join(found['separation_missing'])})" if found["separation_missing"] else ""
    lines.append(f"separation  {found['separation']}{missing}")
    lines.append(f"recovery    {'confirmed' if found['recovery_confirmed'] else 'NOT confirmed'}")
    journal = found["journal"]
    entries = output.number(journal["written"], "entry", "entries")
    lines.append(
        f"journal     {entries}, {journal['entries']} of them verified, "
        f"{'holds' if journal['holds'] else 'BROKEN'}"
    )
    disk = found["disk"]
    lines.append(f"disk        {output.size(disk['free'])} free of {output.size(disk['total'])}")
    lines.append(f"version     {found['version']}")
    for line in lines:
        output.data(line)
    for finding in found["findings"]:
        output.say(f"To do: {finding['sentence']}\n  {finding['hint']}")


_LEVELS = (("patient", "patients"), ("study", "studies"), ("series", "series"), ("instance", "instances"))
