"""Slanted guide lines of exercise paper fall away; letters that they cross stay."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hcr_runtime import find_glyphs
from hcr_runtime.guide_lines import erase_guides
from hcr_runtime.image import to_gray
from hcr_runtime.paper import lift_page
from tests.composed_pages import (
    BLACK,
    BLACK_LINE,
    BLUE_LINE,
    CREAM,
    PENCIL,
    Look,
    Score,
    compose,
)

GREY, PALE = (200, 200, 200), (215, 212, 208)
LOOKS = {
    "blue": Look(lines="slanted", line=BLUE_LINE),
    "grey": Look(lines="slanted", line=GREY, ink=BLACK),
    "pencil": Look(lines="slanted", line=PALE, ink=PENCIL),
    "turned": Look(lines="slanted", line=BLUE_LINE, skew=9),
    "aslant": Look(lines="slanted", line=BLUE_LINE, tilt=25, desk="dark"),
    "curled": Look(lines="slanted", line=BLUE_LINE, curl=0.03),
    "alone": Look(lines="guides", line=BLUE_LINE, paper=CREAM),
    "alone, pencil": Look(lines="guides", line=PALE, ink=PENCIL, skew=-5),
    "shadow": Look(lines="guides", line=BLUE_LINE, shadow=0.5, edge=True, quality=40),
}


@pytest.mark.parametrize("name", LOOKS)
def test_letters_are_read_between_slanted_lines(name: str, read_look: Callable[..., Score]) -> None:
    score = read_look(LOOKS[name])
    assert score.found >= 0.9 * score.letters
    assert score.read >= 0.85 * score.letters
    assert score.false <= 2


@pytest.mark.parametrize("name", ["blue", "grey", "curled", "alone", "shadow"])
def test_an_empty_sheet_has_crumbs_at_most(name: str) -> None:
    glyphs = find_glyphs(compose([], LOOKS[name], seed=2).image)
    assert len(glyphs) <= 1
    assert all(max(glyph.box.width, glyph.box.height) < 10 for glyph in glyphs)


@pytest.mark.parametrize("skew", [-20, 12, 25, 35])
@pytest.mark.parametrize("lines", ["squared", "table"])
def test_lines_of_turned_squares_are_none(lines: str, skew: int) -> None:
    page = compose([], Look(lines=lines, line=BLACK_LINE, skew=skew), seed=3)
    darkness, mask = lift_page(to_gray(page.image))
    before = mask.copy()
    assert erase_guides(darkness, mask) is None
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("wide", [30, 60])
def test_strokes_that_lean_are_none(wide: int) -> None:
    """Nor where those of each row go on with those of the row above."""
    mask = np.zeros((900, 1200), np.uint8)
    for row in range(9):
        for x in range(80, 1100, wide):
            left = x - 50 * row % wide
            cv2.line(mask, (left + 22, 60 + 90 * row), (left, 100 + 90 * row), 255, 4)
    darkness = mask // 2
    assert erase_guides(darkness, mask) is None
