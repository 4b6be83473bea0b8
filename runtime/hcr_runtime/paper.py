"""A page's ink, lifted off its paper: uneven light, shadows and the desk around it go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage

# The paper's brightness is looked for at this fraction of the page's resolution.
COARSE = 4
# Dark is ink where it is narrower than this share of the longer side, and background otherwise.
WIDEST_STROKE = 1 / 9
# Darker than this share of the paper is no paper, nor a shadow on it; this rim of it (pixels of the
# coarse page) is where both meet.
DARK_SHARE, RIM = 0.25, 2
# The paper's brightness falls off sharply where it is less than this share of what it is beside it.
# That is a shadow's edge; in smaller images strokes are hardly wider than that is blurred.
SHARP, LARGE = 0.9, 256
# Blocks, in pixels, for which polarity and texture are measured, on every SAMPLE-th pixel.
BLOCK, SAMPLE = 64, 8
# Differences beyond this (0-255) say no more about what is ink.
CLEAR = 64
# Squares of such differences that tell nothing when their sum is below it.
FEW_VOTES = CLEAR**2 // 4
# What is narrow is filled by squares that reach so far, in a large image by the first: hardly wider
# than strokes, or what lies between ink and a shadow's edge is narrow too.
NARROW = (1, 2)
# Ink is at least so much darker than its paper (0-255, paper at 255).
MIN_INK = 16
# And so many times what its surroundings vary by: wood and cloth are texture, not ink.
TEXTURE_RATIO = 3.5
# What varies by so much, and so many times what the quietest quarter of the photograph does, is no
# paper: the desk may fill more of it than the sheet.
COARSE_TEXTURE, COARSER, QUIET = 8, 3.5, 0.25
# And this share of the darkness of the page's strokes.
INK_SHARE = 0.25

_SQUARE = np.ones((3, 3), np.uint8)


class Grain(NamedTuple):
    """Noise of a photograph taken in little light.

    Attributes:
        blur: What smooths it: standard deviation of a Gaussian, in pixels.
        paper: The share of a block of pixels that is paper, its pale end: the darkest of it is as
            bright as paper, which noise lets appear too bright (the closing takes the brightest).
        fewer: It is smoothed where that leaves one of so many pieces of ink at most.
    """

    blur: float
    paper: float
    fewer: float


def lift_page(
    gray: GrayImage, dark: bool | None = None, grain: Grain | None = None
) -> tuple[GrayImage, GrayImage]:
    """Separate ink from paper.

    The paper is what a closing with a structuring element wider than any stroke leaves of the
    image; ink is what is darker, in shares of the paper's brightness, so that it is as dark in a
    shadow as in the light.

    Args:
        gray: uint8, shape (H, W); dark ink on bright paper, or the reverse.
        dark: Whether the ink is dark, where that is known.
        grain: What is smoothed; None where nothing need be.

    Returns:
        The darkness of each pixel against its paper (0 for paper, 255 for black), and a mask,
        255 where that is ink; uint8 of shape (H, W) each.

    >>> page = np.tile(np.linspace(90, 250, 320).astype(np.uint8), (240, 1))
    >>> page[100:140, 150:156] //= 4
    >>> darkness, mask = lift_page(page)
    >>> cv2.boundingRect(mask), int(darkness[120, 152]) > 180
    ((150, 100, 6, 40), True)
    """
    if grain is not None:
        gray = np.asarray(cv2.GaussianBlur(gray, (0, 0), grain.blur), np.uint8)
    height, width = gray.shape
    coarse = _coarsen(gray)
    if has_bright_ink(gray) if dark is None else not dark:
        gray, coarse = cv2.bitwise_not(gray), cv2.bitwise_not(coarse)
    closed = _close(coarse, max(1, round(WIDEST_STROKE * max(coarse.shape) / 2)))
    if max(gray.shape) >= LARGE:
        closed = _step_out(closed)
    paper = cv2.resize(closed, (width, height), interpolation=cv2.INTER_LINEAR)
    darkness = cv2.bitwise_not(cv2.divide(gray, cv2.max(paper, 1), scale=255))
    if grain is not None:
        pale = float(np.median(_block_levels(darkness, (grain.paper,))))
        darkness = cv2.subtract(darkness, np.full_like(darkness, int(pale)))
    surroundings = _surroundings(closed)
    if surroundings is not None:
        surroundings = cv2.resize(surroundings, (width, height), interpolation=cv2.INTER_NEAREST)
        darkness = cv2.bitwise_and(darkness, cv2.bitwise_not(surroundings))
        return darkness, cv2.bitwise_or(_threshold(darkness), surroundings)
    return darkness, _threshold(darkness)


def _coarsen(gray: GrayImage) -> GrayImage:
    """Shrink a page to where its paper is looked for."""
    size = [max(1, length // COARSE) for length in gray.shape[::-1]]
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)


def _close(coarse: GrayImage, reach: int) -> GrayImage:
    """Fill what is dark and narrower than a square; not at the edges, where light falls off.

    An even side would move the result by a pixel, and leave a line along each shadow's edge.

    Args:
        coarse: The page, uint8 of shape (H, W).
        reach: The square reaches so many pixels from its middle, 1 or more.
    """
    rim = (reach,) * 4  # as far as the square brings what is bright beyond the edges
    wide = cv2.copyMakeBorder(coarse, *rim, cv2.BORDER_CONSTANT, value=0)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, square)
    return np.asarray(closed[reach:-reach, reach:-reach])


def _step_out(paper: GrayImage) -> GrayImage:
    """Let what is dark begin a pixel earlier where the paper's brightness falls off sharply.

    Between the pixels of the coarse page the edge of a shadow is blurred, and would leave a line.
    """
    low = cv2.erode(paper, _SQUARE)
    sharp = cv2.compare(low, cv2.multiply(paper, 1, scale=SHARP), cv2.CMP_LT)
    return np.asarray(cv2.copyTo(low, sharp, paper.copy()), np.uint8)


def _surroundings(paper: GrayImage) -> GrayImage | None:
    """255 where a sheet ends and something dark begins, which reaches the photograph's edge.

    It counts as ink, and falls away with what is cut there. Its own pattern is faint, but not in
    shares of its brightness.

    Args:
        paper: The paper's brightness.

    Returns:
        None where there is nothing so dark.
    """
    bright = float(np.partition(paper, -paper.size // 4, axis=None)[-paper.size // 4])
    dark = cv2.compare(paper, DARK_SHARE * bright, cv2.CMP_LT)
    if not dark.any():
        return None
    dark = cv2.dilate(dark, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8))
    wide = cv2.copyMakeBorder(dark, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=255)
    cv2.floodFill(wide, None, (0, 0), 128)
    return np.asarray(cv2.compare(wide[1:-1, 1:-1], 128, cv2.CMP_EQ), np.uint8)


def has_bright_ink(gray: GrayImage) -> bool:
    """Whether what stands out of its surroundings is brighter than they are.

    Each block votes with the square of what its extremes differ from its median, where all blocks
    around it lie on the same ground: the edge of a sheet on a desk is no ink. Where these say next
    to nothing, for all ink lies at such an edge, what is narrow tells it; in a small image, where
    thick strokes are no narrower than what they enclose, all blocks too.

    Args:
        gray: uint8, shape (H, W).
    """
    darkest, median, brightest = _block_levels(gray, (0.02, 0.5, 0.98))
    alike = cv2.morphologyEx(median, cv2.MORPH_GRADIENT, _SQUARE) <= CLEAR
    darker, brighter = _votes(median - darkest), _votes(brightest - median)
    votes = float((brighter - darker)[alike].sum())
    if abs(votes) < FEW_VOTES:
        coarse = _coarsen(gray)
        inverse = np.asarray(cv2.bitwise_not(coarse), np.uint8)
        large = max(gray.shape) >= LARGE
        votes = 0.0 if large else _balance(brighter, darker)
        for reach in NARROW[:1] if large else NARROW:
            dark, bright = (_votes(_close(each, reach) - each) for each in (coarse, inverse))
            votes += _balance(bright, dark)
    return votes > 0


def _votes(difference: GrayImage) -> NDArray[np.int32]:
    return np.minimum(difference, CLEAR).astype(np.int32) ** 2


def _balance(brighter: NDArray[np.int32], darker: NDArray[np.int32]) -> float:
    """From -1, where all is darker than its surroundings, to 1."""
    difference, total = int(brighter.sum()) - int(darker.sum()), int((brighter + darker).sum())
    return difference / max(total, 1)


def _threshold(darkness: GrayImage) -> GrayImage:
    """255 where a pixel is darker than the texture around it, and dark enough beside the rest."""
    # Ink is the dark end of a block: how its pale end varies is the paper's own texture.
    pale, middle = _block_levels(darkness, (0.05, 0.3))
    texture = cv2.subtract(middle, pale)
    level = np.clip(cv2.medianBlur(texture, 3) * TEXTURE_RATIO, MIN_INK, CLEAR).astype(np.uint8)
    level = cv2.resize(level, darkness.shape[::-1], interpolation=cv2.INTER_LINEAR)
    some = darkness[::COARSE, ::COARSE]
    inked = some[some > level[::COARSE, ::COARSE]]
    if inked.size:
        level = cv2.max(level, int(INK_SHARE * float(inked.mean())))
    mask = cv2.compare(darkness, level, cv2.CMP_GT)
    desk = _desk(texture)
    if desk.any():
        # It counts as ink: it reaches the edge, and falls away with what is cut there.
        desk = cv2.resize(desk, darkness.shape[::-1], interpolation=cv2.INTER_NEAREST)
        mask = cv2.bitwise_or(mask, desk)
    return np.asarray(mask, np.uint8)


def _desk(texture: GrayImage) -> GrayImage:
    """255 where blocks show what the page lies on: coarse, and reaching the photograph's edge."""
    coarse = (texture > max(COARSE_TEXTURE, COARSER * float(np.quantile(texture, QUIET)))).astype(
        np.uint8
    )
    wide = cv2.copyMakeBorder(coarse, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    cv2.floodFill(wide, None, (0, 0), 2)
    return np.where(wide[1:-1, 1:-1] == 2, np.uint8(255), np.uint8(0))


def _block_levels(gray: GrayImage, shares: tuple[float, ...]) -> GrayImage:
    """Quantiles of the brightness in blocks of BLOCK pixels, from every SAMPLE-th row and column.

    Returns:
        uint8 of shape (len(shares), blocks down, blocks across).
    """
    sampled = gray[::SAMPLE, ::SAMPLE]
    side = BLOCK // SAMPLE
    down, right = (-length % side for length in sampled.shape)
    whole = cv2.copyMakeBorder(sampled, 0, down, 0, right, cv2.BORDER_REFLECT)
    rows, columns = whole.shape[0] // side, whole.shape[1] // side
    blocks = whole.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows, columns, -1)
    places = [round(share * (side * side - 1)) for share in shares]
    levels = np.partition(blocks, places, axis=2)[:, :, places]
    return np.ascontiguousarray(levels.transpose(2, 0, 1))
