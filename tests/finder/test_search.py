"""The index in memory answers as a filter over the same records would (model test)."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huisclos.archive.nouns import Level, Query
from huisclos.errors import BadQuery
from huisclos.finder.answers import Answer
from huisclos.finder.conditions import field_judge
from huisclos.finder.fields import BY_KEYWORD, included_fields
from huisclos.finder.keys import keys_of
from huisclos.finder.memory import Loaded, MemoryIndex
from huisclos.finder.records import (
    InstanceRecord,
    SealedStudy,
    SeriesRecord,
    StudyRecord,
    encode,
    pack_series,
    unpack_series,
)
from huisclos.finder.search import Found, prepare, search
from huisclos.finder.text import parse_text, study_text, word_matches

TODAY = date(2026, 3, 4)

NAMES = [
    "MARTIN^Élodie",
    "de la Tour^Jean-Noël",
    "DELATOUR^Anne",
    "Lefèvre-Martin^Zoé",
    "O'Brien^Tom^^Dr",
    "",
    "Yamada^Tarou=山田^太郎",
    "D'ARTAGNAN^Charles",
    "Müller^Hans",
    "ŒUFF LE^Maël",
]
DATES = ["", "20190917", "20200101", "2019.09.18", "20260304", "20260303", "201909", "19540312"]
TIMES = ["", "101500", "10:15:00", "235959.123", "08"]
IDS = ["", "P1", "P10", "p 10", "2019", "A-12/3"]
MODALITIES = ["CT", "MR", "DX", "US"]
TEXTS = ["", "Thorax face", "IRM cérébrale", "Scanner thoracique"]


@st.composite
def studies(draw: st.DrawFn) -> tuple[StudyRecord, list[SeriesRecord]]:
    """A study with its series, some of which answer with nothing."""
    number = draw(st.integers(0, 10**9))
    series = [
        SeriesRecord(
            f"{at:032x}", f"1.2.{number}.{at}", draw(st.sampled_from(MODALITIES)),
            draw(st.sampled_from([None, 1, 2])), instances=draw(st.integers(0, 2)),
        )
        for at in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    living = [one for one in series if one.instances]
    study = StudyRecord(
        f"1.2.{number}", draw(st.sampled_from(NAMES)), draw(st.sampled_from(IDS)), "",
        draw(st.sampled_from(DATES)), draw(st.sampled_from(["", "M", "F"])), draw(st.sampled_from(DATES)),
        draw(st.sampled_from(TIMES)), "", draw(st.sampled_from(TEXTS)), draw(st.sampled_from(IDS)),
        series=len(living), instances=sum(one.instances for one in living),
        modalities=tuple(sorted({one.modality for one in living})),
    )  # fmt: skip
    return study, series


def the_index(found: list[tuple[StudyRecord, list[SeriesRecord]]], *, loaded: int) -> MemoryIndex:
    """An index of `found`: the first `loaded` at once, the others one by one."""
    memory = MemoryIndex()
    memory.load(
        Loaded(
            f"{at:032x}",
            SealedStudy("", encode(study), pack_series(series), study_text(study), keys_of(study)),
        )
        for at, (study, series) in enumerate(found[:loaded])
    )
    for at, (study, series) in enumerate(found[loaded:], start=loaded):
        memory.put(None, f"{at:032x}", study, series, study_text(study))
    return memory


async def _nothing(_row: int) -> list[InstanceRecord]:
    return []


def ask(memory: MemoryIndex, query: Query) -> Found:
    """Run a query that reads no instances."""
    return asyncio.run(search(memory, _nothing, query, prepare(query, TODAY)))


VALUES = {
    "PatientName": [
        "mar*",
        "*tour*",
        "MARTIN^Élodie",
        "de la*",
        "*é?^*",
        "?artin*",
        "山田*",
        "d'*",
        "*",
        "^*MAR*",
        "-*",
        "o'b*",
        "yamada^tarou",
        "*efevre*",
        "m?rtin*",
        "=山田*",
        "yam*=*",
    ],
    "StudyDate": ["20190917", "20190101-20191231", "-20200101", "20200101-", "2019-09-17"],
    "StudyTime": ["1015", "08-12", "-10"],
    "PatientBirthDate": ["19540312", "-19991231"],
    "PatientID": ["P1", "P1*", "p 10", "*-12*", "?1*", "2019"],
    "AccessionNumber": ["A-*", "*10", "P10"],
    "ModalitiesInStudy": ["CT", "CT,MR", "C*", "XX", "CT\\US"],
    "StudyDescription": ["*thorax*", "Thorax*", "*thora*", "IRM cérébrale"],
    "PatientSex": ["F", "M"],
    "NumberOfStudyRelatedInstances": ["1", "3"],
}
MATCHES = st.sampled_from([(attribute, value) for attribute, values in VALUES.items() for value in values])
TYPED = [
    "",
    "mar",
    "tour",
    "de la tour",
    "jean noel",
    "17/09/2019",
    "2019",
    "ct",
    "mart elo",
    "p1",
    "a-12",
    "hier",
    "thor zo",
    "l",
    "délatour",
    "scanner mr",
    "20190917",
    "09/2019",
]


def judged(query: Query, study: StudyRecord) -> bool:
    """What the answer must be, judged condition by condition."""
    for attribute, value in query.match.items():
        field = BY_KEYWORD[attribute]
        if value.strip("* ") and not field_judge(field, value, fuzzy=query.fuzzy)(study):
            return False
    text = study_text(study)
    return all(word_matches(word, text, study) for word in parse_text(query.text, TODAY))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(studies(), max_size=12, unique_by=lambda both: both[0].study_uid),
    st.integers(0, 12),
    st.lists(MATCHES, max_size=2),
    st.booleans(),
    st.sampled_from(TYPED),
)
def test_index_answers_as_a_filter_would(
    found: list[tuple[StudyRecord, list[SeriesRecord]]],
    loaded: int,
    matches: list[tuple[str, str]],
    fuzzy: bool,
    text: str,
) -> None:
    """Whatever is asked, the same studies answer, each once; series are counted as they are."""
    memory = the_index(found, loaded=loaded)
    query = Query(Level.STUDY, dict(matches), text, fuzzy, limit=100)
    if {"StudyDate", "StudyTime"} <= query.match.keys():
        return
    expected = {study.study_uid for study, _ in found if study.instances and judged(query, study)}
    answer = ask(memory, query)
    uids = [memory.study(hit.row).study_uid for hit in answer.hits]
    assert set(uids) == expected
    assert len(uids) == answer.total == len(expected)
    series = ask(memory, msgspec.structs.replace(query, level=Level.SERIES))
    wanted = {
        one.series_uid
        for study, inside in found
        for one in inside
        if one.instances and study.study_uid in expected
    }
    assert {hit.series.series_uid for hit in series.hits if hit.series} == wanted
    assert series.total == len(wanted)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(studies(), min_size=1, max_size=12, unique_by=lambda both: both[0].study_uid),
    st.integers(0, 3),
    st.integers(0, 4),
    st.sampled_from([(), ("PatientName",), ("-StudyDate", "PatientID")]),
)
def test_pages_join_to_the_whole(
    found: list[tuple[StudyRecord, list[SeriesRecord]]], offset: int, limit: int, sort: tuple[str, ...]
) -> None:
    """A page is that part of the whole answer; newest come first when no order is asked."""
    memory = the_index(found, loaded=len(found) // 2)
    for level in (Level.STUDY, Level.SERIES):
        whole = ask(memory, Query(level, sort=sort, limit=1000))
        page = ask(memory, Query(level, sort=sort, offset=offset, limit=limit))
        assert page.hits == whole.hits[offset : offset + limit]
        assert page.total == whole.total == len(whole.hits)
    if not sort:
        dates = [keys_of(memory.study(hit.row)).moment for hit in ask(memory, Query(Level.STUDY)).hits]
        assert dates == sorted(dates, reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(studies(), min_size=2, max_size=8, unique_by=lambda both: both[0].study_uid), st.data())
def test_replacing_a_study(found: list[tuple[StudyRecord, list[SeriesRecord]]], data: st.DataObject) -> None:
    """After a row is replaced it is found by what it says now, and by nothing it said before."""
    memory = the_index(found, loaded=1)
    row = data.draw(st.integers(0, len(found) - 1))
    study, series = data.draw(studies())
    memory.put(row, memory.study_id(row), study, series, study_text(study))
    now = [*found]
    now[row] = (study, series)
    for text in ("mar", "tour", "p1", "ct", "2019", "thorax"):
        answer = ask(memory, Query(Level.STUDY, text=text))
        words = parse_text(text, TODAY)
        expected = {
            at
            for at, (one, _) in enumerate(now)
            if one.instances and all(word_matches(word, study_text(one), one) for word in words)
        }
        assert {hit.row for hit in answer.hits} == expected


def rows(memory: MemoryIndex, query: Query) -> list[dict[str, Any]]:
    """The answer's rows, decoded."""
    plan = prepare(query, TODAY)
    found = asyncio.run(search(memory, _nothing, query, plan))
    decoded: list[dict[str, Any]] = msgspec.json.decode(Answer(memory, query, plan).rows(found.hits))
    return decoded


