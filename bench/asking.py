"""Searching over HTTP as a program would: one connection that stays, a token where one is wanted."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tests.peers import house

SECONDS: Final = 120
_PERSON: Final = "Bench Person"
_PASSWORD: Final = "Quartz-Zebra-Lamp-4711!"  # noqa: S105 - of an invented person, in a folder that goes away


class Asker:
    """A DICOMweb service, asked over one connection."""

    def __init__(self, service: str, *, trusted: Path | None = None, token: str = "") -> None:
        where = urlsplit(service)
        self._path = where.path
        self._headers = {"Accept": "application/dicom+json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection: http.client.HTTPConnection
        if where.scheme == "https":
            context = ssl.create_default_context(cafile=str(trusted))
            self._connection = http.client.HTTPSConnection(where.netloc, timeout=SECONDS, context=context)
        else:
            self._connection = http.client.HTTPConnection(where.netloc, timeout=SECONDS)

    def ask(self, question: Mapping[str, str]) -> tuple[list[Any], float]:
        """The studies that a search finds, and the milliseconds until the last byte of the answer."""
        # Orthanc reads an escaped asterisk as it stands
        asked = f"{self._path}/studies?{urlencode(question, safe='*')}"
        began = time.perf_counter()
        self._connection.request("GET", asked, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1e3
        if answer.status not in (200, 204):
            raise RuntimeError(f"a search is answered with {answer.status}")
        return json.loads(body or b"[]"), took

    def times(self, question: Mapping[str, str], count: int, finds: int) -> list[float]:
        """Milliseconds of each of `count` searches, after one that is not counted.

        On a fresh connection: the other end closes one that was idle for long. Raises `RuntimeError` if the
        search does not find `finds` studies: what finds nothing is fast.
        """
        self.close()
        found = len(self.ask(question)[0])
        if found != finds:
            raise RuntimeError(f"a search finds {found} studies, not {finds}")
        return [self.ask(question)[1] for _ in range(count)]

    def close(self) -> None:
        """Leave."""
        self._connection.close()


@contextmanager
def asking(service: str, *, trusted: Path | None = None, token: str = "") -> Iterator[Asker]:
    """An `Asker` for the length of the block."""
    asker = Asker(service, trusted=trusted, token=token)
    try:
        yield asker
    finally:
        asker.close()


@contextmanager
def asking_house(served: house.House, token: str) -> Iterator[Asker]:
    """An `Asker` of a running house."""
    with asking(f"{served.url}/dicom-web", trusted=served.archive / "tls" / "ca.pem", token=token) as asker:
        yield asker


def token_of(archive: Path, kept: Path, may: Sequence[str] = ("read",)) -> str:
    """A token of a new person of an archive that is not served; it may do what `may` says."""
    unlock = ("--unlock-with", f"file:{kept / 'passphrase'}")
    password = kept / "password"
    password.touch(mode=0o600)
    password.write_text(f"{_PASSWORD}\n")
    person = (str(archive), _PERSON, "--role", "physician", "--password-file", str(password))
    house.huisclos("user", "add", *person, *unlock)
    rights = ("--may", ",".join(may), "--until", "2099-12-31")
    return house.huisclos("token", "add", str(archive), "--user", _PERSON, *rights, *unlock).strip()
