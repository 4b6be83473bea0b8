"""What moves around a glyph."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_runtime.motion import BEFORE_SECONDS, Motion
from hcr_runtime.segment import Box

Image = NDArray[np.uint8]
GLYPH = Box(260, 180, 120, 120)


def frame(*strokes: tuple[int, int, int], level: int = 230) -> Image:
    """Paper with a letter on it, and dark squares: left, top and side."""
    image = np.full((480, 640, 3), level, np.uint8)
    cv2.circle(image, (320, 240), 56, (40, 40, 40), 8)
    for left, top, side in strokes:
        image[top : top + side, left : left + side] = 110
    return image


def moved(before: Image, after: Image, seconds: float = BEFORE_SECONDS) -> bool:
    motion = Motion()
    motion.see(before, 1.0)
    motion.see(after, 1.0 + seconds)
    return motion.around(GLYPH)


def test_a_hand_beside_a_glyph_is_seen() -> None:
    assert moved(frame(), frame((400, 200, 90)))
    assert moved(frame((400, 200, 90)), frame((420, 220, 90))), "also one that moves on"
    assert not moved(frame((400, 200, 90)), frame((400, 200, 90))), "but none that rests"


@pytest.mark.parametrize("by", [1, 2])
def test_shake_and_light_are_no_motion(by: int) -> None:
    before = frame((420, 60, 60))
    assert not moved(before, np.roll(before, (by, by), axis=(0, 1)))
    assert not moved(before, np.clip(before * 0.85, 0, 255).astype(np.uint8))


def test_what_happens_in_the_glyph_itself_or_far_from_it_does_not_count() -> None:
    assert not moved(frame(), frame((300, 220, 40)))
    assert not moved(frame(), frame((10, 380, 90)))


def test_frames_of_another_size_are_not_compared() -> None:
    motion = Motion()
    motion.see(frame(), 0.0)
    motion.see(frame((400, 200, 90))[:360], 0.1)
    assert not motion.around(GLYPH)
    grey = frame((400, 200, 90))[:360, :, 0]
    motion.see(np.ascontiguousarray(grey), 0.2)
    assert not motion.around(GLYPH), "the same in grey"
