"""Reading over DICOMweb, as little as a test needs: parts of multipart answers, instances by their UIDs."""

from __future__ import annotations

from typing import Any, Final

import httpx

from tests.journey.patients import data_set_of, read

AS_STORED: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON: Final = "application/dicom+json"


def parts(answer: httpx.Response) -> list[bytes]:
    """The bodies of a multipart answer (RFC 2046 section 5.1.1)."""
    answer.raise_for_status()
    boundary = answer.headers["content-type"].partition("boundary=")[2].partition(";")[0].strip('"')
    pieces = answer.content.split(b"--" + boundary.encode())[1:-1]
    return [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces]


def instance_path(study: str, series: str, instance: str) -> str:
    """The address of an instance."""
    return f"/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def instance(client: httpx.Client, study: str, series: str, uid: str) -> httpx.Response:
    """One instance as it was stored."""
    return client.get(instance_path(study, series, uid), headers={"Accept": AS_STORED})


def study(client: httpx.Client, uid: str) -> dict[str, bytes]:
    """SOP Instance UID to the bytes of the data set, of a whole study."""
    answer = client.get(f"/dicom-web/studies/{uid}", headers={"Accept": AS_STORED})
    return {str(read(part).SOPInstanceUID): data_set_of(part) for part in parts(answer)}


def query(client: httpx.Client, level: str, **parameters: str) -> list[dict[str, Any]]:
    """A search at `level`: `studies`, `instances`, `studies/1.2.3/series`..."""
    answer = client.get(f"/dicom-web/{level}", params=parameters, headers={"Accept": JSON})
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def value(item: dict[str, Any], tag: str) -> Any:
    """The first value of an attribute in DICOM JSON; None when there is none."""
    values = item.get(tag, {}).get("Value") or [None]
    return values[0]
