"""Paths of ruled lines across a page, from strip to strip: straight, or bent as curled paper is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.even_lines import ASIDE, GAPS, MIN_STRIPS, Path, complete
from hcr_runtime.image import GrayImage

# A strip is so many pixels long (255 at most: `rulings`); a slope of 5° drifts by 1.4 in one.
STRIP = 16
# A ruled line is at least this share of the page's width or height long.
MIN_LENGTH = 0.25
# Chains of more points are noise, and would take seconds.
MAX_POINTS = 12_000
# Slopes that are tried, in rows for a strip: up to 7 degrees.
_SLOPES = np.linspace(-2, 2, 41)
# So much of a line is ink: letters hide the rest.
FILLED = 0.72
# What is thicker than a line by so many rows is a desk beside the sheet, or a printed mark.
THICKER = 6
# Beyond its parabola a line goes on as it did for so many strips.
BEND = 8
# A line is smooth over so many strips both ways, and straight, or a parabola, within so many rows.
SMOOTH, STRAIGHT = 3, 1.0
# A line is at most so much darker than most are, in shares and levels (0-255), or ink in so much of
# its length.
DARKER, DARKER_BY, WHOLE = 1.5, 16, 0.9
# So many lines are the ruling of a page.
MANY = 5

# Columns and rows of strips.
Points = tuple[NDArray[np.int64], NDArray[np.int64]]


def trace(
    runs: GrayImage, darkness: GrayImage, limit: int
) -> list[tuple[int, NDArray[np.float32]]]:
    """Find chains of strips that lie on smooth curves.

    Args:
        runs: 255 where a strip is ink, uint8, (H, strips).
        darkness: Of the ink, uint8, (H, W).
        limit: Pixels that a line may be thick.

    Returns:
        For each line its first pixel, and its row in each pixel from there; float32.

    >>> runs = np.zeros((40, 20), np.uint8)
    >>> runs[8] = 255
    >>> lines = trace(runs, np.repeat(runs, STRIP, axis=1), 3)
    >>> [(start, len(rows), round(float(rows[50]), 3)) for start, rows in lines]
    [(0, 320, 8.0)]
    """
    strips = runs.shape[1]
    least = max(MIN_STRIPS, round(MIN_LENGTH * strips))
    if strips < least:
        return []
    runs = cv2.morphologyEx(runs, cv2.MORPH_TOPHAT, np.ones((limit + THICKER, 1), np.uint8))
    # Strips that are missing, and a drift of a row between strips, break no chain.
    linked = cv2.dilate(runs, np.ones((3, GAPS + 2), np.uint8))
    kind = cv2.CV_16U if linked.size < 2**16 else cv2.CV_32S
    _, labels, stats, _ = cv2.connectedComponentsWithStats(linked, connectivity=8, ltype=kind)
    widths = stats[:, cv2.CC_STAT_WIDTH]
    widths[0] = 0  # the paper

    def strips_of(label: int) -> Points:
        x, y, across, down, _ = stats[label].tolist()
        where = slice(y, y + down), slice(x, x + across)
        rows, columns = np.nonzero((labels[where] == label) & (runs[where] > 0))
        return (columns + x, rows + y) if len(rows) <= MAX_POINTS else (columns[:0], rows[:0])

    found: list[Path] = []
    left: dict[int, Points] = {}
    for label in np.flatnonzero(widths >= least).tolist():
        paths, left[label] = _paths(*strips_of(label), least, limit)
        found += paths
    if len(found) >= MANY:
        # Letters cut the lines of a ruled page into shorter ones.
        short = max(MIN_STRIPS, least // 2)
        for label in np.flatnonzero(widths >= short).tolist():
            found += _paths(*(left.get(label) or strips_of(label)), short, limit)[0]
        found = _no_writing(found, runs, darkness)
        found = _no_writing(complete(found, runs), runs, darkness)
    return [_in_pixels(path, strips) for path in found]


def _no_writing(paths: list[Path], runs: GrayImage, darkness: GrayImage) -> list[Path]:
    """Leave out rows of letters: they are darker than most lines of a page, and have gaps."""
    ink = cv2.dilate(runs, np.ones((3, 1), np.uint8)) > 0
    thick = cv2.dilate(darkness[:, STRIP // 2 :: STRIP], np.ones((3, 1), np.uint8))
    levels, whole = np.zeros(len(paths)), np.zeros(len(paths), np.bool_)
    for number, (first, rows) in enumerate(paths):
        places = np.rint(rows).astype(np.intp).clip(0, len(runs) - 1), first + np.arange(len(rows))
        inked = ink[places]
        levels[number] = np.median(thick[places][inked]) if inked.any() else 0
        whole[number] = inked.mean() >= WHOLE
    dark = levels > (DARKER * np.median(levels) + DARKER_BY if paths else 0)
    lines = whole | ~dark
    # Paper may have lines of two weights: most of the heavy ones are whole.
    if 2 * np.count_nonzero(whole & dark) > np.count_nonzero(dark):
        lines |= levels <= np.median(levels[whole & dark]) + DARKER_BY
    return [path for path, is_line in zip(paths, lines, strict=True) if is_line]


def _in_pixels(path: Path, strips: int) -> tuple[int, NDArray[np.float32]]:
    first, rows = path
    # A line may go on for less than a strip.
    begin = max(0, first - 1) * STRIP
    end = min(strips, first + len(rows) + 1) * STRIP
    places = (np.arange(begin, end) - STRIP / 2 + 0.5) / STRIP - first
    before, after = 2 * rows[0] - rows[1], 2 * rows[-1] - rows[-2]
    centre = np.interp(places, np.arange(-1, len(rows) + 1), [before, *rows, after])
    return begin, centre.astype(np.float32)


def _paths(
    columns: NDArray[np.int64], rows: NDArray[np.int64], least: int, apart: int
) -> tuple[list[Path], Points]:
    """Lines on which `least` strips of a chain lie, and the strips that lie on none.

    A chain may hold several lines, which letters link, and the letters.
    """
    found: list[Path] = []
    while len(rows) and np.count_nonzero(np.bincount(columns)) >= least:
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
            inside = np.abs(rows - powers @ curve) <= ASIDE
        covered = np.unique(columns[inside])
        if len(covered) < least:
            break
        # A curve may go through bits of other lines before and after its own.
        covered = max(np.split(covered, np.flatnonzero(np.diff(covered) > GAPS + 1) + 1), key=len)
        first, last = int(covered[0]), int(covered[-1])
        path = _centred(columns, rows, np.arange(first, last + 1), curve)
        if len(covered) >= max(least, FILLED * len(path)):
            path = _follow(columns, rows, path, last)
            stop = first + len(path)
            path = _follow(-columns, rows, path[::-1], -first)[::-1]
            first = stop - len(path)
            found.append((first, _smooth(path)))
        # Letters that stand on a line are no second line.
        place = columns - first
        aside = np.abs(rows - path[np.clip(place, 0, len(path) - 1)])
        keep = (place < 0) | (place >= len(path)) | (aside > apart)
        if keep.all():
            break
        columns, rows = columns[keep], rows[keep]
    return found, (columns, rows)


def _centred(
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    along: NDArray[np.int64],
    curve: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The middle row of a line's strips in each column of `along`, near to its curve."""
    path = np.vander(along, 3, increasing=True) @ curve
    place = np.clip(columns - along[0], 0, len(along) - 1)
    near = (columns >= along[0]) & (columns <= along[-1]) & (np.abs(rows - path[place]) <= ASIDE)
    count = np.bincount(place[near], minlength=len(along))
    total = np.bincount(place[near], (rows - path[place])[near], minlength=len(along))
    aside = _smooth(total / np.maximum(count, 1))
    # What crosses a line that is as straight as its curve pulls at single strips of it.
    return path + aside if np.abs(aside).max() > STRAIGHT else path


def _smooth(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    wide = np.pad(rows, SMOOTH, mode="reflect", reflect_type="odd")
    return np.convolve(wide, np.ones(2 * SMOOTH + 1) / (2 * SMOOTH + 1), mode="valid")


def _follow(
    columns: NDArray[np.int64], rows: NDArray[np.int64], path: NDArray[np.float64], last: int
) -> NDArray[np.float64]:
    """Go on with a line where it bends away from its parabola, as those of an open book do.

    Args:
        columns: Of the chain's strips.
        rows: Likewise.
        path: The line's row in each column up to `last`.
        last: Where it ends.
    """
    found = list(path)
    gap: list[float] = []
    for column in range(last + 1, int(columns.max()) + 1):
        so_far = found + gap
        back = min(BEND, len(so_far) - 1)
        expected = so_far[-1] + (so_far[-1] - so_far[-1 - back]) / back
        here = rows[columns == column]
        here = here[np.abs(here - expected) <= ASIDE]
        if len(here):
            found += [*gap, float(here.mean())]
            gap = []
        elif len(gap) == GAPS:
            break
        else:
            gap.append(expected)
    return np.array(found)
