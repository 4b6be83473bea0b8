"""A ring or a box that was drawn around a letter, and lies free of the picture's sides."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.preprocess import INNER

# Drawn by hand a ring has gaps, of so much of the image's longer side at most. One that is wider
# joins the letter to it.
GAPS = 0.0, 0.04, 0.075
# So much of the ink beside a ring lies inside of it.
ENCLOSED = 0.8
# What fills so much of its box, and is not twice as long as wide, is a dot: of a noon, say.
BLOT = 0.62


def find_inside(mask: GrayImage) -> GrayImage | None:
    """Find what is written inside of a closed outline, which no ink of it touches.

    Args:
        mask: 255 where there is ink, 0 elsewhere; uint8 of shape (H, W).

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
    for share in GAPS:
        gap = 2 * round(share * max(mask.shape) / 2) + 1
        closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            closed, connectivity=8, ltype=cv2.CV_32S
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
