"""Pages whose lines run aslant, turned or seen from the side: laid level and upright by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# Slants that are looked for, in degrees, where lines are furthest aslant; `rulings` follows what is
# less. Beyond, what runs across is not told from what runs down.
LEAST_SLANT, MOST_SLANT = 3.0, 40.0
# Lines are looked for on a page of this longer side.
SIDE = 640
# On it they are thinner than so many pixels, what is not is a pen, or the desk; so dark (0-255); and
# as long as this share of the page at least, with so many votes (Hough).
THICK, LEVEL, LENGTH, VOTES = 13, 60, 0.12, 50
# They have gaps of so many pixels, or, where that finds too few, as between the boxes of a form: in
# squared paper those would be diagonals.
GAPS = 4, 12
# Fewer lines of a direction are a crease, a pen, an edge of the sheet; they are apart by this share of
# the page.
FEWEST, APART = 3, 0.01
# The sine by which a line may miss the point where all of its direction meet.
MISS = 0.02
# What is seen from so far aside that it shrinks by more than this is not laid flat.
LEAST_SCALE = 0.4


@dataclass(frozen=True, slots=True)
class View:
    """How a page is seen once its lines are laid level.

    Attributes:
        matrix: From pixels of the page to those of the view, homogeneous; float64, (3, 3).
        size: Width and height of the view, which holds all of the page.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]

    def apply(self, image: GrayImage, outside: int) -> GrayImage:
        """Lay an image of the page level; what lies outside of the page gets one level."""
        seen = cv2.warpPerspective(image, self.matrix, self.size, borderValue=outside)
        return np.asarray(seen, np.uint8)

    def bounds(self, points: NDArray[np.int64]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, on the page, of pixels (x, y) of the view."""
        back = _move(points.astype(np.float64), np.linalg.inv(self.matrix))
        low, high = np.floor(back.min(axis=0) + 0.5), np.floor(back.max(axis=0) + 1.5)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def lay_level(mask: GrayImage) -> View | None:
    """Find the view in which a page's lines are level, and those down the page upright.

    Lines of one direction meet in one point, which may be far away (its vanishing point: Hartley
    and Zisserman, Multiple View Geometry, 8.6).

    Args:
        mask: 255 where there is ink, ruled lines included; uint8, (H, W).

    Returns:
        None where all lines are nearly level and upright, too far aslant, or fewer than three.

    >>> mask = np.zeros((480, 640), np.uint8)
    >>> for y in range(0, 600, 40):
    ...     _ = cv2.line(mask, (0, y), (639, y - 113), 255, 2)  # 10 degrees
    >>> view = lay_level(mask)
    >>> round(np.degrees(np.arctan2(view.matrix[1, 0], view.matrix[0, 0])))
    10
    """
    thin = _thin_lines(mask)
    level = upright = None
    for gap in GAPS:
        if level is None or upright is None:
            ends = _segments(thin, gap)
            way = np.abs(ends[:, 1] - ends[:, 0])
            across = way[:, 0] > way[:, 1]
            level = _meeting_point(ends[across]) if level is None else level
            upright = _meeting_point(ends[~across]) if upright is None else upright
    if level is None and upright is None:
        return None
    half = max(mask.shape) / 2
    corner = np.array(mask.shape[::-1]) / max(mask.shape)
    corners = corner * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    if level is None:
        level = _across_from(upright)
    if upright is None:
        upright = _across_from(level)
    slants = [_slant(corners, level, 0), _slant(corners, upright, 1)]
    if not LEAST_SLANT <= max(slants) <= MOST_SLANT:
        return None
    matrix = _flat(level, upright)
    scales = corners @ matrix[2, :2] + 1
    if matrix.size == 0 or scales.min() < LEAST_SCALE or scales.max() > 1 / LEAST_SCALE:
        return None
    seen = _move(corners, matrix)
    low, high = seen.min(axis=0), seen.max(axis=0)
    to_page = np.diag([1 / half, 1 / half, 1.0]) @ np.array(
        [[1, 0, -mask.shape[1] / 2], [0, 1, -mask.shape[0] / 2], [0, 0, 1]]
    )
    to_view = np.diag([half, half, 1.0]) @ np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    width, height = np.ceil((high - low) * half).astype(int).tolist()
    return View(to_view @ matrix @ to_page, (width, height))


def _thin_lines(mask: GrayImage) -> GrayImage:
    """What is thin on a page, 255, at a side of `SIDE` at most."""
    scale = min(1.0, SIDE / max(mask.shape))
    size = tuple(max(1, round(length * scale)) for length in mask.shape[::-1])
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    thin = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, np.ones((THICK, THICK), np.uint8))
    return np.asarray(cv2.compare(thin, LEVEL, cv2.CMP_GT), np.uint8)


def _segments(thin: GrayImage, gap: int) -> NDArray[np.float64]:
    """Ends of straight lines, (N, 2, 2): x and y from the page's middle, in halves of its side."""
    side = max(thin.shape)
    found = cv2.HoughLinesP(
        thin,
        rho=1,
        theta=np.pi / 360,
        threshold=VOTES,
        minLineLength=LENGTH * side,
        maxLineGap=gap,
    )
    if found is None:
        return np.zeros((0, 2, 2))
    middle = np.array(thin.shape[::-1]) / 2
    return np.asarray((found.reshape(-1, 2, 2) + 0.5 - middle) / (side / 2), np.float64)


def _meeting_point(ends: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Where lines of one direction meet, homogeneous (3,); None where they are too few."""
    if len(ends) < FEWEST:
        return None
    start, stop = (np.insert(ends[:, i], 2, 1.0, axis=1) for i in (0, 1))
    along = ends[:, 1] - ends[:, 0]
    length = np.hypot(*along.T)
    lines = np.cross(start, stop) / length[:, None]
    middle = ends.mean(axis=1)
    weight = length
    for _ in range(10):
        point = np.linalg.eigh((lines * weight[:, None]).T @ lines)[1][:, 0]
        toward = point[:2] - middle * point[2]
        miss = np.abs(along[:, 0] * toward[:, 1] - along[:, 1] * toward[:, 0])
        miss /= length * np.maximum(np.hypot(*toward.T), 1e-9)
        weight = length / (1 + (miss / MISS) ** 2)
    # Pieces of one line are one line: each is where it passes the page's middle.
    kept = lines[miss < MISS]
    side = np.array([point[1], -point[0]])  # across the lines, at the middle
    side /= max(float(np.hypot(*side)), 1e-9)
    where = np.sort(-kept[:, 2] / np.where(np.abs(kept[:, :2] @ side) < 1e-6, 1, kept[:, :2] @ side))
    apart = np.count_nonzero(np.diff(where) > APART * 2) + 1 if len(where) else 0
    return point if apart >= FEWEST else None


def _across_from(point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction at right angles to that in which a point is seen from the middle."""
    return np.array([-point[1], point[0], 0.0])


def _slant(corners: NDArray[np.float64], point: NDArray[np.float64], axis: int) -> float:
    """Most degrees by which what points to `point` is aslant, in the page's corners."""
    toward = np.abs(point[:2] - corners * point[2])
    return float(np.degrees(np.arctan2(toward[:, 1 - axis], toward[:, axis])).max())


def _flat(level: NDArray[np.float64], upright: NDArray[np.float64]) -> NDArray[np.float64]:
    """The homography that sends two meeting points to where level and upright lines meet.

    The middle stays, and areas there.
    """
    horizon = np.cross(level, upright)
    tilt = np.eye(3)
    tilt[2, :2] = horizon[:2] / horizon[2]
    ways = np.stack([(tilt @ level)[:2], (tilt @ upright)[:2]], axis=1)
    ways *= np.sign(np.diag(ways)) / np.hypot(*ways)
    straight = np.eye(3)
    straight[:2, :2] = np.linalg.inv(ways) * np.sqrt(abs(np.linalg.det(ways)))
    return straight @ tilt


def _move(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 2) under a homography."""
    moved = np.insert(points, 2, 1.0, axis=1) @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])
