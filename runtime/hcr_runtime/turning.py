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
SIDE, STEP, FINE_STEP = 320, 1.0, 0.25
# On it lines are thinner than so many pixels: what is not, is a pen, or the desk.
THICK = 7
# Fewer parallel lines are a crease, a pen, an edge of the sheet.
FEWEST = 3
# A line is seen where it covers this share of a stretch as long as this share of the page, and is
# so dark (0-255) on average.
COVERAGE, STRETCH, LEVEL = 0.75, 0.25, 24


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
        None where the lines are nearly level, turned too far, or fewer than three.

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
    thin = cv2.morphologyEx(small, cv2.MORPH_TOPHAT, np.ones((THICK, THICK), np.uint8))
    best = _sharpest(thin)
    if not LEAST_TURN <= abs(best) < MOST_TURN or _count_lines(thin, best) < FEWEST:
        return None
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), best, 1.0)
    across, down = np.abs(matrix[:, :2]) @ (width, height)
    turned = (int(np.ceil(across)), int(np.ceil(down)))
    matrix[:, 2] += ((turned[0] - width) / 2, (turned[1] - height) / 2)
    return Turn(matrix, turned)


def _sharpest(mask: GrayImage) -> float:
    """The turn, in degrees, after which neighbouring rows of a page differ most."""
    y, x = np.nonzero(mask)
    darkness = mask[y, x].astype(np.float32)

    def sharpness(angle: float) -> float:
        # A row for each pixel is several times as fast as turning the picture.
        sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        rows = (x * np.float32(-sine) + y * np.float32(cosine) + sum(mask.shape)).astype(np.intp)
        return float(np.square(np.diff(np.bincount(rows, darkness, minlength=1))).sum())

    coarse = np.arange(-MOST_TURN, MOST_TURN + STEP, STEP)
    fine = max(coarse, key=sharpness) + np.arange(-STEP, STEP + FINE_STEP, FINE_STEP)
    return float(max(fine, key=sharpness))


def _count_lines(mask: GrayImage, angle: float) -> int:
    """How many lines lie along the rows of a turned page; letters are no stretch of one."""
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    inked = cv2.compare(cv2.warpAffine(mask, matrix, (width, height)), LEVEL, cv2.CMP_GT)
    share = cv2.blur(inked, (max(1, round(STRETCH * width)), 1))
    is_line = (share > 255 * COVERAGE).any(axis=1)
    return int(np.count_nonzero(np.diff(is_line.astype(np.int8), prepend=0) > 0))
