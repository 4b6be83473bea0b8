"""Following glyphs from frame to frame by where they are: no pixels, no labels."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from hcr_runtime.segment import Box

# A glyph moves by less than this between two frames (in shares of its longer side, from where
# its motion would have taken it), and keeps its size within this factor.
GATE = 0.7
SIZE_RATIO = 1.8
# A glyph is at rest that moved, or grew, by less than this share of its size in this time.
REST_SHARE = 0.06
REST_SECONDS = 0.1


class Path:
    """Where one glyph was seen lately.

    Args:
        box: Where it was seen first.
        seconds: When.
    """

    def __init__(self, box: Box, seconds: float) -> None:
        self.box = box
        self.last = seconds
        self.resting_since: float | None = None
        self._velocity = (0.0, 0.0)
        self._recent = deque([(seconds, *centre(box), longer_side(box))])

    def expected(self, seconds: float) -> tuple[float, float]:
        """Return the centre that its motion takes it to, in pixels."""
        x, y = centre(self.box)
        ahead = min(seconds - self.last, REST_SECONDS)
        return x + self._velocity[0] * ahead, y + self._velocity[1] * ahead

    def move(self, box: Box, seconds: float) -> None:
        """Take note of where it is now."""
        (old_x, old_y), (x, y) = centre(self.box), centre(box)
        elapsed = seconds - self.last
        self._velocity = (x - old_x) / elapsed, (y - old_y) / elapsed
        self.box, self.last = box, seconds
        self._recent.append((seconds, x, y, longer_side(box)))
        # One entry that is older than the span stays: slow cameras have nothing else to compare.
        while len(self._recent) > 2 and self._recent[1][0] <= seconds - REST_SECONDS:
            self._recent.popleft()
        if not self._rests():
            self.resting_since = None
        elif self.resting_since is None:
            self.resting_since = seconds

    def scale(self, across: float, down: float) -> None:
        """Follow a change of the frame's size, given as factors of its width and height."""
        self.box = scaled(self.box, across, down)
        self._velocity = (0.0, 0.0)
        self._recent = deque([(self.last, *centre(self.box), longer_side(self.box))])

    def _rests(self) -> bool:
        then, x0, y0, side0 = self._recent[0]
        now, x, y, side = self._recent[-1]
        if now - then < 0.6 * REST_SECONDS:
            return False
        # Compared over a longer time than asked for, more motion is allowed, in proportion.
        limit = REST_SHARE * side * max(1.0, (now - then) / REST_SECONDS)
        return max(abs(x - x0), abs(y - y0), abs(side - side0)) <= limit


def match(paths: Sequence[Path], boxes: Sequence[Box], seconds: float) -> list[int | None]:
    """Assign boxes of a new frame to the paths that they continue, nearest pairs first.

    Returns:
        For each box the index of its path, or None: a new glyph.

    >>> old = [Path(Box(10, 10, 20, 40), 0.0), Path(Box(80, 10, 20, 40), 0.0)]
    >>> match(old, [Box(83, 11, 20, 40), Box(150, 10, 20, 40)], 0.03)
    [1, None]
    """
    result: list[int | None] = [None] * len(boxes)
    if not paths or not boxes:
        return result
    expected = np.array([path.expected(seconds) for path in paths])
    centres = np.array([centre(box) for box in boxes])
    old = np.array([longer_side(path.box) for path in paths])
    new = np.array([longer_side(box) for box in boxes])
    larger = np.maximum(old[:, None], new[None])
    distance = np.abs(expected[:, None] - centres[None]).max(axis=2) / larger
    distance[larger > SIZE_RATIO * np.minimum(old[:, None], new[None])] = np.inf
    for flat in np.argsort(distance, axis=None, kind="stable").tolist():
        path, box = divmod(flat, len(boxes))
        if distance[path, box] > GATE:
            break
        if result[box] is None:
            result[box] = path
            distance[path] = np.inf
    return result


def scaled(box: Box, across: float, down: float) -> Box:
    """Return `box` in a frame whose width and height are larger by these factors."""
    return Box(
        round(box.left * across),
        round(box.top * down),
        max(1, round(box.width * across)),
        max(1, round(box.height * down)),
    )


def longer_side(box: Box) -> int:
    """Return the larger of width and height, in pixels."""
    return max(box.width, box.height)


def centre(box: Box) -> tuple[float, float]:
    """Return the middle of a box, in pixels."""
    return box.left + box.width / 2, box.top + box.height / 2
