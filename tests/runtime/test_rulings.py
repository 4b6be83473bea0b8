"""`erase_rulings`: lines go, the strokes that cross them or stand on them stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcr_runtime.components import _places
from hcr_runtime.rulings import COVERAGE, STRIP, _covered, erase_rulings

Image = NDArray[np.uint8]


def inked(darkness: Image) -> Image:
    return cv2.compare(darkness, 20, cv2.CMP_GT)


@pytest.mark.parametrize("slope", [-0.08, 0.0, 0.05])
@pytest.mark.parametrize("level", [60, 200])  # lighter than the ink, and as dark
def test_strokes_that_cross_stay_whole(slope: float, level: int) -> None:
    darkness = np.zeros((400, 800), np.uint8)
    for y in (100, 200, 300):
        cv2.line(darkness, (0, round(y - 400 * slope)), (799, round(y + 400 * slope)), level, 2)
    letters = np.zeros_like(darkness)
    for x in range(100, 700, 80):
        cv2.line(letters, (x, 150), (x + 12, 250), 200, 6)
    darkness = np.maximum(darkness, letters)
    mask = inked(darkness)
    across, down, _ = erase_rulings(darkness, mask)
    assert (len(across), len(down)) == (3, 0)
    stats = cv2.connectedComponentsWithStats(mask)[2]
    strokes = stats[1:][stats[1:, cv2.CC_STAT_HEIGHT] > 90]
    assert len(strokes) == 8
    # Nothing of the lines is left that is as large as a stroke is thick.
    rest = stats[1:][stats[1:, cv2.CC_STAT_HEIGHT] <= 90]
    assert rest[:, cv2.CC_STAT_AREA].sum() < 0.02 * (letters > 0).sum()


def test_dotted_lines_and_bent_ones() -> None:
    darkness = np.zeros((500, 900), np.uint8)
    x = np.arange(20, 880)
    for y in (120, 260):
        bent = np.rint(y + 6 * np.sin(x / 300)).astype(int)
        dots = x % 6 < 4
        darkness[bent[dots], x[dots]] = darkness[bent[dots] + 1, x[dots]] = 90
    darkness[:, 450:452] = 90
    mask = inked(darkness)
    across, down, _ = erase_rulings(darkness, mask)
    assert (len(across), len(down)) == (2, 1)
    assert np.count_nonzero(mask) < 0.03 * 3 * 900


def test_long_strokes_of_letters_are_no_lines() -> None:
    darkness = np.zeros((720, 1280), np.uint8)
    for y in (100, 300, 500):
        for x in (100, 400, 700):
            cv2.ellipse(darkness, (x + 100, y), (110, 30), 0, 0, 180, 200, 9)
    mask = inked(darkness)
    before = mask.copy()
    assert erase_rulings(darkness, mask)[:2] == ([], [])
    assert (mask == before).all()


def test_smallest_masks() -> None:
    for shape in ((1, 1), (3, 40), (40, 3), (16, 16)):
        full = np.full(shape, 255, np.uint8)
        assert erase_rulings(full.copy(), full)[:2] == ([], [])


@given(
    st.integers(0, 70),
    st.integers(1, 70),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_sums_of_bytes_are_shares(
    height: int, width: int, share: float, turned: bool, seed: int
) -> None:
    """Of masks of every shape and layout: as a plain count of their pixels."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((height, width)) < share).astype(np.uint8) * 255
    mask = mask.T if turned else mask
    np.testing.assert_array_equal(_places(mask), np.flatnonzero(mask.ravel()))
    strips = len(mask) // STRIP
    bands = (mask[: strips * STRIP] > 0).reshape(strips, STRIP, mask.shape[1])
    plain = bands.mean(axis=1).T > COVERAGE
    np.testing.assert_array_equal(_covered(mask) > 0, plain)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("bend", ["bowed", "open book", "wavy"])
def test_lines_of_curled_paper_go(bend: str, squared: bool) -> None:
    along = np.linspace(0, 1, 1200)
    drop = {
        "bowed": 36 * np.sin(np.pi * along),
        "open book": 40 * np.exp(-8 * along) - 10 * along,
        "wavy": 9 * np.sin(2 * np.pi * along),
    }[bend]
    darkness = np.zeros((800, 1200), np.uint8)
    for y in range(60, 760, 60):
        points = np.stack([np.arange(1200), y + drop], axis=1).round().astype(np.int32)
        cv2.polylines(darkness, [points], False, 70, 2)
    for x in range(40, 1200, 60) if squared else ():
        cv2.line(darkness, (x, 0), (x, 799), 70, 2)
    letters = np.zeros_like(darkness)
    for row, y in enumerate(range(140, 600, 120)):
        for x in range(70 + 20 * row, 1150, 90):
            cv2.ellipse(letters, (x, y), (16, 24), 0, 30, 330, 200, 5)
    darkness = np.maximum(darkness, letters)
    mask = inked(darkness)
    across, down, _ = erase_rulings(darkness, mask)
    assert len(across) >= 12
    assert (len(down) > 0) == squared
    rest = cv2.subtract(mask, inked(cv2.dilate(letters, np.ones((5, 5), np.uint8))))
    drawn = (drop.size * 12 + squared * 800 * 20) * 2
    # Between letters that stand close on a wave, bits are left.
    assert cv2.countNonZero(rest) < 0.04 * drawn
    assert cv2.countNonZero(cv2.bitwise_and(mask, letters)) > 0.97 * cv2.countNonZero(letters)
