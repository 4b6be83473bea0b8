"""Finding the characters on a page, and the one in a camera frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_choice
from hcr_runtime.boxed import group_in_boxes
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.comb_ticks import erase_ticks
from hcr_runtime.components import BOX_SHARE, Components, Group, group_on_paper
from hcr_runtime.dot_grid import erase_dot_grid
from hcr_runtime.guide_lines import erase_guides, may_have_guides
from hcr_runtime.image import GrayImage, ImageLike, read_pixels
from hcr_runtime.levelling import View, lay_level
from hcr_runtime.limits import DEFAULT_LIMITS, Limits
from hcr_runtime.lone_boxes import erase_lone_boxes
from hcr_runtime.paper import Grain, lift_page
from hcr_runtime.reading_order import reading_order
from hcr_runtime.show_through import erase_show_through
from hcr_runtime.spec import Direction
from hcr_runtime.writing_boxes import Lines, erase_boxes

# Pages are searched at this longer side at most; beyond it blocks of pixels are averaged.
PAGE_SIDE = 1600
# Smaller ones hold no letter, and OpenCV takes an array of 1 or 4 numbers for a scalar.
LEAST_SIDE = 8
# Lines may run aslant where something longer than this share of the page is left, or one was so
# steep (a tangent); the page is laid level when this erases many lines, and about as much or more.
LONG, STEEP, AS_MUCH = 0.3, 0.1, 0.97
# More pieces of ink than one on so many pixels, and than so many, may be a sensor's noise: it is
# smoothed where that leaves fewer.
PIXELS, MOST_PIECES = 3000, 100
GRAINS = Grain(blur=1.0, paper=0.5, fewer=1.3), Grain(blur=2.0, paper=0.8, fewer=3.0)
# Pixels around a glyph's ink that are still its own.
RIM = 1
_RIM = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the frame: left and top edge, width and height; whole numbers.

    >>> box = Box(left=10, top=20, width=30, height=40)
    >>> frame = np.zeros((480, 640), np.uint8)
    >>> frame[box.top : box.top + box.height, box.left : box.left + box.width].shape
    (40, 30)
    """

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One character that was found on a page, or several that touch.

    Attributes:
        box: Where it is, in pixels of the page, dots and hamza included.
        crop: Its writing box, ready for `Classifier.classify`: uint8, square, dark ink on white
            paper, without its neighbours and without ruled lines.
        line: The line it stands on, from the top, from 0.
        order: Its place on that line in reading order, from 0.
        touching: Several characters run into one another: what is read in it means nothing.

    >>> paper = np.full((240, 320), 255, np.uint8)
    >>> paper[100:160, 150:156] = 0
    >>> (glyph,) = find_glyphs(paper)
    >>> glyph.crop.shape, glyph.line, glyph.order, glyph.touching
    ((109, 109), 0, 0, False)
    """

    box: Box
    crop: GrayImage
    line: int
    order: int
    touching: bool


def find_glyphs(
    page: ImageLike, *, direction: Direction = "ltr", limits: Limits = DEFAULT_LIMITS
) -> tuple[Glyph, ...]:
    """Find the characters on a page or in a frame.

    Args:
        page: A path, the bytes of an image file, or a uint8 array (see `Classifier.classify`).
            Dark writing on bright paper, or the reverse; blank, ruled, squared, or a form.
        direction: Writing direction; it decides the order alone.
        limits: What is refused as too large.

    Returns:
        The glyphs, line by line in reading order; none where nothing is written. What is cut by
        the page's edge is left out.

    Raises:
        ImageError: `page` is no image, or beyond the limits.
        HcrError: `direction` is another, or `limits` are none.

    >>> paper = np.full((240, 320), 255, np.uint8)
    >>> paper[100:160, 150:156] = paper[100:160, 220:226] = 0
    >>> for glyph in find_glyphs(paper, direction="rtl"):
    ...     print(glyph.order, glyph.box)
    0 Box(left=220, top=100, width=6, height=60)
    1 Box(left=150, top=100, width=6, height=60)
    """
    check_choice("direction", direction, ("ltr", "rtl"))
    gray, block = _shrink(gray_of_ink(read_pixels(page, limits=limits)))
    if min(gray.shape) < LEAST_SIDE:
        return ()
    ink, view = _separate(gray)
    components, boxes = ink.components, ink.lines.boxes
    groups = group_in_boxes(components, boxes) if boxes is not None else None
    if groups is None:
        groups = group_on_paper(components)
    if not groups:
        return ()
    size = BOX_SHARE * float(np.median([group.side for group in groups]))
    places = reading_order(np.array([group.centre for group in groups]), size, direction)
    glyphs = [
        Glyph(_box(group, ink, view, block), _crop(group, ink), *place, group.touching)
        for group, place in zip(groups, places, strict=True)
    ]
    return tuple(sorted(glyphs, key=lambda glyph: (glyph.line, glyph.order)))


@dataclass(frozen=True, slots=True, eq=False)
class _Ink:
    """What is written on a page, without its lines.

    Attributes:
        darkness: Of the ink, uint8, (H, W).
        components: Of the ink.
        lines: That were erased.
        pieces: Of ink, those of the sheet's other side among them.
    """

    darkness: GrayImage
    components: Components
    lines: Lines
    pieces: int


def _separate(gray: GrayImage) -> tuple[_Ink, View | None]:
    """Lift the ink off a page and erase its lines; smooth it where that leaves noise."""
    found = _lift(gray, None)
    pieces = found[0].pieces
    if pieces <= max(MOST_PIECES, gray.size // PIXELS):
        return found
    for grain in GRAINS:
        smoothed = _lift(gray, grain)
        if pieces > grain.fewer * smoothed[0].pieces:
            found, pieces = smoothed, smoothed[0].pieces
    return found


def _lift(gray: GrayImage, grain: Grain | None) -> tuple[_Ink, View | None]:
    """Lift the ink off a page and erase its lines; it is laid level where they run aslant."""
    darkness, mask = lift_page(gray, grain=grain)
    guides: GrayImage | None = None
    ink = _erase(darkness.copy(), mask.copy())
    if may_have_guides(ink.components):
        guides = erase_guides(darkness, mask)
        if guides is not None:
            ink = _erase(darkness.copy(), mask.copy(), guides)
    longest = ink.components.length[1:].max(initial=0)
    if longest < LONG * max(gray.shape) and ink.lines.slope < STEEP:
        return ink, None
    view = lay_level(mask)
    if view is None:
        return ink, None
    # Outside of the page is ink, so that what its edge cuts falls away.
    seen = cv2.compare(view.apply(mask, outside=255), 127, cv2.CMP_GT)
    if guides is not None:
        guides = view.apply(guides, outside=0)
    level = _erase(view.apply(darkness, outside=0), seen, guides)
    before, after = (cv2.countNonZero(each.lines.where) for each in (ink, level))
    return (level, view) if level.lines.are_many and after > AS_MUCH * before else (ink, None)


def _erase(darkness: GrayImage, mask: GrayImage, guides: GrayImage | None = None) -> _Ink:
    """Erase a page's lines, in place; slanted guide lines were, where `guides` is more than 0."""
    ruled = darkness.copy()
    lines = erase_boxes(darkness, mask)
    if guides is not None:
        cv2.bitwise_or(lines.where, guides, dst=lines.where)
    components = Components(mask, darkness, lines.where)
    if erase_dot_grid(darkness, mask, components):
        components = Components(mask, darkness, lines.where)
    if erase_lone_boxes(darkness, mask, components, lines.boxes):
        components = Components(mask, darkness, lines.where)
    if lines.across and erase_ticks(darkness, mask, components, lines.where):
        components = Components(mask, darkness, lines.where)
    pieces = len(components.area)
    if erase_show_through(darkness, mask, components, lines.where, ruled):
        components = Components(mask, darkness, lines.where)
    return _Ink(darkness, components, lines, pieces)


