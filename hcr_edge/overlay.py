"""What `webcam` shows: the picture with what is read in it, and how fast."""

from __future__ import annotations

import time
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.drawing import Kind, Mark, draw_overlay
from hcr_runtime import Box, Frame, Watcher
from hcr_runtime.followed import Followed, State
from hcr_runtime.watching import guide_box

_KINDS: dict[State, Kind] = {"stable": "accepted", "looking": "refused", "seen": "refused"}
_GUIDE = (200, 120, 0)
_BAR = 22  # height of the line below the picture, in pixels


class Meter:
    """Frames a second, and the time from a frame's arrival until it has been dealt with."""

    def __init__(self) -> None:
        self._arrivals: deque[float] = deque(maxlen=60)
        self.latencies: deque[float] = deque(maxlen=300)

    def note(self, frame: Frame) -> None:
        """Count a frame that has been dealt with now."""
        now = time.monotonic()
        self._arrivals.append(now)
        self.latencies.append(now - frame.arrived)

    @property
    def rate(self) -> float:
        """Frames a second, over the last ones."""
        if len(self._arrivals) < 2:
            return 0.0
        return (len(self._arrivals) - 1) / max(self._arrivals[-1] - self._arrivals[0], 1e-6)

    @property
    def latency(self) -> float:
        """Seconds within which 95 % of the last frames were dealt with."""
        return float(np.quantile(list(self.latencies), 0.95)) if self.latencies else 0.0


def annotate(frame: Frame, watcher: Watcher, status: str) -> NDArray[np.uint8]:
    """Return the frame's picture with boxes, letters and a line of text below.

    Args:
        frame: What is shown.
        watcher: What has seen it.
        status: The line below, in ASCII.

    Returns:
        BGR, uint8; as wide as the frame, and higher.
    """
    image = frame.image
    height, width = image.shape[:2]
    if watcher.mode == "guide":
        image = image.copy()
        _draw_guide(image, guide_box(width, height))
    image = draw_overlay(image, [_mark(glyph) for glyph in watcher.glyphs])
    canvas = cv2.copyMakeBorder(image, 0, _BAR, 0, 0, cv2.BORDER_CONSTANT, value=(40, 40, 40))
    place = (6, height + _BAR - 7)
    white = (240, 240, 240)
    cv2.putText(canvas, status, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, white, 1, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)


def _mark(glyph: Followed) -> Mark:
    label = glyph.label or glyph.evidence.best
    note = f"{glyph.evidence.confidence(label):.0%}" if glyph.state == "stable" else ""
    return Mark(glyph.path.box, label, _KINDS[glyph.state], note)


def _draw_guide(image: NDArray[np.uint8], guide: Box) -> None:
    """Draw the four corners of the guide's box, in place."""
    arm = guide.width // 8
    right, bottom = guide.left + guide.width, guide.top + guide.height
    for x, y, dx, dy in (
        (guide.left, guide.top, arm, arm),
        (right, guide.top, -arm, arm),
        (guide.left, bottom, arm, -arm),
        (right, bottom, -arm, -arm),
    ):
        cv2.line(image, (x, y), (x + dx, y), _GUIDE, 2)
        cv2.line(image, (x, y), (x, y + dy), _GUIDE, 2)
