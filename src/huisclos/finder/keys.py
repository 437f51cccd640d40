"""What the memory's columns hold of a study, as numbers."""

from __future__ import annotations

from datetime import date
from typing import Final

from huisclos.finder.records import Keys, StudyRecord, number_of
from huisclos.finder.text import day_number

SECOND_BITS: Final = 17


def keys_of(study: StudyRecord, *, described: bool = True) -> Keys:
    """What the columns hold of a study."""
    day = day_number(study.study_date)
    return Keys(
        uid=number_of(study.study_uid),
        person=number_of(*person_id(study)) if study.patient_id else 0,
        date=day,
        birth=day_number(study.patient_birth_date),
        moment=(_days(day) << SECOND_BITS) | _seconds(study.study_time),
        instances=study.instances,
        series=study.series,
        modalities="\\".join(study.modalities),
        received_at=study.received_at,
        described=described,
    )


def _days(day: int) -> int:
    try:
        return date(day // 10_000, day // 100 % 100, day % 100).toordinal() + 1
    except ValueError:
        return 1


def _seconds(clock: str) -> int:
    plain = clock.replace(":", "").partition(".")[0].ljust(6, "0")[:6]
    if not plain.isascii() or not plain.isdigit():
        return 0
    return min(int(plain[:2]) * 3600 + int(plain[2:4]) * 60 + int(plain[4:]), (1 << SECOND_BITS) - 1)


def person_id(study: StudyRecord) -> tuple[str, str]:
    """Patient id and its issuer."""
    return study.patient_id, study.patient_id_issuer
