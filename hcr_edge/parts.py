"""An ink image taken apart into a letter's stroke and its dots, and put together again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.uint8]

_ROOM = 8  # pixels around an ink image: added dots may lie outside of it


@dataclass(frozen=True, slots=True)
class Parts:
    """A letter's largest component, and the rest of it.

    Attributes:
        stroke: The image without its dots: uint8 (H, W), bright on 0.
        box: Left, top, width and height of the stroke, in pixels.
        dots: What was cut out; None where there is nothing else.
        count: Of how many components.
        middle: Of the dots (x, y), in pixels of the image.
    """

    stroke: Ink
    box: tuple[int, int, int, int]
    dots: Ink | None
    count: int
    middle: tuple[float, float]


def take_apart(ink: Ink) -> Parts:
    """Take the dots off a letter: uint8 (H, W), bright on 0."""
    mask = (ink > int(ink.max()) // 5).astype(np.uint8)
    count, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return Parts(ink, (0, 0, 0, 0), None, 0, (0.0, 0.0))
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    x, y, width, height = (int(v) for v in stats[largest, :4])
    # The soft rim of the stroke lies outside of the mask; that of the dots goes with the dots.
    others = ((components > 0) & (components != largest)).astype(np.uint8)
    near_dots = cv2.dilate(others, np.ones((3, 3), np.uint8)) & (components != largest)
    stroke = np.where(near_dots, 0, ink).astype(np.uint8)
    if others.sum() < 2:
        return Parts(stroke, (x, y, width, height), None, 0, (0.0, 0.0))
    left, top, wide, high = cv2.boundingRect(near_dots)
    dots = np.where(near_dots, ink, 0)[top : top + high, left : left + wide].astype(np.uint8)
    middle = (left + wide / 2, top + high / 2)
    return Parts(stroke, (x, y, width, height), dots, count - 2, middle)


def put_together(stroke: Ink, dots: Ink, middle: tuple[float, float]) -> Ink:
    """Lay dots on a stroke's image, which grows where they lie outside of it.

    Args:
        stroke: Uint8 (H, W), bright on 0.
        dots: The same, smaller.
        middle: Where the dots' middle goes (x, y), in pixels of `stroke`.
    """
    height, width = dots.shape
    room = max(_ROOM, height + 2, width + 2)
    page = cv2.copyMakeBorder(stroke, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    left = int(np.clip(round(middle[0] - width / 2) + room, 0, page.shape[1] - width))
    top = int(np.clip(round(middle[1] - height / 2) + room, 0, page.shape[0] - height))
    under = page[top : top + height, left : left + width]
    np.maximum(under, dots, out=under)
    # The frame grows no more than it must: a letter's size in it means something.
    ys, xs = np.flatnonzero(page.any(axis=1)), np.flatnonzero(page.any(axis=0))
    spare = min(ys[0], xs[0], page.shape[0] - 1 - ys[-1], page.shape[1] - 1 - xs[-1], room)
    return np.asarray(page[spare : page.shape[0] - spare, spare : page.shape[1] - spare], np.uint8)
