"""What moves around a glyph: a hand that still writes, or a sheet that is being laid down."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import Pixels
from hcr_runtime.segment import Box

# Frames are compared as so many cells across, with what was seen so many seconds before.
CELLS = 160
BEFORE_SECONDS = 0.1
# A cell has changed that is by so much (0-255) brighter, or darker, than it and its neighbours
# were: shake is less than a cell. What all have changed by is the light's part.
CHANGE = 18
_NEIGHBOURS = np.ones((3, 3), np.uint8)
# So many cells around a glyph, so far from it in shares of its longer side.
LEAST_CELLS = 12
REACH = 1.0


class Motion:
    """Compares frames with those before.

    >>> motion, paper = Motion(), np.full((480, 640, 3), 230, np.uint8)
    >>> hand = paper.copy()
    >>> hand[300:480, 400:480] = 120
    >>> motion.see(paper, 0.0)
    >>> motion.see(hand, 0.1)
    >>> motion.around(Box(300, 200, 100, 100)), motion.around(Box(40, 40, 80, 80))
    (True, False)
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[float, NDArray[np.int16]]] = deque()
        self._moved = np.zeros((1, 1), np.bool_)
        self._cell = 1.0

    def see(self, pixels: Pixels, seconds: float) -> None:
        """Compare a frame, uint8 (H, W) or (H, W, 3), with what was seen a moment before it."""
        height, width = pixels.shape[:2]
        self._cell = width / CELLS
        size = (CELLS, max(1, round(height / self._cell)))
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        if small.ndim == 3:
            small = cv2.cvtColor(small[:, :, :3], cv2.COLOR_BGR2GRAY)
        look = small.astype(np.int16)
        if self._looks and self._looks[-1][1].shape != look.shape:
            self._looks.clear()
        self._looks.append((seconds, look))
        while len(self._looks) > 2 and self._looks[1][0] <= seconds - BEFORE_SECONDS:
            self._looks.popleft()
        before = self._looks[0][1]
        look = look - np.int16(np.median(look - before))
        brightest, darkest = cv2.dilate(before, _NEIGHBOURS), cv2.erode(before, _NEIGHBOURS)
        self._moved = (look > brightest + CHANGE) | (look < darkest - CHANGE)

    def around(self, box: Box) -> bool:
        """Whether anything moved beside this box, near it, in the frame that was seen last."""
        reach = REACH * max(box.width, box.height)
        near = self._count(box, reach)
        return near >= LEAST_CELLS and near - self._count(box, self._cell) >= LEAST_CELLS

    def _count(self, box: Box, margin: float) -> int:
        left, top = (int(max(edge - margin, 0) / self._cell) for edge in (box.left, box.top))
        right = int((box.left + box.width + margin) / self._cell) + 1
        bottom = int((box.top + box.height + margin) / self._cell) + 1
        return int(np.count_nonzero(self._moved[top:bottom, left:right]))
