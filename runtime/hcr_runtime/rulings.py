"""Ruled lines of a page: found, and erased without the strokes that cross them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# Lines are traced from strip to strip of so many pixels (255 at most: `_covered`); a slope of 5°
# drifts by 1.4 in one.
STRIP = 16
# A strip belongs to a line where so much of a row in it is ink; dotted lines have gaps.
COVERAGE = 0.6
# A ruled line is at least this share of the page's width or height.
MIN_LENGTH = 0.25
# And at least so many strips long.
MIN_STRIPS = 6
# It is thinner than this share of the page's longer side, and never thicker than so many pixels.
MAX_THICKNESS = 1 / 120
# And a line is so many times as long as thick; fewer than so many must be twice as long.
SLENDER, FEW = 40, 3
# Chains of more points are noise, and would take seconds.
MAX_POINTS = 12_000
# A stroke that crosses a line stands out of it by so many pixels.
STANDS_OUT = 2
# Or is darker than it by this factor and this much (0-255).
DARKER, DARKER_BY = 1.5, 10
# Paper bends a line by a pixel or two over so many pixels.
DRIFT = 257
# Slopes that are tried, in rows for a strip: up to 7 degrees.
_SLOPES = np.linspace(-2, 2, 41)
_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A nearly straight line across a page, as a curve over one axis.

    Attributes:
        start: First pixel along the line: a column of a horizontal line, a row of an upright one.
        centre: Where it lies on the other axis, for each pixel from `start`; float32, (N,).
        thickness: In pixels.
    """

    start: int
    centre: NDArray[np.float32]
    thickness: int

    @property
    def stop(self) -> int:
        """The pixel behind its last one."""
        return self.start + len(self.centre)


def erase_rulings(
    darkness: GrayImage, mask: GrayImage, min_share: float = MIN_LENGTH
) -> tuple[list[Ruling], list[Ruling], GrayImage]:
    """Find the lines that run across and down a page, and erase them in place.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W); see `lift_page`.
        mask: 255 where there is ink, uint8 of the same shape.
        min_share: Least length of a line, as a share of the page's width or height.

    Returns:
        The lines across, from top to bottom; those down, from left to right, their two axes
        exchanged; and a mask that is 255 where they lie.

    >>> darkness = np.zeros((120, 320), np.uint8)
    >>> darkness[60:62] = 90
    >>> darkness[20:100, 150:156] = 200  # crosses the line
    >>> mask = cv2.compare(darkness, 40, cv2.CMP_GT)
    >>> across, down, where = erase_rulings(darkness, mask)
    >>> len(across), len(down), cv2.boundingRect(mask)
    (1, 0, (150, 20, 6, 80))
    """
    erased = np.zeros_like(mask)
    limit = thickest(mask)
    thick = cv2.dilate(mask, _SQUARE)
    curves = _trace(_covered(cv2.transpose(thick)), min_share, limit)
    level = _erase_all(darkness, mask, erased, curves, limit)
    if level:
        thick = cv2.dilate(mask, _SQUARE)
    curves = _trace(_covered(thick), min_share, limit)
    if not curves:
        return level, [], erased
    # One direction is enough for the eraser.
    turned = cv2.transpose(darkness), cv2.transpose(mask), cv2.transpose(erased)
    upright = _erase_all(*turned, curves, limit)
    for image, other in zip((darkness, mask, erased), turned, strict=True):
        cv2.transpose(other, image)
    return level, upright, erased


def _covered(thick: GrayImage) -> GrayImage:
    """255 where a strip of a column is mostly ink, (W, strips).

    Args:
        thick: 255 where there is ink, or next to it, else 0; uint8 of shape (H, W).
    """
    strips = len(thick) // STRIP
    bands = thick[: strips * STRIP].reshape(strips, STRIP, thick.shape[1])
    # Sums of bytes wrap around: each 255 counts as -1. Several times faster than averages.
    pixels = np.negative(np.add.reduce(bands, axis=1, dtype=np.uint8))
    return np.asarray((pixels > COVERAGE * STRIP).T * np.uint8(255), np.uint8)


