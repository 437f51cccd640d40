"""Command sets: written and read back, judged by pydicom, and refused when they say nothing."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from huisclos.dimse.protocol.commands import (
    Command,
    Field,
    Tag,
    cancel_request,
    echo_request,
    find_request,
    get_request,
    move_request,
    read_command,
    respond,
    store_request,
    us,
    write_command,
)
from huisclos.dimse.protocol.statuses import Category, Status, category
from huisclos.errors import BadPDU
from tests.fuzz import fuzz_dimse_message

CT = "1.2.840.10008.5.1.4.1.1.2"
REQUESTS = [
    echo_request(1),
    store_request(65535, CT, "1.2.3"),
    find_request(2, "1.2.840.10008.5.1.4.1.2.2.1"),
    get_request(3, "1.2.840.10008.5.1.4.1.2.2.3"),
    move_request(4, "1.2.840.10008.5.1.4.1.2.2.2", "ELSEWHERE"),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: Field(one.field).name)
def test_a_request_reads_as_it_was_written(request_: Command) -> None:
    """Every request of ours survives the wire, and so does its response."""
    assert read_command(write_command(request_)) == request_
    response = respond(request_, Status.SUCCESS)
    again = read_command(write_command(response))
    assert again.is_response
    assert not again.has_data_set
    assert (again.message_id, again.status) == (request_.message_id, 0)
    assert (again.sop_class, again.sop_instance) == (request_.sop_class, request_.sop_instance)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: Field(one.field).name)
def test_pydicom_reads_what_we_write(request_: Command) -> None:
    """An independent reader finds the same elements, and a true group length."""
    raw = write_command(request_)
    found = read_dataset(BytesIO(raw), is_implicit_VR=True, is_little_endian=True)
    assert found.CommandGroupLength == len(raw) - 12
    assert (found.CommandField, found.MessageID) == (request_.field, request_.message_id)
    assert found.AffectedSOPClassUID == request_.sop_class
    if request_.field == Field.C_MOVE:
        assert found.MoveDestination == "ELSEWHERE"


def test_an_n_request_is_answered_with_the_affected_names() -> None:
    """PS3.7 chapter 10: what was requested is what is affected."""
    request = Command(
        {
            Tag.REQUESTED_SOP_CLASS: b"1.2.840.10008.1.20.1",
            Tag.COMMAND_FIELD: us(Field.N_ACTION),
            Tag.MESSAGE_ID: us(7),
            Tag.DATA_SET_TYPE: us(1),
            Tag.REQUESTED_SOP_INSTANCE: b"1.2.840.10008.1.20.1.1",
            Tag.ACTION_TYPE: us(1),
        }
    )
    response = respond(request, Status.UNRECOGNIZED_OPERATION)
    assert response.field == 0x8130
    assert response.uid(Tag.AFFECTED_SOP_CLASS) == "1.2.840.10008.1.20.1"
    assert response.uid(Tag.AFFECTED_SOP_INSTANCE) == "1.2.840.10008.1.20.1.1"


def test_a_cancel_names_the_request() -> None:
    """PS3.7 section 9.3.2.3."""
    assert read_command(write_command(cancel_request(9))).message_id == 9


def element(tag: int, value: bytes, group: int = 0) -> bytes:
    """One element made by hand."""
    return struct.pack("<HHI", group, tag, len(value)) + value


FIELD, MESSAGE, TYPE = element(0x0100, us(1)), element(0x0110, us(1)), element(0x0800, us(1))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        FIELD + MESSAGE + TYPE[:-1],
        MESSAGE + FIELD + TYPE,
        FIELD + FIELD + MESSAGE + TYPE,
        element(0x0010, b"", group=8) + FIELD + MESSAGE + TYPE,
        FIELD + MESSAGE,
        MESSAGE + TYPE,
        FIELD + TYPE,
        element(0x0100, b"\x01") + MESSAGE + TYPE,
        element(0x0100, us(0x8001)) + element(0x0120, us(1)) + TYPE,
        element(0x0100, us(0x0FFF)) + MESSAGE + TYPE,
        FIELD + MESSAGE + struct.pack("<HHI", 0, 0x0800, 0xFFFFFFFF),
        b"".join(element(tag, b"") for tag in range(1, 80)) + FIELD + MESSAGE + TYPE,
    ],
)
def test_what_is_no_command_set(raw: bytes) -> None:
    """Broken off, out of order, of another group, endless, or without what tells messages apart."""
    with pytest.raises(BadPDU):
        read_command(raw)


@given(st.sampled_from(fuzz_dimse_message.SEEDS), st.integers(0, 400), st.binary(max_size=4))
def test_a_damaged_message_never_escapes_the_tree_of_errors(seed: bytes, at: int, patch: bytes) -> None:
    """The fuzz target holds for whatever is done to its seeds."""
    fuzz_dimse_message.one(seed[:at] + patch + seed[at + len(patch) :])


def test_a_command_shows_no_uid() -> None:
    """Instance UIDs carry dates; a log may show a command."""
    assert "1.2.3" not in repr(store_request(1, CT, "1.2.3"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x0000, Category.SUCCESS),
        (0xB000, Category.WARNING),
        (0xB007, Category.WARNING),
        (0x0107, Category.WARNING),
        (0xFF00, Category.PENDING),
        (0xFF01, Category.PENDING),
        (0xFE00, Category.CANCEL),
        (0xA700, Category.FAILURE),
        (0xC123, Category.FAILURE),
        (0x0122, Category.FAILURE),
        (0x7777, Category.FAILURE),
    ],
)
def test_the_kinds_of_status(status: int, kind: Category) -> None:
    """PS3.7 annex C; what nobody defined did not go well."""
    assert category(status) is kind
