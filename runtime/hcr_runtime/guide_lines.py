"""Slanted guide lines of exercise paper: one family of parallel lines, evenly apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage
from hcr_runtime.line_paths import MANY
from hcr_runtime.rulings import Ruling, erase_line, erase_upright, thickest

# What lines leave in their rectangles is so little ink, so large each way in pixels, and their
# rectangles cover so much of the page.
SPARSE, LEAST, COVER = 0.22, 16, 0.05
# Slopes that are tried, in columns for a row: lines 45 to 78 degrees steep, either way, and up to
# 44. Points of such bands of the page, in shares of its height, vote for one, so many columns at
# a time; of more points than so many some.
SLANTED, LEVEL = np.arange(0.22, 1.02, 0.04), np.arange(-0.98, 0.99, 0.04)
SLANTED = np.concatenate([-SLANTED[::-1], SLANTED])
BAND, BIN, MOST = 0.2, 3, 60_000
# Where there are slanted lines, one slope has so many times the votes of most, and so many where
# there are lines across; with these slanted ones make this cosine at least: 76 degrees.
SHARP, BLUNT, SQUARE = 2.0, 1.4, 0.24
# So many distances of lines are the same as the next, or a multiple, within this share of it; those
# of so many directions are looked for.
REGULAR, UNEVEN, TIMES = 0.8, 0.2, 3
# So many more lines may be seen in a corner, and so much of one is ink.
CORNERS, INKED = 3, 0.4
# Columns around a sheared page; and rows for which lines go on beyond what is seen of them.
ROOM, BEYOND = 32, 24

_NEAR = np.ones((1, 3), np.uint8)


def may_have_guides(components: Components) -> bool:
    """Whether a page's ink is as sparse as lines are, so that it is worth looking for some."""
    extent = components.high - components.low
    around = extent[:, 0] * extent[:, 1]
    sparse = (extent.min(axis=1) >= LEAST) & (components.area < SPARSE * around)
    sparse[0] = False
    return bool(around[sparse].sum() > COVER * components.labels.size)


def erase_guides(darkness: GrayImage, mask: GrayImage) -> GrayImage | None:
    """Erase slanted guide lines, in place; what crosses them stays.

    Rows are shifted, each by whole pixels, until the lines stand upright.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.

    Returns:
        255 where they lay, same shape; None where there are none.

    >>> mask = np.zeros((400, 600), np.uint8)
    >>> for x in range(-200, 600, 40):
    ...     _ = cv2.line(mask, (x, 399), (x + 200, 0), 255, 2)
    >>> darkness = mask // 4
    >>> mask[180:240, 300:310], darkness[180:240, 300:310] = 255, 200  # crosses them
    >>> erase_guides(darkness, mask) is None, bool(mask[180:240, 300:310].all())
    (False, True)
    >>> bool(mask[:, 20:290].any())
    False
    """
    where = np.zeros_like(mask)
    # Lines that are seen from aside run together: each time those that are nearly parallel.
    for number in range(TIMES):
        erased = _erase_parallel(darkness, mask, SQUARE if number == 0 else 0)
        if erased is None:
            break
        cv2.bitwise_or(where, erased, dst=where)
    return where if where.any() else None


def _erase_parallel(darkness: GrayImage, mask: GrayImage, square: float) -> GrayImage | None:
    """Erase the slanted lines of one direction; what `erase_guides` does.

    Args:
        darkness: Of the ink.
        mask: Of the ink.
        square: The cosine that they make with lines across, at least.
    """
    slope, sharp = _slope(mask, SLANTED)
    if sharp < SHARP:
        return None
    # Squared paper that is turned has such lines, too.
    across, sharp = _slope(cv2.transpose(mask), LEVEL)
    upright = abs(slope + across) < square * np.hypot(1, slope) * np.hypot(1, across)
    if upright and sharp > BLUNT:
        return None
    height, width = mask.shape
    shifts = np.rint(slope * np.arange(height)).astype(np.intp)
    shifts += ROOM - shifts.min()
    places = [slice(shift, shift + width) for shift in shifts.tolist()]
    sheared = np.zeros((3, height, width + int(shifts.max()) + ROOM), np.uint8)
    for image, other in zip((darkness, mask), sheared, strict=False):
        for row, place in enumerate(places):
            other[row, place] = image[row]
    dark, ink, where = sheared
    lines = erase_upright(dark, ink, where, beyond=BEYOND)
    if not _are_even(lines, height):
        return None
    _erase_corners(sheared, lines)
    erased = np.zeros_like(mask)
    for image, other in zip((darkness, mask, erased), sheared, strict=True):
        for row, place in enumerate(places):
            image[row] = other[row, place]
    # Shavings that are a pixel wide.
    thin = cv2.bitwise_and(mask, cv2.dilate(erased, _NEAR))
    thin[:, 1:] &= ~mask[:, :-1]
    thin[:, :-1] &= ~mask[:, 1:]
    mask[thin > 0] = darkness[thin > 0] = 0
    return erased