@pytest.fixture
def one_study() -> MemoryIndex:
    """A single study of one series."""
    study = StudyRecord(
        "1.2.3", "Yamada^Tarou=山田^太郎", "P1", "", "19540312", "M", "20190917", "101500",
        study_description="Thorax", series=1, instances=3, modalities=("CT",),
    )  # fmt: skip
    return the_index([(study, [SeriesRecord("0" * 32, "1.2.3.4", "CT", 1, instances=3)])], loaded=0)


def test_a_study_row(one_study: MemoryIndex) -> None:
    """A row has every required attribute, ascending, and says what was asked for."""
    row = rows(one_study, Query(Level.STUDY, {"PatientName": "yam*"}, base="https://host/dicom-web/"))[0]
    assert list(row) == sorted(row)
    required = {"00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190"}
    required |= {
        "00100010",
        "00100020",
        "00100030",
        "00100040",
        "0020000D",
        "00200010",
        "00201206",
        "00201208",
    }
    assert required <= row.keys()
    assert row["00100010"] == {
        "vr": "PN",
        "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}],
    }
    assert row["00080050"] == {"vr": "SH"}
    assert row["00081190"]["Value"] == ["https://host/dicom-web/studies/1.2.3"]
    assert row["00201208"] == {"vr": "IS", "Value": [3]}
    assert "00101010" not in row
    assert "00101010" in rows(one_study, Query(Level.STUDY, include=("PatientAge",)))[0]
    assert "00100021" in rows(one_study, Query(Level.STUDY, include=("all",)))[0]


