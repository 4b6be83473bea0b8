"""The narrow shadow of a pencil, a finger or a blind: a band that crosses the image of one glyph.

It is wider than a line, and narrower than what tells paper from ink on a page. It is fainter than
ink, and lies on the image's sides.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.paper_level import SHADOW, count_levels

# Smaller images (shorter side, pixels) are hardly photographs, but crops of a letter.
LEAST_SIDE = 64
# A strip along each side, in shares of the image's longer side, tells a band from a frame; a band
# is so wide there, at least: lines are narrower.
STRIP, LEAST_WIDTH = 1 / 32, 1 / 24
# It is so much fainter than the ink, as a share of the light. What of it is no darker than so many
# times its level is paper.
FAINTER, SPREAD = 0.75, 1.25
# From side to side so much of it is shaded. Where more than so many places on the sides are, it is
# a texture.
COVERED, MOST_ENDS = 0.95, 24
# As dark as ink is what so much of the image is lighter than; paper, what so much is darker than.
INK, PAPER = 0.005, 0.75


def band_depth(gray: GrayImage) -> float:
    """Return what share of the light narrow shadows on an image's sides take; 0 for none.

    What lies on corners alone is the edge of a broad one: see `shadow_depth`. Where the ink comes
    near the sides the image is a tight crop, and what is faint there the blurred rim of a stroke.

    Args:
        gray: Dark ink on bright paper, uint8 of shape (H, W).

    Returns:
        0-1, of the light on its paper.

    >>> paper = np.full((96, 96), 240, np.uint8)
    >>> paper[30:60, 40:46] = 40
    >>> band_depth(paper)
    0.0
    >>> paper[70:80] = 144
    >>> round(band_depth(paper), 2)
    0.4
    """
    if min(gray.shape) < LEAST_SIDE:
        return 0.0
    darker = np.cumsum(count_levels(gray))
    paper, ink = np.searchsorted(darker, (PAPER * gray.size, INK * gray.size)).tolist()
    faintest, darkest = paper - SHADOW, paper - FAINTER * (paper - ink)
    strip, least = (max(2, round(share * max(gray.shape))) for share in (STRIP, LEAST_WIDTH))
    left, top, width, height = cv2.boundingRect(cv2.compare(gray, darkest, cv2.CMP_LT))
    right, bottom = gray.shape[1] - left - width, gray.shape[0] - top - height
    if min(left, top, right, bottom) < 2 * strip:
        return 0.0
    # A side, whether it lies beside the corners, and the row and the column where a band ends.
    ends: list[tuple[int, bool, int, int]] = []
    for number, side in enumerate((gray, gray[::-1], gray.T, gray.T[::-1])):
        # What runs along the side alone is a frame's edge.
        level = side[:strip].max(axis=0)
        shaded = (level < faintest) & (level > darkest)
        bounds = np.flatnonzero(np.diff(shaded, prepend=False, append=False)).tolist()
        for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
            if stop - start >= least:
                free = start > 0 and stop < len(level)
                inside = strip // 2
                place = len(side) - 1 - inside if number % 2 else inside, (start + stop) // 2
                ends.append((number, free, *(place if number < 2 else place[::-1])))
    if len(ends) > MOST_ENDS:
        return 0.0
    levels: list[float] = []
    for one, other in combinations(ends, 2):
        if one[0] == other[0] or not (one[1] or other[1]):
            continue
        way = np.rint(np.linspace(one[2:], other[2:], max(gray.shape))).astype(np.intp)
        level = gray[way[:, 0], way[:, 1]]
        middle = float(np.median(level))
        if (level < faintest).mean() >= COVERED and middle > darkest:
            levels.append(middle)
    return 1 - min(levels) / paper if levels else 0.0


def erase_bands(darkness: GrayImage, mask: GrayImage, depth: float) -> tuple[GrayImage, GrayImage]:
    """Erase what lies on the sides and is no darker than shadows of a depth; ink in it stays.

    Args:
        darkness: Of the ink, 0-255, (H, W).
        mask: 255 where there is ink, (H, W).
        depth: See `band_depth`.
    """
    darkest = float(darkness.max())
    least = min(255 * SPREAD * depth, darkest - 1)
    _, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    shaded = cv2.dilate(np.isin(labels, rim[rim > 0]).view(np.uint8), np.ones((5, 5), np.uint8))
    scale = darkest / (darkest - least)
    seen = cv2.addWeighted(darkness, scale, darkness, 0, -scale * least)
    darkness = np.where(shaded > 0, seen, darkness).astype(np.uint8)
    return darkness, np.where((shaded > 0) & (seen == 0), 0, mask).astype(np.uint8)
