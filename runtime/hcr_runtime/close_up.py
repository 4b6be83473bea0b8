"""A close-up of a glyph that is small in a large photograph.

The preprocessing shrinks an image to 128 pixels before it looks for its glyph, which leaves a
dozen pixels of a letter that takes a tenth of a photograph's side, beside whatever else the
photograph shows: the edge of a shadow, a desk, ruled lines, ends of other letters.
"""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.components import BOX_SHARE
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import MIN_GLYPH, WORK_SIDE, shrink
from hcr_runtime.narrow_shadow import band_depth
from hcr_runtime.paper import LARGE, has_bright_ink, lift_page
from hcr_runtime.paper_level import shadow_depth
from hcr_runtime.preprocess import GlyphBox, find_glyph
from hcr_runtime.segment import Box, find_glyphs
from hcr_runtime.sheet import cut_sheet

# What takes less of the image's longer side is small in it; and less than that a speck.
SMALL, LEAST = 0.45, 0.025
# So is what is hardly larger, and as compact: its stroke is as wide as this share of its length.
COMPACT = 1 / 3
# Among other things it is sought as on a page, at this longer side at most.
SEARCH_SIDE = 640


def close_up(gray: GrayImage) -> GrayImage | None:
    """Cut the surroundings of a small glyph out of a large image.

    Args:
        gray: Uint8 of shape (H, W).

    Returns:
        A part of `gray`, in the middle of which the glyph is as large as in its writing box, or
        dark on white, where a shadow's edge is in or near it; None where there is no glyph, or
        several, where it is not small, is a speck, ends beside its sheet, or would be shrunk as
        much again.

    >>> import numpy as np
    >>> photograph = np.full((1200, 900), 230, np.uint8)
    >>> photograph[500:600, 440:452] = 40
    >>> close_up(photograph).shape, close_up(photograph[450:650, 350:550])
    ((183, 183), None)
    """
    longest = max(gray.shape)
    if longest <= WORK_SIDE:
        return None
    small = shrink(gray)
    box = _find(gray, small)
    if box is None:
        return None
    longer = max(box.width, box.height)
    if not LEAST <= longer / longest < SMALL:
        return None
    reach = round(longer / BOX_SHARE / 2)
    if _block(2 * reach, WORK_SIDE) >= _block(longest, WORK_SIDE):
        return None
    middle = box.left + box.width // 2, box.top + box.height // 2
    near = _cut(gray, *middle, reach)
    found = find_glyph(shrink(near), lines=True)
    # Of what lies around it too: a shadow's edge is told from a stroke by how far it goes. Beside
    # the image's edge it is as large.
    wide = max(2 * reach, LARGE // 2)
    left, top = (
        max(0, min(place - wide, length - 2 * wide - 1))
        for place, length in zip(middle, gray.shape[::-1], strict=True)
    )
    around = gray[top : top + 2 * wide + 1, left : left + 2 * wide + 1]
    if shadow_depth(shrink(near)) or (found.extent.crowded and shadow_depth(shrink(around))):
        # All of the photograph tells polarity better than a part that the edge fills.
        dark = not has_bright_ink(shrink(gray, SEARCH_SIDE))
        darkness, _ = lift_page(around, dark)
        near = _cut(darkness, middle[0] - left, middle[1] - top, reach)
        near = np.asarray(cv2.bitwise_not(near), np.uint8)
        found = find_glyph(shrink(near), lines=True)
    if longer < MIN_GLYPH / WORK_SIDE * longest and _is_compact(found.box):
        return None
    # Beside a sheet's edge it may have lost a dot: `hcr_runtime.reading.choose` knows of sheets.
    beside = found.extent.crowded or found.extent.solid
    sheet = cut_sheet(small) if beside else None
    # A small one has more pixels from nearby.
    return near if sheet is None or max(sheet.shape) < SMALL * max(small.shape) else None


def _cut(image: GrayImage, x: int, y: int, reach: int) -> GrayImage:
    """The square of which (x, y) is the middle, as far as it is in the image."""
    return image[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]


def _is_compact(box: GlyphBox | None) -> bool:
    """Whether a glyph is a blot without strokes."""
    return box is None or box.stroke > COMPACT * max(box.right - box.left, box.bottom - box.top)


def _find(gray: GrayImage, small: GrayImage) -> Box | None:
    """Find the only glyph, in pixels of `gray`, which is also given `small`."""
    _, extent, box, _ = find_glyph(small, lines=True)
    if box is None:
        return None
    # What is solid and small may be a sheet: it is looked for from nearby too.
    if not (extent.crowded or (extent.solid and extent.longer >= SMALL * max(small.shape))):
        block = _block(max(gray.shape), WORK_SIDE)
        edges = (box.left, box.top, box.right - box.left, box.bottom - box.top)
        return Box(*[edge * block for edge in edges])
    if band_depth(small):
        return None  # on a page what it touches falls away, and leaves a dot
    glyphs = find_glyphs(shrink(gray, SEARCH_SIDE))
    if len(glyphs) != 1 or glyphs[0].touching:
        return None
    block, found = _block(max(gray.shape), SEARCH_SIDE), glyphs[0].box
    return Box(*[edge * block for edge in (found.left, found.top, found.width, found.height)])


def _block(length: int, side: int) -> int:
    """How many pixels are averaged where a length is brought to `side` at most."""
    return -(-length // side)