def test_a_series_row(one_study: MemoryIndex) -> None:
    """Within a study a row says its own; over all studies also whose it is."""
    within = rows(one_study, Query(Level.SERIES, {"StudyInstanceUID": "1.2.3"}, base="https://host"))[0]
    assert "00100010" not in within
    assert within["00081190"]["Value"] == ["https://host/studies/1.2.3/series/1.2.3.4"]
    assert within["00201209"]["Value"] == [3]
    assert "00100010" in rows(one_study, Query(Level.SERIES, {"Modality": "CT"}))[0]


def test_series_attributes_find_studies(one_study: MemoryIndex) -> None:
    """A study answers to an attribute of one of its series."""
    assert ask(one_study, Query(Level.STUDY, {"Modality": "CT"})).total == 1
    assert ask(one_study, Query(Level.STUDY, {"SeriesInstanceUID": "1.2.3.4"})).total == 1
    assert ask(one_study, Query(Level.STUDY, {"SeriesNumber": "2"})).total == 0
    assert ask(one_study, Query(Level.SERIES, {"Modality": "MR"})).total == 0


REQUESTS = "RequestAttributesSequence"


@pytest.fixture
def requested() -> MemoryIndex:
    """A study of two series: one made for two requests, one for none."""
    series = [
        SeriesRecord(
            "0" * 32, "1.2.3.4", "CT", 1, instances=1, requests=(("PAS-1", "DP-1"), ("PAS-2", "DP-2"))
        ),
        SeriesRecord("1" * 32, "1.2.3.5", "CT", 2, instances=1),
    ]
    study = StudyRecord("1.2.3", "Yamada^Tarou", "P1", series=2, instances=2, modalities=("CT",))
    return the_index([(study, series)], loaded=1)


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ({f"{REQUESTS}.ScheduledProcedureStepID": "PAS-2"}, 1),
        ({"00400275.00400009": "PAS-1"}, 1),
        ({"00400275.RequestedProcedureID": "dp*"}, 0),
        ({"00400275.RequestedProcedureID": "DP*"}, 1),
        ({"00400275.00400009": "PAS-1", "00400275.00401001": "DP-1"}, 1),
        ({"00400275.00400009": "PAS-1", "00400275.00401001": "DP-2"}, 0),
        ({"00400275.00400009": "PAS-3"}, 0),
        ({"00400275.00400009": "", "00400275": ""}, 2),
    ],
)
def test_series_are_found_by_what_was_requested(
    requested: MemoryIndex, match: dict[str, str], found: int
) -> None:
    """One request of a series has all that is asked for (PS3.18 table 10.6.1-5, PS3.4 section C.2.2.2.6)."""
    assert ask(requested, Query(Level.SERIES, match)).total == found
    assert ask(requested, Query(Level.STUDY, match)).total == (1 if found else 0)


