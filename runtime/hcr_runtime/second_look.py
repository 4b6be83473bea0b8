"""A second look at the image of one glyph that is full of ink.

`prepare` takes all that stands out of the paper for the glyph: the lines of ruled paper and the
edges of a form's cell too, and what lies in a hard shadow. Here the paper is made even as a page's
is; lines that run from one side of the image to the other are erased, and so is what runs along its
sides, of dots or dashes too, a ring or a box around the glyph, and a line under it. All else stays:
a tight crop holds nothing but its letter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import shrink, stroke_width
from hcr_runtime.narrow_shadow import band_depth, erase_bands
from hcr_runtime.paper import has_bright_ink, lift_page
from hcr_runtime.paper_level import shadow_depth
from hcr_runtime.rings import find_inside, is_ringed
from hcr_runtime.rulings import run_of_ink
from hcr_runtime.underlines import erase_underlines

# Of the preprocessing: on paper made so clean the second takes what is left of a shadow for ink.
VERSION = 1
# Smaller images are enlarged to this longer side, pixels: light is looked for in blocks.
LEAST_SIDE = 96
# Pixels of paper around the image.
BEYOND = 16
# Lines are as dark as this share of the writing, and at least so dark (0-255).
FAINTEST, LEAST_LEVEL = 0.12, 12
# A line is sought in so much of the image at both of its ends, where it is ink nearly everywhere.
MARGIN, INKED = 1 / 16, 0.8
# From one to the other it is ink for so much of its length, and strays by so many pixels.
COVERED, STRAYS = 0.95, 2
# It is so long, as a share of the image's longer side, and so much of it is bare of other ink.
LEAST_LENGTH, BARE = 0.6, 0.3
# It falls by so much of its length at most, and is as thick as this share of the image at most.
STEEPEST, THICKEST = 0.1, 1 / 20
# More of them are a texture.
MOST_LINES = 16
# Where ink stands out of it by more than so many pixels a stroke crosses it.
CROSSED = 2
# It is no stroke where it is so much thinner, or fainter, than what else is written.
THINNER, FAINTER = 0.6, 0.7
# Nor where so little of it is crossed, and there are so many of these.
FREE, MANY = 0.05, 2
# What lies wholly in so broad a rim of the image is a frame where it runs along so much of a
# side: a cell's edge, dotted too, that leaves the image.
RIM, ALONG = 0.15, 0.5
# A frame's edges are so many pieces at least, and around nothing so many dashes.
DASHES, EMPTY_DASHES = 2, 8
# Without lines and frame there must be ink, of this share of the image's longer side.
LEAST_GLYPH = 0.12
# The blurred rim of what is ink.
_RIM = np.ones((5, 5), np.uint8)


class SecondLook(NamedTuple):
    """What an image looks like without what is beside its glyph.

    Attributes:
        image: Dark ink on white, uint8.
        lined: Whether something was erased that is surely none of the glyph's strokes.
        shadow: The depth of a shadow on its paper; see `shadow_depth`.
        ringed: Whether a ring or a box around the glyph was erased.
        doubtful: Whether the line under it, or a ring that it touches, may be a stroke of its own.
    """

    image: GrayImage
    lined: bool
    shadow: float
    ringed: bool = False
    doubtful: bool = False


class _Line(NamedTuple):
    """A line from the left to the right side of an image, or, the axes exchanged, down it.

    Attributes:
        upright: Whether it runs down.
        rows: Where it is in each column.
        thickness: In pixels.
        free: Columns in which no stroke crosses it.
        level: Its darkness, 0-255.
    """

    upright: bool
    rows: NDArray[np.intp]
    thickness: int
    free: NDArray[np.bool_]
    level: float


def look_again(
    gray: GrayImage,
    lined: bool,
    dark: bool | None = None,
    ringed: bool = False,
    underlined: bool = False,
) -> SecondLook:
    """Make the paper of one glyph even, and erase the lines that cross it.

    Args:
        gray: Uint8 of shape (H, W).
        lined: Whether there may be lines; see `Extent`.
        dark: Whether the ink is dark, where that is known.
        ringed: Whether to look for a ring or a box around the glyph.
        underlined: Whether to look for a line under it.

    >>> cell = np.full((96, 96), 230, np.uint8)
    >>> cell[30:70, 44:52] = 40
    >>> cell[:2] = cell[:, 90:92] = 60  # two edges of a form's cell
    >>> image, lined, shadow, ringed, doubtful = look_again(cell, lined=True)
    >>> cv2.boundingRect(cv2.bitwise_not(image)), lined, shadow, ringed, doubtful
    ((44, 30, 8, 40), True, 0.0, False, False)
    """
    gray = shrink(gray)
    bands = band_depth(gray)
    if max(gray.shape) < LEAST_SIDE:
        scale = -(-LEAST_SIDE // max(gray.shape))
        gray = np.asarray(cv2.resize(gray, None, fx=scale, fy=scale), np.uint8)
    # Where lines lie on the image's sides, paper goes on beyond; a shadow would not end there.
    beyond = BEYOND if lined else 0
    paper = float(np.median(gray))
    wide = cv2.copyMakeBorder(gray, *4 * (beyond,), cv2.BORDER_CONSTANT, value=paper)
    height, width = gray.shape
    inner = slice(beyond, beyond + height), slice(beyond, beyond + width)
    if dark is None:
        dark = not has_bright_ink(np.asarray(wide, np.uint8))
    dark = dark or bands > 0  # shadows alone would tell otherwise
    shadow = shadow_depth(gray if dark else np.asarray(cv2.bitwise_not(gray), np.uint8))
    darkness, mask = (each[inner] for each in lift_page(np.asarray(wide, np.uint8), dark))
    faint = max(FAINTEST * cv2.mean(darkness, mask)[0], LEAST_LEVEL)
    mask = cv2.bitwise_or(mask, cv2.compare(darkness, faint, cv2.CMP_GT))
    if bands:
        darkness, mask = erase_bands(darkness, mask, bands)
    lines = _find(darkness, mask, False)
    lines += _find(cv2.transpose(darkness), cv2.transpose(mask), True)
    lines, sure = _choose(lines, darkness, mask) if lines else (lines, False)
    darkness, mask = _erase(darkness, mask, lines)
    darkness, sides = _unframe(darkness, mask)
    inside = find_inside(mask) if ringed else None
    if inside is not None:
        darkness = np.asarray(cv2.bitwise_and(darkness, cv2.dilate(inside, _RIM)), np.uint8)
    above = erase_underlines(darkness, mask) if underlined else None
    if above is not None:
        darkness = above.darkness
    image = np.asarray(cv2.bitwise_not(darkness), np.uint8)
    known = sure or sides >= MANY or inside is not None or above is not None
    doubtful = (above is not None and not above.sure) or (
        inside is not None and is_ringed(mask, apart=False)
    )
    return SecondLook(image, known, max(shadow, bands), inside is not None, doubtful)


def _unframe(darkness: GrayImage, mask: GrayImage) -> tuple[GrayImage, int]:
    """Erase what runs along the image's sides, if there is other ink; on how many sides it does."""
    height, width = mask.shape
    rim = max(2, round(RIM * max(height, width)))
    if min(height, width) < LEAST_LENGTH * max(height, width):
        return darkness, 0
    count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    alone = np.ones(count, bool)
    alone[labels[rim:-rim, rim:-rim]] = False
    alone[0] = False
    frame = np.where(alone[labels], np.uint8(255), np.uint8(0))
    gone = np.zeros_like(frame)
    pairs = list(zip(_sides(frame), _sides(gone), strict=True))
    along = [pair for pair in pairs if pair[0][:rim].any(axis=0).mean() >= ALONG]
    if len(along) == 3:  # the fourth is half outside
        along = pairs
    for one, other in along:
        other[:rim] = one[:rim]
    rest = cv2.bitwise_and(mask, cv2.bitwise_not(gone))
    bare = max(cv2.boundingRect(rest)[2:]) < LEAST_GLYPH * max(height, width)
    # One stroke, as a ring or the bowl of a letter, is no frame; nor are few dashes around nothing.
    least = EMPTY_DASHES if bare else DASHES
    if not along or alone.sum() < least or (bare and len(along) < 3):
        return darkness, 0
    kept = cv2.bitwise_or(cv2.bitwise_not(cv2.dilate(gone, _RIM)), rest)
    return np.asarray(cv2.bitwise_and(darkness, kept), np.uint8), len(along)


