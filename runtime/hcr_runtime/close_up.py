"""A close-up of a glyph that is small in a large photograph.

The preprocessing shrinks an image to 128 pixels before it looks for its glyph, which leaves a
dozen pixels of a letter that takes a tenth of a photograph's side, beside whatever else the
photograph shows: the edge of a shadow, a desk, ruled lines, ends of other letters.
"""

from __future__ import annotations

from hcr_runtime.components import BOX_SHARE
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import WORK_SIDE, shrink
from hcr_runtime.prediction import MIN_GLYPH
from hcr_runtime.preprocess import find_glyph
from hcr_runtime.segment import Box, find_glyphs

# What takes less of the image's longer side is small in it.
SMALL = 0.45
# Among other things it is sought as on a page, at this longer side at most.
SEARCH_SIDE = 640


def close_up(gray: GrayImage) -> GrayImage | None:
    """Cut the surroundings of a small glyph out of a large image.

    Args:
        gray: Uint8 of shape (H, W).

    Returns:
        A part of `gray`, in the middle of which the glyph is as large as in its writing box; None
        where there is no glyph, or several, where it is not small, is a speck, or would be shrunk
        as much again.

    >>> import numpy as np
    >>> photograph = np.full((1200, 900), 230, np.uint8)
    >>> photograph[500:600, 440:452] = 40
    >>> close_up(photograph).shape, close_up(photograph[450:650, 350:550])
    ((183, 183), None)
    """
    longest = max(gray.shape)
    if longest <= WORK_SIDE:
        return None
    box = _find(gray)
    if box is None:
        return None
    longer = max(box.width, box.height)
    if not MIN_GLYPH / WORK_SIDE <= longer / longest < SMALL:
        return None
    reach = round(longer / BOX_SHARE / 2)
    if _block(2 * reach, WORK_SIDE) >= _block(longest, WORK_SIDE):
        return None
    x, y = box.left + box.width // 2, box.top + box.height // 2
    return gray[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]


def _find(gray: GrayImage) -> Box | None:
    """Find the only glyph, in pixels of `gray`."""
    _, extent, box, _ = find_glyph(shrink(gray), lines=True)
    if box is None:
        return None
    if not (extent.crowded or extent.solid):
        block = _block(max(gray.shape), WORK_SIDE)
        edges = (box.left, box.top, box.right - box.left, box.bottom - box.top)
        return Box(*[edge * block for edge in edges])
    glyphs = find_glyphs(shrink(gray, SEARCH_SIDE))
    if len(glyphs) != 1 or glyphs[0].touching:
        return None
    block, found = _block(max(gray.shape), SEARCH_SIDE), glyphs[0].box
    return Box(*[edge * block for edge in (found.left, found.top, found.width, found.height)])


def _block(length: int, side: int) -> int:
    """How many pixels are averaged where a length is brought to `side` at most."""
    return -(-length // side)
