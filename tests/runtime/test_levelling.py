"""Pages turned or seen aslant by more than rulings are followed: levelled, and boxes laid back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hcr_runtime import find_glyphs
from hcr_runtime.levelling import lay_level


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


@pytest.mark.parametrize("angle", [-18.0, 10.0, 15.0, 24.0])
@pytest.mark.parametrize("thickness", [2, 24], ids=["crease", "pen"])
def test_one_slanted_line_turns_no_level_page(angle: float, thickness: int) -> None:
    page = np.full((900, 1200), 245, np.uint8)
    for x in (250, 450, 900):
        page[100:145, x : x + 12] = 30
        page[700:745, x : x + 12] = 30
    alone = find_glyphs(page)
    drop = 600 * np.tan(np.radians(angle))
    ends = (0, round(420 + drop)), (1200, round(420 - drop))
    cv2.line(page, *ends, 170, thickness, cv2.LINE_AA)
    glyphs = find_glyphs(page)
    assert [(glyph.box, glyph.line) for glyph in glyphs] == [(g.box, g.line) for g in alone]
    for glyph, other in zip(glyphs, alone, strict=True):
        np.testing.assert_array_equal(glyph.crop, other.crop)


def test_a_ruled_sheet_is_levelled_on_a_dark_desk() -> None:
    page = ruled(10.0, squared=False)
    page[:70], page[-70:], page[:, :70], page[:, -70:] = 20, 20, 20, 20
    glyphs = find_glyphs(page)
    assert [glyph.line for glyph in glyphs] == [0, 0, 0]
    assert all(glyph.box.height < 60 for glyph in glyphs), "without its line"


@pytest.mark.parametrize("angle", [0.0, 1.5, 42.0])
def test_lines_that_are_level_or_too_steep_are_left(angle: float) -> None:
    mask = cv2.compare(ruled(angle, squared=False), 200, cv2.CMP_LT)
    assert lay_level(mask) is None


@pytest.mark.parametrize("aside", [(0.0, 0.0005), (0.00035, -0.0003), (-0.0004, 0.0)])
def test_a_squared_page_seen_from_aside_is_laid_flat(aside: tuple[float, float]) -> None:
    page = ruled(0.0, squared=True)
    middle = np.array([[1, 0, 600], [0, 1, 450], [0, 0, 1.0]])
    tilt = np.array([[0.8, 0, 0], [0, 0.8, 0], [*aside, 1.0]])
    seen_from = middle @ tilt @ np.linalg.inv(middle)
    photograph = cv2.warpPerspective(page, seen_from, (1200, 900), borderValue=245)
    view = lay_level(cv2.compare(photograph, 225, cv2.CMP_LT))
    assert view is not None
    # A line across the page is level again, one down it upright.
    onto = view.matrix @ seen_from
    for axis, ends in (
        (1, [(100.0, 450.0), (1100.0, 450.0)]),
        (0, [(600.0, 50.0), (600.0, 850.0)]),
    ):
        first, last = cv2.perspectiveTransform(np.array([ends]), onto)[0]
        assert abs(first[axis] - last[axis]) < 0.01 * np.hypot(*(last - first))
    glyphs = find_glyphs(photograph)
    assert len(glyphs) == 3
    for glyph in glyphs:
        box = glyph.box
        part = photograph[box.top : box.top + box.height, box.left : box.left + box.width]
        assert (part < 100).sum() > 0.3 * part.size
        rim = photograph[
            box.top - 4 : box.top + box.height + 4, box.left - 4 : box.left + box.width + 4
        ]
        assert (rim < 100).sum() == (part < 100).sum(), "all of the bar is in its box"


def test_long_slanted_strokes_are_no_lines_down_the_page() -> None:
    """Laid upright, a slash would be an alef."""
    page = np.full((1200, 1600), 235, np.uint8)
    for y in range(0, 1500, 150):
        cv2.line(page, (0, y), (1599, y - 170), 150, 2)
    for x in range(150, 1500, 140):
        for y in (330, 830):
            cv2.line(page, (x, y), (x + 90, y - 230), 40, 6, cv2.LINE_AA)
    glyphs = find_glyphs(page)
    assert len(glyphs) == 20
    for glyph in glyphs:
        _, _, width, height = cv2.boundingRect(cv2.compare(glyph.crop, 128, cv2.CMP_LT))
        assert 0.3 < width / height < 0.65


def test_what_crosses_letters_out_turns_no_page() -> None:
    page = np.full((1600, 1200), 235, np.uint8)
    for y in range(100, 1500, 160):
        for x in range(80, 1150, 70):
            page[y : y + 40, x : x + 8] = 50
    for y in (800, 850, 1200):
        cv2.line(page, (100, y), (1100, y - 120), 140, 2)
    glyphs = find_glyphs(page)
    assert len(glyphs) >= 130
    wide = [cv2.boundingRect(cv2.compare(g.crop, 128, cv2.CMP_LT))[2] for g in glyphs]
    assert np.median(wide) == 8
