"""Brightness of the paper of one glyph's image, behind its ink and around it.

Of even light it is one level; of uneven light a quadratic surface, through what is paper and not
ink or the edge of a shadow. A tight crop may hold more ink than paper.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# Grid on which the paper's brightness is fitted.
GRID = 16
# Differences of brightness (0-255) between the image's sides that count as uneven light.
UNEVEN = 10.0
# Corners, of so many cells of the grid, that differ so much (0-255) lie in another light.
CORNER, SHADOW = 2, 30
# Corners of so many cells a thick pen hardly fills; light makes them differ by at most so much of
# what tells ink from paper.
LARGE_CORNER, SHADED = 4, 0.6
# An image with so much of it this close (0-255) to one of two levels, which differ by so much, was
# binarised, or drawn: its light cannot be uneven, however much ink lies on its rim.
TWO_LEVELS = 0.7
LEVEL_WIDTH = 3
LEVEL_GAP = 60
# There are two kinds of brightness where their medians differ by so much (0-255), and hardly any
# pixels lie beyond either by more than a share of that: those are ink on lit and on shaded paper.
KINDS_GAP, THIRD, THIRD_SHARE = 40, 0.5, 0.01
# Through fewer cells than this share no surface is known; with more, paper is found without.
LEAST_PAPER, MOST_PAPER = 0.1, 0.7
# Keeps the fit solvable where all paper lies on one line.
_RIDGE = 1e-3 * np.eye(6, dtype=np.float32)


def paper_behind(gray: GrayImage) -> int | GrayImage:
    """Return the brightness of the paper: one level where its light is even, else an array.

    Args:
        gray: Uint8 of shape (H, W).

    Returns:
        0-255; or uint8 of shape (H, W).

    >>> paper = np.full((32, 32), 250, np.uint8)
    >>> paper[8:24, 14:18] = 20
    >>> paper_behind(paper)
    250
    """
    grid = cv2.resize(gray, (GRID, GRID), interpolation=cv2.INTER_AREA)
    even = _rim_spread(grid) <= UNEVEN
    most = int(np.partition(grid, grid.size // 2, axis=None)[grid.size // 2])
    if even and abs(most - int(grid[0, 0])) < LEVEL_GAP:  # the rim is like most of the image
        return most
    if (flat := _paper_of_two_levels(gray, grid)) is not None:
        return flat
    alike = _of_papers_kind(gray, grid)
    if even and alike is None:
        return most
    surface = _fit_surface(grid, alike)
    size = gray.shape[::-1]
    return np.asarray(cv2.resize(np.clip(surface, 0, 255).astype(np.uint8), size), np.uint8)


def _paper_of_two_levels(gray: GrayImage, grid: GrayImage) -> int | None:
    """Brightness of the paper where the image has two levels alone; None where it has more."""
    low, high, _, _ = cv2.minMaxLoc(gray)
    if high - low < LEVEL_GAP:
        return None
    above = cv2.countNonZero(cv2.threshold(gray, low + LEVEL_WIDTH, 1, cv2.THRESH_BINARY)[1])
    near = cv2.countNonZero(cv2.threshold(gray, high - LEVEL_WIDTH - 1, 1, cv2.THRESH_BINARY)[1])
    if gray.size - above + near < TWO_LEVELS * gray.size:
        return None
    threshold = (low + high) / 2
    return int(high if _is_paper_bright(grid > threshold, gray > threshold) else low)


def _rim_spread(grid: GrayImage) -> int:
    """Difference between the brightest and the darkest of the sides and corners of the grid."""
    cells = grid.tobytes()  # of which parts are taken several times faster than of arrays
    sides = cells[:GRID], cells[-GRID:], cells[::GRID], cells[GRID - 1 :: GRID]
    levels = [sorted(side)[GRID // 2] for side in sides]
    levels += (cells[0], cells[GRID - 1], cells[-GRID], cells[-1])
    return max(levels) - min(levels)


@cache
def _surface() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Terms of a quadratic surface in each grid cell, (GRID * GRID, 6), and their inverse.

    Made when first needed: linear algebra brings threads and their memory with it.
    """
    axis = np.linspace(-0.5, 0.5, GRID, dtype=np.float32)
    x, y = np.tile(axis, GRID), np.repeat(axis, GRID)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return terms, np.asarray(np.linalg.pinv(terms), np.float32)


