"""From colours to the grey in which ink stands out of its paper.

Brightness alone tells ink from paper nearly always. It does not where a highlighter's marks are
darker than the paper, nor where ink and paper are equally bright.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage, Pixels, to_bgr, to_gray
from hcr_runtime.ink import stroke_width

# Colours are looked at on every n-th row and column, so many on the longer side.
SAMPLES = 192
# Where no pixel has more chroma (its brightest channel less its darkest, 0-255) all is grey.
GRAY = 40
# So much of the image is as bright as paper, by the brightest channel. A mark has so much of that
# brightness, and so much more chroma than the palest paper; ink is darker than the last share.
BRIGHTEST, BRIGHT, VIVID, DARK = 0.1, 0.8, 50, 0.65
# So much of the image is marked, and so much is ink, at least.
LEAST_MARKED, LEAST_INK = 0.01, 0.001
# A mark is so many times as broad as strokes of the ink, of which so much lies on marks or beside
# them: a bright pen beside dark print is none.
BROAD, MARKED = 2.0, 0.1
# Grey as a share of the brightest channel: of ink up to the first, of marks from the second on.
INK_RATIO, MARK_RATIO = 0.52, 0.62
# Ink is seen by brightness where that holds so much of the steps between neighbours: of noise it
# holds a third, as each channel does.
SEEN = 0.4
# Else edges are looked at: steps of so much (0-255), on so much of the image. Brightness does not
# show them where it holds so little of what the strongest colour does; and they are of one colour
# where no other holds more than the last share of it.
EDGE, LEAST_EDGES = 24, 0.002
UNSEEN, SECOND = 0.1, 0.3

# Of blue, green and red in grey (ITU-R BT.601).
_LUMA = np.array([0.114, 0.587, 0.299])


def gray_of_ink(pixels: Pixels) -> GrayImage:
    """Return an image as grey, in which a highlighter's marks are paper, and ink is not.

    Args:
        pixels: Uint8, (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA; see `read_pixels`.

    Returns:
        Uint8, (H, W): the image itself where it is grey, and what `to_gray` gives of nearly all
        others.

    >>> page = np.full((64, 64, 3), 240, np.uint8)
    >>> page[10:54, 10:54] = 190, 120, 250  # a pink mark
    >>> page[20:44, 30:34] = 40
    >>> np.unique(gray_of_ink(page)).tolist()
    [40, 240, 250]
    """
    if pixels.ndim == 2:
        return pixels
    gray, pixels = to_gray(pixels), to_bgr(pixels)
    step = -(-max(gray.shape) // SAMPLES)
    some = np.ascontiguousarray(pixels[::step, ::step])
    channels = cv2.split(some)
    brightest = _brightest(channels)
    chroma = cv2.subtract(brightest, cv2.min(cv2.min(channels[0], channels[1]), channels[2]))
    if cv2.minMaxLoc(chroma)[1] <= GRAY:
        return gray
    seen = np.ascontiguousarray(gray[::step, ::step])
    if _is_marked(seen, brightest, np.asarray(chroma, np.uint8)):
        return _without_marks(gray, _brightest(cv2.split(pixels)))
    if _energy(seen) >= SEEN * (_LUMA @ _LUMA) * sum(map(_energy, channels)):
        return gray
    colour = _strongest_colour(some)
    if colour is None:
        return gray
    # Weights of both signs, and what brings the sum to 0-255.
    weights = colour / np.abs(colour).sum()
    mix = np.append(weights, -255 * weights[weights < 0].sum())
    return np.asarray(cv2.transform(pixels, mix[None]), np.uint8)


def _brightest(channels: Sequence[NDArray[Any]]) -> GrayImage:
    """Each pixel's brightest channel: a highlighter's marks are as white there as paper."""
    return np.asarray(cv2.max(cv2.max(channels[0], channels[1]), channels[2]), np.uint8)


def _is_marked(gray: GrayImage, brightest: GrayImage, chroma: GrayImage) -> bool:
    """Whether there is dark ink, and bright marks of a colour that are broader than its strokes."""
    paper = _level(brightest, 1 - BRIGHTEST)
    bright = cv2.compare(brightest, BRIGHT * paper, cv2.CMP_GT)
    light = cv2.compare(gray, cv2.multiply(brightest, 1, scale=INK_RATIO), cv2.CMP_GT)
    least = round(LEAST_MARKED * gray.size)
    palest = _level(chroma, LEAST_MARKED, bright)
    vivid = cv2.compare(chroma, palest + VIVID, cv2.CMP_GT)
    marks = cv2.bitwise_and(vivid, cv2.bitwise_and(bright, light))
    if cv2.countNonZero(marks) <= least:
        return False
    ink = cv2.compare(brightest, DARK * paper, cv2.CMP_LT)
    inked = cv2.countNonZero(ink)
    if inked < LEAST_INK * gray.size:
        return False
    square = np.ones(2 * (1 + round(BROAD * stroke_width(ink)),), np.uint8)
    broad = cv2.morphologyEx(cv2.bitwise_or(marks, ink), cv2.MORPH_OPEN, square)
    marks = cv2.bitwise_and(broad, marks)
    if cv2.countNonZero(marks) <= least:
        return False
    beside = cv2.bitwise_and(cv2.dilate(marks, square), ink)
    return cv2.countNonZero(beside) > MARKED * inked


def _level(values: GrayImage, share: float, where: GrayImage | None = None) -> int:
    """The number that so much of an image, or of a part of it, does not exceed."""
    total = np.cumsum(cv2.calcHist([values], [0], where, [256], [0, 256]))
    return int(np.searchsorted(total, share * total[-1]))


def _without_marks(gray: GrayImage, brightest: GrayImage) -> GrayImage:
    """Of a pixel of a mark its brightest channel, and of all else its grey."""
    ratio = cv2.divide(gray, brightest, scale=255)
    low, high = 255 * INK_RATIO, 255 * MARK_RATIO
    marked = np.clip((np.arange(256) - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    lift = cv2.multiply(cv2.subtract(brightest, gray), cv2.LUT(ratio, marked), scale=1 / 255)
    return np.asarray(cv2.add(gray, lift), np.uint8)


def _energy(channel: NDArray[Any]) -> float:
    """Of the steps between neighbours."""
    across = cv2.norm(channel[:, 1:], channel[:, :-1], cv2.NORM_L2SQR)
    return across + cv2.norm(channel[1:], channel[:-1], cv2.NORM_L2SQR)


def _strongest_colour(some: Pixels) -> NDArray[np.float64] | None:
    """The mixture of channels in which edges are strongest, (3,); None where brightness has them.

    The steps' covariance is that of S. Di Zenzo, A note on the gradient of a multi-image, 1986.
    """
    wide = some.astype(np.float32)
    steps = np.concatenate([np.diff(wide, axis=axis).reshape(-1, 3) for axis in (0, 1)])
    edges = steps[np.abs(steps).max(axis=1) > EDGE]  # all else is noise
    if len(edges) < LEAST_EDGES * len(steps):
        return None
    covariance = (edges.T @ edges).astype(np.float64)
    strengths, mixtures = np.linalg.eigh(covariance)
    seen = _LUMA @ covariance @ _LUMA / (_LUMA @ _LUMA)
    if seen >= UNSEEN * strengths[2] or strengths[1] > SECOND * strengths[2]:
        return None
    colour = mixtures[:, 2]
    return np.asarray(colour if colour.sum() >= 0 else -colour)
