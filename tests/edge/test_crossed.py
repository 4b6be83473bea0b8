"""Letters that are crossed out."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hcr_edge.crossed import KINDS, TRAINED, can_be_crossed, cross_out, cross_out_some
from hcr_edge.datasets import Dataset
from hcr_edge.errors import RecipeError
from hcr_edge.labels import DIGITS, LATIN_CAPITALS
from hcr_runtime.image import to_gray
from hcr_runtime.ink import lift_ink


@pytest.fixture(scope="module")
def letters(ahcd: Callable[[str], Dataset]) -> Dataset:
    return ahcd("test").limit(280)


@pytest.fixture(scope="module")
def inks(letters: Dataset) -> list[np.ndarray]:
    return [lift_ink(to_gray(image)) for image in letters.images]


@pytest.mark.parametrize("kind", KINDS)
def test_the_letter_stays_and_ink_joins_it(kind: str, inks: list[np.ndarray]) -> None:
    joined = 0
    for number, ink in enumerate(inks):
        crossed = cross_out(ink, kind, np.random.default_rng(number))
        assert crossed.dtype == np.uint8
        assert all(new >= old for new, old in zip(crossed.shape, ink.shape, strict=True))
        assert int(crossed.max()) <= int(ink.max()), "no darker than the letter's pen"
        # The frame grows on all four sides alike, so that the letter stays in its middle.
        sides = [(new - old) // 2 for new, old in zip(crossed.shape, ink.shape, strict=True)]
        before = np.pad(ink, [(side, side) for side in sides])
        assert (crossed >= before).all()
        most = int(ink.max())
        _, pieces = cv2.connectedComponents((crossed > most // 3).astype(np.uint8))
        added = (crossed > most // 3) & (before < most // 5)
        assert added.any()
        joined += bool(np.isin(pieces[added], pieces[before > most // 3]).any())
    assert joined >= 0.95 * len(inks), "a crossing-out meets what it crosses out"


def test_the_seed_decides(inks: list[np.ndarray]) -> None:
    for kind in KINDS:
        first, again = (cross_out(inks[0], kind, np.random.default_rng(4)) for _ in range(2))
        other = cross_out(inks[0], kind, np.random.default_rng(5))
        np.testing.assert_array_equal(first, again)
        assert first.shape != other.shape or (first != other).any()


def test_one_kind_only_measures() -> None:
    assert set(KINDS) - set(TRAINED) == {"hatch"}


def test_paper_stays_paper() -> None:
    blank = np.zeros((20, 30), np.uint8)
    assert cross_out(blank, "cross", np.random.default_rng(0)) is blank


def test_unknown_kind(inks: list[np.ndarray]) -> None:
    with pytest.raises(RecipeError, match="'tear'") as caught:
        cross_out(inks[0], "tear", np.random.default_rng(0))
    assert "zigzag" in caught.value.allowed


def test_what_a_stroke_turns_into_another_letter_is_not_crossed_out() -> None:
    able = "".join(label.text for label in LATIN_CAPITALS if can_be_crossed(label))
    assert able == "BDKMNRSW"
    assert not any(can_be_crossed(label) for label in DIGITS), "a barred 7 is a 7"


def test_some_of_a_data_set(letters: Dataset) -> None:
    drawn, again = (cross_out_some(letters, 5, seed=3) for _ in range(2))
    assert list(drawn) == list(KINDS)
    for kind, images in drawn.items():
        assert len(images) == 5
        assert all(image[0, 0] == 255 for image in images), "dark on white"
        for image, same in zip(images, again[kind], strict=True):
            np.testing.assert_array_equal(image, same)
    alefs = letters.take(np.flatnonzero(letters.labels == 0), "test")
    assert cross_out_some(alefs, 5) == {}
