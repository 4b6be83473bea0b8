"""Pages whose lines run aslant: how far they are turned, and turning them level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# Turns that are looked for, in degrees; `rulings` follows lines that are turned by less.
LEAST_TURN, MOST_TURN = 3.0, 25.0
# They are measured on a page of this longer side, in these steps of degrees.
SIDE, STEP, FINE_STEP = 400, 1.0, 0.25


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that lays a page's lines level.

    Attributes:
        matrix: From pixels of the page to those of the turned one; float64, (2, 3).
        size: Width and height of the turned one, which holds all of the page.
    """

    matrix: NDArray[np.float64]
    size: tuple[int, int]

    def apply(self, image: GrayImage, outside: int) -> GrayImage:
        """Turn an image of the page; what lies outside of the page gets one level."""
        turned = cv2.warpAffine(image, self.matrix, self.size, borderValue=outside)
        return np.asarray(turned, np.uint8)

    def bounds(self, points: NDArray[np.int64]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, on the page, of pixels (x, y) of the turned one."""
        whole = np.vstack([self.matrix, (0, 0, 1)])
        back = points @ np.linalg.inv(whole)[:2, :2].T + np.linalg.inv(whole)[:2, 2]
        low, high = np.floor(back.min(axis=0) + 0.5), np.floor(back.max(axis=0) + 1.5)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def turn_level(mask: GrayImage) -> Turn | None:
    """Find the turn that lays a page's lines level, by the sharpness of its rows.

    Args:
        mask: 255 where there is ink, ruled lines included; uint8, (H, W).

    Returns:
        None where the lines are nearly level, or turned too far.

    >>> mask = np.zeros((480, 640), np.uint8)
    >>> for y in range(0, 600, 40):
    ...     _ = cv2.line(mask, (0, y), (639, y - 113), 255, 2)  # 10 degrees
    >>> turn = turn_level(mask)
    >>> level = turn.apply(mask, outside=0)
    >>> round(np.degrees(np.arctan2(-turn.matrix[0, 1], turn.matrix[0, 0])))
    10
    """
    height, width = mask.shape
    scale = min(1.0, SIDE / max(mask.shape))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    coarse = np.arange(-MOST_TURN, MOST_TURN + STEP, STEP)
    best = max(coarse.tolist(), key=lambda angle: _sharpness(small, angle))
    fine = best + np.arange(-STEP, STEP + FINE_STEP, FINE_STEP)
    best = max(fine.tolist(), key=lambda angle: _sharpness(small, angle))
    if not LEAST_TURN <= abs(best) < MOST_TURN:
        return None
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), best, 1.0)
    across, down = np.abs(matrix[:, :2]) @ (width, height)
    turned = (int(np.ceil(across)), int(np.ceil(down)))
    matrix[:, 2] += ((turned[0] - width) / 2, (turned[1] - height) / 2)
    return Turn(matrix, turned)


def _sharpness(mask: GrayImage, angle: float) -> float:
    """How much neighbouring rows of a turned page differ: most where lines lie along them."""
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turned = cv2.warpAffine(mask, matrix, (width, height))
    rows = cv2.reduce(turned, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32F)
    return float(np.square(np.diff(rows[:, 0])).sum())
