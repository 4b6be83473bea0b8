"""Letters of neighbouring alphabets, composed from real ones."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hcr_edge.datasets import Dataset
from hcr_edge.neighbours import COMPOSITIONS, Neighbours
from hcr_runtime.image import to_gray
from hcr_runtime.ink import lift_ink


@pytest.fixture(scope="module")
def inks(ahcd: Callable[[str], Dataset]) -> tuple[list[np.ndarray], list[str]]:
    data = ahcd("test").limit(1400)
    texts = [data.label_set[label].text for label in data.labels]
    return [lift_ink(to_gray(image)) for image in data.images], texts


@pytest.fixture(scope="module")
def neighbours(inks: tuple[list[np.ndarray], list[str]]) -> Neighbours:
    return Neighbours(*inks)


def _parts(ink: np.ndarray) -> list[tuple[int, int, int]]:
    """(area, top, bottom) of each component, the largest first."""
    mask = (ink > ink.max() // 5).astype(np.uint8)
    stats = cv2.connectedComponentsWithStats(mask)[2][1:]
    return sorted(((int(a), int(y), int(y + h)) for _, y, _, h, a in stats), reverse=True)


def test_what_the_labels_lack_is_composed(neighbours: Neighbours) -> None:
    assert neighbours.letters == tuple(COMPOSITIONS) == ("پ", "چ", "ژ")


@pytest.mark.parametrize(("letter", "above"), [("پ", False), ("ژ", True)])
def test_dots_go_where_the_letter_has_them(
    neighbours: Neighbours, letter: str, above: bool
) -> None:
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(50):
        (_, top, bottom), *dots = _parts(neighbours.draw(letter, rng))
        middle = (top + bottom) / 2
        right += any(((y + end) / 2 < middle) == above for _, y, end in dots)
    assert right >= 45, "in some they touch the stroke"


def test_it_is_the_stroke_with_more_ink(
    neighbours: Neighbours, inks: tuple[list[np.ndarray], list[str]]
) -> None:
    """Three dots for one, though in 32 pixels they often run into each other."""
    jeem = [len(_parts(ink)) for ink, text in zip(*inks, strict=True) if text == "ج"]
    rng = np.random.default_rng(0)
    composed = [len(_parts(neighbours.draw("چ", rng))) for _ in range(len(jeem))]
    assert np.mean(composed) > np.mean(jeem) + 0.3


def test_the_seed_decides(neighbours: Neighbours) -> None:
    first, again, other = (neighbours.draw("پ", np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()
    assert first.dtype == np.uint8


@pytest.mark.parametrize("missing", ["ث", "ب"])
def test_without_its_parts_nothing_is_composed(
    inks: tuple[list[np.ndarray], list[str]], missing: str
) -> None:
    kept = [(ink, text) for ink, text in zip(*inks, strict=True) if text != missing]
    found = Neighbours(*map(list, zip(*kept, strict=True))).letters
    assert found == (() if missing == "ث" else ("چ", "ژ"))


def test_a_letter_that_is_known_is_no_neighbour(
    inks: tuple[list[np.ndarray], list[str]],
) -> None:
    images, texts = inks
    known = Neighbours([*images, images[0]], [*texts, "پ"])
    assert known.letters == ("چ", "ژ")
