"""Lines of ruled and squared paper are evenly apart: those that letters hide lie between others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# The first strip of a line, and its row in each strip from there.
Path = tuple[int, NDArray[np.float64]]

# In so many places distances differ by this share at most from a multiple of the ruling's, which is
# this quantile of them, and so many rows.
UNEVEN, REGULAR, USUAL, LEAST_PITCH = 0.2, 0.8, 0.25, 8
# A strip belongs to a line within so many rows of it, and a line lies within so many of the middle
# between its neighbours.
ASIDE = 2
# Of a line that is missing so many strips are ink; letters hide the rest.
SEEN = 0.4
# A line goes on over gaps of so many strips, and has so many at least.
GAPS, MIN_STRIPS = 3, 6


def complete(paths: list[Path], runs: GrayImage) -> list[Path]:
    """Put lines back where letters pulled them aside, in place, and add those that letters hide.

    Args:
        paths: Of the lines that were found.
        runs: 255 where a strip of a row is ink, uint8, (H, strips).

    Returns:
        `paths` as they are where these are not evenly apart.

    >>> runs = np.zeros((200, 40), np.uint8)
    >>> runs[20:200:30] = 255
    >>> paths = [(0, np.full(40, float(row))) for row in (20, 50, 80, 140, 170)]
    >>> sorted(round(float(rows[0])) for _, rows in complete(paths, runs))
    [20, 50, 80, 110, 140, 170]
    """
    height = np.full((len(paths), runs.shape[1]), np.nan)
    for line, (first, rows) in zip(height, paths, strict=True):
        line[first : first + len(rows)] = rows
    order = height.argsort(axis=0)  # what is not there comes last
    height = np.take_along_axis(height, order, axis=0)
    gaps = np.diff(height, axis=0)
    gaps = gaps[np.isfinite(gaps)]
    # Letters may hide every second one.
    pitch = float(np.quantile(gaps, USUAL)) if gaps.size else 0.0
    if pitch <= LEAST_PITCH:
        return paths
    uneven = gaps - np.maximum(np.rint(gaps / pitch), 1) * pitch
    if np.mean(np.abs(uneven) < UNEVEN * pitch) < REGULAR:
        return paths
    ink = cv2.dilate(runs, np.ones((3, 1), np.uint8)) > 0
    middle = (height[:-2] + height[2:]) / 2
    astray = np.abs(height[1:-1] - middle) > ASIDE
    astray &= np.abs(height[2:] - height[:-2] - 2 * pitch) < 2 * UNEVEN * pitch
    where = np.rint(np.nan_to_num(middle)).astype(np.intp)
    astray &= ink[where, np.arange(runs.shape[1])]  # but what is beside the page pulls none
    height[1:-1][astray] = middle[astray]
    for place, column in np.argwhere(astray).tolist():
        first, rows = paths[order[place + 1, column]]
        rows[column - first] = middle[place, column]
    for piece in _missing(height, pitch, ink):
        paths = _join(paths, piece)
    return paths


def _missing(height: NDArray[np.float64], pitch: float, ink: NDArray[np.bool_]) -> list[Path]:
    """Lines, and stretches of them, that are missing between two others, or beside the last."""
    gaps = np.nan_to_num(np.diff(height, axis=0))
    times = np.rint(gaps / pitch).astype(np.int64)
    wide = (times > 1) & (np.abs(gaps - times * pitch) < UNEVEN * times * pitch)
    places = np.zeros(ink.shape, np.uint8)
    for above, column in np.argwhere(wide).tolist():
        count = times[above, column]
        between = np.arange(1, count) * (gaps[above, column] / count)
        places[np.rint(height[above, column] + between).astype(np.intp), column] = 255
    count = np.isfinite(height).sum(axis=0)
    for column in np.flatnonzero(count).tolist():
        first, last = height[0, column], height[count[column] - 1, column]
        for row in (first - pitch, last + pitch):
            if 0 <= row < len(places) - 1:
                places[round(row), column] = 255
    linked = cv2.dilate(places, np.ones((3, GAPS), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(linked, connectivity=8)
    found: list[Path] = []
    for label in range(1, len(stats)):
        columns, rows = np.nonzero(((labels == label) & (places > 0)).T)
        if ink[rows, columns].mean() >= SEEN:
            along = np.arange(columns[0], columns[-1] + 1)
            found.append((int(columns[0]), np.interp(along, columns, rows)))
    return found


def _join(paths: list[Path], piece: Path) -> list[Path]:
    """Add a stretch of a line to those that it goes on with; or, unless it is short, on its own."""
    apart: list[Path] = []
    for other in paths:
        (first, before), (second, after) = sorted((other, piece), key=lambda path: path[0])
        gap = second - first - len(before)
        if not 0 <= gap <= GAPS or abs(after[0] - before[-1]) > 2 * ASIDE:
            apart.append(other)
            continue
        between = np.linspace(before[-1], after[0], gap + 2)[1:-1]
        piece = first, np.concatenate([before, between, after])
    return [*apart, piece] if len(piece[1]) >= MIN_STRIPS else paths