def test_a_series_row_says_what_was_requested(requested: MemoryIndex) -> None:
    """Each request of a series is an item of its row, which says nothing without any (table 10.6.3-4)."""
    first, second = rows(requested, Query(Level.SERIES, {"StudyInstanceUID": "1.2.3"}))
    step, procedure = {"vr": "SH", "Value": ["PAS-1"]}, {"vr": "SH", "Value": ["DP-1"]}
    assert first["00400275"]["vr"] == "SQ"
    assert first["00400275"]["Value"][0] == {"00400009": step, "00401001": procedure}
    assert len(first["00400275"]["Value"]) == 2
    assert "00400275" not in second
    assert frozenset({REQUESTS}) == included_fields(("00400275.00400009",)) == included_fields((REQUESTS,))


def test_a_series_of_an_earlier_release_is_read() -> None:
    """What was packed before series said what was requested unpacks, and says nothing of it."""
    packed = bytes.fromhex(
        "9b0834f6a68201017053016caf91991ed0663d63330b030313a041067a96200014320405db3288335618191899181819"
        "592e33343034353040d8bf80e9a6122183f40c0f0300"
    )
    assert unpack_series(packed) == [
        SeriesRecord(
            "0" * 32, "1.2.826.0.1.3680043.10.99999.1.1", "CT", 1, "Thorax", "20240229", "101500",
            instances=2, cover="1.2.826.0.1.3680043.10.99999.1.1.1", described=True,
        )
    ]  # fmt: skip


def test_combined_date_and_time(one_study: MemoryIndex) -> None:
    """Two ranges are one span of moments."""
    span = {"StudyDate": "20190916-20190918", "StudyTime": "120000-080000"}
    assert ask(one_study, Query(Level.STUDY, span)).total == 1
    assert ask(one_study, Query(Level.STUDY, {**span, "StudyDate": "20190917-20190918"})).total == 0