def _shrink(gray: GrayImage) -> tuple[GrayImage, int]:
    """Average blocks of pixels where the page is too large; the page, and the blocks' side."""
    block = -(-max(gray.shape) // PAGE_SIDE)
    if block == 1:
        return gray, 1
    height, width = (max(1, length // block) for length in gray.shape)
    whole = gray[: height * block, : width * block]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), block


def _box(group: Group, ink: _Ink, view: View | None, block: int) -> Box:
    """Where a glyph is on the page, in pixels of the page as it was given."""
    left, top, right, bottom = group.left, group.top, group.right, group.bottom
    if view is not None:
        own = np.isin(ink.components.labels[top:bottom, left:right], group.members)
        points = np.argwhere(own)[:, ::-1] + (left, top)
        left, top, right, bottom = view.bounds(points)
    return Box(left * block, top * block, (right - left) * block, (bottom - top) * block)


def _crop(group: Group, ink: _Ink) -> GrayImage:
    """Lay a glyph's ink into its writing box, on white; `Glyph.crop`."""
    components = ink.components
    # The blurred rim of the strokes belongs to them.
    top, left = max(group.top - RIM, 0), max(group.left - RIM, 0)
    labels = components.labels[top : group.bottom + RIM, left : group.right + RIM]
    own = labels == group.members[0]
    for member in group.members[1:]:
        own |= labels == member
    near = cv2.dilate(own.view(np.uint8), _RIM)
    near &= own | (labels == 0)
    pixels = ink.darkness[top : group.bottom + RIM, left : group.right + RIM] * near
    height, width = pixels.shape
    side = max(round(group.side), height, width)
    crop = np.full((side, side), 255, np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    crop[y : y + height, x : x + width] -= pixels
    return crop