def _erase_all(
    darkness: GrayImage,
    mask: GrayImage,
    erased: GrayImage,
    curves: list[tuple[int, NDArray[np.float32]]],
    limit: int,
) -> list[Ruling]:
    """Erase lines in place; those that are lines, in order."""
    # One or two short ones may be letters of a few large ones: an alef, the bar of a T.
    if len(curves) < FEW:
        curves = [curve for curve in curves if len(curve[1]) >= 2 * MIN_LENGTH * mask.shape[1]]
    found = [_erase(darkness, mask, erased, *curve, limit) for curve in curves]
    rulings = [ruling for ruling in found if ruling is not None]
    return sorted(rulings, key=lambda ruling: float(ruling.centre.mean()))


def thickest(mask: GrayImage) -> int:
    """Pixels that a line on a page may be thick."""
    height, width = mask.shape
    return max(3, round(MAX_THICKNESS * float(max(height, width))))


def darkest(levels: NDArray[np.uint8]) -> float:
    """How dark a line may be at its darkest: what is darker is ink that lies along it.

    Args:
        levels: Darkness of its pixels.
    """
    return DARKER * float(np.median(levels)) + DARKER_BY if levels.size else 255.0


def _trace(runs: GrayImage, min_share: float, limit: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Chains of strips that lie on a smooth curve: first column, and row of each column.

    Args:
        runs: 255 where a strip is ink; see `_covered`.
        min_share: Least length of a line, as a share of the page's.
        limit: Pixels that a line may be thick.
    """
    strips = runs.shape[1]
    least = max(MIN_STRIPS, round(min_share * strips))
    if strips < least:
        return []
    # What is thick is no line: a desk beside the sheet, a printed mark.
    runs = cv2.morphologyEx(runs, cv2.MORPH_TOPHAT, np.ones((limit + 6, 1), np.uint8))
    # A strip that is missing, and a drift of a row between strips, break no chain.
    linked = cv2.dilate(runs, _SQUARE)
    kind = cv2.CV_16U if linked.size < 2**16 else cv2.CV_32S
    _, labels, stats, _ = cv2.connectedComponentsWithStats(linked, connectivity=8, ltype=kind)
    found = []
    for label in np.flatnonzero(stats[1:, cv2.CC_STAT_WIDTH] >= least) + 1:
        x, y, across, down, _ = stats[label].tolist()
        part = (labels[y : y + down, x : x + across] == label) & (
            runs[y : y + down, x : x + across] > 0
        )
        rows, columns = np.nonzero(part)
        if len(rows) > MAX_POINTS:
            continue
        for curve, first, last in _curves(columns, rows, least, limit):
            # A line may go on for less than a strip.
            begin = max(0, (x + first - 1) * STRIP)
            end = min(strips, x + last + 2) * STRIP
            places = (np.arange(begin, end) - STRIP / 2 + 0.5) / STRIP - x
            centre = np.vander(places, 3, increasing=True) @ curve + y
            found.append((begin, centre.astype(np.float32)))
    return found


def _curves(
    columns: NDArray[np.int64], rows: NDArray[np.int64], least: int, apart: int
) -> Iterator[tuple[NDArray[np.float64], int, int]]:
    """Parabolas on which `least` strips of a chain lie, with their first and last strip.

    A chain may hold several lines, which letters link, and the letters.
    """
    while len(rows) >= least:
        # Hough: the slope and height on which most strips agree.
        heights = np.rint((rows[None] - _SLOPES[:, None] * columns[None]) / 2).astype(np.int64)
        heights -= heights.min()
        bins = int(heights.max()) + 1
        votes = np.bincount(
            (heights + bins * np.arange(len(_SLOPES))[:, None]).ravel(),
            minlength=bins * len(_SLOPES),
        )
        slope, height = divmod(int(votes.argmax()), bins)
        inside = np.abs(heights[slope] - height) <= 1
        powers = np.vander(columns, 3, increasing=True).astype(np.float64)
        curve = np.zeros(3)
        for degree in (1, 2):
            base = powers[inside, : degree + 1]
            curve[: degree + 1] = np.linalg.solve(
                base.T @ base + 1e-6 * np.eye(degree + 1), base.T @ rows[inside]
            )
            inside = np.abs(rows - powers @ curve) <= 2
        covered = np.unique(columns[inside])
        if len(covered) < least:
            return
        first, last = int(covered[0]), int(covered[-1])
        if len(covered) >= 0.75 * (last - first + 1):
            yield curve, first, last
        # Letters that stand on a line are no second line.
        left = np.abs(rows - powers @ curve) > apart
        columns, rows = columns[left], rows[left]


def _erase(
    darkness: GrayImage,
    mask: GrayImage,
    erased: GrayImage,
    start: int,
    centre: NDArray[np.float32],
    limit: int,
) -> Ruling | None:
    """Erase one line in place; None, and nothing erased, where it is too thick for one."""
    reach = limit + STANDS_OUT + 2
    columns = np.arange(start, start + len(centre))
    rows = np.rint(centre).astype(np.intp)
    fits = (rows >= reach) & (rows < mask.shape[0] - reach)
    if fits.sum() < 0.5 * len(rows):
        return None
    columns, rows = columns[fits], rows[fits]
    offsets = np.arange(-reach, reach + 1)[:, None]
    above, below, on = _extent(mask[rows + offsets, columns] > 0)
    runs = (above + below + 1)[on]
    thickness = int(np.median(runs)) if runs.size else 0
    if not 0 < thickness <= min(limit, len(centre) / SLENDER):
        return None
    # Paper is not flat: follow the line where it leaves the curve by a pixel or two.
    bare = on & (above + below <= thickness)
    if bare.any():
        drift = np.where(bare, below - above, 0).astype(np.float32)[None]
        weight = cv2.blur(bare.astype(np.float32)[None], (DRIFT, 1))[0]
        shift = cv2.blur(drift, (DRIFT, 1))[0] / np.maximum(weight, 1e-3) / 2
        rows = np.clip(rows + np.rint(shift).astype(np.intp), reach, mask.shape[0] - reach - 1)
        above, below, on = _extent(mask[rows + offsets, columns] > 0)
    core = (thickness + 1) // 2 + 1
    inner = slice(reach - core, reach + core + 1)
    crossed = (above > core + STANDS_OUT - 1) | (below > core + STANDS_OUT - 1)
    band = (rows + offsets)[inner]
    levels = darkness[band, columns]
    gone = ~crossed & (levels <= darkest(levels.max(axis=0)[on & ~crossed]))
    places = band[gone], np.broadcast_to(columns, levels.shape)[gone]
    mask[places] = 0
    darkness[places] = 0
    erased[band, columns] = 255
    return Ruling(start, centre, thickness)


def run_of_ink(
    mask: GrayImage, rows: NDArray[np.intp], columns: NDArray[np.intp], reach: int
) -> NDArray[np.int64]:
    """How thick the ink is, up and down, at each of some places; 0 where there is none.

    Args:
        mask: 255 where there is ink, uint8 of shape (H, W).
        rows: Of the places, (N,).
        columns: Of the places, (N,).
        reach: Ink is followed for so many pixels each way.

    >>> mask = np.zeros((20, 3), np.uint8)
    >>> mask[8:11, 0] = mask[5:18, 1] = 255
    >>> run_of_ink(mask, np.full(3, 9), np.arange(3), 4).tolist()
    [3, 9, 0]
    """
    wide = cv2.copyMakeBorder(mask, reach, reach, 0, 0, cv2.BORDER_CONSTANT, value=0)
    above, below, on = _extent(wide[rows + np.arange(2 * reach + 1)[:, None], columns] > 0)
    return np.where(on, above + below + 1, 0)


def _extent(
    ink: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """How far ink reaches above and below the middle row of a band, and where it is on it."""
    middle = len(ink) // 2
    on = ink[middle - 1 : middle + 2].any(axis=0)
    return _run(ink[middle - 1 :: -1]), _run(ink[middle + 1 :]), np.asarray(on, np.bool_)


def _run(ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Length of the run of ink from the first row on, in each column; a gap of one row is none."""
    bridged = ink.copy()
    bridged[0] |= ink[1]
    return np.asarray(np.logical_and.accumulate(bridged, axis=0).sum(axis=0), np.int64)
