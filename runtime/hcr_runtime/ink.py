"""Ink of a grey image: how much each pixel differs from its paper, and where the ink lies.

The brightness of the paper (see `paper_level`) is subtracted, the polarity is found, the contrast
stretched between the paper's noise and the ink's mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.paper_level import paper_behind

# Larger images are first shrunk by a whole number to at most this longer side: it bounds the
# time, and leaves at least twice the tensor's resolution.
WORK_SIDE = 128
# An image is blank whose ink differs from its paper by less than this (0-255); up to the second
# number also by less than so many times what the paper differs from itself.
MIN_CONTRAST = 8.0
CLEAR_CONTRAST = 30.0
NOISE_RATIO = 11.0
# Ink above this level belongs to the glyph: low, because small dots are faint.
INK_LEVEL = 50
# What is no darker than this share of Otsu's threshold is paper, in version 1; in version 2 what is
# no darker than its grain may be: three levels, and so many times the grain's mean.
FAINT, FAINTEST, GRAIN_RATIO = 0.35, 3.0, 7.5
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
# Version 2 draws faint ink darker, the more the cleaner the paper is.
_LEVELS = np.arange(256, dtype=np.uint8)[None]
_DARKER = np.rint(255 * (np.arange(256) / 255) ** 0.7).astype(np.uint8)
# A glyph smaller than this (longer side, pixels) is never answered: of what is sure enough below
# it, one in five is wrong (docs/runtime.md).
MIN_GLYPH = 6
# A box of ink fills its image from this share of its width or height on.
FILLING = 0.85
# So much of a box is ink, and the box takes so much of both of its image's sides, if it is solid.
SOLID, SOLID_SIDE = 0.6, 0.25
# A line is ink nearly everywhere in so much of the image at both of its ends, and as thick as this
# share of the image's longer side at most.
LINE_END, LINE_SHARE, LINE_THICKNESS = 1 / 16, 0.8, 1 / 20


class Extent(NamedTuple):
    """The box of an image's ink, in pixels of what `extract_ink` gives; all 0 where it is blank.

    Attributes:
        left: First column with ink.
        top: First row with ink.
        width: Columns of the box.
        height: Rows of the box.
        sides: How many of the image's four sides ink lies on.
        fills: Whether the box is nearly as wide, or as high, as the image.
        lined: Whether there are thin bars on two opposite sides of such an image: the ends of a
            ruled line, of the edge of a form's cell, or of a tight crop's stroke.
        solid: Whether so large a box is nearly all ink: a bold letter, or a sheet of paper.
        ringed: Whether a ring or a box lies around the glyph; see `is_ringed`.
        underlined: Whether a line lies under it; see `underlines`.
    """

    left: int
    top: int
    width: int
    height: int
    sides: int
    fills: bool = False
    lined: bool = False
    solid: bool = False
    ringed: bool = False
    underlined: bool = False

    @property
    def longer(self) -> int:
        """The longer side of the box."""
        return max(self.width, self.height)

    @property
    def crowded(self) -> bool:
        """Whether there may be more than a glyph in the image.

        >>> Extent(0, 0, 64, 64, 4, True, True).crowded, Extent(8, 8, 30, 40, 0).crowded
        (True, False)
        """
        return self.sides > 0 or self.fills


NO_INK = Extent(0, 0, 0, 0, 0)


def mask_ink(ink: GrayImage) -> GrayImage:
    """Return where a glyph is: 255 where `extract_ink` gives more than `INK_LEVEL`, 0 elsewhere.

    >>> mask_ink(np.array([[50, 51]], np.uint8)).tolist()
    [[0, 255]]
    """
    return np.asarray(cv2.threshold(ink, INK_LEVEL, 255, cv2.THRESH_BINARY)[1], np.uint8)


def measure(mask: GrayImage, lines: bool = False) -> Extent:
    """Measure ink, as `mask_ink` gives it: uint8 of shape (H, W).

    Args:
        mask: 255 where there is ink, 0 elsewhere.
        lines: Whether to look for lines and sheets too, see `Extent.lined` and `Extent.solid`.

    >>> mask = np.zeros((32, 32), np.uint8)
    >>> mask[0:20, 10:14] = 255
    >>> extent = measure(mask)
    >>> extent.left, extent.top, extent.width, extent.height, extent.sides, extent.lined
    (10, 0, 4, 20, 1, False)
    """
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return NO_INK
    rows, columns = mask.shape
    sides = (left == 0) + (top == 0) + (left + width == columns) + (top + height == rows)
    fills = width >= FILLING * columns or height >= FILLING * rows
    lined = lines and fills and _is_lined(mask)
    large = lines and min(width / columns, height / rows) >= SOLID_SIDE
    solid = large and cv2.countNonZero(mask) >= SOLID * width * height
    return Extent(left, top, width, height, sides, fills, lined, solid)


def _is_lined(mask: GrayImage) -> bool:
    """Whether thin bars of ink lie on two opposite sides of a mask, as the ends of a line do."""
    thickest = max(1, round(LINE_THICKNESS * max(mask.shape)))
    across, down = (max(2, round(LINE_END * side)) for side in mask.shape[::-1])
    level = _has_bar(mask[:, :across], 1, thickest) and _has_bar(mask[:, -across:], 1, thickest)
    return level or (_has_bar(mask[:down], 0, thickest) and _has_bar(mask[-down:], 0, thickest))


def _has_bar(end: GrayImage, axis: int, thickest: int) -> bool:
    """Whether so thin a bar crosses a strip from end to end."""
    inked = cv2.reduce(end, axis, cv2.REDUCE_AVG).ravel() >= LINE_SHARE * 255
    if not inked.any():
        return False
    bars = np.flatnonzero(np.diff(inked, prepend=False, append=False))
    return bool((np.diff(bars)[::2] <= thickest).any())


def extract_ink(gray: GrayImage, version: int = 1) -> GrayImage:
    """Return the ink of a grey image: uint8, 0 for paper, about 255 for ink.

    Images whose longer side exceeds `WORK_SIDE` come back shrunk. A blank image gives zeros.

    Args:
        gray: Uint8 of shape (H, W).
        version: Of the preprocessing, 1 or 2; see `hcr_runtime.preprocess`.

    >>> letter = np.zeros((32, 32), np.uint8)
    >>> letter[12:26, 14:17], letter[6:8, 15:17] = 230, 35  # and its dot, faint
    >>> [int(extract_ink(letter, version)[6, 15]) > INK_LEVEL for version in (1, 2)]
    [False, True]
    """
    ink = lift_ink(gray)
    threshold, dark = cv2.threshold(ink, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    inked, pixels = cv2.countNonZero(dark), ink.size
    # As cv2.mean with a mask computes it, which takes four times as long.
    level = cv2.sumElems(dark)[0] * (1 / max(inked, 1))
    if level < CLEAR_CONTRAST:
        noise = (cv2.mean(ink)[0] * pixels - level * inked) / max(pixels - inked, 1)
        if level < max(MIN_CONTRAST, NOISE_RATIO * noise):
            return np.zeros_like(ink)
    most = floor = FAINT * threshold
    if version > 1:
        _, faint = cv2.threshold(ink, floor, 0, cv2.THRESH_TOZERO_INV)
        grain = cv2.sumElems(faint)[0] / max(pixels - inked, 1)
        floor = min(most, FAINTEST + GRAIN_RATIO * grain)
    gain = 255 / (level - floor)
    if floor >= most:
        return np.asarray(cv2.addWeighted(ink, gain, ink, 0, -gain * floor), np.uint8)
    # What becomes of a pixel depends on its level alone: 256 of them are soon computed.
    stretched = cv2.addWeighted(_LEVELS, gain, _LEVELS, 0, -gain * floor)
    darker, share = cv2.LUT(stretched, _DARKER), floor / most
    return np.asarray(cv2.LUT(ink, cv2.addWeighted(darker, 1 - share, stretched, share, 0)))


def lift_ink(gray: GrayImage) -> GrayImage:
    """Return how much each pixel differs from the paper: uint8, 0 for paper, as faint as it was.

    The first half of `extract_ink`; lifting ink twice is lifting it once, which lets
    augmentation work on ink.
    """
    return _lift(gray)[0]


def stroke_width(mask: GrayImage) -> float:
    """Return how wide strokes are, in pixels: twice their ink, by what lies on their rim.

    Args:
        mask: 255 where there is ink, 0 elsewhere; uint8 of shape (H, W).

    >>> mask = np.zeros((32, 64), np.uint8)
    >>> mask[14:18, 4:60] = 255
    >>> round(stroke_width(mask), 1)
    3.9
    """
    inked = cv2.countNonZero(mask)
    return 2 * inked / max(inked - cv2.countNonZero(cv2.erode(mask, _CROSS)), 1)


def is_dark(gray: GrayImage) -> bool:
    """Tell whether the ink of a grey image is darker than its paper.

    >>> paper = np.full((32, 32), 250, np.uint8)
    >>> paper[8:24, 14:18] = 20
    >>> is_dark(paper), is_dark(255 - paper)
    (True, False)
    """
    return _lift(gray)[1]


def _lift(gray: GrayImage) -> tuple[GrayImage, bool]:
    """Ink as of `lift_ink`, and whether it is darker than its paper."""
    gray = shrink(gray)
    paper = paper_behind(gray)
    # Like shapes: OpenCV takes an array of 1 or 4 numbers beside a number for a scalar.
    level = np.full_like(gray, paper) if isinstance(paper, int) else paper
    darker = np.asarray(cv2.subtract(level, gray), np.uint8)
    weight = cv2.norm(darker, cv2.NORM_L2SQR)
    # More than if all were white: no need to look at what is brighter.
    if isinstance(paper, int) and weight >= gray.size * (255 - paper) ** 2:
        return darker, True
    brighter = np.asarray(cv2.subtract(gray, level), np.uint8)
    dark = weight >= cv2.norm(brighter, cv2.NORM_L2SQR)
    return (darker if dark else brighter), dark


def shrink(gray: GrayImage, side: int = WORK_SIDE) -> GrayImage:
    """Average blocks of pixels where an image is larger than `extract_ink` works with.

    Args:
        gray: Uint8 of shape (H, W).
        side: Pixels, 1 or more.

    Returns:
        `gray` itself, or the least whole number of times smaller that brings its longer side to
        `side` or less.

    >>> shrink(np.zeros((300, 200), np.uint8)).shape
    (100, 66)
    """
    height, width = gray.shape
    block = -(-max(height, width) // side)
    if block == 1:
        return gray
    size = (max(1, width // block), max(1, height // block))
    # Whole blocks alone: OpenCV's averaging is several times faster for them.
    whole = gray[: size[1] * block, : size[0] * block]
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)
