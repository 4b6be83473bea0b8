"""Ruled lines of a page: found, and erased without the strokes that cross them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.line_paths import MIN_LENGTH, STRIP, trace

# A strip belongs to a line where so much of a row in it is ink; dotted lines have gaps.
COVERAGE = 0.6
# A line is thinner than this share of the page's longer side (`thickest`).
MAX_THICKNESS = 1 / 120
# And so many times as long as thick; fewer than so many must be twice as long.
SLENDER, FEW = 40, 3
# A stroke that crosses a line stands out of it by so many pixels.
STANDS_OUT = 2
# Or is darker than it by this factor and this much (0-255).
DARKER, DARKER_BY = 1.5, 10
# Paper bends a line by a pixel or two over so many pixels.
DRIFT = 257
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
    darkness: GrayImage, mask: GrayImage
) -> tuple[list[Ruling], list[Ruling], GrayImage]:
    """Find the lines that run across and down a page, and erase them in place.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W); see `lift_page`.
        mask: 255 where there is ink, uint8 of the same shape.

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
    curves = trace(_covered(cv2.transpose(thick)), darkness, limit)
    level = _erase_all(darkness, mask, erased, curves, limit)
    upright = erase_upright(darkness, mask, erased, None if level else thick)
    return level, upright, erased


def erase_upright(
    darkness: GrayImage,
    mask: GrayImage,
    erased: GrayImage,
    thick: GrayImage | None = None,
    beyond: int = 0,
) -> list[Ruling]:
    """Find the lines that run down a page, and erase them in place.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.
        erased: Becomes 255 where they lie, same shape.
        thick: 255 where there is ink, or next to it, where that is known.
        beyond: Lines are taken to go on for so many pixels.

    Returns:
        From left to right, their two axes exchanged.
    """
    limit = thickest(mask)
    thick = cv2.dilate(mask, _SQUARE) if thick is None else thick
    across = cv2.transpose(darkness)
    curves = trace(_covered(thick), across, limit)
    if not curves:
        return []
    if beyond:
        curves = [_longer(*curve, beyond, len(mask)) for curve in curves]
    # One direction is enough for the eraser.
    turned = across, cv2.transpose(mask), cv2.transpose(erased)
    upright = _erase_all(*turned, curves, limit)
    for image, other in zip((darkness, mask, erased), turned, strict=True):
        cv2.transpose(other, image)
    return upright


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


def _longer(
    start: int, centre: NDArray[np.float32], beyond: int, length: int
) -> tuple[int, NDArray[np.float32]]:
    """A line that goes on at both ends, as it does there, within a page of some length."""
    before, after = min(beyond, start), min(beyond, length - start - len(centre))
    first = (centre[STRIP] - centre[0]) / STRIP * np.arange(-before, 0) + centre[0]
    last = (centre[-1] - centre[-1 - STRIP]) / STRIP * np.arange(1, after + 1) + centre[-1]
    return start - before, np.concatenate([first, centre, last]).astype(np.float32)


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
    found = [erase_line(darkness, mask, erased, *curve, limit) for curve in curves]
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


def erase_line(
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
    above, below, on = extent_of_ink(mask[rows + offsets, columns] > 0)
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
        above, below, on = extent_of_ink(mask[rows + offsets, columns] > 0)
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
    above, below, on = extent_of_ink(wide[rows + np.arange(2 * reach + 1)[:, None], columns] > 0)
    return np.where(on, above + below + 1, 0)


def extent_of_ink(
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
