"""A glance at a frame, before it is searched as a page: that is dear."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.paper import lift_page
from hcr_runtime.single_glyph import ink_mask

# Glyphs are this large at least, in shares of the frame's shorter side.
LEAST_SIDE = 0.04
# A page with more pieces of ink than this is print, or no page; looked for at this longer side.
MOST_PIECES = 150
GLANCE_SIDE = 480
# Where the middle of a page, of this longer side (pixels), has more specks than this, the sensor's
# noise is taken for ink.
MIDDLE_SIDE = 480
MOST_SPECKS = 150


def may_hold_letters(gray: GrayImage) -> bool:
    """Glance at a page: whether it is neither blank nor full of print.

    >>> may_hold_letters(np.full((72, 128), 255, np.uint8))
    False
    """
    scale = min(1.0, GLANCE_SIDE / max(gray.shape))
    size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    mask = ink_mask(small)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
    left, top, width, height = stats[1:, :4].T
    inside = (left > 0) & (top > 0) & (left + width < size[0]) & (top + height < size[1])
    large = np.maximum(width, height) >= LEAST_SIDE * min(size) / 2
    return 0 < int((inside & large).sum()) <= MOST_PIECES


def is_noisy(gray: GrayImage) -> bool:
    """Whether the middle of a page has so many specks that they are noise and no writing.

    >>> is_noisy(np.full((72, 128), 255, np.uint8))
    False
    """
    height, width = gray.shape
    share = min(1.0, MIDDLE_SIDE / max(gray.shape))
    top, left = (round(side * (1 - share) / 2) for side in (height, width))
    middle = np.ascontiguousarray(gray[top : height - top, left : width - left])
    _, mask = lift_page(middle)
    return cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)[0] - 1 > MOST_SPECKS
