"""A ring or a box that was drawn around a letter, and lies free of the picture's sides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import stroke_width
from hcr_runtime.ring_signs import INNER

# Drawn by hand a ring has gaps, of so much of the image's longer side at most. One that is wider
# joins the letter to it.
GAPS = 0.0, 0.04, 0.075
# So much of the ink beside a ring lies inside of it.
ENCLOSED = 0.8
# What fills so much of its box, and is not twice as long as wide, is a dot: of a noon, say.
BLOT = 0.62
# Where strokes go inwards from a ring for so much of its shorter side, a letter touches it. Such a
# ring is so nearly convex, as no letter's outline is, and as thin as so much of its shorter side.
# The letter is so many strokes away from its outer side.
TOUCHING, CONVEX, THIN, BAND = 0.7, 0.965, 0.22, 1.25
# A ring with ink on more of its inner side may hide a stroke, and so may a box, which fills so much
# of a rectangle. What is so long in a box touches it.
ON_RIM, STRAIGHT, IN_BOX = 0.35, 0.87, 0.3


def find_inside(mask: GrayImage) -> GrayImage | None:
    """Find what is written inside of a closed outline.

    Where a letter touches a ring, the ends of its strokes are lost with it.

    Args:
        mask: 255 where there is ink, 0 elsewhere; uint8 of shape (H, W), 500 pixels a side at most:
            its components are counted in 16 bits.

    Returns:
        255 where there is ink inside, like `mask`; None where there is no ring, or only a dot or
        nothing in it, or much beside it.

    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[28:40, 30:34] = 255
    >>> find_inside(mask) is None
    True
    >>> cv2.boundingRect(find_inside(cv2.circle(mask, (32, 32), 24, 255, 2)))
    (30, 28, 4, 12)
    """
    touching = _find_touching(mask)
    if touching is not None:
        return None if touching.hides else touching.inside
    return _find_apart(mask)


def _find_apart(mask: GrayImage) -> GrayImage | None:
    """Find what lies in a ring without touching it; None where there is no such ring."""
    gaps = [2 * round(share * max(mask.shape) / 2) + 1 for share in GAPS]
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return None
    crop = mask[top : top + height, left : left + width]
    stats = cv2.connectedComponentsWithStats(crop, connectivity=8, ltype=cv2.CV_16U)[2]
    parts: list[list[int]] = stats[1:].tolist()
    # Around a piece that is open to one side, as the dot in the bowl of a noon, no gap is closed.
    if not any(_is_beset(mask, left + x, top + y, w, h, gaps[-1]) for x, y, w, h, _ in parts):
        return None
    for gap in gaps:
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            closed, connectivity=8, ltype=cv2.CV_16U
        )
        if len(stats) < 3:
            continue
        sizes = stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT]
        ring = np.asarray(cv2.compare(labels, 1 + int(sizes.argmax()), cv2.CMP_EQ), np.uint8)
        outline, _ = cv2.findContours(ring, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        whole = cv2.drawContours(np.zeros_like(ring), outline, -1, 255, cv2.FILLED)
        other = cv2.bitwise_and(mask, cv2.bitwise_not(ring))
        inside = np.asarray(cv2.bitwise_and(other, whole), np.uint8)
        _, _, width, height = cv2.boundingRect(inside)
        if max(width, height) < INNER * min(cv2.boundingRect(ring)[2:]):
            continue
        inked = cv2.countNonZero(inside)
        is_long = max(width, height) >= 2 * min(width, height)
        if not is_long and inked > BLOT * width * height:
            continue
        if inked >= ENCLOSED * cv2.countNonZero(other):
            return inside
    return None


def is_ringed(mask: GrayImage, apart: bool = True) -> bool:
    """Tell whether there is a closed outline around something, which it may hide a stroke of.

    Args:
        mask: As for `find_inside`.
        apart: Whether something may lie in it without touching it.

    >>> mask = cv2.rectangle(np.zeros((64, 64), np.uint8), (8, 8), (56, 56), 255, 2)
    >>> mask[20:56, 30:34] = 255
    >>> is_ringed(mask), find_inside(mask) is None
    (True, True)
    """
    return _find_touching(mask) is not None or (apart and _find_apart(mask) is not None)


def _is_beset(mask: GrayImage, left: int, top: int, width: int, height: int, gap: int) -> bool:
    """Whether there is ink beyond all sides of a box, or its image's side within a gap."""
    right, bottom = left + width, top + height
    rows = slice(max(top - gap, 0), bottom + gap)
    columns = slice(max(left - gap, 0), right + gap)
    return bool(
        mask[: max(top, gap), columns].any()
        and mask[min(bottom, len(mask) - gap) :, columns].any()
        and mask[rows, : max(left, gap)].any()
        and mask[rows, min(right, mask.shape[1] - gap) :].any()
    )


class _Touching(NamedTuple):
    """What touches a ring from within.

    Attributes:
        inside: 255 where there is ink inside of the ring, and all else there; (H, W).
        hides: Whether the ring may hide a whole stroke of it, not only the end of one.
    """

    inside: GrayImage
    hides: bool


def _find_touching(mask: GrayImage) -> _Touching | None:
    """Find what touches a ring from within; None where no ring is touched."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    outline = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(outline), cv2.convexHull(outline)
    shorter = min(cv2.boundingRect(outline)[2:])
    if not area or area < CONVEX * cv2.contourArea(hull):
        return None
    stroke = stroke_width(mask)
    if stroke > THIN * shorter:
        return None
    whole = cv2.drawContours(np.zeros_like(mask), [outline], -1, 255, cv2.FILLED)
    outside = cv2.countNonZero(cv2.bitwise_and(mask, cv2.bitwise_not(whole)))
    # Beyond the image's sides there is no ink.
    wide = cv2.copyMakeBorder(whole, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(wide, cv2.DIST_L2, 3)[1:-1, 1:-1]
    inner = cv2.compare(depth, BAND * stroke, cv2.CMP_GT)
    inside = np.asarray(cv2.bitwise_and(mask, inner), np.uint8)
    rim = cv2.bitwise_and(inner, cv2.compare(depth, BAND * stroke + 1.5, cv2.CMP_LE))
    met = cv2.countNonZero(cv2.bitwise_and(rim, inside))
    if not met or outside > (1 - ENCLOSED) * cv2.countNonZero(inside):
        return None
    stats = cv2.connectedComponentsWithStats(inside, connectivity=8, ltype=cv2.CV_32S)[2]
    longer = stats[1:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_HEIGHT + 1].max()
    _, sides, _ = cv2.minAreaRect(hull)
    straight = area > STRAIGHT * sides[0] * sides[1]
    if longer < (IN_BOX if straight else TOUCHING) * min(cv2.boundingRect(inner)[2:]):
        return None
    return _Touching(inside, straight or met > ON_RIM * cv2.countNonZero(rim))