@pytest.mark.parametrize(
    "query",
    [
        Query(Level.STUDY, {"Nonsense": "1"}),
        Query(Level.STUDY, {"00181030.00080060": "1"}),
        Query(Level.STUDY, {"KVP": "120"}),
        Query(Level.SERIES, {"00400275": "PAS-1"}),
        Query(Level.SERIES, {"00400275.00400007": "PAS-1"}),
        Query(Level.SERIES, {"00400009": "PAS-1"}),
        Query(Level.SERIES, sort=("RequestAttributesSequence.RequestedProcedureID",)),
        Query(Level.STUDY, {"StudyDate": "yesterday"}),
        Query(Level.STUDY, {"StudyDate": "20241301"}),
        Query(Level.STUDY, {"StudyDate": "20240101-20240132"}),
        Query(Level.STUDY, {"StudyTime": "2500"}),
        Query(Level.SERIES, {"SeriesTime": "10-1060"}),
        Query(Level.STUDY, {"SOPInstanceUID": "1.2"}),
        Query(Level.STUDY, offset=-1),
        Query(Level.STUDY, sort=("RetrieveURL",)),
        Query(Level.STUDY, sort=("Modality",)),
        Query(Level.STUDY, text="a " * 20),
    ],
)
def test_queries_not_understood(one_study: MemoryIndex, query: Query) -> None:
    """What cannot be answered exactly is refused, not answered broader."""
    with pytest.raises(BadQuery):
        ask(one_study, query)


def test_keywords_and_tags_are_alike(one_study: MemoryIndex) -> None:
    """A tag does as well as a keyword; an empty value matches everything."""
    assert ask(one_study, Query(Level.STUDY, {"00100010": "yam*", "KVP": "", "00100020": ""})).total == 1


def test_fuzzy_names() -> None:
    """Case, accents, hyphens and particles do not matter to a fuzzy search; order neither."""
    names = ["de la Tour^Jean-Noël", "DELATOUR^Anne", "Lefèvre-Martin^Zoé"]
    memory = the_index(
        [
            (
                StudyRecord(f"1.{at}", name, series=1, instances=1),
                [SeriesRecord("0" * 32, f"1.{at}.1", instances=1)],
            )
            for at, name in enumerate(names)
        ],
        loaded=2,
    )

    def named(value: str) -> list[str]:
        found = ask(
            memory, Query(Level.STUDY, {"PatientName": value}, fuzzy=True, sort=("StudyInstanceUID",))
        )
        return [memory.study(hit.row).patient_name for hit in found.hits]

    assert named("delatour") == names[:2]
    assert named("TOUR jean") == names[:1]
    assert named("jeannoel") == names[:1]
    assert named("lefevre") == named("zoe martin") == named("Lefèvre Martin") == names[2:]
    assert named("efevre") == []
    assert named("*efèvre*") == named("*EFEVRE?mar*") == names[2:]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("=山田^太郎", 1),
        ("=山田*", 1),
        ("Yamada^Tarou=", 1),
        ("yam*=*太*", 1),
        ("Yamada^Tarou=山田^太郎=", 1),
        ("山田^太郎=", 0),
        ("Suzuki=山田*", 0),
        ("==やま*", 0),
    ],
)
def test_groups_of_a_name(one_study: MemoryIndex, value: str, found: int) -> None:
    """A value with several groups asks each group of the name; an empty one asks nothing."""
    assert ask(one_study, Query(Level.STUDY, {"PatientName": value})).total == found


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES])
@pytest.mark.parametrize("descending", [False, True])
def test_what_has_no_value_is_sorted_last(level: Level, descending: bool) -> None:
    """A study without a date stands behind the others, whichever way they are sorted."""
    memory = the_index(
        [
            (
                StudyRecord(f"1.{at}", study_date=day, series=1, instances=1),
                [SeriesRecord("0" * 32, f"1.{at}.1", instances=1)],
            )
            for at, day in enumerate(("", "20240101", "20250101"))
        ],
        loaded=3,
    )
    found = ask(memory, Query(level, sort=("-StudyDate" if descending else "StudyDate",)))
    dates = [memory.study(hit.row).study_date for hit in found.hits]
    assert dates == (["20250101", "20240101", ""] if descending else ["20240101", "20250101", ""])


def test_including_what_the_index_does_not_hold(one_study: MemoryIndex) -> None:
    """An unknown attribute that is only to be shown is left out; by tag, and `all`, in either case."""
    with_age = rows(one_study, Query(Level.STUDY, include=("Nonsense,00101010", "PatientWeight", "00191001")))
    assert "00101010" in with_age[0]
    assert "00101030" not in with_age[0]
    assert "00100021" in rows(one_study, Query(Level.STUDY, include=("ALL",)))[0]
