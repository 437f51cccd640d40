"""What is read and typed by people: armor, keys in Bech32, words, passphrases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huisclos.errors import TooLarge, Unreadable, Usage
from huisclos.seal import (
    WORDS,
    armor,
    bech32,
    bytes_of,
    dearmor,
    generate_passphrase,
    tidy_passphrase,
    words_of,
)


@given(st.binary(max_size=300))
def test_armor(sealed: bytes) -> None:
    """Armored bytes come back; blanks around them and CR LF do no harm."""
    text = armor(sealed)
    assert dearmor(text) == dearmor(text.encode()) == sealed
    assert dearmor("\n \t" + text.replace("\n", "\r\n") + "\n\n") == sealed
    assert all(len(line) <= 64 for line in text.splitlines())


@given(st.binary(max_size=150), st.data())
def test_armor_keeps_its_spelling(sealed: bytes, data: st.DataObject) -> None:
    """Whatever changed armor is still accepted would be armored to the same text again."""
    text = list(armor(sealed))
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from("\n \r=A-b/é"))
    changed = "".join(text)
    try:
        opened = dearmor(changed)
    except Unreadable:
        return
    assert armor(opened) == changed.replace("\r\n", "\n").strip() + "\n"


@given(st.binary(max_size=80), st.sampled_from(["age", "age-secret-key-", "1x1"]))
def test_bech32(data: bytes, prefix: str) -> None:
    """Any bytes come back from their text, in either case, never in mixed case."""
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    assert bech32.decode(text.upper()) == (prefix.upper(), data)
    with pytest.raises(Unreadable):
        bech32.decode(text[:-1].upper() + text[-1].lower() + "q")


@given(st.text(st.sampled_from("age1qpzry9x8Q~é "), max_size=40))
def test_bech32_keeps_its_spelling(text: str) -> None:
    """Whatever is accepted is encoded again to the same text."""
    try:
        prefix, data = bech32.decode(text)
    except Unreadable:
        return
    assert bech32.encode(prefix.lower(), data) == text.lower()


def test_bech32_published_examples() -> None:
    """The valid and invalid strings that BIP 173 lists, where they hold for any length."""
    prefix, data = bech32.decode("A12UEL5L")
    assert (prefix, data) == ("A", b"")
    age = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
    assert bech32.encode(*bech32.decode(age)) == age
    for wrong in (
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
    ):
        with pytest.raises(Unreadable):
            bech32.decode(wrong)
    with pytest.raises(TooLarge):
        bech32.decode("a1" + "q" * 9000)


def test_the_word_list() -> None:
    """2,048 words of five letters, sorted, any two of which differ in at least two letters."""
    assert len(set(WORDS)) == 2048 == len(WORDS)
    assert list(WORDS) == sorted(WORDS)
    assert all(len(word) == 5 and word.isascii() and word.isalpha() for word in WORDS)
    gaps = {word[:at] + "." + word[at + 1 :] for word in WORDS for at in range(5)}
    assert len(gaps) == 5 * 2048


def test_the_word_list_never_changes() -> None:
    """Printed cards outlive programs: these words stand for these bytes for ever."""
    assert words_of(bytes(range(32))) == FIXED
    assert bytes_of(FIXED) == bytes(range(32))


FIXED = (
    "badag bodij muzir bodij juxuf bavut duzij fakin botax kuzad javop dumur bajor nofan jozif "
    "nalar dimub sogot binos gibol sagup bupuz mivod zabov kitot"
)


@given(st.binary(max_size=70))
def test_words(data: bytes) -> None:
    """Any bytes come back from their words, however these are capitalised and parted."""
    text = words_of(data)
    assert bytes_of(text) == data
    assert bytes_of("\n" + text.upper().replace(" ", "-")) == data
    assert len(text.split()) == -(-(8 * len(data) + 1) // 11) + 1


@given(st.lists(st.sampled_from(WORDS), max_size=5))
def test_words_keep_their_spelling(words: list[str]) -> None:
    """Whatever words are accepted are the words of the bytes they gave."""
    try:
        data = bytes_of(" ".join(words))
    except Unreadable:
        return
    assert words_of(data) == " ".join(words)


def test_mistyped_words_are_found() -> None:
    """A wrong letter is located; a word left out or two exchanged are noticed; none is repeated aloud."""
    words = words_of(bytes(range(32))).split()
    wrong = [*words[:4], words[4][:-1] + "y", *words[5:]]
    with pytest.raises(Unreadable, match="word 5") as caught:
        bytes_of(" ".join(wrong))
    assert not any(word in str(caught.value) for word in wrong)
    for moved in (words[1:], words[:-1], [words[1], words[0], *words[2:]], [], words[:1]):
        with pytest.raises(Unreadable):
            bytes_of(" ".join(moved))
    with pytest.raises(TooLarge):
        words_of(bytes(1025))
    with pytest.raises(TooLarge):
        bytes_of("babab " * 2000)


def test_passphrases() -> None:
    """Seven words of the list by default, never fewer than six, never the same twice."""
    made = {generate_passphrase() for _ in range(50)}
    assert len(made) == 50
    assert all(len(text.split("-")) == 7 and set(text.split("-")) <= set(WORDS) for text in made)
    assert len(generate_passphrase(words=9).split("-")) == 9
    with pytest.raises(Usage):
        generate_passphrase(words=5)


def test_tidy_passphrase() -> None:
    """A generated passphrase may be typed loosely; anybody's own is left as it is."""
    made = generate_passphrase()
    assert tidy_passphrase(" " + made.upper().replace("-", "  ")) == made
    assert tidy_passphrase("My own  Passphrase ") == "My own  Passphrase "
    assert tidy_passphrase("") == ""