def _sides(image: GrayImage) -> tuple[GrayImage, GrayImage, GrayImage, GrayImage]:
    """Views of an image whose first rows are its top, bottom, left and right."""
    return image, image[::-1], image.T, image.T[::-1]


def _find(darkness: GrayImage, mask: GrayImage, upright: bool) -> list[_Line]:
    """Find the lines from the left side to the right."""
    width = mask.shape[1]
    margin = max(2, round(MARGIN * width))
    limit = max(2, round(THICKEST * max(mask.shape)))
    thick = cv2.dilate(mask, np.ones((2 * STRAYS + 1, 1), np.uint8))
    columns = np.arange(width)
    lines: list[_Line] = []
    if width < LEAST_LENGTH * max(mask.shape):
        return lines
    rights = _runs(mask[:, -margin:])
    for start, stop in _runs(mask[:, :margin]):
        for begin, end in rights:
            ends = (start + stop - 1) / 2, (begin + end - 1) / 2
            if abs(ends[1] - ends[0]) > STEEPEST * width:
                continue
            rows = np.rint(np.linspace(*ends, width)).astype(np.intp)
            if (thick[rows, columns] > 0).mean() < COVERED:
                continue
            run = run_of_ink(mask, rows, columns, limit + CROSSED + STRAYS)
            thickness = int(np.quantile(run[run > 0], BARE / 2))
            free = (run > 0) & (run <= thickness + CROSSED)
            if thickness <= limit and free.mean() >= BARE:
                level = float(np.median(darkness[rows, columns][free]))
                lines.append(_Line(upright, rows, thickness, free, level))
                break
    return lines


