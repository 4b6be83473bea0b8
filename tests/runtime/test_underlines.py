"""A line under a letter is no part of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier
from hcr_runtime.preprocess import prepare
from hcr_runtime.underlines import erase_underlines, underlines

Image = NDArray[np.uint8]


# Strokes of capital letters, in tenths of their height.
STROKES = {
    "A": [[(0, 10), (4, 0), (8, 10)], [(2, 6), (6, 6)]],
    "E": [[(6, 0), (0, 0), (0, 10), (6, 10)], [(0, 5), (5, 5)]],
    "F": [[(6, 0), (0, 0), (0, 10)], [(0, 5), (5, 5)]],
    "H": [[(0, 0), (0, 10)], [(7, 0), (7, 10)], [(0, 5), (7, 5)]],
    "K": [[(0, 0), (0, 10)], [(6, 0), (0, 6)], [(2, 4), (7, 10)]],
    "L": [[(0, 0), (0, 10), (6, 10)]],
    "M": [[(0, 10), (1, 0), (5, 7), (9, 0), (10, 10)]],
    "N": [[(0, 10), (0, 0), (7, 10), (7, 0)]],
    "T": [[(0, 0), (8, 0)], [(4, 0), (4, 10)]],
    "V": [[(0, 0), (4, 10), (8, 0)]],
    "X": [[(0, 0), (7, 10)], [(7, 0), (0, 10)]],
    "Z": [[(0, 0), (7, 0), (0, 10), (7, 10)]],
}


@pytest.fixture(scope="module")
def latin() -> Classifier:
    return Classifier.load("latin-letters")


@pytest.fixture(scope="module")
def capitals() -> list[Image]:
    """Return capital letters, 64 pixels a side."""
    drawn = []
    for strokes in STROKES.values():
        tile = np.full((256, 256), 255, np.uint8)
        for stroke in strokes:
            points = np.rint(15.2 * np.array(stroke) + (70, 50)).astype(np.int32)
            cv2.polylines(tile, [points], False, 0, 14, cv2.LINE_AA)
        drawn.append(cv2.resize(tile, (64, 64), interpolation=cv2.INTER_AREA).astype(np.uint8))
    return drawn


def underlined(tile: Image, times: int, beyond: int) -> Image:
    """Draw lines of seven pixels under a letter in a photograph of 320 pixels a side."""
    ink = cv2.resize(cv2.bitwise_not(tile), (190, 190), interpolation=cv2.INTER_CUBIC)
    page = cv2.copyMakeBorder(ink, 45, 85, 65, 65, cv2.BORDER_CONSTANT, value=0)
    left, top, width, height = cv2.boundingRect(np.uint8(page > 127))
    for number in range(times):
        y = top + height + 16 + 20 * number
        cv2.line(page, (left - beyond, y + 4), (left + width + beyond, y), 255, 7, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 3, page.shape)
    picture = cv2.GaussianBlur(225 - np.float32(0.7) * page, (0, 0), 1) + noise
    return np.clip(picture, 0, 255).astype(np.uint8)


def counts(tiles: list[Image], lines: tuple[int, int], model: Classifier) -> tuple[int, ...]:
    """Of underlined letters: answered rightly at first, read, answered, and wrongly so."""
    labels = [prediction.label for prediction in model.classify_batch(tiles)]
    shown = [underlined(tile, *lines) for tile in tiles]
    first, told = model.classify_glyphs(shown), model.classify_batch(shown)
    same = [p.label == label for p, label in zip(told, labels, strict=True)]
    wrong = sum(p.accepted and not right for p, right in zip(told, same, strict=True))
    before = sum(p.accepted and p.label == label for p, label in zip(first, labels, strict=True))
    assert told[:3] == [model.classify(image) for image in shown[:3]]
    return before, sum(same), sum(p.accepted for p in told), wrong


@pytest.mark.parametrize("lines", [(1, 60), (2, 12)])
def test_underlined_capitals_are_read(
    lines: tuple[int, int], capitals: list[Image], latin: Classifier
) -> None:
    assert [p.label for p in latin.classify_batch(capitals)] == list(STROKES)
    first, read, answered, wrong = counts(capitals, lines, latin)
    assert first <= 9, "else the line is no hindrance"
    assert read >= 11
    assert answered >= 9
    assert wrong == 0


def test_a_line_that_may_be_a_foot_gives_no_answer(
    capitals: list[Image], latin: Classifier
) -> None:
    """Short and near, it may be the foot of an E or a Z that is apart."""
    _, read, answered, wrong = counts(capitals, (1, 12), latin)
    assert read >= 11
    assert answered >= 5
    assert wrong == 0


FEET: dict[str, list[list[tuple[int, int]]]] = {
    "E": [[(130, 40), (60, 40), (60, 130)], [(60, 85), (115, 85)], [(52, 152), (138, 152)]],
    "Z": [[(60, 40), (140, 40), (70, 140)], [(52, 158), (148, 158)]],
    "L": [[(60, 40), (60, 140)], [(52, 158), (138, 158)]],
    "Д": [[(70, 140), (80, 50), (120, 50), (130, 140)], [(50, 155), (150, 155)]],
    "ث": [
        [(45, 100), (50, 122), (100, 126), (150, 122), (155, 98)],
        [(75, 80), (100, 45), (125, 80)],
    ],
}


@pytest.mark.parametrize("label", FEET)
def test_a_foot_that_is_apart_makes_no_other_letter(label: str) -> None:
    model = {"Д": "russian-letters", "ث": "arabic-letters"}.get(label, "latin-letters")
    reader = Classifier.load(model)
    for thickness in (7, 9, 11):
        page = np.full((200, 200), 235, np.uint8)
        for stroke in FEET[label]:
            cv2.polylines(page, [np.array(stroke)], False, 40, thickness, cv2.LINE_AA)
        told = reader.classify(cv2.GaussianBlur(page, (0, 0), 1))
        assert told.label == label or not told.accepted
        if label in "ZLث":  # read rightly with their feet
            assert told.accepted


def test_arabic_letters_underlined_twice_are_read(
    tiles: list[Image], classifier: Classifier
) -> None:
    first, read, answered, wrong = counts(tiles, (2, 12), classifier)
    assert first <= 21, "else the lines are no hindrance"
    assert read >= 26
    assert answered >= 23
    assert wrong <= 1


def test_plain_letters_are_not_underlined(tiles: list[Image], classifier: Classifier) -> None:
    for image in tiles:
        large = cv2.resize(image, (120, 120), interpolation=cv2.INTER_CUBIC)
        for each in (image, large):
            assert not prepare(each, classifier.spec, lines=True)[1].underlined


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([(20, 10, 30, 40, 400), (15, 58, 40, 6, 200)], [1]),
        ([(20, 10, 30, 40, 400), (15, 58, 40, 6, 200), (16, 70, 38, 6, 190)], [2, 1]),
        ([(20, 10, 30, 40, 400), (20, 58, 30, 6, 150)], []),  # the foot of an E that is apart
        ([(22, 10, 8, 8, 60), (34, 10, 8, 8, 60), (10, 30, 50, 12, 300)], []),  # a teh, flat
        ([(22, 10, 8, 28, 200), (10, 50, 50, 24, 300)], []),  # a bowl
        ([(20, 70, 30, 40, 400), (15, 58, 40, 6, 200)], []),  # a line above
        ([(15, 58, 40, 6, 200)], []),
        ([], []),
    ],
)
def test_underlines_are_told_from_feet_and_bowls(
    parts: list[tuple[int, ...]], found: list[int]
) -> None:
    assert underlines(parts, 5.0) == found


def test_a_line_is_erased_with_its_rim_and_the_letter_stays() -> None:
    letter = np.zeros((96, 96), np.uint8)
    cv2.line(letter, (48, 20), (48, 60), 255, 5)
    both = cv2.line(letter.copy(), (30, 70), (66, 70), 255, 4)
    blurred = cv2.GaussianBlur(both, (0, 0), 1)
    left = erase_underlines(blurred, both)
    assert left is not None
    assert left.darkness[66:].max() <= 1
    assert np.array_equal(left.darkness[:62], blurred[:62])
    assert erase_underlines(letter, letter) is None
