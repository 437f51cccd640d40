"""Request bodies: multipart cut into parts, whatever the pieces it arrives in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import HuisclosError, TooLarge, Unreadable
from huisclos.web.bodies import Multipart, PartBegun, PartData, PartEnded, boundary_of, parse_media

PARTS = st.lists(
    st.binary(max_size=300).map(lambda data: data.replace(b"--edge", b"")), min_size=1, max_size=4
)


def cut(data: bytes, pieces: list[int]) -> list[bytes]:
    """`data` in pieces of the given lengths, over and over."""
    out, at, turn = [], 0, 0
    while at < len(data):
        step = pieces[turn % len(pieces)]
        out.append(data[at : at + step])
        at, turn = at + step, turn + 1
    return out


def parts_of(parser: Multipart, pieces: list[bytes]) -> list[tuple[dict[str, str], bytes]]:
    """Headers and bytes of each part."""
    found: list[tuple[dict[str, str], bytes]] = []
    ended = 0
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, PartBegun):
                found.append((event.headers, b""))
            elif isinstance(event, PartData):
                found[-1] = (found[-1][0], found[-1][1] + event.data)
            else:
                assert isinstance(event, PartEnded)
                ended += 1
    parser.end()
    assert ended == len(found)
    return found


def body_of(contents: list[bytes], boundary: str = "edge") -> bytes:
    """A multipart body with a header in each part."""
    joined = b"".join(
        b"--%s\r\nContent-Type: application/dicom\r\nX-Number: %d\r\n\r\n%s\r\n"
        % (boundary.encode(), n, content)
        for n, content in enumerate(contents)
    )
    return joined + b"--%s--\r\nepilogue" % boundary.encode()


@given(PARTS, st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_any_cut_gives_the_same_parts(contents: list[bytes], pieces: list[int]) -> None:
    """However the body is cut on the wire, the parts are what was sent."""
    found = parts_of(Multipart("edge"), cut(body_of(contents), pieces))
    assert [content for _, content in found] == contents
    assert [headers["x-number"] for headers, _ in found] == [str(n) for n in range(len(contents))]


@given(st.binary(max_size=400), st.integers(1, 30))
def test_noise_is_refused_or_read(noise: bytes, piece: int) -> None:
    """Noise raises an error of ours or none, never another."""
    parser = Multipart("edge")
    try:
        for part in cut(noise, [piece]):
            list(parser.feed(part))
        parser.end()
    except HuisclosError:
        pass


def test_a_longer_boundary_is_data() -> None:
    """A line that only begins like the delimiter belongs to the part."""
    content = b"one\r\n--edgeways\r\ntwo\r\n--edg"
    assert parts_of(Multipart("edge"), [body_of([content])])[0][1] == content


def test_preamble_and_padding() -> None:
    """What stands before the first delimiter is ignored, as is white space behind one."""
    body = b"hello\r\n--edge \t\r\n\r\nx\r\n--edge--"
    assert parts_of(Multipart("edge"), [body]) == [({}, b"x")]


def test_a_body_that_breaks_off() -> None:
    """A missing last delimiter is told."""
    parser = Multipart("edge")
    list(parser.feed(b"--edge\r\n\r\nabc"))
    with pytest.raises(Unreadable):
        parser.end()


def test_endless_headers() -> None:
    """Part headers are bounded before they are kept."""
    parser = Multipart("edge")
    list(parser.feed(b"--edge\r\n" + b"a: b\r\n" * 2000))
    with pytest.raises(TooLarge):
        list(parser.feed(b"a: b\r\n" * 2000))


def test_memory_is_bounded() -> None:
    """A long part is handed on as it arrives: no more than one delimiter is held back."""
    parser = Multipart("edge")
    list(parser.feed(b"--edge\r\n\r\n"))
    for _ in range(50):
        list(parser.feed(b"x" * 65536))
        assert len(parser._held) < 16


def test_media_types() -> None:
    """Parameters with and without quotes, in any case."""
    assert parse_media('Multipart/Related; TYPE="application/dicom"; boundary=a-b') == (
        "multipart/related",
        {"type": "application/dicom", "boundary": "a-b"},
    )
    assert boundary_of('multipart/related; boundary="x;y"') == "x;y"
    with pytest.raises(Unreadable):
        boundary_of("application/dicom")
