"""Cheap signs that a ring or a box may lie around a glyph; `hcr_runtime.rings` makes sure."""

from __future__ import annotations

from collections.abc import Sequence

from hcr_runtime.image import GrayImage

# What takes so much of both sides of the glyph's box, and is ink in so little of its own, may be a
# ring around a letter: around what is so long, in shares of its shorter side, and so many pixels
# away from its sides.
RING, HOLLOW, INNER, CLEAR = 0.9, 0.4, 0.1, 2
# A ring that a letter touches has as many pixels a side at least; wherever it is crossed, it is so
# near to its box's sides, of which it is ink in so little. Something is in its middle.
LEAST_RING, FILLED, CROSSED, NEAR, MIDDLE = 24, 0.55, (0.5, 0.3, 0.7), 0.15, (0.3, 0.7)

Parts = Sequence[Sequence[int]]


def may_be_ringed(main: Parts, width: int, height: int) -> bool:
    """Tell whether one of a glyph's main parts is nearly as large as their box, and around another.

    Args:
        main: Left, top, width, height and area of each part, in pixels.
        width: Of their box.
        height: Of their box.

    >>> may_be_ringed([[0, 0, 50, 50, 400], [20, 15, 8, 20, 90]], 50, 50)
    True
    >>> may_be_ringed([[0, 0, 50, 50, 400], [20, 48, 8, 20, 90]], 50, 68)
    False
    """
    for x, y, across, down, area in main:
        if across >= RING * width and down >= RING * height:
            least = INNER * min(across, down)
            return area < HOLLOW * across * down and any(
                max(part[2:4]) >= least
                and min(part[0] - x, part[1] - y) >= CLEAR
                and x + across - part[0] - part[2] >= CLEAR
                and y + down - part[1] - part[3] >= CLEAR
                for part in main
            )
    return False


def may_be_ring(main: Parts, mask: GrayImage, box: tuple[int, int, int, int]) -> bool:
    """Tell whether the largest part of a glyph may be a ring that a letter touches from within.

    Args:
        main: As for `may_be_ringed`.
        mask: 255 where there is ink, 0 elsewhere; uint8 of shape (H, W).
        box: Left, top, width and height of the box of all parts.

    >>> import numpy as np
    >>> mask = np.zeros((64, 64), np.uint8)
    >>> mask[4:60, 4:60] = 255
    >>> mask[8:56, 8:56] = 0
    >>> box = 4, 4, 56, 56
    >>> may_be_ring([[*box, 832]], mask, box)  # empty
    False
    >>> mask[30:56, 30:34] = 255
    >>> may_be_ring([[*box, 936]], mask, box)
    True
    """
    left, top, width, height = box
    if min(width, height) < LEAST_RING:
        return False
    filled = FILLED * width * height
    for part in main:
        if part[2] >= RING * width and part[3] >= RING * height and part[4] < filled:
            break
    else:
        return False
    right, bottom = left + width, top + height
    across, down = round(NEAR * width), round(NEAR * height)
    # Bytes are searched several times faster than arrays.
    for share in CROSSED:
        row, column = mask[top + round(share * height)], mask[:, left + round(share * width)]
        if not (
            b"\xff" in row[left : left + across].tobytes()
            and b"\xff" in row[right - across : right].tobytes()
            and b"\xff" in column[top : top + down].tobytes()
            and b"\xff" in column[bottom - down : bottom].tobytes()
        ):
            return False
    first, last = MIDDLE
    rows = slice(top + round(first * height), top + round(last * height))
    return bool(mask[rows, left + round(first * width) : left + round(last * width)].any())
