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
# On it they are thinner than so many pixels (a pen is not, nor a desk), so dark (0-255), and as
# long as this share of the page, with so many votes (Hough).
THICK, LEVEL, LENGTH, VOTES = 13, 60, 0.2, 50
# They have gaps of so many pixels, or, where that finds too few, as between the boxes of a form: in
# squared paper those would be diagonals.
GAPS = 4, 12
# Fewer lines of a direction are a crease, a pen, an edge of the sheet; they lie this share of the
# page apart.
FEWEST, APART = 5, 0.01
# The sine by which a line may miss the point where all of its direction meet.
MISS = 0.02
# What is seen from so far aside that a part of it shrinks by more than this, or that the view would
# have so many times its pixels, is not laid flat.
LEAST_SCALE, LARGEST = 0.4, 4


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """How a page is seen once its lines are laid level.

    Attributes:
        matrix: From pixels of the page to those of the view, homogeneous; float64, (3, 3).
        size: Width and height of the view, which holds all of the page.
    """

    matrix: Array
    size: tuple[int, int]

    def apply(self, image: GrayImage, outside: int) -> GrayImage:
        """Lay an image of the page level; what lies outside of the page gets one level."""
        seen = cv2.warpPerspective(image, self.matrix, self.size, borderValue=outside)
        return np.asarray(seen, np.uint8)

    def bounds(self, points: NDArray[np.int64]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, on the page, of pixels (x, y) of the view."""
        to_page = np.asarray(np.linalg.inv(self.matrix), np.float64)
        back = _move(points.astype(np.float64), to_page)
        low, high = np.floor(back.min(axis=0) + 0.5), np.floor(back.max(axis=0) + 1.5)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def lay_level(mask: GrayImage) -> View | None:
    """Find the view in which a page's lines are level, and those down the page upright.

    Lines of one direction meet in one point, which may be far away (its vanishing point: Hartley
    and Zisserman, Multiple View Geometry, 8.6).

    Args:
        mask: 255 where there is ink, ruled lines included; uint8, (H, W).

    Returns:
        None where all lines are nearly level and upright, too far aslant, or fewer than five.

    >>> mask = np.zeros((480, 640), np.uint8)
    >>> for y in range(0, 600, 40):
    ...     _ = cv2.line(mask, (0, y), (639, y - 113), 255, 2)  # 10 degrees
    >>> view = lay_level(mask)
    >>> round(np.degrees(np.arctan2(view.matrix[1, 0], view.matrix[0, 0])))
    10
    """
    points = _meeting_points(mask)
    if points is None:
        return None
    half = max(mask.shape) / 2
    page = np.array(mask.shape[::-1]) / (2 * half)
    corners = page * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    slant = max(_slant(corners, point, axis) for axis, point in enumerate(points))
    horizon = np.cross(*points)
    if not LEAST_SLANT <= slant <= MOST_SLANT or np.abs(horizon[:2]).sum() > abs(horizon[2]):
        return None
    if (1 + corners @ (horizon[:2] / horizon[2])).min() < LEAST_SCALE:
        return None
    matrix = _flat(*points)
    seen = _move(corners, matrix)
    low, high = seen.min(axis=0), seen.max(axis=0)
    width, height = np.ceil((high - low) * half).astype(int).tolist()
    if width * height > LARGEST * mask.size:
        return None
    to_view = np.array([[half, 0, -low[0] * half], [0, half, -low[1] * half], [0, 0, 1]])
    from_page = np.array([[1 / half, 0, -page[0]], [0, 1 / half, -page[1]], [0, 0, 1]])
    return View(to_view @ matrix @ from_page, (width, height))


def _meeting_points(mask: GrayImage) -> tuple[Array, Array] | None:
    """Where the lines across a page meet, and those down it; homogeneous (3,), or None."""
    thin = _thin_lines(mask)
    level: Array | None = None
    upright: Array | None = None
    for gap in GAPS:
        ends = _segments(thin, gap)
        way = np.abs(ends[:, 1] - ends[:, 0])
        across = way[:, 0] > way[:, 1]
        level = _meeting_point(ends[across]) if level is None else level
        upright = _meeting_point(ends[~across]) if upright is None else upright
        if level is not None and upright is not None:
            return level, upright
    # Of one direction alone: the other is at right angles to it, seen from the middle.
    known = upright if level is None else level
    if known is None:
        return None
    other = np.array([-known[1], known[0], 0.0])
    return (other, known) if level is None else (known, other)


def _thin_lines(mask: GrayImage) -> GrayImage:
    """What is thin on a page, 255, at a side of `SIDE` at most."""
    scale = min(1.0, SIDE / max(mask.shape))
    size = tuple(max(1, round(length * scale)) for length in mask.shape[::-1])
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    thin = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, np.ones((THICK, THICK), np.uint8))
    return np.asarray(cv2.compare(thin, LEVEL, cv2.CMP_GT), np.uint8)


def _segments(thin: GrayImage, gap: int) -> Array:
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


def _meeting_point(ends: Array) -> Array | None:
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
    where = np.sort(
        -kept[:, 2] / np.where(np.abs(kept[:, :2] @ side) < 1e-6, 1, kept[:, :2] @ side)
    )
    apart = np.count_nonzero(np.diff(where) > APART * 2) + 1 if len(where) else 0
    return point if apart >= FEWEST else None


def _slant(corners: Array, point: Array, axis: int) -> float:
    """Most degrees by which what points to `point` is aslant, in the page's corners."""
    toward = np.abs(point[:2] - corners * point[2])
    return float(np.degrees(np.arctan2(toward[:, 1 - axis], toward[:, axis])).max())


def _flat(level: Array, upright: Array) -> Array:
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


def _move(points: Array, matrix: Array) -> Array:
    """Points (N, 2) under a homography."""
    moved = np.insert(points, 2, 1.0, axis=1) @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])
