"""`Watched` over a simulated house: its doors are what the test says."""

from __future__ import annotations

from dataclasses import dataclass, field

from huisclos.access.nouns import Proof, ProofKind
from huisclos.doors.house import (
    HouseDoors,
    PublicKnocks,
    judged,
    knocks_as_door,
    merged,
)
from huisclos.doors.observation import Miss, Observation, Seen, What
from huisclos.findings.evidence import facts
from huisclos.findings.nouns import Reach, Reason
from tests.web.house import House

DAY = 24 * 3600.0


@dataclass
class TheDoors:
    """What the house knows of its doors."""

    house: House
    seen: list[Seen] = field(default_factory=list)
    knocks: tuple[PublicKnocks, ...] = ()
    looks: int = 0

    def furnish(self) -> None:
        """Doors in every state."""
        at, lan = "192.168.1.20:11112", Reach.LAN
        self.seen = [
            Observation(What.STUDY_QUERY, at, lan, facts(port=11112)),
            Observation(What.GET, at, lan, facts(port=11112)),
            Observation(What.FILES, "/srv/images", lan, facts(class_="clear", images=2, persons=1)),
            Observation(What.FILES, "/srv/images", lan, facts(class_="dump", count=0)),
            Miss(("BOX-002",), "192.168.1.1", Reason.TIMED_OUT),
        ]
        now = self.house.time
        self.knocks = (PublicKnocks(at, 12, now - 3 * DAY, now - 1800, nat=True),)

    async def doors(self, proof: Proof) -> HouseDoors:
        """See the port."""
        self.house.unlocked()
        assert proof.kind is ProofKind.SESSION
        now = self.house.time
        doors = merged((), judged(self.seen), now - 8 * DAY)
        return HouseDoors(now - 3600 if doors else 0.0, (*knocks_as_door(self.knocks, now), *doors))

    async def look(self, proof: Proof) -> HouseDoors:
        """See the port."""
        self.looks += 1
        return await self.doors(proof)
