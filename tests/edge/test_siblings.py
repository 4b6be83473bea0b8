"""Letters written with another hand's stroke: still the letter that the label says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.parts import put_together, take_apart
from hcr_edge.pen import DOTS
from hcr_edge.siblings import FAMILIES, Siblings
from hcr_runtime import Classifier
from hcr_runtime.image import to_gray
from hcr_runtime.ink import lift_ink

Ink = np.ndarray


@pytest.fixture(scope="module")
def letters(ahcd: Callable[[str], Dataset]) -> tuple[list[Ink], list[str]]:
    data = ahcd("test").limit(1400)
    texts = [data.label_set[label].text for label in data.labels]
    return [lift_ink(to_gray(image)) for image in data.images], texts


@pytest.fixture(scope="module")
def siblings(letters: tuple[list[Ink], list[str]]) -> Siblings:
    return Siblings(*letters)


@pytest.mark.parametrize("family", [letters for letters in FAMILIES if letters[0] > "\u0600"])
def test_it_is_written_otherwise_and_read_alike(
    family: str, siblings: Siblings, letters: tuple[list[Ink], list[str]]
) -> None:
    _check_family(family, siblings, *letters, "arabic-letters")


@pytest.mark.parametrize("family", ["ЕЁ", "ИЙ"])
def test_so_do_russian_letters(family: str, data_dir: Path) -> None:
    assert family in FAMILIES
    data = load_dataset("comnist-cyrillic", "test", data_dir=data_dir)
    texts = [data.label_set[label].text for label in data.labels]
    inks = [lift_ink(to_gray(image)) for image in data.images]
    _check_family(family, Siblings(inks, texts), inks, texts, "russian-letters")


def _check_family(
    family: str, siblings: Siblings, inks: list[Ink], texts: list[str], model: str
) -> None:
    rng = np.random.default_rng(0)
    chosen = [i for i, text in enumerate(texts) if text in family]
    written = [siblings.write(i, rng) for i in chosen]
    assert np.mean([ink is not inks[i] for i, ink in zip(chosen, written, strict=True)]) > 0.8
    predictions = Classifier.load(model).classify_batch([255 - ink for ink in written])
    right = [p.label == texts[i] for i, p in zip(chosen, predictions, strict=True)]
    assert np.mean(right) > 0.85


@pytest.mark.parametrize("letter", "دذرزصضعغت")
def test_it_has_the_letters_own_number_of_dots(
    letter: str, siblings: Siblings, letters: tuple[list[Ink], list[str]]
) -> None:
    rng = np.random.default_rng(0)
    most = 0 if letter in "درصع" else DOTS.get(letter, 1)
    for i in [i for i, text in enumerate(letters[1]) if text == letter]:
        written = siblings.write(i, rng)
        if written is not letters[0][i]:
            assert min(most, 1) <= take_apart(written).count <= most


def test_a_letter_without_siblings_stays(
    siblings: Siblings, letters: tuple[list[Ink], list[str]]
) -> None:
    rng = np.random.default_rng(0)
    for letter in "امهوقفنكلي":
        i = letters[1].index(letter)
        assert siblings.write(i, rng) is letters[0][i]


def test_without_the_family_in_the_set_a_letter_stays(
    letters: tuple[list[Ink], list[str]],
) -> None:
    kept = [(ink, text) for ink, text in zip(*letters, strict=True) if text not in "ذ"]
    inks, texts = map(list, zip(*kept, strict=True))
    i = texts.index("د")
    assert Siblings(inks, texts).write(i, np.random.default_rng(0)) is inks[i]


def test_the_seed_decides(siblings: Siblings, letters: tuple[list[Ink], list[str]]) -> None:
    i = letters[1].index("ذ")
    first, again = (siblings.write(i, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_parts_that_are_put_together_again_are_the_letter(
    letters: tuple[list[Ink], list[str]],
) -> None:
    seen = 0
    for ink, text in zip(*letters, strict=True):
        parts = take_apart(ink)
        if text != "ذ" or parts.dots is None:
            continue
        again = put_together(parts.stroke, parts.dots, parts.middle)
        assert int(again.sum()) == int(ink.sum())
        assert take_apart(again).count == parts.count
        seen += 1
    assert seen > 20


def test_a_stroke_that_may_still_have_a_dot_on_it_is_not_lent() -> None:
    letter = np.zeros((40, 40), np.uint8)
    letter[12:34, 10:13] = letter[12:15, 10:28] = letter[22:25, 10:26] = letter[31:34, 10:28] = 255
    dotted = letter.copy()
    dotted[6:9, 12:15] = 255
    dotted[6:12, 22:25] = 255  # runs into the stroke
    siblings = Siblings([letter, dotted], ["Е", "Ё"])
    rng = np.random.default_rng(0)
    written = [siblings.write(0, rng) for _ in range(20)]
    assert not any(ink[:12].any() for ink in written)
    assert take_apart(siblings.write(1, rng)).count == 1, "its own dots it may have"


def test_strokes_go_from_letter_to_letter() -> None:
    """An angle lends itself to the arc's letter, and the other way round; each keeps its dots."""
    angle, arc = np.zeros((2, 40, 40), np.uint8)
    angle[20:23, 8:30] = angle[20:34, 8:11] = 255
    arc[16:34, 24:27] = arc[31:34, 8:27] = 255
    dotted = arc.copy()
    dotted[8:11, 18:21] = 255
    siblings = Siblings([angle, dotted], ["د", "ذ"])
    rng = np.random.default_rng(0)
    plain = {siblings.write(0, rng).tobytes() for _ in range(30)}
    assert plain == {angle.tobytes(), arc.tobytes()}
    strokes = set()
    for _ in range(30):
        parts = take_apart(siblings.write(1, rng))
        assert parts.count == 1
        assert parts.middle[1] < parts.box[1], "above the stroke"
        strokes.add(parts.box[2:])
    assert strokes == {(22, 14), (19, 18)}


@pytest.mark.parametrize("wide", [20, 100])
def test_writing_of_other_resolutions(wide: int) -> None:
    """Long dots fit on a narrow image; on a stroke several times smaller they are not set."""
    small = np.zeros((32, 24), np.uint8)
    small[20:24, 4:20] = 255
    large = np.zeros((128, 2 * wide), np.uint8)
    large[70:80, 4 : 2 * wide - 4] = large[40:50, 10 : 10 + wide] = 255
    siblings = Siblings([small, large, large], ["د", "ذ", "ذ"])
    rng = np.random.default_rng(0)
    for i in range(3):
        for _ in range(20):
            assert siblings.write(i, rng).any()


def test_dots_wider_than_their_page() -> None:
    stroke = np.zeros((40, 20), np.uint8)
    stroke[20:30, 5:15] = 255
    dots = np.full((4, 70), 255, np.uint8)
    assert np.count_nonzero(put_together(stroke, dots, (10.0, 8.0))) == 100 + dots.size
