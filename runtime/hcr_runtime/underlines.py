"""Lines that were drawn under a letter, once or twice, and touch nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
# The box that lies along it is so many times as high as it is thick: the bowl of a beh is bent.
STRAIGHT = 1.6
# The foot of an E or a Д may be apart. No foot sticks out so far, in shares of what is above it,
# and lies so many strokes' widths below; nor are there two.
FAR, BELOW = 0.25, 0.35

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


class Above(NamedTuple):
    """What lies above the lines under a letter.

    Attributes:
        darkness: Of the ink without them, 0-255, (H, W).
        sure: Whether they are none of the letter's own strokes, as its foot may be.
    """

    darkness: GrayImage
    sure: bool


def erase_underlines(darkness: GrayImage, mask: GrayImage) -> Above | None:
    """Erase the lines under a letter, with their blurred rim.

    Args:
        darkness: Of the ink, 0-255, (H, W).
        mask: 255 where there is ink, (H, W).

    Returns:
        What is left; None where there are no such lines.

    >>> mask = np.zeros((90, 90), np.uint8)
    >>> mask[10:60, 40:46] = mask[70:75, 20:66] = 255
    >>> left, sure = erase_underlines(mask, mask)
    >>> cv2.boundingRect(left), sure
    ((40, 10, 6, 50), True)
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_32S)
    parts: list[list[int]] = stats[1:].tolist()
    stroke = stroke_width(mask)
    found = underlines(parts, stroke)
    if not found or not all(_is_straight(labels, i + 1, parts[i]) for i in found):
        return None
    gone = np.isin(labels, np.array(found) + 1).view(np.uint8) * np.uint8(255)
    rest = cv2.bitwise_and(mask, cv2.bitwise_not(gone))
    left, top, width, height = cv2.boundingRect(rest)
    far = FAR * max(width, height)
    sure = all(
        parts[i][0] <= left - far and parts[i][0] + parts[i][2] >= left + width + far for i in found
    )
    sure &= min(parts[i][1] for i in found) >= top + height + BELOW * stroke
    sure |= len(found) > 1
    kept = cv2.bitwise_or(cv2.bitwise_not(cv2.dilate(gone, _RIM)), rest)
    return Above(np.asarray(cv2.bitwise_and(darkness, kept), np.uint8), sure)


def _is_straight(labels: NDArray[np.int32], label: int, part: Sequence[int]) -> bool:
    """Whether a piece of ink is a straight bar."""
    left, top, width, height, area = part
    own = labels[top : top + height, left : left + width] == label
    _, sides, _ = cv2.minAreaRect(np.argwhere(own).astype(np.float32))
    return bool(min(sides) <= STRAIGHT * area / max(*sides, 1.0))
