"""Orthanc over HTTP: its REST interface, what lies beside it, and its own login."""

from __future__ import annotations

import base64
import re
from typing import Final

import msgspec

from huisclos.doors.observation import What
from huisclos.doors.probes.asking import ASKS, FOREIGN, OK, Asking, is_failure
from huisclos.doors.probes.host import canary_uid
from huisclos.doors.probes.http import Answer
from huisclos.doors.versions import faults
from huisclos.findings.evidence import Fact, facts
from huisclos.findings.nouns import Reason

_VERSION = re.compile(r'"Version"\s*:\s*"(\d{1,3}\.\d{1,3}\.\d{1,3})"')
_WIDENING: Final = (b'"serve-folders"', b'"python"', b'"webdav"', b'"file-browser"')
"""plugins of Orthanc that serve files or run scripts"""
_DICOMWEB: Final = b'"dicom-web"'
_DEFAULT_LOGIN: Final = "Basic " + base64.b64encode(b"orthanc:orthanc").decode("ascii")


async def ask_orthanc(asking: Asking, _root: Answer) -> None:
    """Whether Orthanc is there, below which folder, and what of it is open."""
    asked = None
    for base in asking.bases:
        answer = await asking.get(f"{base}/system", "WEB-001")
        if _is_orthanc(answer):
            await _rest(asking, base, answer)
            return
        asked = asked if asked is not None and asked.status in ASKS else answer
    if asked is not None:
        asking.closed(("WEB-001",), asked)


def _is_orthanc(answer: Answer) -> bool:
    if answer.status in ASKS:
        return "Orthanc" in answer.headers.get("www-authenticate", "")
    return answer.status == OK and b'"ApiVersion"' in answer.body


async def _rest(asking: Asking, base: str, answer: Answer) -> None:
    """Orthanc's REST interface, at `base`."""
    asking.imaging = True
    version = match[1] if (match := _VERSION.search(answer.body.decode("latin-1"))) else None
    found = facts(http_status=answer.status, product="orthanc", version=version)
    asking.saw(What.REST, *found, *faults("orthanc", version))
    if answer.status in ASKS:
        asking.saw(What.CROSS_SITE, *facts(http_status=answer.status))
        await _beside(asking, base)
        await _default_login(asking, base)
        return
    await _cross_site(asking, base)
    asking.held_back("WEB-005")  # only a script that runs would prove it
    plugins = await asking.get(f"{base}/plugins", "WEB-007")
    _plugins(asking, plugins)
    await _beside(asking, base)
    if plugins.status == OK and _DICOMWEB in plugins.body:
        await _plugin_wado(asking, base)


def _plugins(asking: Asking, answer: Answer) -> None:
    """Which plugins widen what stands open; a list that is kept from us tells of none."""
    found = facts(http_status=answer.status)
    if answer.status != OK:
        if not is_failure(answer):
            reason = Reason.TURNED_AWAY if answer.status in ASKS else Reason.NOT_TOLD
            asking.missed(("WEB-007",), reason, *found)
        return
    asking.saw(What.PLUGINS, *found, *facts(count=sum(name in answer.body for name in _WIDENING)))


async def _beside(asking: Asking, base: str) -> None:
    """What Orthanc serves beside its REST interface: a proxy may guard the one and not the other."""
    counted = await asking.get(f"{base}/statistics", "WEB-003")
    asking.saw(What.STATISTICS, *_sums(counted))
    explorer = await asking.get(f"{base}/app/explorer.html", "WEB-004")
    asking.saw(What.EXPLORER, *facts(http_status=explorer.status))
    metrics = await asking.get(f"{base}/tools/metrics-prometheus", "WEB-034")
    asking.saw(What.METRICS, *facts(http_status=metrics.status))
    dav = await asking.get(f"{base}/webdav/", "WEB-006", method="OPTIONS")
    asking.saw(What.WEBDAV, *facts(http_status=dav.status if "dav" in dav.headers else 0))


async def _plugin_wado(asking: Asking, base: str) -> None:
    """WADO-URI of Orthanc's plugin, which answers a canary as any other address that it does not have.

    Nor does its list of plugins tell whether `EnableWado` is on: of all methods only DELETE does (405 instead
    of 404: Orthanc 1.10.1, plugin 1.7), and that is never sent. So it is inferred from the plugin.
    """
    uids = f"studyUID={canary_uid()}&seriesUID={canary_uid()}&objectUID={canary_uid()}"
    answer = await asking.get(f"{base}/wado?requestType=WADO&{uids}", "WEB-015")
    asking.saw(What.WADO_URI, *facts(http_status=answer.status, product="orthanc"))


async def _cross_site(asking: Asking, base: str) -> None:
    """Whether a page of another site that somebody here opens is served, too: nothing is written.

    A plain POST of such a page needs no more than that; if the answer names its origin, it reads as well.
    """
    answer = await asking.get(f"{base}/system", "WEB-008", headers={"Origin": FOREIGN})
    allowed = answer.headers.get("access-control-allow-origin", "")
    found = facts(http_status=answer.status, value="any-origin" if allowed in ("*", FOREIGN) else None)
    asking.saw(What.CROSS_SITE, *found)


async def _default_login(asking: Asking, base: str) -> None:
    """The login that Orthanc makes by itself: once, and only where the owner said so."""
    if not asking.host.default_login:
        asking.held_back("WEB-002")
        return
    answer = await asking.get(f"{base}/system", "WEB-002", headers={"Authorization": _DEFAULT_LOGIN})
    asking.saw(What.DEFAULT_LOGIN, *facts(http_status=answer.status, product="orthanc"))


class _Sums(msgspec.Struct, frozen=True):
    """What is read of Orthanc's statistics; the rest is skipped unread."""

    CountInstances: int
    CountPatients: int
    CountStudies: int


def _sums(answer: Answer) -> tuple[Fact, ...]:
    """The sums of Orthanc's statistics, as numbers."""
    try:
        said = msgspec.json.decode(answer.body, type=_Sums) if answer.status == OK else None
    except (msgspec.MsgspecError, ValueError, RecursionError):  # the last for brackets without end
        said = None
    if said is None:
        return facts(http_status=answer.status)
    return facts(
        http_status=answer.status,
        images=said.CountInstances,
        persons=said.CountPatients,
        studies=said.CountStudies,
    )