def _fit_surface(grid: GrayImage, alike: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """Brightness of the paper: a quadratic surface through those cells of the grid that are paper.

    Args:
        grid: The image, uint8 of shape (GRID, GRID).
        alike: Which cells may be paper, (GRID * GRID,); None for all.

    Returns:
        float32 of shape (GRID, GRID).
    """
    levels = grid.reshape(-1).astype(np.float32)
    terms, inverse = _surface()
    surface = terms @ (inverse @ levels) if alike is None else _through(levels, alike)
    before = b""
    for _ in range(3):
        residual = np.abs(levels - surface)
        # Paper is the majority, of these: ink cells are beyond twice the median residual.
        known = residual if alike is None else residual[alike]
        middle = float(np.partition(known, known.size // 2)[known.size // 2])
        paper = residual <= max(2.0 * middle, 3.0)
        if alike is not None:
            paper &= alike
        if (chosen := paper.tobytes()) == before:
            break
        surface, before = _through(levels, paper), chosen
    return np.asarray(surface, np.float32).reshape(GRID, GRID)


def _through(levels: NDArray[np.float32], cells: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The surface that is nearest to the levels of some cells, in all of them."""
    terms, _ = _surface()
    base = terms * cells[:, None]
    # Several times as fast as NumPy's, whose checks take longer than six equations.
    solved = cv2.solve(
        base.T @ terms + _RIDGE, base.T @ levels[:, None], flags=cv2.DECOMP_CHOLESKY
    )[1]
    return np.asarray(terms @ solved[:, 0], np.float32)


def _of_papers_kind(gray: GrayImage, grid: GrayImage) -> NDArray[np.bool_] | None:
    """Which cells are of the paper's kind where there are two kinds, (GRID * GRID,), or None.

    So it is in a tight crop of a thick glyph, most of which may be ink. Where a corner lies in a
    shadow the kinds are not ink and paper.
    """
    threshold, _ = cv2.threshold(gray, 0, 1, cv2.THRESH_OTSU)
    bright = grid > threshold
    if not bright.any():
        return None
    alike = np.asarray((bright == _is_paper_bright(bright, bright)).reshape(-1))
    if not LEAST_PAPER <= np.count_nonzero(alike) / alike.size < MOST_PAPER:
        return None
    many = count_levels(gray)
    split = int(threshold) + 1
    low, high = _median(many[:split]), split + _median(many[split:])
    if high - low < KINDS_GAP:
        return None
    darkest, brightest = _corners(grid, LARGE_CORNER)
    if brightest - darkest > max(SHADOW, SHADED * (high - low)):
        return None
    beyond = round(THIRD * (high - low))
    third = many[: max(0, low - beyond)].sum() + many[high + beyond + 1 :].sum()
    return alike if third <= THIRD_SHARE * gray.size else None


def count_levels(gray: GrayImage) -> NDArray[np.int64]:
    """Count the pixels of each level of a small image: int64 of shape (256,).

    >>> count_levels(np.array([[0, 255, 255]], np.uint8))[[0, 1, 255]].tolist()
    [1, 0, 2]
    """
    # In two thirds of the time that np.bincount takes; floats are exact for 16 million pixels.
    counts = cv2.calcHist([gray], [0], None, [256], [0, 256])
    return np.asarray(counts.ravel(), np.int64)


def _median(counts: NDArray[np.int64]) -> int:
    """The level that halves the pixels that are counted by level."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, total[-1] / 2))


def _is_paper_bright(bright: NDArray[np.bool_], whole: NDArray[np.bool_]) -> bool:
    """Tell which of two kinds of brightness is paper.

    Paper is what fills most of the image where it lies behind all corners too, a cell away from
    them: a frame may lie around it. Or else it is what fills most corners, or most of the rim.

    Args:
        bright: Which cells are of the brighter kind, (GRID, GRID).
        whole: Of what the corners and the rim are taken: `bright` again, or the image's pixels.
    """
    most = bool(2 * np.count_nonzero(bright) > bright.size)
    if (bright[1 :: GRID - 3, 1 :: GRID - 3] == most).all():
        return most
    corners = whole[:: len(whole) - 1 or 1, :: whole.shape[1] - 1 or 1]
    rim = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
    for part in (corners, rim):
        if (share := float(part.mean())) != 0.5:
            return share > 0.5
    return most


def shadow_depth(gray: GrayImage) -> float:
    """Return what share of the light a shadow on a corner of a grey image takes; 0 for none.

    Strokes of a thick pen may fill the corners of a tight crop; but where ink and paper are told
    apart, and in a very small image, that is no shadow.

    Args:
        gray: Dark ink on bright paper, uint8 of shape (H, W).

    Returns:
        0-1, of the light on the brightest corner.

    >>> paper = np.full((32, 32), 250, np.uint8)
    >>> paper[8:24, :4] = 20
    >>> shadow_depth(paper), shadow_depth(np.where(np.arange(32) < 12, 150, paper).astype(np.uint8))
    (0.0, 0.4)
    """
    if min(gray.shape) < 2 * GRID:
        return 0.0
    grid = cv2.resize(gray, (GRID, GRID), interpolation=cv2.INTER_AREA)
    darkest, brightest = _corners(grid, CORNER)
    if brightest - darkest <= SHADOW or _of_papers_kind(gray, grid) is not None:
        return 0.0
    return 1 - darkest / brightest


def _corners(grid: GrayImage, cells: int) -> tuple[int, int]:
    """The darkest corner's highest brightness, and the brightest one's lowest.

    Each is of `cells` a side: one that ink does not fill is not dark, nor is one that it touches
    bright.
    """
    ends = slice(cells), slice(-cells, None)
    corners = [grid[rows, columns] for rows in ends for columns in ends]
    darkest = min(int(corner.max()) for corner in corners)
    return darkest, max(int(corner.min()) for corner in corners)