def _runs(side: GrayImage) -> list[tuple[int, int]]:
    """First row, and the one behind the last, of what is ink from end to end of a strip."""
    inked = cv2.reduce(side, 1, cv2.REDUCE_AVG).ravel() >= INKED * 255
    ends = np.flatnonzero(np.diff(inked, prepend=False, append=False)).tolist()
    if len(ends) > 2 * MOST_LINES:
        return []
    return list(zip(ends[::2], ends[1::2], strict=True))


def _choose(lines: list[_Line], darkness: GrayImage, mask: GrayImage) -> tuple[list[_Line], bool]:
    """Those lines that are no stroke of the glyph, and whether that is sure."""
    rest = _erase(darkness, mask, lines)[1]
    if max(cv2.boundingRect(rest)[2:]) < LEAST_GLYPH * max(mask.shape):
        # Two lines each way are an empty cell; fewer may be a letter: a T, an H, an E.
        upright = sum(line.upright for line in lines)
        return (lines, True) if min(upright, len(lines) - upright) >= 2 else ([], False)
    # Dots are wider than strokes.
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8, ltype=cv2.CV_32S)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    rest = np.asarray(cv2.compare(labels, largest, cv2.CMP_EQ), np.uint8)
    stroke = stroke_width(rest)
    level = cv2.mean(darkness, rest)[0]
    slight = [
        line
        for line in lines
        if line.thickness <= THINNER * stroke or line.level <= FAINTER * level
    ]
    free = [line for line in lines if line.free.mean() >= 1 - FREE]
    chosen = [line for line in lines if any(line is other for other in (*slight, *free))]
    return chosen, bool(slight) or len(free) >= MANY


def _erase(darkness: GrayImage, mask: GrayImage, lines: list[_Line]) -> tuple[GrayImage, GrayImage]:
    """Erase lines where no stroke crosses them; with their blurred rim."""
    darkness, mask = darkness.copy(), mask.copy()
    # Where lines cross each other they are free when the other is gone.
    for line in (*lines, *lines):
        upright = line.upright
        images = (darkness.T, mask.T) if upright else (darkness, mask)
        columns = np.arange(len(line.rows))
        run = run_of_ink(images[1], line.rows, columns, line.thickness + CROSSED + STRAYS)
        free = columns[run <= line.thickness + CROSSED]
        reach = (line.thickness + 1) // 2 + STRAYS
        rows = line.rows[free] + np.arange(-reach, reach + 1)[:, None]
        for image in images:
            image[np.clip(rows, 0, len(image) - 1), free] = 0
    return darkness, mask
