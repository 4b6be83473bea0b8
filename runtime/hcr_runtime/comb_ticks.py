"""Ticks of combs: short printed strokes that stand evenly on a line, between a form's cells."""

from __future__ import annotations

import numpy as np

from hcr_runtime.components import Components
from hcr_runtime.image import GrayImage

# A tick is so high in pixels at least, and at most such a share of that wide; the line that it
# stands on was erased at most so many pixels below.
LEAST, WIDE, FOOT = 8, 0.35, 4
# Ticks side by side are of one height and darkness, in shares (or pixels), and one step is like
# the next; steps are so many heights long at most. So many steps in a row are no writing, and more
# strokes than so many are noise.
HEIGHT, LEVEL, STEP, PIXELS, FAR, MANY, MOST = 0.08, 0.2, 0.04, 1.5, 12.0, 4, 1000


def erase_ticks(
    darkness: GrayImage, mask: GrayImage, components: Components, lines: GrayImage
) -> bool:
    """Erase the ticks of combs that no writing touches, in place.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.
        components: Of the ink.
        lines: 255 where ruled lines were erased, same shape.

    Returns:
        Whether there are any.

    >>> mask, lines = np.zeros((2, 100, 300), np.uint8)
    >>> mask[50:70, 20:260:40] = mask[30:69, 110] = 255  # and an alef
    >>> lines[70:72] = 255
    >>> darkness = mask // 2
    >>> erase_ticks(darkness, mask, Components(mask, darkness, lines), lines)
    True
    >>> np.flatnonzero(mask.any(axis=0)).tolist()
    [110]
    """
    extent = components.high - components.low
    upright = (extent[:, 1] >= LEAST) & (extent[:, 0] <= np.maximum(WIDE * extent[:, 1], 3))
    numbers = np.flatnonzero(upright & ~components.is_cut)
    feet = (components.low + components.high)[numbers] // 2
    feet[:, 1] = components.high[numbers, 1]
    below = feet[:, 1] + np.arange(-1, FOOT)[:, None]
    stands = lines[np.minimum(below, len(lines) - 1), feet[:, 0]].any(axis=0)
    numbers, feet = numbers[stands], feet[stands]
    if not MANY < len(numbers) <= MOST:
        return False
    height, level = extent[numbers, 1].astype(np.float64), components.level[numbers]
    away = feet - feet[:, None]
    alike = np.abs(height - height[:, None]) <= np.maximum(HEIGHT * height, PIXELS)
    alike &= np.abs(level - level[:, None]) <= LEVEL * level
    alike &= (away[..., 0] > 0) & (away[..., 0] < FAR * height)
    alike &= np.abs(away[..., 1]) < height / 2
    # The next to the right of each, or itself at the end.
    far = np.where(alike, away[..., 0], np.inf)
    following = np.where(alike.any(axis=1), far.argmin(axis=1), np.arange(len(numbers)))
    step = feet[following] - feet
    uneven = np.abs(step[following] - step).max(axis=1)
    even = (step[:, 0] > 0) & (uneven <= np.maximum(STEP * step[:, 0], PIXELS))
    for _ in range(MANY - 2):
        even &= even[following]
    chain = np.flatnonzero(even)
    ticks = chain
    for _ in range(MANY):
        chain = following[chain]
        ticks = np.union1d(ticks, chain)
    if not ticks.size:
        return False
    components.erase(numbers[ticks], darkness, mask)
    return True
