"""Diagonals of writing boxes, dashed, as in books for Chinese characters: from corner to corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.rulings import STANDS_OUT, Ruling, darkest, extent_of_ink, thickest

# Fewer lines each way make no such boxes; more squares than these are squared paper.
FEWEST, MOST = 4, 4000
# A diagonal has ink at so many of its points, leaving out so much of it at each end, and near both
# ends at so many. All squares whose row and column are both even, or both odd, have the same one,
# or so many of them.
POINTS, ENDS, INKED, AT_ENDS, ALIKE = 48, 0.08, 0.45, 0.25, 0.6
# It is dashed: an X that is written has ink at more of its points. Or it goes on into the corners,
# up to so much of its length, at so many points there, as no X does.
DASHED, CORNER, AT_CORNER = 0.9, 0.02, 0.9
# Where lines and diagonals meet, what lies within so much of a diagonal is a knot of theirs.
KNOT = 0.2
# Steps along and across a diagonal, in pixels.
STEP = 0.5

Points = NDArray[np.float64]

_CORNERS = np.concatenate([np.linspace(CORNER, ENDS, 6), np.linspace(1 - ENDS, 1 - CORNER, 6)])
_CORNERS = _CORNERS[:, None, None, None, None]


def erase_diagonals(
    darkness: GrayImage,
    mask: GrayImage,
    erased: GrayImage,
    level: list[Ruling],
    upright: list[Ruling],
) -> bool:
    """Erase the diagonals of the squares between a page's lines, in place; strokes on them stay.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W), without those lines.
        mask: 255 where there is ink, same shape.
        erased: Becomes 255 where they lie, same shape.
        level: Lines across the page, from top to bottom.
        upright: Lines down the page, from left to right.

    Returns:
        Whether there are any.

    >>> rulings = [Ruling(0, np.full(200, at, np.float32), 2) for at in range(20, 200, 30)]
    >>> mask, erased = np.zeros((2, 200, 200), np.uint8)
    >>> for down in range(-120, 121, 60):
    ...     _ = cv2.line(mask, (20, 20 + down), (170, 170 + down), 255, 2)
    >>> darkness = mask // 4
    >>> mask[88:112, 95:100], darkness[88:112, 95:100] = 255, 200  # crosses one
    >>> erase_diagonals(darkness, mask, erased, rulings, rulings)
    True
    >>> bool(mask[88:112, 95:100].all()), bool(mask[22:80].any())
    (True, False)
    """
    if min(len(level), len(upright)) < FEWEST or len(level) * len(upright) > MOST:
        return False
    (level, down), (upright, right) = _numbered(level), _numbered(upright)
    begin, end = _diagonals(level, upright)
    share = np.linspace(ENDS, 1 - ENDS, POINTS)[:, None, None, None, None]
    thick = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    x, y = np.moveaxis(_pixels(begin + share * (end - begin), mask), -1, 0)
    ink = thick[y, x] > 0
    dashed = (mask[y, x] > 0)[POINTS // 4 : -POINTS // 4].mean(axis=0) <= DASHED
    x, y = np.moveaxis(_pixels(begin + _CORNERS * (end - begin), mask), -1, 0)
    through = (thick[y, x] > 0).mean(axis=0) >= AT_CORNER
    inked = (ink.mean(axis=0) >= INKED) & (through | dashed)
    for part in (ink[: POINTS // 8], ink[-POINTS // 8 :]):
        inked &= part.mean(axis=0) >= AT_ENDS
    square = (np.diff(down)[:, None] == 1) & (np.diff(right) == 1)
    for odd in range(2):
        alike = square & ((down[:-1, None] + right[:-1]) % 2 == odd)
        for each in inked:
            each[alike] &= each[alike].mean() >= ALIKE if alike.any() else False
    found = inked & square
    if not found.any():
        return False
    limit = _erase(darkness, mask, erased, begin[found], end[found])
    _erase_knots(darkness, mask, np.concatenate([begin[found], end[found]]), limit)
    return True


def _numbered(lines: list[Ruling]) -> tuple[list[Ruling], NDArray[np.intp]]:
    """Lines at a distance from each other, and their numbers, where missing ones count."""
    lines = sorted(lines, key=lambda line: float(np.median(line.centre)))
    middles = np.array([np.median(line.centre) for line in lines])
    pitch = np.median(np.diff(middles))
    pitch = np.median([gap for gap in np.diff(middles) if gap > pitch / 2])
    steps = np.maximum(np.rint(np.diff(middles) / pitch), 0)
    number = np.insert(np.cumsum(steps), 0, 0).astype(np.intp)
    kept = np.insert(steps > 0, 0, True)
    return [line for line, one in zip(lines, kept, strict=True) if one], number[kept]


def _diagonals(level: list[Ruling], upright: list[Ruling]) -> tuple[Points, Points]:
    """Both ends (x, y) of those that fall, and that rise, in each square: (2, rows, columns, 2)."""
    x = np.array([[np.median(line.centre) for line in upright]] * len(level))
    y = np.zeros_like(x)
    for _ in range(2):
        y = np.array([_at(line, places) for line, places in zip(level, x, strict=True)])
        x = np.array([_at(line, places) for line, places in zip(upright, y.T, strict=True)]).T
    corners = np.stack([x, y], axis=-1)
    begin = np.stack([corners[:-1, :-1], corners[:-1, 1:]])
    return begin, np.stack([corners[1:, 1:], corners[1:, :-1]])


def _at(line: Ruling, places: Points) -> Points:
    """Where a line lies on the other axis, at places along it; it goes on straight."""
    along = np.arange(line.start, line.stop)
    slope = (line.centre[-1] - line.centre[0]) / len(along)
    beyond = places - np.clip(places, along[0], along[-1])
    return np.asarray(np.interp(places, along, line.centre) + slope * beyond, np.float64)


def _pixels(points: Points, mask: GrayImage) -> NDArray[np.intp]:
    last = np.array(mask.shape[::-1]) - 1
    return np.clip(np.rint(points), 0, last).astype(np.intp)


def _erase(
    darkness: GrayImage, mask: GrayImage, erased: GrayImage, begin: Points, end: Points
) -> float:
    """Erase thin lines from some points (N, 2) to others, in place; how dark they are at most."""
    way = end - begin
    length = np.hypot(*way.T).max()
    across = way[:, ::-1] * (-1, 1) / np.hypot(*way.T)[:, None]
    share = np.linspace(0, 1, round(length / STEP))[:, None]
    reach = round((thickest(mask) + STANDS_OUT + 2) / STEP)
    offsets = STEP * np.arange(-reach, reach + 1)[:, None, None, None]
    points = begin[:, None] + share * way[:, None] + offsets * across[:, None]
    x, y = np.moveaxis(_pixels(points, mask), -1, 0)
    above, below, on = extent_of_ink(mask[y, x] > 0)
    run = above + below + 1
    thickness = int(np.median(run[on])) if on.any() else 0
    core = thickness // 2 + round(1 / STEP)
    crossed = (above > core + STANDS_OUT / STEP) | (below > core + STANDS_OUT / STEP)
    inner = slice(reach - core, reach + core + 1)
    x, y = x[inner], y[inner]
    levels = darkness[y, x]
    limit = darkest(levels.max(axis=0)[on & ~crossed])
    gone = ~crossed & (levels <= limit)
    erased[y, x] = 255
    mask[y[gone], x[gone]] = darkness[y[gone], x[gone]] = 0
    return limit


def _erase_knots(darkness: GrayImage, mask: GrayImage, ends: Points, limit: float) -> None:
    """Erase what is left where lines and diagonals meet, in place, and is no darker than them."""
    near = np.zeros_like(mask)
    half = len(ends) // 2
    reach = round(KNOT * float(np.median(np.hypot(*(ends[:half] - ends[half:]).T))))
    for x, y in np.unique(np.rint(ends).astype(int), axis=0).tolist():
        cv2.circle(near, (x, y), reach, 255, cv2.FILLED)
    count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    written = labels[(near == 0) | (darkness > limit)]
    knots = np.bincount(written, minlength=count) == 0
    gone = knots[labels]
    mask[gone] = darkness[gone] = 0
