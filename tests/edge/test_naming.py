"""What people call their classes."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcr_edge.datasets.naming import LabelNames, at_home, named_labels, shown
from hcr_edge.errors import DataError
from hcr_edge.label_maps import find_label_map
from hcr_edge.labels import ARABIC_LETTERS, DIGITS, LATIN_CAPITALS, LATIN_SMALL, RUSSIAN_SMALL
from hcr_runtime import Label

BEH = 1


def test_label_names() -> None:
    names = LabelNames(ARABIC_LETTERS, ["beh"])
    assert [names(name) for name in ("beh", "U+0628", "u0628", "0x628", "ب", "1", "01", "١")] == [
        BEH
    ] * 8
    # A transliteration is no name: it is not unique in every script.
    unknown = ("b", "", "²", "-1", "1.0", "28", "U+0629", "U+FFFFFF", "U+D800", "9" * 5000)
    assert [names(name) for name in unknown] == [None] * len(unknown)


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        ([str(n) for n in range(28)], False),
        ([str(n) for n in range(1, 29)], True),  # AHCD's own numbers
        ([f"{n:02d}" for n in range(1, 29)], True),
        (["1", "2", "3"], True),  # nothing but a count from 1
        (["3", "7", "28"], True),  # one past the last surely is
        (["3", "7"], False),
        (["1"], False),
        (["1", "2", "beh"], False),  # a mixture is no count
        (["0", "28"], False),  # beyond: reported as unknown, not taken for a count
    ],
)
def test_numbers_are_understood_together(names: list[str], refused: bool) -> None:
    if refused:
        with pytest.raises(DataError, match="are numbered from") as caught:
            LabelNames(ARABIC_LETTERS, names)
        assert caught.value.allowed == "indices 0 to 27"
    else:
        LabelNames(ARABIC_LETTERS, names)


def test_characters_that_count_as_one() -> None:
    """Of a label map: by text, code point and name; an index still means a class."""
    chosen = find_label_map("arabic-letters")
    names = LabelNames(chosen.classes, ["أ"], chosen.fold)
    found = {name: names(name) for name in ("أ", "U+0622", "alef with hamza below", "ى", "ک", "ب")}
    assert found == {
        "أ": 0,
        "U+0622": 0,
        "alef with hamza below": 0,
        "ى": 27,
        "ک": 21,
        "ب": BEH,
    }
    assert names("27") == 27
    assert names("28") is None
    assert LabelNames(chosen.classes, ["أ"])("أ") is None
    # What a model has a class of its own for is not folded away.
    own = (*chosen.classes, Label("أ", "alef with hamza above"))
    assert LabelNames(own, ["أ"], chosen.fold)("أ") == 28


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["teh", "U+0628", "lam-alef"], "ب ت lam-alef"),
        (["b", "B", "a"], "B a b"),  # capitals first, as everywhere
        (["ё", "я", "а"], "а ё я"),
        (["beh", "ب", "U+0628", "BEH"], "ب"),
        (["9", "0"], "0 9"),
        (["۴", "٤", "4"], "۴ 4 ٤"),  # of three scripts
        (["e\u0301", "é"], "é"),
        (["U+D800"], "U+D800"),  # half a character: a name, then
        (["U+0007"], "U+0007"),
        (["two words"], "two words"),
        ([], ""),
    ],
)
def test_classes_of_their_own(names: list[str], texts: str) -> None:
    found = named_labels(names)
    assert " ".join(label.text for label in found) == texts
    assert found == named_labels(reversed(names))


@pytest.mark.parametrize("names", [["12"], ["1", "10"], ["٢٧"], ["9" * 5000]])
def test_numbers_alone_name_nothing(names: list[str]) -> None:
    with pytest.raises(DataError, match="nothing says of what") as caught:
        named_labels(names)
    assert "label map" in caught.value.hint


@pytest.mark.parametrize("name", ["", " ", "\t", "a\nb", "\x07", "a\udcff", "\u200b"])
def test_what_is_no_text_is_no_class(name: str) -> None:
    with pytest.raises(DataError, match="which is no text") as caught:
        named_labels(["a", name])
    str(caught.value).encode()  # may be printed anywhere


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_names_are_classes_or_an_error(names: list[str]) -> None:
    try:
        labels = named_labels(names)
    except DataError:
        return
    assert len({label.text for label in labels}) == len(labels) <= len(names)
    find = LabelNames(labels, []) if labels else None
    for name in names:
        assert find is not None
        found = find(name)
        # Whatever it is called, it is found again under its own name.
        assert found is not None or unicodedata.normalize("NFC", name) not in {
            label.text for label in labels
        }


def test_every_label_is_found_by_its_names() -> None:
    for labels in (ARABIC_LETTERS, LATIN_CAPITALS, LATIN_SMALL, RUSSIAN_SMALL, DIGITS):
        names = LabelNames(labels, [])
        for i, label in enumerate(labels):
            assert names(label.text) == names(label.codepoint) == i
            assert names(label.name) == names(label.name.upper()) == i


def test_names_that_are_no_text_can_be_shown() -> None:
    assert shown("beh") == "beh"
    shown("a\udcff\ud800").encode()


def test_nobodys_home() -> None:
    from pathlib import Path

    with pytest.raises(DataError, match="no home folder"):
        at_home(Path("~nobody-of-that-name/x"))
    assert at_home(Path("a/~b")) == Path("a/~b")
