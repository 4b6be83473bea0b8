"""Lines that were drawn under a letter, once or twice, and touch nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import stroke_width

# An underline is so many times as long as thick, and as its box is high.
SLENDER, FLAT = 6, 3
# It sticks out at both sides of the letter, and so far, in shares of what is above it, at those of
# another line above it.
NEARLY = -0.1
# Above it is a letter, not the dots of one with a flat bowl: as high as so many of its strokes are
# wide, and of so much ink, in shares of the line's.
HIGH, INKED = 3, 0.45
# Smaller pieces, in squares of a stroke's width, are specks.
SPECK = 0.3**2

_RIM = np.ones((5, 5), np.uint8)


def underlines(parts: Sequence[Sequence[int]], stroke: float) -> list[int]:
    """Find which pieces of ink are lines under all others.

    Args:
        parts: Left, top, width, height and area of each piece, in pixels.
        stroke: Width of the letter's strokes, in pixels.

    Returns:
        Their indices, from below; none where there are none.

    >>> underlines([[20, 10, 30, 40, 400], [15, 58, 40, 6, 200]], 5)
    [1]
    >>> underlines([[20, 10, 12, 5, 50], [15, 30, 40, 10, 200]], 5)
    []
    """
    if not any(part[2] >= FLAT * part[3] for part in parts):  # as in most letters
        return []
    found: list[int] = []
    sure = 0  # up to the last that sticks out
    order = [i for i in range(len(parts)) if parts[i][4] >= SPECK * stroke**2]
    order.sort(key=lambda i: -2 * parts[i][1] - parts[i][3])
    for number, i in enumerate(order[:-1]):
        left, _, width, height, area = parts[i]
        if width**2 < SLENDER * area or width < FLAT * height:
            break
        rest = [parts[j] for j in order[number + 1 :]]
        start, stop = min([part[0] for part in rest]), max([part[0] + part[2] for part in rest])
        top, bottom = min([part[1] for part in rest]), max([part[1] + part[3] for part in rest])
        out = min(start - left, left + width - stop) / max(stop - start, bottom - top)
        if out <= NEARLY:
            break
        if max([part[3] for part in rest]) < HIGH * stroke:
            break
        if sum([part[4] for part in rest]) < INKED * area:
            break
        found.append(i)
        if out > 0:
            sure = len(found)
    return found[:sure]


def erase_underlines(darkness: GrayImage, mask: GrayImage) -> GrayImage | None:
    """Erase the lines under a letter, with their blurred rim.

    Args:
        darkness: Of the ink, 0-255, (H, W).
        mask: 255 where there is ink, (H, W).

    Returns:
        What is left of `darkness`; None where there are none.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    found = underlines(stats[1:].tolist(), stroke_width(mask))
    if not found:
        return None
    gone = np.isin(labels, np.array(found) + 1).view(np.uint8) * np.uint8(255)
    rest = cv2.bitwise_and(mask, cv2.bitwise_not(gone))
    kept = cv2.bitwise_or(cv2.bitwise_not(cv2.dilate(gone, _RIM)), rest)
    return np.asarray(cv2.bitwise_and(darkness, kept), np.uint8)
