"""Boxes to be checked are no glyphs; letters as round as O, or as square, are."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime.components import Components
from hcr_runtime.lone_boxes import erase_lone_boxes
from tests.composed_pages import BLACK_LINE, Look, Score

Image = NDArray[np.uint8]
GREY = (140, 140, 140)

LOOKS = {
    "as scanned": Look(lines="check boxes", line=BLACK_LINE),
    "grey": Look(lines="check boxes", line=GREY),
    "turned": Look(lines="check boxes", line=BLACK_LINE, skew=4),
    "aslant": Look(lines="check boxes", line=BLACK_LINE, tilt=25),
    "small": Look(lines="check boxes", line=BLACK_LINE, height=48),
    "most of them large enough for a form": Look(
        lines="check boxes", line=BLACK_LINE, height=82, skew=5
    ),
    "blurred, shadow": Look(lines="check boxes", line=BLACK_LINE, blur=1.5, shadow=0.4),
}


@pytest.mark.parametrize("name", LOOKS)
def test_boxes_to_be_checked_are_no_letters(name: str, read_look: Callable[..., Score]) -> None:
    score = read_look(LOOKS[name])
    assert score.found >= 0.95 * score.letters
    assert score.false == 0


def is_erased(shapes: Callable[[Image], object]) -> bool:
    mask = np.zeros((200, 400), np.uint8)
    shapes(mask)
    darkness = mask // 2
    return erase_lone_boxes(darkness, mask, Components(mask, darkness, np.zeros_like(mask)))


def polygon(page: Image, x: int, *points: tuple[int, int], closed: bool = True) -> None:
    corners = np.array([(x + 12 * dx, 100 + 12 * dy) for dx, dy in points], np.int32)
    cv2.polylines(page, [corners], closed, 255, 3)


@pytest.mark.parametrize(
    "shape",
    [
        lambda page, x: cv2.circle(page, (x, 100), 12, 255, 3),
        lambda page, x: cv2.ellipse(page, (x, 100), (10, 15), 20, 0, 360, 255, 3),
        lambda page, x: polygon(page, x, (0, -1), (1, 1), (-1, 1)),
        lambda page, x: polygon(page, x, (-1, 1), (-1, -1), (1, -1), (1, 1), closed=False),
        lambda page, x: polygon(page, x, (-1, 1), (0, -1), (2, -1), (1, 1)),
        lambda page, x: cv2.rectangle(page, (x - 12, 88), (x + 12, 112), 255, -1),
    ],
    ids=["O", "0", "triangle", "П", "aslant", "full"],
)
def test_shapes_that_are_no_boxes_stay(shape: Callable[[Image, int], object]) -> None:
    assert not is_erased(lambda page: [shape(page, x) for x in (50, 120, 190, 260, 330)])


def test_boxes_of_three_sizes_are_no_printed_ones() -> None:
    def boxes(page: Image, *sides: int) -> None:
        for left, side in zip((20, 100, 200), sides, strict=True):
            cv2.rectangle(page, (left, 50), (left + side, 50 + side), 255, 3)

    assert is_erased(lambda page: boxes(page, 30, 30, 30))
    assert not is_erased(lambda page: boxes(page, 20, 30, 44))
