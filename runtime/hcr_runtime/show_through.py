"""Thin paper: what is written on a sheet's other side shows through, and is taken away."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage

# Ink so much fainter than the darkest nearby does not belong to the same writing, ink so dark does;
# nearby is this share of the page's longer side.
PALE, DARK, NEAR = 0.35, 0.55, 0.03
# What lies aside of the dark ink, on every so many-th pixel, is from the other side where so much
# is pale (in shares of the dark), and so many times what lies between: thin strokes are of any
# darkness.
STEP, SHOWS, APART = 4, 0.16, 2.5


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

    >>> darkness = np.zeros((640, 960), np.uint8)
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
    pale, dark = cv2.multiply(near, PALE), cv2.compare(inked, cv2.multiply(near, DARK), cv2.CMP_GT)
    aside = (inked > 0) & (cv2.dilate(dark, _SQUARE) == 0)
    faint = np.count_nonzero(aside & (inked <= pale))
    between = np.count_nonzero(aside) - faint
    if faint <= max(SHOWS * cv2.countNonZero(dark), APART * between):
        return False
    limit = cv2.resize(pale, (width, height), interpolation=cv2.INTER_LINEAR)
    mask[(darkness <= limit) & whole[components.labels]] = 0
    return True


_SQUARE = np.ones((3, 3), np.uint8)
