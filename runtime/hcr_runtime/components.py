"""Connected components of a page's ink, and which of them are one character."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.image import GrayImage
from hcr_runtime.ink import stroke_width

# Specks have less ink than this share of the square of a stroke's width, or so few pixels,
# or are this much fainter than the writing.
SPECK, SPECK_PIXELS, SPECK_LEVEL = 0.15, 4, 0.4
# Or thinner and fainter than it, both.
FINE_WIDTH, FINE_LEVEL = 0.75, 0.7
# What is so much fainter than most of the ink is none of it.
FAINT = 0.25
# What lies on an erased line by more than this share of its ink, and is thinner than this share of
# a stroke, is a rest of it; unless it is as short as a dot, in strokes' widths.
REST, REST_WIDTH, DOT_LENGTH = 0.55, 0.75, 2.5
# What is so many times as thick as a stroke, and not so many times as long as thick, was not
# written: a punched hole, a button. (The width of a disc is its radius.)
BLOB_WIDTH, BLOB_LENGTH = 3.0, 3.0
# What the page's edge cuts and fills so much of the page is what the sheet lies on.
DESK = 0.02
# An arm comes from beyond an edge that is so near, in shares of the page's shorter side: the light
# may take its end. It is so many times as long and as thick as what is written, of which there are
# two strokes at least that are no specks: as high and wide as this.
ARM_REACH, ARM_RATIO, WRITTEN_SIDE = 0.06, 3.0, 0.05
# Most components that are looked at on a page.
MOST = 3000
# A stroke so many times as long as thick is a drawing's, and says nothing of letters' sizes.
DRAWN = 60.0
# Longer side of the least character, and of the longest, in usual letters.
MIN_SIZE, MAX_SIZE = 0.3, 5.0
# A component this much shorter than a letter may be its dot, hamza or mark.
MARK_SIZE = 0.62
# Dots lie within this distance, in shares of a letter; marks as long as a small letter must be
# nearer, and above or below it.
DOT_REACH, MARK_REACH = 0.6, 0.3
# Components whose rectangles overlap by this share of the smaller are strokes of one letter.
OVERLAP = 0.5
# Strokes of one letter that lie over one another are at most so many strokes' widths apart.
STROKE_GAP = 1.0
# A component so much wider than the usual letter is long is several letters that touch, unless it
# is as high as a heading's one letter: it is wider than high by so much, too.
TOUCHING_WIDTH, TOUCHING_SHAPE = 2.0, 1.5
# The usual letter's longer side in its writing box, as people write, and the longest's.
BOX_SHARE = 0.55
MAX_SHARE = 0.85
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


class Group(NamedTuple):
    """Components that are one character.

    Attributes:
        members: Their numbers.
        left: Where they are, in pixels.
        top: As `left`.
        right: Behind the last pixel.
        bottom: Behind the last pixel.
        side: Side of the writing box around them.
        touching: Several characters run into one another.
        centre: Middle (x, y) of the writing box where one is drawn, of the ink elsewhere.
    """

    members: tuple[int, ...]
    left: int
    top: int
    right: int
    bottom: int
    side: float
    touching: bool
    centre: tuple[float, float]


class Components:
    """The connected components of a page's ink; number 0 is the paper.

    Args:
        mask: 255 where there is ink, uint8 of shape (H, W).
        darkness: Darkness of the ink, same shape.
        lines: 255 where ruled lines were erased, same shape.

    Attributes:
        labels: Number of each pixel's component, uint16 or int32, (H, W).
        ink: Positions of the ink in the page's rows laid end to end, without that of the desk
            around the sheet, of which nothing below is measured but `area`; (pixels,).
        owner: Number of the component of each of these, (pixels,).
        low, high: Left and top edge; right and bottom, behind the last pixel; int64, (N, 2).
        length: Longer side, (N,).
        area: Number of pixels, (N,).
        level: Mean darkness, (N,).
        is_cut: Whether it reaches the page's edge, (N,).
        is_rest: Whether it is what erasing left of a line, (N,).
        is_blob: Whether it is far too thick for a stroke, (N,).
        width: Of its strokes, in pixels, (N,).
        dark: `level` in shares of the usual one, which dark and long strokes decide, (N,).
        is_faint: Whether it is much fainter than that, (N,).
        stroke: Usual width of a stroke in pixels.
    """

    def __init__(self, mask: GrayImage, darkness: GrayImage, lines: GrayImage) -> None:
        # Small labels are several times faster; there are no more components than pixels of ink,
        # nor than rows have runs.
        few = cv2.countNonZero(mask) < 2**16
        if not few:
            runs = cv2.compare(mask[:, 1:], mask[:, :-1], cv2.CMP_GT)
            few = cv2.countNonZero(runs) + len(mask) < 2**16
        count, self.labels, stats, _ = cv2.connectedComponentsWithStats(
            mask, connectivity=8, ltype=cv2.CV_16U if few else cv2.CV_32S
        )
        self.low = stats[:, :2].astype(np.int64)
        self.high = self.low + stats[:, 2:4]
        self.length = stats[:, 2:4].max(axis=1).astype(np.int64)
        self.area = stats[:, 4].astype(np.int64)
        edge = mask.shape[::-1]
        self.is_cut = (self.low == 0).any(axis=1) | (self.high == edge).any(axis=1)
        large = np.flatnonzero(self.area[1:] > DESK * mask.size) + 1
        for number in large[~self.is_cut[large]].tolist():
            self.is_cut[number] = self._is_arm(number, mask)
        for number in large[self.is_cut[large]]:
            mask = cv2.bitwise_and(mask, cv2.compare(self.labels, int(number), cv2.CMP_NE))
        self.ink = _places(mask)
        self.owner = self._at_ink(self.labels).astype(np.intp)
        total = np.bincount(self.owner, self._at_ink(darkness), minlength=count)
        self.level = total / np.maximum(self.area, 1)
        inner = self.owner[self._at_ink(cv2.erode(mask, _CROSS)) > 0]
        rim = self.area - np.bincount(inner, minlength=count)
        self.width = 2 * self.area / np.maximum(rim, 1)
        # Long components speak for the writing, specks do not.
        whole = ~self.is_cut
        # A long stroke counts for more than a blot, and a dark one for more than a pale one.
        usual = weighted_median(self.level[whole], (total / np.maximum(self.width, 1))[whole])
        self.dark = self.level / max(usual, 1.0)
        self.is_faint = self.dark <= FAINT
        # Where little is written there is more grain, and rests of lines, than writing.
        written = whole & ~self.is_faint
        self.stroke = weighted_median(self.width[written], self.length[written])
        on_line = np.bincount(self.owner[self._at_ink(lines) > 0], minlength=count)
        thin = stats[:, 2:4].min(axis=1) < REST_WIDTH * self.stroke
        thin &= self.length > DOT_LENGTH * self.stroke
        self.is_rest = thin & (on_line > REST * self.area)
        compact = self.length < BLOB_LENGTH * self.width
        self.is_blob = compact & (self.width > BLOB_WIDTH * self.stroke)

    def _is_arm(self, number: int, mask: GrayImage) -> bool:
        """Whether a large component is a hand with its arm, or something else in the way."""
        side = min(mask.shape)
        size = self.high - self.low
        gap = min(self.low[number].min(), (mask.shape[::-1] - self.high[number]).min())
        written = (size.min(axis=1) >= WRITTEN_SIDE * side) & ~self.is_cut
        written[[0, number]] = False
        others = np.flatnonzero(written)
        if gap > ARM_REACH * side or len(others) < 2:
            return False
        if self.length[number] <= ARM_RATIO * np.median(self.length[others]):
            return False
        letters = np.where(written[self.labels], mask, 0).astype(np.uint8)
        arm = cv2.compare(self.labels, number, cv2.CMP_EQ)
        return stroke_width(arm) > ARM_RATIO * stroke_width(letters)

    def erase(self, numbers: NDArray[np.intp], darkness: GrayImage, mask: GrayImage) -> None:
        """Erase some components, in place.

        Args:
            numbers: Theirs, (N,).
            darkness: Darkness of the ink, uint8 of shape (H, W).
            mask: 255 where there is ink, same shape.
        """
        gone = np.zeros(len(self.area), np.bool_)
        gone[numbers] = True
        pixels = self.ink[gone[self.owner]]
        mask.ravel()[pixels] = darkness.ravel()[pixels] = 0

    def _at_ink(self, image: NDArray[Any]) -> NDArray[Any]:
        """An image's values where there is ink, (pixels,)."""
        return image.ravel().take(self.ink)

    def usable(self) -> NDArray[np.bool_]:
        """Which components are ink: no specks, rests, blobs, nor faint or cut by the edge."""
        usable = self.area >= max(SPECK_PIXELS, SPECK * self.stroke**2)
        usable &= ~(self.is_cut | self.is_rest | self.is_blob | self.is_faint)
        usable[0] = False
        if np.count_nonzero(usable) > MOST:
            # Noise: the largest bound the time.
            usable &= self.area > np.partition(self.area[usable], -MOST)[-MOST]
        return np.asarray(usable, np.bool_)

    def bounds(self, members: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Left, top, right and bottom of groups of components, int64, (groups, 4).

        Args:
            members: Their numbers, one group behind the other.
            starts: Where each group begins.
        """
        low = np.minimum.reduceat(self.low[members], starts, axis=0)
        return np.hstack([low, np.maximum.reduceat(self.high[members], starts, axis=0)])


def group_on_paper(components: Components, among: NDArray[np.int64] | None = None) -> list[Group]:
    """Make characters of components outside of writing boxes: dots join letters.

    Args:
        components: Of the page, its lines erased.
        among: Numbers of those to look at; None for all.
    """
    kept = np.flatnonzero(components.usable()) if among is None else among
    if kept.size == 0:
        return []
    length = components.length[kept]
    # Dots say nothing either, beside large letters of a fine pen.
    long = length > BLOB_LENGTH * components.width[kept]
    letters = length[long & (length <= DRAWN * components.width[kept])]
    size = weighted_median(letters if letters.size else length)
    kept = kept[length <= MAX_SIZE * size]
    size = weighted_median(components.length[kept])
    level = components.level[kept] / weighted_median(components.level[kept])
    # What is long, faint and thin beside the writing is the grain of a desk, or a shadow's edge.
    fine = components.width[kept] < FINE_WIDTH * components.stroke
    fine &= components.length[kept] > MIN_SIZE * size
    kept = kept[level > np.where(fine, FINE_LEVEL, SPECK_LEVEL)]
    length = components.length[kept]
    letters = kept[length > MIN_SIZE * size]
    if letters.size == 0:
        return []
    host = _hosts(components, kept, letters, size)
    usual = float(np.median(components.length[letters]))
    order = np.argsort(host, kind="stable")
    order = order[np.searchsorted(host[order], 0) :]
    numbers, starts = np.unique(host[order], return_index=True)
    bounds = components.bounds(kept[order], starts)
    members = np.split(kept[order], starts[1:])
    groups = []
    for parts, (left, top, right, bottom) in zip(members, bounds.tolist(), strict=True):
        long = max(right - left, bottom - top)
        groups.append(
            Group(
                tuple(parts.tolist()),
                *(left, top, right, bottom),
                max(usual / BOX_SHARE, long / MAX_SHARE),
                len(numbers) > 4
                and right - left > max(TOUCHING_WIDTH * usual, TOUCHING_SHAPE * (bottom - top)),
                ((left + right) / 2, (top + bottom) / 2),
            )
        )
    return groups


def _places(mask: GrayImage) -> NDArray[np.intp]:
    """Positions of a mask's pixels in its rows laid end to end."""
    return np.flatnonzero(mask != 0)  # of truth values several times as fast as of numbers


def weighted_median(values: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """The weighted median; without weights each value counts as often as it is large."""
    if len(values) == 0:
        return 0.0
    order = np.argsort(values, kind="stable")
    total = np.cumsum((values if weights is None else weights)[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _hosts(
    components: Components,
    kept: NDArray[np.int64],
    letters: NDArray[np.int64],
    size: float,
) -> NDArray[np.int64]:
    """The letter that each component belongs to: itself, another's, or -1 for a speck."""
    place, letter = _near(components, kept, letters, size)
    one, other = kept[place], letters[letter]
    low, high = components.low[one], components.high[one]
    low_of, high_of = components.low[other], components.high[other]
    gap = np.maximum(np.maximum(low_of - high, low - high_of), 0)
    common = np.minimum(high, high_of) - np.maximum(low, low_of)
    length, length_of = components.length[one], components.length[other]
    smaller = length < MARK_SIZE * length_of
    reach = np.maximum(length_of, 0.7 * size)
    cost = gap[:, 1] + 2.0 * gap[:, 0]
    dot = (length <= MIN_SIZE * size) & (cost <= DOT_REACH * reach)
    width, width_of = (high - low)[:, 0], (high_of - low_of)[:, 0]
    in_line = common[:, 0] >= 0.5 * np.minimum(width, width_of)
    above = in_line & (gap[:, 1] <= MARK_REACH * reach)
    # Strokes of one letter that nearly meet: the stem of ط, and letters with a gap.
    stroke = in_line & (gap[:, 1] <= STROKE_GAP * components.stroke)
    part = np.minimum((high - low).prod(axis=1), (high_of - low_of).prod(axis=1))
    overlap = np.clip(common, 0, None).prod(axis=1) > OVERLAP * part
    longer = (length < length_of) | ((length == length_of) & (one > other))
    joins = np.flatnonzero((smaller & (dot | above)) | (longer & (overlap | stroke)))
    # The nearest letter is the first of each component's.
    joins = joins[np.lexsort((letter[joins], cost[joins], place[joins]))]
    joined, first = np.unique(place[joins], return_index=True)
    host = np.where(np.isin(kept, letters), kept, -1)
    host[joined] = other[joins[first]]
    # A mark on a mark, and a letter in two strokes: follow to the last.
    position = {int(number): index for index, number in enumerate(kept)}
    for index, number in enumerate(host.tolist()):
        while number >= 0 and host[position[number]] != number:
            number = int(host[position[number]])
        host[index] = number
    return np.asarray(host, np.int64)


def _near(
    components: Components,
    kept: NDArray[np.int64],
    letters: NDArray[np.int64],
    size: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a component and a letter that it might belong to: positions in `kept`, `letters`.

    All pairs of a noisy page's thousands would take seconds, and gigabytes.
    """
    low, high = components.low[kept], components.high[kept]
    low_of, high_of = components.low[letters], components.high[letters]
    reach = np.maximum(components.length[letters], 0.7 * size)
    far = np.maximum(DOT_REACH * reach, STROKE_GAP * components.stroke)
    # Sorted along the longer side of the page, few pairs come so far as to be compared.
    along = int((high.max(axis=0) - low.min(axis=0)).argmax())
    across = 1 - along
    from_low = np.argsort(low[:, along], kind="stable")
    starts = low[from_low, along]
    # What reaches to a letter may begin before it, by its own length.
    longest = (high - low)[:, along].max()
    first = np.searchsorted(starts, low_of[:, along] - far - longest)
    counts = np.searchsorted(starts, high_of[:, along] + far, side="right") - first
    letter = np.repeat(np.arange(len(letters)), counts)
    within = np.arange(len(letter)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = from_low[first[letter] + within]
    low_of, high_of = low_of[letter, across], high_of[letter, across]
    gap = np.maximum(low_of - high[place, across], low[place, across] - high_of)
    near = gap <= far[letter]
    return place[near], letter[near]
