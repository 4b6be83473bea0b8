"""Pages that are turned by more than rulings are followed: levelled, and boxes laid back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hcr_runtime import find_glyphs
from hcr_runtime.turning import turn_level


def ruled(angle: float, squared: bool) -> np.ndarray:
    """Black bars between lines, turned about the middle by degrees."""
    page = np.full((900, 1200), 245, np.uint8)
    for y in range(-600, 1500, 60):
        cv2.line(page, (-600, y), (1800, y), 190, 2)
    for x in range(-600, 1800, 60) if squared else ():
        cv2.line(page, (x, -600), (x, 1500), 190, 2)
    # Lines cross the whole page after the turn, too: it is cut out of a larger one.
    wide = cv2.copyMakeBorder(page, 600, 600, 600, 600, cv2.BORDER_WRAP)
    for x in (300, 600, 900):
        wide[1000:1045, 600 + x : 612 + x] = 30
    matrix = cv2.getRotationMatrix2D((1200, 1050), angle, 1.0)
    return cv2.warpAffine(wide, matrix, wide.shape[::-1])[600:1500, 600:1800]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("angle", [-20.0, -9.0, 9.0, 14.0])
def test_bars_on_turned_lines_are_found_where_they_are(angle: float, squared: bool) -> None:
    page = ruled(angle, squared)
    glyphs = find_glyphs(page)
    assert len(glyphs) == 3
    assert {glyph.line for glyph in glyphs} == {0}, "their line is level once the page is"
    for glyph in glyphs:
        box = glyph.box
        inside = page[box.top : box.top + box.height, box.left : box.left + box.width] < 100
        # The box holds its bar, and ends where it ends.
        assert inside.sum() > 0.85 * 45 * 12
        columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
        assert box.width - (columns[-1] - columns[0]) <= 6
        assert box.height - (rows[-1] - rows[0]) <= 6


@pytest.mark.parametrize("angle", [0.0, 1.5, 28.0])
def test_lines_that_are_level_or_too_steep_are_left(angle: float) -> None:
    mask = cv2.compare(ruled(angle, squared=False), 200, cv2.CMP_LT)
    assert turn_level(mask) is None
