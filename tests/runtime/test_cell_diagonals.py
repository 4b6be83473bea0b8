"""Diagonals of printed boxes are no glyphs; letters that lie on them stay."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime.cell_diagonals import erase_diagonals
from hcr_runtime.rulings import Ruling
from tests.composed_pages import BLACK, Look, Score

Image = NDArray[np.uint8]
PINK, GREEN = (150, 150, 215), (150, 190, 150)

LOOKS = {
    "as scanned": Look(lines="diagonals", line=PINK),
    "turned": Look(lines="diagonals", line=GREEN, skew=3, height=90),
    "large": Look(lines="diagonals", line=PINK, height=130, ink=BLACK),
    "blurred, shadow": Look(lines="diagonals", line=GREEN, height=100, shadow=0.4, blur=1.0),
}


@pytest.mark.parametrize("name", LOOKS)
def test_diagonals_are_no_letters(name: str, read_look: Callable[..., Score]) -> None:
    score = read_look(LOOKS[name])
    assert score.found >= 0.95 * score.letters
    assert score.read >= 0.8 * score.letters
    assert score.false <= 1


def squares(pitch: int = 40) -> tuple[Image, list[Ruling]]:
    """Return an empty page of 400 pixels a side, and its lines either way."""
    lines = [Ruling(0, np.full(400, at, np.float32), 2) for at in range(40, 380, pitch)]
    return np.zeros((400, 400), np.uint8), lines


@pytest.mark.parametrize("missing", [(), (3,), (2, 3)])
def test_lines_that_were_not_found_are_counted(missing: tuple[int, ...]) -> None:
    mask, lines = squares()
    for down in range(-320, 321, 80):
        cv2.line(mask, (40, 40 + down), (360, 360 + down), 255, 2)
    mask[:38] = mask[363:] = 0
    some = [line for number, line in enumerate(lines) if number not in missing]
    assert erase_diagonals(mask // 4, mask, np.zeros_like(mask), some, lines)
    assert not mask[:, 42:358][210:350].any()


@pytest.mark.parametrize("reach", [10, 13, 15, 16])
def test_letters_in_boxes_are_no_diagonals(reach: int) -> None:
    """Each box of a table holds an X, or a slash, from half to most of its size."""
    for ways in (((1, 1), (1, -1)), ((1, -1),)):
        mask, lines = squares()
        for x in range(60, 360, 40):
            for y in range(60, 360, 40):
                for dx, dy in ways:
                    ends = (x - reach * dx, y - reach * dy), (x + reach * dx, y + reach * dy)
                    cv2.line(mask, *ends, 255, 3)
        written = mask.copy()
        assert not erase_diagonals(mask // 2, mask, np.zeros_like(mask), lines, lines)
        assert np.array_equal(mask, written)


def test_a_few_lines_make_no_boxes() -> None:
    mask, lines = squares(110)
    written = cv2.line(mask, (40, 40), (370, 370), 255, 2).copy()
    assert not erase_diagonals(mask // 4, mask, np.zeros_like(mask), lines[:3], lines[:3])
    assert np.array_equal(mask, written)
