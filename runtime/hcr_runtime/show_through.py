"""Thin paper: what is written on a sheet's other side shows through, and is taken away."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage

# Ink that is so much fainter than the darkest nearby does not belong to the same writing: nearby is
# this share of the page's longer side.
PALE, NEAR = 0.35, 0.03
# It is looked for on every so many-th pixel, and shows where it is so much in shares of the other.
STEP, SHOWS = 4, 0.05


def erase_show_through(darkness: GrayImage, mask: GrayImage, components: Components) -> bool:
    """Erase, from the mask and in place, what is far fainter than the ink beside it.

    The rims of strokes are faint too, but do not reach so far from them as to be told from
    writing: without any, nothing is erased; nor of what the page's edge cuts, as a desk.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W), ruled lines erased.
        mask: 255 where there is ink, same shape.
        components: Of the ink.

    Returns:
        Whether anything was erased.

    >>> darkness = np.zeros((240, 320), np.uint8)
    >>> darkness[100:160, 150:156] = 180
    >>> darkness[100:160, 156:170] = 30
    >>> mask = cv2.compare(darkness, 16, cv2.CMP_GT)
    >>> components = Components(mask, darkness, np.zeros_like(mask))
    >>> erase_show_through(darkness, mask, components), cv2.boundingRect(mask)
    (True, (150, 100, 6, 60))
    """
    whole = ~components.is_cut
    whole[0] = False
    height, width = mask.shape
    side = 2 * max(1, round(NEAR * max(height, width) / STEP / 2)) + 1
    inked = darkness[::STEP, ::STEP] * whole[components.labels[::STEP, ::STEP]]
    near = cv2.dilate(inked, np.ones((side, side), np.uint8))
    written = cv2.compare(inked, cv2.multiply(near, PALE), cv2.CMP_GT)
    faint = cv2.subtract(cv2.compare(inked, 0, cv2.CMP_GT), cv2.dilate(written, _SQUARE))
    if cv2.countNonZero(faint) <= SHOWS * cv2.countNonZero(written):
        return False
    limit = cv2.resize(cv2.multiply(near, PALE), (width, height), interpolation=cv2.INTER_LINEAR)
    mask[(darkness <= limit) & whole[components.labels]] = 0
    return True


_SQUARE = np.ones((3, 3), np.uint8)
