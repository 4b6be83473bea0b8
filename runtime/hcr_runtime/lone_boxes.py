"""Printed boxes that stand alone, to be checked or filled in: several of one size, and straight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage

# Fewer may be written: O, 0, or the Arabic heh. More are noise.
MANY, MOST = 3, 1000
# Shorter side in pixels, and the longer one in shorter ones.
LEAST, LONGEST = 12, 3.0
# Ink of a frame, in shares of its outline's length times a stroke's width, as it lies and turned.
FRAME = 0.55, 1.2
# Where no frame has ink, in shares of its rectangle (x, y).
EMPTY = np.array([(x, y) for x in (0.35, 0.43, 0.5, 0.57, 0.65) for y in (0.35, 0.5, 0.65)])
# A hull of straight sides has at most so many times the area of its four corners (an ellipse 1.6;
# blur rounds corners); these are right within so many degrees. All ink lies along the sides, around
# a hole of so much of that area.
STRAIGHT, RIGHT, BENT, HOLE = 1.2, 22.0, 0.05, 0.25
# Boxes are alike: by how much their sides and their darkness differ, in shares of each other; and
# sides from those of boxes that are erased already.
SIDES, LEVELS, LEFT = 0.25, 0.25, 0.4


def erase_lone_boxes(
    darkness: GrayImage,
    mask: GrayImage,
    components: Components,
    found: NDArray[np.int32] | None = None,
) -> bool:
    """Erase the printed boxes of a page that no writing touches, in place.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.
        components: Of the ink.
        found: Number of the writing box, already erased, that each pixel lies in, 0 where in none;
            (H, W). One that is left among such is no letter, either.

    Returns:
        Whether there are any.

    >>> mask = np.zeros((200, 200), np.uint8)
    >>> for y in (20, 80, 140):
    ...     _ = cv2.rectangle(mask, (20, y), (44, y + 24), 255, 2)
    >>> darkness = mask // 2
    >>> erase_lone_boxes(darkness, mask, Components(mask, darkness, np.zeros_like(mask)))
    True
    >>> cv2.countNonZero(mask)
    0
    """
    frames = _frames(components)
    if len(frames) > MOST:
        return False
    extent = (components.high - components.low)[frames].astype(np.float64)
    # Most letters are like few others.
    frames = frames[_alike(extent, components.level[frames]) >= MANY] if found is None else frames
    if not frames.size:
        return False
    sides = np.array([_sides(components, number) for number in frames])
    frames, sides = frames[sides.all(axis=1)], sides[sides.all(axis=1)]
    many = _alike(sides, components.level[frames]) >= MANY
    if found is not None and frames.size and found.any():
        within = np.sqrt(np.median(np.bincount(found[found > 0])[1:]))
        # Erasing a frame takes some of what is in it.
        left = np.sqrt(sides.prod(axis=1)) - 2 * (components.width[frames] + 2)
        many |= np.abs(np.log(np.maximum(left, 1) / within)) < LEFT
    boxes = frames[many]
    if not boxes.size:
        return False
    components.erase(boxes, darkness, mask)
    return True


def _alike(sides: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many there are like each, itself too, by two sides, (N, 2), and darkness, (N,)."""
    sides, level = np.log(sides), np.log(level)
    alike = (np.abs(sides[:, None] - sides) < SIDES).all(axis=2)
    alike &= np.abs(level[:, None] - level) < LEVELS
    return np.asarray(alike.sum(axis=1), np.intp)


def _frames(components: Components) -> NDArray[np.intp]:
    """Numbers of components that have as much ink as a rectangle's outline."""
    extent = components.high - components.low
    outline = 2 * (extent.sum(axis=1) - 2 * components.width) * components.width
    frames = (extent.min(axis=1) >= LEAST) & (components.length <= LONGEST * extent.min(axis=1))
    frames &= (components.area > FRAME[0] * outline) & (components.area < FRAME[1] * outline)
    frames &= ~components.is_cut & ~components.is_faint
    frames &= components.width < extent.min(axis=1) / 3
    numbers = np.flatnonzero(frames)
    places = components.low[numbers, None] + (extent[numbers, None] * EMPTY).astype(np.intp)
    x, y = places.transpose(2, 0, 1)
    empty = (components.labels[y, x] != numbers[:, None]).all(axis=1)
    return np.asarray(numbers[empty], np.intp)


def _sides(components: Components, number: int) -> tuple[float, float]:
    """The two sides of a box in pixels, the one that is more level first; 0 where it is none."""
    none = 0.0, 0.0
    left, top = components.low[number]
    right, bottom = components.high[number]
    ink = np.asarray(components.labels[top:bottom, left:right] == number, np.uint8)
    contours, _ = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    *holes, hull = sorted(map(cv2.convexHull, contours), key=cv2.contourArea)
    if not holes or cv2.contourArea(holes[-1]) < HOLE * cv2.contourArea(hull):
        return none
    corners = cv2.approxPolyDP(hull, BENT * cv2.arcLength(hull, True), True)
    if len(corners) != 4 or cv2.contourArea(hull) > STRAIGHT * cv2.contourArea(corners):
        return none
    ways = np.roll(corners[:, 0], -1, axis=0) - corners[:, 0]
    length = np.hypot(*ways.T)
    ways = ways / length[:, None]
    if np.abs((ways * np.roll(ways, 1, axis=0)).sum(axis=1)).max() > np.sin(np.radians(RIGHT)):
        return none
    thick = round(float(components.width[number]))
    along = np.zeros_like(ink)
    cv2.polylines(along, [corners], True, 1, 2 * thick + 3)
    if cv2.countNonZero(ink & ~along & 1):
        return none
    first, second = (length[:2] + length[2:]) / 2
    level = abs(ways[0, 0]) > abs(ways[0, 1])
    return (first, second) if level else (second, first)