def _slope(mask: GrayImage, slopes: NDArray[np.float64]) -> tuple[float, float]:
    """That of some slopes on which most ink lies in line, and how much more than on most."""
    band = max(1, round(BAND * len(mask)))
    begins = cv2.compare(mask[:, 1:], mask[:, :-1], cv2.CMP_GT)
    rows, columns = np.nonzero(begins)
    some = slice(None, None, len(rows) // MOST + 1)
    rows, columns = rows[some], columns[some]
    bands, rows = np.divmod(rows, band)
    aside = np.abs(slopes).max() * band
    wide = int((mask.shape[1] + 2 * aside) / BIN) + 2
    columns = columns + aside
    votes = np.zeros(len(slopes))
    for number, slope in enumerate(slopes):
        places = ((columns + slope * rows) / BIN).astype(np.intp)
        agree = np.bincount(places + wide * bands)
        votes[number] = (agree.astype(np.float64) ** 2).sum()
    return float(slopes[votes.argmax()]), float(votes.max() / max(np.median(votes), 1))


def _are_even(lines: list[Ruling], height: int) -> bool:
    """Whether there are many lines, evenly apart."""
    if len(lines) < MANY:
        return False
    across = np.full((len(lines), height), np.nan)
    for line, ruling in zip(across, lines, strict=True):
        line[ruling.start : ruling.stop] = ruling.centre
    across.sort(axis=0)
    gaps = np.diff(across, axis=0)
    # Of lines that letters hide the distance is twice that of the next.
    times = gaps[1:] / np.maximum(gaps[:-1], 1)
    times = np.maximum(times, 1 / np.maximum(times, 0.01))[np.isfinite(times)]
    uneven = np.abs(times - np.rint(times))
    return times.size > 0 and bool(np.mean(uneven < UNEVEN) >= REGULAR)


def _erase_corners(sheared: NDArray[np.uint8], lines: list[Ruling]) -> None:
    """Erase what a page's corners show of the next lines, which are short, in place.

    Args:
        sheared: Darkness, mask, and where lines lay; (3, H, W).
        lines: From left to right.
    """
    dark, ink, where = turned = [cv2.transpose(image) for image in sheared]
    down = np.arange(sheared.shape[1])
    for last, before, other in ((0, 1, 2), (-1, -2, -3)):
        centre, second, third = (_straight(lines[i], down) for i in (last, before, other))
        step, usual = (np.abs(gap).mean() for gap in (centre - second, second - third))
        if abs(step - usual) > UNEVEN * usual:
            continue
        for far in range(1, CORNERS + 1):
            line = (centre + far * (centre - second)).astype(np.float32)
            columns = np.rint(line).astype(np.intp).clip(1, len(ink) - 2)
            near = ink[columns + np.arange(-1, 2)[:, None], down].any(axis=0)
            rows = np.flatnonzero(near)
            if len(rows) >= LEAST and len(rows) > INKED * (rows[-1] - rows[0]):
                erase_line(dark, ink, where, 0, line, thickest(ink))
    for image, other in zip(sheared, turned, strict=True):
        cv2.transpose(other, image)


def _straight(line: Ruling, down: NDArray[np.intp]) -> NDArray[np.float64]:
    """Columns of a line in each row of a page."""
    rows = np.arange(line.start, line.stop)
    return np.asarray(np.polyval(np.polyfit(rows, line.centre, 1), down), np.float64)
