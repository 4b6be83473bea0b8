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
# darkness. Then what is pale beside the darkest in this share of the page goes.
STEP, SHOWS, APART, FAR = 4, 0.16, 2.5, 0.2


def erase_show_through(
    darkness: GrayImage,
    mask: GrayImage,
    components: Components,
    lines: GrayImage,
    ruled: GrayImage,
) -> bool:
    """Erase, from the mask and in place, what is far fainter than the ink beside it.

    The rims of strokes are faint too, but do not reach so far from them as to be told from
    writing: without any, nothing is erased; nor of what the page's edge cuts, as a desk.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W), ruled lines erased.
        mask: 255 where there is ink, same shape.
        components: Of the ink.
        lines: 255 where ruled lines were, same shape; what crosses one is darker by the line.
        ruled: Darkness with them, uint8, same shape.

    Returns:
        Whether anything was erased.

    >>> darkness = np.zeros((640, 960), np.uint8)
    >>> darkness[100:160, 150:156] = 180
    >>> darkness[100:160, 156:170] = 30
    >>> mask = cv2.compare(darkness, 16, cv2.CMP_GT)
    >>> components = Components(mask, darkness, np.zeros_like(mask))
    >>> erase_show_through(darkness, mask, components, 0 * mask, darkness)
    True
    >>> cv2.boundingRect(mask)
    (150, 100, 6, 60)
    """
    whole = ~components.is_cut
    whole[0] = False
    height, width = mask.shape
    thin = slice(None, None, STEP), slice(None, None, STEP)
    on_lines = ruled[thin][lines[thin] > 0]
    line = float(np.median(on_lines)) / 255 if on_lines.size else 0.0
    inked = darkness[thin] * whole[components.labels[thin]]
    bare = cv2.subtract(inked, cv2.multiply(lines[thin], line))
    near = cv2.dilate(inked, _window(mask, NEAR))
    pale, dark = cv2.multiply(near, PALE), cv2.compare(inked, cv2.multiply(near, DARK), cv2.CMP_GT)
    aside = (bare > 0) & (cv2.dilate(dark, _SQUARE) == 0)
    faint = np.count_nonzero(aside & (bare <= pale))
    between = np.count_nonzero(aside) - faint
    if faint <= max(SHOWS * cv2.countNonZero(dark), APART * between):
        return False
    pale = cv2.multiply(cv2.dilate(inked, _window(mask, FAR)), PALE)
    limit = cv2.resize(pale, (width, height), interpolation=cv2.INTER_LINEAR)
    bare = cv2.subtract(darkness, cv2.multiply(lines, line))
    mask[(bare <= limit) & whole[components.labels]] = 0
    return True


def _window(mask: GrayImage, share: float) -> GrayImage:
    """A square of a share of a page's longer side, on every `STEP`-th pixel."""
    side = 2 * max(1, round(share * max(mask.shape) / STEP / 2)) + 1
    return np.ones((side, side), np.uint8)


_SQUARE = np.ones((3, 3), np.uint8)
