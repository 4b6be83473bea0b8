"""Ink is told from a highlighter's marks, and from paper that is as bright as it is."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime import Classifier, Prediction, to_gray
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.ink import extract_ink
from tests.composed_pages import BLUE, BLUE_LINE, CREAM, RED, YELLOW, Lines, Look, compose, judge

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
SIDE, WHITE, BLACK = 240, (240, 240, 236), (45, 42, 40)
# Of a highlighter on white paper, as a camera sees it; BGR.
MARKS = {
    "yellow": (85, 235, 235),
    "pink": (180, 112, 235),
    "green": (112, 230, 122),
    "blue": (230, 188, 103),
    "orange": (75, 160, 235),
}
# Ink and paper that are equally bright.
PAIRS = {
    "red on green": ((30, 48, 220), (80, 125, 50)),
    "red on blue": ((40, 44, 215), (160, 100, 60)),
    "orange on grey": ((31, 128, 238), (150, 150, 150)),
}


def photograph(tile: Image, ink: Colour, paper: Colour, mark: Colour | None = None) -> Image:
    """Photograph a letter, and a highlighter's broad stroke across its middle."""
    rng = np.random.default_rng(0)
    cover = cv2.resize(extract_ink(tile), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    cover = cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), 2)[:, :, None]
    picture = np.full((SIDE, SIDE, 3), paper, np.float32)
    if mark is not None:
        picture[70:170, 20:220] = mark
    picture += (np.float32(ink) - picture) * cover
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + rng.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def count(told: list[Prediction], clean: list[Prediction]) -> tuple[int, int]:
    """How many are answered as the clean letter is read, and how many otherwise."""
    right = [p.label == other.label for p, other in zip(told, clean, strict=True)]
    answered = [p.accepted for p in told]
    as_clean = int(np.sum(np.logical_and(answered, right)))
    return as_clean, sum(answered) - as_clean


@pytest.fixture(scope="module")
def clean(tiles: list[Image], classifier: Classifier) -> list[Prediction]:
    return classifier.classify_batch([photograph(tile, BLACK, WHITE) for tile in tiles])


@pytest.mark.parametrize("mark", list(MARKS))
def test_a_highlighters_mark_is_paper(
    mark: str, tiles: list[Image], clean: list[Prediction], classifier: Classifier
) -> None:
    shown = [photograph(tile, BLACK, WHITE, MARKS[mark]) for tile in tiles]
    right, wrong = count(classifier.classify_batch(shown), clean)
    assert right >= sum(p.accepted for p in clean) - 2
    assert wrong == 0
    if mark == "pink":  # by brightness alone hardly any letter is read
        right, wrong = count(classifier.classify_batch([to_gray(image) for image in shown]), clean)
        assert right < 0.5 * len(tiles)


@pytest.mark.parametrize("pen", ["pink", "orange", "blue"])
def test_a_bright_pen_beside_dark_print_is_ink(pen: str, tiles: list[Image]) -> None:
    """Its strokes are broader than those of a thin frame, and none of that lies on them."""
    for tile in tiles:
        shown = photograph(tile, MARKS[pen], WHITE)
        cv2.rectangle(shown, (4, 4), (SIDE - 5, SIDE - 5), BLACK, 2)
        np.testing.assert_array_equal(gray_of_ink(shown), to_gray(shown))


@pytest.mark.parametrize("pair", list(PAIRS))
def test_ink_as_bright_as_its_paper(
    pair: str, tiles: list[Image], clean: list[Prediction], classifier: Classifier
) -> None:
    shown = [photograph(tile, *PAIRS[pair]) for tile in tiles]
    right, wrong = count(classifier.classify_batch(shown), clean)
    assert right >= 0.85 * sum(p.accepted for p in clean)
    assert wrong <= 1
    assert count(classifier.classify_batch([to_gray(image) for image in shown]), clean)[0] <= 2


@pytest.mark.parametrize("ink", [BLACK, BLUE, RED], ids=["black", "blue", "red"])
@pytest.mark.parametrize("paper", [WHITE, CREAM, YELLOW], ids=["white", "cream", "yellow"])
def test_ordinary_ink_is_as_dark_as_it_was(ink: Colour, paper: Colour, tiles: list[Image]) -> None:
    for tile in tiles:
        image = photograph(tile, ink, paper)
        assert np.array_equal(gray_of_ink(image), to_gray(image))


@pytest.mark.parametrize("ink", [BLACK, BLUE, (40, 120, 240)], ids=["black", "blue", "orange"])
def test_a_bright_pen_is_no_highlighter(ink: Colour, tiles: list[Image]) -> None:
    """Letters of two colours, equally thick: neither is a mark."""
    for tile, other in itertools.pairwise(tiles):
        image = np.hstack([photograph(tile, ink, WHITE), photograph(other, BLACK, WHITE)])
        assert np.array_equal(gray_of_ink(image), to_gray(image))


def test_forms_of_an_image(tiles: list[Image], classifier: Classifier) -> None:
    image = photograph(tiles[0], BLACK, WHITE, MARKS["pink"])
    told = classifier.classify(image)
    assert told.accepted
    assert classifier.classify(image[:, :, ::-1], color="rgb") == told
    opaque = np.full((SIDE, SIDE, 1), 255, np.uint8)
    assert classifier.classify(np.concatenate([image, opaque], axis=2)) == told
    assert classifier.classify_batch([image, image]) == [told, told]


@pytest.mark.parametrize("noise", [3, 12, 25])
def test_coloured_noise_is_no_ink(noise: float, classifier: Classifier) -> None:
    paper = np.random.default_rng(0).normal(200, noise, (SIDE, SIDE, 3))
    shown = np.clip(paper, 0, 255).astype(np.uint8)
    assert not classifier.classify(shown).accepted
    assert np.array_equal(gray_of_ink(shown), to_gray(shown))


@pytest.mark.parametrize(("lines", "mark"), [("none", "pink"), ("none", "blue"), ("ruled", "blue")])
def test_marked_lines_of_a_page(
    lines: Lines, mark: str, tiles: list[Image], classifier: Classifier
) -> None:
    page = compose(tiles, Look(lines=lines, line=BLUE_LINE), seed=1)
    image = page.image.astype(np.float32)
    for row in set(page.lines):
        boxes = [box for box, line in zip(page.boxes, page.lines, strict=True) if line == row]
        middle = round(np.mean([box.top + box.height / 2 for box in boxes]))
        image[middle - 25 : middle + 25, 80:620] *= np.float32(MARKS[mark]) / 240
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    truth = [labels[letter] for letter in page.letters]
    shown = np.clip(image, 0, 255).astype(np.uint8)
    marked = judge(page, truth, classifier.read(shown))
    bare = judge(page, truth, classifier.read(page.image))
    assert marked.read >= bare.read - 3
    assert marked.false <= bare.false + 1
    assert judge(page, truth, classifier.read(to_gray(shown))).read < marked.read


def test_a_sheet_as_bright_as_its_ink(tiles: list[Image], classifier: Classifier) -> None:
    page = compose(tiles, Look(paper=(150, 150, 150), ink=(40, 120, 225)))
    labels = [prediction.label for prediction in classifier.classify_batch(tiles)]
    truth = [labels[letter] for letter in page.letters]
    assert judge(page, truth, classifier.read(page.image)).read >= 0.85 * len(truth)
