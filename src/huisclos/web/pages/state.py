"""The state of the house, and how to trust it."""

from __future__ import annotations

import plistlib
from base64 import b64decode
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from huisclos.access.house import HouseReport, Separation, Trust
from huisclos.access.nouns import Right
from huisclos.clock import timestamp
from huisclos.errors import Locked, NotAdmitted, NotFound, Unreachable
from huisclos.web.pages.person import Visit, person
from huisclos.web.site import session_proof, site_of
from huisclos.web.templating import page
from huisclos.web.words import Words, words_of

SOON: Final = 30 * 24 * 3600.0
"""Seconds before its end that a certificate is shown as ending."""
VERIFIED_LATELY: Final = 30 * 24 * 3600.0
DISK_LOW: Final = 0.1
DISK_BAD: Final = 0.03


class Item(Struct, frozen=True):
    """One line of the state page."""

    kind: str
    """`good`, `warn` or `bad`."""
    title: str
    text: str
    link: str = ""
    link_text: str = ""


@person(Right.STATE)
async def state_page(visit: Visit) -> Response:
    """Everything that is so, and when it was last proved."""
    words = words_of(visit.request, visit.session.actor.language)
    report = await visit.site.house.report(visit.proof)
    return await page(
        visit.request,
        "state.html",
        visit.session,
        report=report,
        items=items(report, words, timestamp()),
        counts=await _counts(visit, words),
        listener_words=_listeners(words),
    )


async def _counts(visit: Visit, words: Words) -> list[tuple[str, int]]:
    _ = words.gettext
    try:
        counts = await visit.site.catalog.counts()
    except (Locked, Unreachable):
        return []
    return [
        (_("patients"), counts.patients),
        (_("studies"), counts.studies),
        (_("series"), counts.series),
        (_("images"), counts.instances),
        (_("to decide"), counts.doubts),
    ]


def items(report: HouseReport, words: Words, now: float) -> list[Item]:
    """The lines, most pressing first."""
    lines = [
        _lock(report, words),
        _recovery(report, words),
        _disk(report, words),
        _journal(report, words),
        *_accounts(report, words),
        *_clock(report, words),
        *_passphrase(report, words),
        _verified(report, words, now),
        _separation(report, words),
        _silent(report, words),
        *_certificates(report, words, now),
    ]
    return sorted(lines, key=lambda item: ("bad", "warn", "good").index(item.kind))


