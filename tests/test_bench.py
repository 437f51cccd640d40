"""The bench's harness: what counts as a figure, what counts as missed."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pydicom
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from bench import chart, filled, images, run
from huisclos.dicom.heading import HeadingReader
from huisclos.dicom.part10 import read_part10

FIGURE: dict[str, Any] = {
    "name": "n",
    "ours": 2.0,
    "peer": 4.0,
    "peer_name": "p",
    "ratio": 0.5,
    "goal": 1.0,
    "unit": "x/s",
    "runs": {},
}


def _with_figures(monkeypatch: pytest.MonkeyPatch, folder: Path, *figures: dict[str, Any]) -> None:
    bench = ModuleType("bench.invented")
    bench.run = lambda: list(figures)  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "bench.invented", bench)
    monkeypatch.setattr(run, "discover", lambda: ["invented"])
    monkeypatch.setattr(run, "FIGURES", folder / "figures.json")


def test_a_missed_goal_fails_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A ratio below its goal makes the program exit 1; the figures are written all the same."""
    _with_figures(monkeypatch, tmp_path, FIGURE)
    assert run.main([]) == 1
    assert json.loads((tmp_path / "figures.json").read_text()) == [FIGURE]


def test_a_figure_without_a_goal_is_never_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A figure may only inform; one that meets its goal passes."""
    _with_figures(monkeypatch, tmp_path, FIGURE | {"goal": None}, FIGURE | {"ratio": 1.0})
    assert run.main(["invented"]) == 0


def test_a_figure_has_its_eight_fields(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bench that forgets its unit, or adds a field, is wrong."""
    _with_figures(monkeypatch, tmp_path, FIGURE | {"note": ""})
    with pytest.raises(ValueError, match="note"):
        run.main([])


def test_an_unknown_bench_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt bench does not pass for one that met its goals."""
    _with_figures(monkeypatch, tmp_path, FIGURE)
    with pytest.raises(SystemExit):
        run.main(["other"])


def test_each_slice_is_an_instance_of_its_own(tmp_path: Path) -> None:
    """Slices are valid CT instances of 512 KB; another number is another study."""
    paths = [*images.write_series(tmp_path / "a", 3, 1), *images.write_series(tmp_path / "b", 3, 2)]
    datasets = [pydicom.dcmread(path) for path in paths]
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == 6
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 2
    assert all(dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID for dataset in datasets)
    assert datasets[0].pixel_array.shape == (512, 512)


def test_both_archives_are_filled_with_the_same() -> None:
    """What Orthanc is sent says, read by ours, exactly what ours is filled with."""
    for heading in filled.headings(160):
        whole = filled.part10(heading)
        data_set = whole[read_part10(whole).data_offset :]
        reader = HeadingReader(heading.transfer_syntax_uid)
        assert heading == (reader.feed(data_set) or reader.finish())


@pytest.mark.parametrize("count", [200, 1200])
def test_each_question_finds_as_many_whatever_the_size(count: int) -> None:
    """Otherwise a search would seem to slow down, or not to, for what it answers."""
    said = list(filled.headings(count))
    assert len({heading.study_uid for heading in said}) == count
    by_keyword = {
        "PatientName": "patient_name",
        "PatientID": "patient_id",
        "PatientBirthDate": "patient_birth_date",
        "StudyDate": "study_date",
    }
    for question in filled.QUESTIONS.values():
        ((keyword, value),) = ((k, v) for k, v in question.parameters.items() if k != "limit")
        found = [one for one in said if getattr(one, by_keyword[keyword]).startswith(value.rstrip("*"))]
        assert question.finds == len(found)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 10**7), st.floats(0.001, 10**5)), min_size=1, max_size=5),
        min_size=1,
        max_size=2,
    ),
    st.booleans(),
)
def test_a_chart_holds_every_point_inside(lines: list[list[tuple[int, float]]], log: bool) -> None:
    """Well-formed, and nothing drawn outside of it, whatever the figures."""
    panel = chart.Panel("<what>", [chart.Line(str(at), points) for at, points in enumerate(lines)], log)
    drawn = fromstring(chart.draw([panel, panel]))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    dots = [dot for dot in drawn if dot.tag.endswith("circle")]
    assert len(dots) == 2 * sum(map(len, lines))
    assert all(0 <= float(dot.attrib["cx"]) <= width for dot in dots)
    assert all(0 <= float(dot.attrib["cy"]) <= height for dot in dots)
