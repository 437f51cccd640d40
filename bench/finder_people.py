"""Invented people and studies for the finder's bench and tests: French names with accents and particles."""

from __future__ import annotations

import random
from collections.abc import Iterator

from huisclos.finder.keys import keys_of
from huisclos.finder.records import SealedStudy, SeriesRecord, StudyRecord, encode, pack_series
from huisclos.finder.text import study_text

_FIRST = (
    "Mar",
    "Du",
    "Gar",
    "Ber",
    "Le",
    "Rou",
    "Mé",
    "Bé",
    "Cha",
    "Fau",
    "Gé",
    "Hu",
    "Jo",
    "La",
    "Mo",
    "Né",
    "Pé",
    "Ri",
)
_MIDDLE = ("ti", "pon", "ni", "nar", "fé", "sse", "ri", "re", "bo", "co", "lè", "ga", "che", "vi")
_LAST = ("n", "t", "er", "d", "bvre", "l", "ot", "ux", "rd", "in", "çon", "nd", "let", "is")
_PARTICLES = ("", "", "", "", "", "", "de ", "du ", "de la ", "Le ", "d'")
_GIVEN = ("Élodie", "Jean-Noël", "Marie-Hélène", "Zoé", "François", "Aïcha", "Loïc", "Anne", "Pierre",
          "Gaëlle", "Hervé", "Inès", "Jérôme", "Noémie", "Régis", "Solène", "Thaïs", "Yaël", "Maxime",
          "Léo")  # fmt: skip
_MODALITIES = (("CR", 2), ("DX", 2), ("CT", 4), ("MR", 6), ("US", 1), ("MG", 2), ("PX", 1))
_WORDS = (
    "Thorax face",
    "Genou droit",
    "Scanner abdominal",
    "IRM cérébrale",
    "Panoramique dentaire",
    "Échographie",
)


def studies(count: int, seed: int = 7) -> Iterator[tuple[str, StudyRecord, list[SeriesRecord], str]]:
    """(study id, study, series, text) of `count` invented studies of about a third as many people."""
    rng = random.Random(seed)
    people = [_person(rng, number) for number in range(max(1, count // 3))]
    for number in range(count):
        name, patient_id, birth, sex = rng.choice(people)
        modality, series_count = rng.choice(_MODALITIES)
        root = f"1.2.826.0.1.3680043.8.498.{rng.randrange(10**24)}"
        day = f"{rng.randrange(2009, 2026)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
        clock = f"{rng.randrange(8, 19):02}{rng.randrange(60):02}{rng.randrange(60):02}"
        count_here = rng.randrange(1, series_count + 1)
        series = [
            SeriesRecord(
                f"{rng.getrandbits(128):032x}", f"{root}.{at}", modality, at, "Série axiale", day, clock,
                "CHEST", instances=rng.randrange(1, 200), cover=f"{root}.{at}.1",
            )
            for at in range(1, count_here + 1)
        ]  # fmt: skip
        study = StudyRecord(
            root, name, patient_id, "", birth, sex, day, clock, str(number), rng.choice(_WORDS),
            f"A{number:08}", "Médecin^Traitant", received_at=1.7e9 + number, series=len(series),
            instances=sum(one.instances for one in series), modalities=(modality,),
        )  # fmt: skip
        yield f"{rng.getrandbits(128):032x}", study, series, study_text(study)


def sealed(study: StudyRecord, series: list[SeriesRecord], text: str) -> SealedStudy:
    """A study as its row holds it."""
    return SealedStudy("age1" + "q" * 58, encode(study), pack_series(series), text, keys_of(study))


def _person(rng: random.Random, number: int) -> tuple[str, str, str, str]:
    family = (
        rng.choice(_PARTICLES)
        + rng.choice(_FIRST)
        + rng.choice(_MIDDLE)
        + rng.choice(_MIDDLE)
        + rng.choice(_LAST)
    )
    sex = rng.choice("MF")
    birth = f"{rng.randrange(1930, 2020)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
    return f"{family.upper()}^{rng.choice(_GIVEN)}", f"P{number:07}", birth, sex
