"""The journal and the state of an invented practice."""

from __future__ import annotations

from huisclos.access.chronicle import JournalAsked, JournalHead, JournalPage
from huisclos.access.gate import Stage
from huisclos.access.house import Certificate, Glance, HouseReport, Separation, Trust
from huisclos.access.nouns import Proof, Right
from huisclos.errors import NotFound, NotGranted
from tests.web.house import DAY, HOUR, WORDS, House


class TheQuarantine:
    """`Quarantine` over a house: one sender waits, until somebody decides."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.waiting: dict[str, tuple[str, int]] = {}
        """Title and images by source id."""
        self.admitted: list[str] = []
        self.discarded: list[str] = []

    def _take(self, proof: Proof, source_id: str) -> tuple[str, int]:
        if not self.house.actor_of(proof).may(Right.PEOPLE):
            raise NotGranted("this role may not do this")
        if source_id not in self.waiting:
            raise NotFound("nothing waits")
        return self.waiting.pop(source_id)

    async def admit(self, proof: Proof, source_id: str) -> str:
        """See the port."""
        title, _ = self._take(proof, source_id)
        self.admitted.append(title)
        return title

    async def discard(self, proof: Proof, source_id: str) -> int:
        """See the port."""
        title, images = self._take(proof, source_id)
        self.discarded.append(title)
        return images


class TheChronicle:
    """`JournalReader` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def entries(self, proof: Proof, asked: JournalAsked) -> JournalPage:
        """See the port."""
        lines = [
            line
            for line in self.house.lines
            if asked.actor_id in ("", line.actor_id)
            and asked.study_id in ("", line.study_id)
            and (not asked.study_ids or line.study_id in asked.study_ids)
            and (not asked.until or asked.since <= line.at < asked.until)
        ]
        actors = tuple({line.actor_id: line.actor for line in self.house.lines}.items())
        return JournalPage(len(lines), tuple(lines[asked.offset : asked.offset + asked.limit]), actors)

    async def head(self, proof: Proof) -> JournalHead:
        """See the port."""
        return JournalHead(self.house.holds, len(self.house.lines), WORDS[:6], self.house.time - HOUR, 17)

    async def verify(self, proof: Proof) -> JournalHead:
        """See the port."""
        return await self.head(proof)


class TheState:
    """`HouseState` over a house."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def glance(self) -> Glance:
        """See the port."""
        house = self.house
        return Glance(
            house.is_locked,
            house.stage not in (Stage.WHO, Stage.PASSPHRASE),
            house.recovered,
            len(house.peer_list),
            house.last_image,
            knocks=len(house.knock_list),
            pending=len(house.pending_list),
            journal_holds=house.holds,
            by_link=house.by_link,
            unnamed=house.unnamed,
        )

    async def report(self, proof: Proof) -> HouseReport:
        """See the port."""
        house = self.house
        return HouseReport(
            await self.glance(),
            house.time - 5 * HOUR,
            "Cabinet",
            Separation.PARTIAL,
            ("landlock",),
            412 * 10**9,
            1000 * 10**9,
            2,
            house.time - 60 * DAY,
            JournalHead(house.holds, len(house.lines), WORDS[:6], house.time - HOUR),
            house.time - 3 * DAY,
            (("PANO", house.time - 9 * DAY),),
            (
                Certificate("ca", (), house.time + 3650 * DAY),
                Certificate("leaf", ("localhost",), house.time + 80 * DAY),
            ),
            (
                ("http", "127.0.0.1:8443"),
                ("gate", "127.0.0.1:8444"),
                ("viewer", "127.0.0.1:8445"),
                ("dicom", "127.0.0.1:11112"),
            ),
            0,
            "0.1.0",
            {"python": "3.11", "openssl": "3.0", "viewer": "3.13.2"},
            house.time - 5 * HOUR,
        )

    async def trust(self) -> Trust:
        """See the port."""
        return self.house.trusted
