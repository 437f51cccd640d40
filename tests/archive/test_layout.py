"""Places are made of ids and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.archive import layout
from huisclos.archive.layout import Place, PlaceKind
from huisclos.errors import BadIdentifier

IDS = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)


@given(IDS, IDS)
def test_each_place_is_read_back(owner: str, inner: str) -> None:
    """As what it was made for."""
    assert layout.parse_place(layout.instance_place(owner, inner)) == Place(PlaceKind.INSTANCE, owner, inner)
    assert layout.parse_place(layout.manifest_place(owner)) == Place(PlaceKind.MANIFEST, owner)
    assert layout.parse_place(layout.metadata_place(owner, inner)) == Place(PlaceKind.METADATA, owner, inner)
    assert layout.parse_place(layout.key_place(owner)) == Place(PlaceKind.KEY, owner)
    assert layout.parse_place(layout.batch_place(owner, inner)) == Place(
        PlaceKind.BATCH_INSTANCE, owner, inner
    )
    assert layout.parse_place(layout.batch_key_place(owner)) == Place(PlaceKind.BATCH_KEY, owner)


@given(st.text(max_size=100))
def test_anything_else_is_foreign(text: str) -> None:
    """Whatever somebody lays into the archive."""
    for place in (text, f"objects/{text}", f"batches/{text}/x.dcm.age"):
        assert layout.parse_place(place).kind is PlaceKind.FOREIGN


@given(st.text(max_size=40).filter(lambda text: not text.isascii() or len(text) != 32))
def test_only_ids_become_places(text: str) -> None:
    """Never a UID, never a name, never a way out; and the refusal does not repeat it."""
    for make in (layout.study_folder, layout.batch_folder, layout.key_place):
        with pytest.raises(BadIdentifier) as told:
            make(text)
        assert len(text) < 3 or text not in told.value.message


def test_an_object_under_another_shard_is_foreign() -> None:
    """The folder above a study is the beginning of its id."""
    place = layout.instance_place("a" * 32, "b" * 32).replace("objects/aa", "objects/ab")
    assert layout.parse_place(place).kind is PlaceKind.FOREIGN
    assert layout.parse_place(layout.key_place("a" * 32) + "\n").kind is PlaceKind.FOREIGN


def test_ids_are_random() -> None:
    """Sixteen bytes each."""
    assert len({layout.new_id() for _ in range(100)}) == 100
    assert layout.check_id(layout.new_id())