def _lock(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    when = words.when(report.since)
    if report.glance.locked:
        return Item(
            "warn", _("Locked"), _("Since %(when)s. It receives, and shows nothing.") % {"when": when}
        )
    who = report.unlocked_by or "–"
    return Item("good", _("Unlocked"), _("Since %(when)s, by %(who)s.") % {"when": when, "who": who})


def _recovery(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    if report.glance.recovery_confirmed:
        when = words.when(report.recovery_confirmed_at)
        return Item(
            "good", _("Recovery key confirmed"), _("Typed back from paper on %(when)s.") % {"when": when}
        )
    return Item(
        "bad", _("Recovery key not confirmed"),
        _("If the passphrase is lost, so are the images. Only this machine can reach the house until then."),
        "/recovery", _("Confirm it now"),
    )  # fmt: skip


def _disk(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    part = report.disk_free / report.disk_total if report.disk_total else 0.0
    text = _("%(free)s free of %(total)s.") % {
        "free": words.size(report.disk_free),
        "total": words.size(report.disk_total),
    }
    kind = "bad" if part < DISK_BAD else "warn" if part < DISK_LOW else "good"
    return Item(kind, _("Disk"), text)


def _journal(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    head = report.journal
    if not head.holds:
        return Item(
            "bad",
            _("The journal does not hold"),
            _("An entry was changed, moved or removed."),
            "/journal",
            _("See where"),
        )
    text = words.ngettext("%(num)s entry", "%(num)s entries", head.entries) % {
        "num": words.number(head.entries)
    }
    ago = _("verified %(ago)s.") % {"ago": words.ago(head.verified_at)}
    return Item("good", _("The journal holds"), f"{text}, {ago}")


def _accounts(report: HouseReport, words: Words) -> list[Item]:
    _ = words.gettext
    found = []
    if report.accounts_put_back:
        found.append(
            Item(
                "bad",
                _("The accounts are older than the journal says"),
                _("An earlier copy was put back: whoever was removed since may be there again. Look who is."),
                "/people",
                _("See the people"),
            )
        )
    if report.rows_ignored:
        text = words.ngettext(
            "%(num)s row that this archive did not write was found at the start. It has no effect.",
            "%(num)s rows that this archive did not write were found at the start. They have no effect.",
            report.rows_ignored,
        ) % {"num": words.number(report.rows_ignored)}
        found.append(Item("warn", _("The accounts were written to"), text))
    return found


def _clock(report: HouseReport, words: Words) -> list[Item]:
    _ = words.gettext
    if not report.clock_set_back:
        return []
    text = _(
        "It stands before the journal's last entry. Set it: until then, everything counts as done at the "
        "time of that entry."
    )
    return [Item("bad", _("This machine's clock was set back"), text)]


def _passphrase(report: HouseReport, words: Words) -> list[Item]:
    _ = words.gettext
    if not report.passphrase_near:
        return []
    text = _(
        "It lies on the same disk as the archive: whoever takes the disk takes the key with it. "
        "Put it on another disk, or unlock at the gate."
    )
    return [Item("warn", _("Passphrase file"), text)]


def _verified(report: HouseReport, words: Words, now: float) -> Item:
    _ = words.gettext
    if not report.objects_verified_at:
        return Item("warn", _("Sealed objects"), _("Not yet read back. On the machine, run: huisclos verify"))
    late = now - report.objects_verified_at > VERIFIED_LATELY
    text = _("Each was read back whole, %(ago)s.") % {"ago": words.ago(report.objects_verified_at)}
    return Item("warn" if late else "good", _("Sealed objects"), text)


def _separation(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    if report.separation is Separation.FULL:
        return Item(
            "good", _("Separation of the processes"), _("Full: what speaks with the outside holds no key.")
        )
    known = {
        "landlock": _("the kernel does not confine what files they see (Landlock)"),
        "seccomp": _("the kernel does not confine what they ask of it (seccomp)"),
    }
    missing = "; ".join(known.get(one, one) for one in report.separation_missing)
    text = _("Not everything is in force: %(missing)s.") % {"missing": missing or "–"}
    return Item("warn", _("Separation of the processes"), text)


def _silent(report: HouseReport, words: Words) -> Item:
    _ = words.gettext
    if not report.silent:
        return Item("good", _("Peers"), _("None has been silent for 7 days."))
    names = ", ".join(f"{title} ({words.ago(heard)})" for title, heard in report.silent)
    return Item("warn", _("Silent peers"), names, "/peers", _("See the peers"))


def _certificates(report: HouseReport, words: Words, now: float) -> list[Item]:
    _ = words.gettext
    found = []
    for certificate in report.certificates:
        left = certificate.until - now
        kind = "bad" if left < 0 else "warn" if left < SOON and certificate.label == "ca" else "good"
        title = _("Certificate authority") if certificate.label == "ca" else _("Certificate")
        found.append(Item(kind, title, _("Valid until %(day)s.") % {"day": words.when(certificate.until)}))
    if report.glance.unnamed:
        text = _("The certificate does not name %(addresses)s: who comes there is warned.") % {
            "addresses": ", ".join(report.glance.unnamed)
        }
        found.append(Item("warn", _("Certificate"), text))
    return found


def _listeners(words: Words) -> dict[str, str]:
    _ = words.gettext
    return {
        "http": _("Pages and DICOMweb"),
        "gate": _("Gate"),
        "viewer": _("Viewer"),
        "dicom": _("DICOM"),
        "dicom_tls": _("DICOM over TLS"),
    }


async def trust_page(request: Request) -> Response:
    """How to make a machine trust this house; also for whoever is not logged in yet."""
    site = site_of(request)
    session = None
    try:
        found = await site.door.session(session_proof(request), active=True)
        session = None if found.idle else found
    except (NotAdmitted, Locked, Unreachable):
        pass
    words = words_of(request, session.actor.language if session else "")
    return await page(request, "trust.html", session, trust=await site.house.trust(), systems=_systems(words))


def _systems(words: Words) -> list[tuple[str, list[str]]]:
    _ = words.gettext
    return [
        (
            "Windows",
            [
                _("Open the downloaded file, then “Install certificate”."),
                _("Choose “Local machine”, then the store “Trusted Root Certification Authorities”."),
                _("Close the browser and open it again."),
            ],
        ),
        (
            "macOS",
            [
                _("Open the downloaded profile, then System Settings, “Profile downloaded”, and install it."),
                _("Or open the certificate in Keychain Access and set it to “Always trust”."),
            ],
        ),
        (
            "iPhone, iPad",
            [
                _("Download the profile in Safari, then Settings, “Profile downloaded”, and install it."),
                _("Settings, General, About, Certificate Trust Settings: switch it on."),
            ],
        ),
        (
            "Android",
            [
                _(
                    "Settings, Security, “Install from storage”, “CA certificate”, "
                    "and choose the downloaded file."
                ),
            ],
        ),
        (
            _("Linux, and Firefox everywhere"),
            [
                _("Firefox: Settings, Privacy and security, Certificates, Authorities, Import."),
                _("Chromium: Settings, Privacy and security, Manage certificates, Authorities, Import."),
            ],
        ),
    ]


async def ca_pem(request: Request) -> Response:
    """The certificate itself."""
    trust = await _own(request)
    headers = {"Content-Disposition": 'attachment; filename="huisclos-ca.pem"'}
    return Response(trust.pem, headers=headers, media_type="application/x-x509-ca-cert")


async def profile(request: Request) -> Response:
    """A configuration profile for Apple's systems, holding the certificate and nothing else."""
    trust = await _own(request)
    body = b"".join(line for line in trust.pem.splitlines() if b"-----" not in line)
    identity = uuid5(NAMESPACE_URL, trust.fingerprint)
    certificate = {
        "PayloadType": "com.apple.security.root",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"huisclos.{identity}.ca",
        "PayloadUUID": str(uuid5(identity, "ca")).upper(),
        "PayloadDisplayName": "huisclos",
        "PayloadContent": b64decode(body),
    }
    whole = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"huisclos.{identity}",
        "PayloadUUID": str(identity).upper(),
        "PayloadDisplayName": "huisclos",
        "PayloadContent": [certificate],
    }
    headers = {"Content-Disposition": 'attachment; filename="huisclos.mobileconfig"'}
    return Response(plistlib.dumps(whole), headers=headers, media_type="application/x-apple-aspen-config")


async def _own(request: Request) -> Trust:
    trust = await site_of(request).house.trust()
    if not trust.own:
        raise NotFound("this house has a certificate of its owner's")
    return trust


def routes() -> list[BaseRoute]:
    """State and trust."""
    return [
        Route("/state", state_page),
        Route("/trust", trust_page),
        Route("/trust/ca.pem", ca_pem),
        Route("/trust/huisclos.mobileconfig", profile),
    ]
