"""Letters that typefaces write: forms that data sets lack."""

from __future__ import annotations

import string

import cv2
import numpy as np
import pytest

from hcr_edge.label_maps import find_label_map
from hcr_edge.labels import ARABIC_LETTERS, PERSIAN_DIGITS
from hcr_edge.typefaces import Typefaces

TEXTS = [label.text for label in ARABIC_LETTERS]


@pytest.fixture(scope="module")
def typefaces() -> Typefaces:
    return Typefaces(TEXTS)


def _parts(ink: np.ndarray) -> int:
    return cv2.connectedComponents((ink > 100).astype(np.uint8))[0] - 1


def test_every_letter_and_its_variants_are_written(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    labels = {form: typefaces.write(form, rng)[1] for form in typefaces.forms}
    assert set(labels.values()) == set(range(28))
    variants = {form: TEXTS[label] for form, label in labels.items() if form != TEXTS[label]}
    assert variants == {"أ": "ا", "إ": "ا", "آ": "ا", "ک": "ك", "ه\u200d": "ه", "ى": "ي"}


def test_all_writings_hold_ink_away_from_the_border(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    for form in typefaces.forms:
        for _ in range(40):
            ink, _label = typefaces.write(form, rng)
            assert ink.shape == (96, 96)
            assert ink.max() > 100, form
            assert not ink[[0, -1]].any(), form
            assert not ink[:, [0, -1]].any(), form


@pytest.mark.parametrize(("form", "bare"), [("ن", "و"), ("ز", "ر"), ("ذ", "د"), ("إ", "ا")])
def test_dots_are_not_lost(typefaces: Typefaces, form: str, bare: str) -> None:
    """The thinning of a square dot may leave nothing; a heavy pen may join it to the stroke."""
    rng = np.random.default_rng(0)
    dotted = [_parts(typefaces.write(form, rng)[0]) for _ in range(200)]
    plain = [_parts(typefaces.write(bare, rng)[0]) for _ in range(200)]
    assert np.mean(dotted) > 1.7
    assert np.mean(plain) == 1


def test_pens_are_of_many_widths(typefaces: Typefaces) -> None:
    rng = np.random.default_rng(0)
    ink = [int((typefaces.write("ا", rng)[0] > 100).sum()) for _ in range(100)]
    assert max(ink) > 3 * min(ink)


def test_small_letters_count_as_capitals_where_labels_do() -> None:
    capitals = Typefaces([*string.ascii_uppercase])
    rng = np.random.default_rng(0)
    labels = {form: capitals.write(form, rng)[1] for form in capitals.forms}
    assert [labels[form] for form in string.ascii_uppercase] == list(range(26))
    assert [labels[form] for form in string.ascii_lowercase] == list(range(26))
    both = Typefaces([*string.ascii_letters])
    assert both.write("b", rng)[1] == string.ascii_letters.index("b")
    merged = find_label_map("emnist-merged").classes
    texts = [label.text for label in merged]
    assert texts[Typefaces(texts).write("c", rng)[1]] == "C"
    assert texts[Typefaces(texts).write("b", rng)[1]] == "b"


def test_digits_have_no_typeface() -> None:
    assert Typefaces([label.text for label in PERSIAN_DIGITS]).forms == ()
