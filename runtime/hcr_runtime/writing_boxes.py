"""Writing boxes of a form: tables, combs and separate boxes, found and erased."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime._opencv import cv2
from hcr_runtime.cell_diagonals import erase_diagonals
from hcr_runtime.image import GrayImage
from hcr_runtime.rulings import Ruling, darkest, erase_rulings, thickest

# Least side of a writing box in pixels.
MIN_BOX = 16
# The outline of a box: share of its sides that is ink, and of each; of its inner part, less than
# so much.
SIDES, SIDE, FILLING = 0.85, 0.6, 0.4
# What fills so much of the page is its own outline, or a frame around all that is written.
WHOLE = 0.9
# Boxes so near (in their own sides) differ in area by at most this factor.
NEIGHBOUR, GROWS = 3.0, 1.5
# So many outlines of like size are boxes even when nothing is written in them; so many lines are
# no crease.
MANY = 3
# A comb is at most so much higher than its cells: two rows, or one and a letter that sticks out.
ROWS = 2.5

# Corners of a box, and whether something is written in it.
Outline = tuple[NDArray[np.int32], bool]

_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The lines of a page that were erased.

    Attributes:
        where: 255 where they lay; uint8, (H, W).
        across: How many ran across the page.
        slope: The steepest, as a tangent against the page's rows or columns.
        boxes: Number of the writing box that each pixel lies in, from 1, and 0 where in none;
            int32, (H, W). None where they make no boxes.
    """

    where: GrayImage
    across: int
    slope: float
    boxes: NDArray[np.int32] | None

    @property
    def are_many(self) -> bool:
        """Whether they are the ruling of a page, or a form, and not a crease or an edge."""
        return self.across >= MANY or (self.boxes is not None and int(self.boxes.max()) >= MANY)


def erase_boxes(darkness: GrayImage, mask: GrayImage) -> Lines:
    """Erase the lines of a page, in place, and find the writing boxes that they make.

    Args:
        darkness: Darkness of the ink, uint8 of shape (H, W).
        mask: 255 where there is ink, same shape.
    """
    apart = np.zeros_like(mask)
    boxes = None
    # First: what runs along the sides of several is no line.
    outlines, cells = _outlines(mask)
    if len(outlines) >= MANY:
        boxes = _erase_outlines(outlines, darkness, mask, apart)
    level, upright, erased = erase_rulings(darkness, mask)
    slope = max((_slope(ruling) for ruling in level + upright), default=0.0)
    if boxes is None and min(len(level), len(upright)) < 2:
        if level or upright:
            outlines, _ = _outlines(mask)
        # The lines between a comb's cells are too short for a ruling; but letters on ruled paper
        # enclose a few such places, too.
        if len(outlines) < MANY <= len(cells) and len(cells) > len(level):
            outlines = cells
        if len(outlines) >= MANY or any(filled for _, filled in outlines):
            boxes = _erase_outlines(outlines, darkness, mask, apart)
    cv2.bitwise_or(erased, apart, dst=erased)
    if boxes is not None or min(len(level), len(upright)) < 2:
        return Lines(erased, len(level), slope, boxes)
    erase_diagonals(darkness, mask, erased, level, upright)
    lines = erased.copy()
    # Print may be faint or covered at the ends of a line: it is taken to go on for two boxes.
    across, down = 2 * _pitch(upright), 2 * _pitch(level)
    for ruling in level:
        for ends in _extensions(ruling, across):
            cv2.line(lines, *ends, 255, 2)
    for ruling in upright:
        for (y0, x0), (y1, x1) in _extensions(ruling, down):
            cv2.line(lines, (x0, y0), (x1, y1), 255, 2)
    return Lines(erased, len(level), slope, _boxes(lines))


def _slope(ruling: Ruling) -> float:
    return abs(float(ruling.centre[-1] - ruling.centre[0])) / len(ruling.centre)


def _pitch(rulings: list[Ruling]) -> int:
    """Usual distance of neighbouring lines, in pixels."""
    middles = [float(np.median(ruling.centre)) for ruling in rulings]
    return int(np.median(np.diff(middles)))


def _extensions(ruling: Ruling, length: int) -> tuple[tuple[tuple[int, int], tuple[int, int]], ...]:
    """A line's continuation at both ends, where print is faint or covered: (along, across)."""
    first, last = float(ruling.centre[0]), float(ruling.centre[-1])
    slope = (last - first) / len(ruling.centre)
    before = ruling.start - length, round(first - slope * length)
    after = ruling.stop + length, round(last + slope * length)
    return (before, (ruling.start, round(first))), ((ruling.stop, round(last)), after)


def _boxes(lines: GrayImage) -> NDArray[np.int32] | None:
    """Number the regions between lines that are rectangles of about the same size."""
    count, regions, stats, _ = cv2.connectedComponentsWithStats(
        cv2.bitwise_not(lines), connectivity=4, ltype=cv2.CV_32S
    )
    width, height, area = (stats[:, i] for i in (2, 3, 4))
    square = (area > 0.75 * width * height) & (width < 3 * height) & (height < 3 * width)
    # Label 0 are the lines; a box is smaller than the page.
    square &= (np.arange(count) > 0) & (area < lines.size / 4) & (area > MIN_BOX**2)
    if not square.any():
        return None
    usual = np.median(area[square])
    square &= (area > 0.5 * usual) & (area < 2 * usual)
    numbers = np.cumsum(square, dtype=np.int32) * square
    return np.asarray(numbers[regions], np.int32)


def _outlines(mask: GrayImage) -> tuple[list[Outline], list[Outline]]:
    """Separate boxes by their outer edges; and by their inner ones, cells of combs and boxes alike.

    The sides that a comb's cells share have inner edges alone.
    """
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    found: tuple[list[Outline], list[Outline]] = [], []
    for contour, (_, _, _, parent) in zip(contours, [] if tree is None else tree[0], strict=True):
        outline = _outline(contour, mask) if len(contour) >= 4 else None
        # Squared paper, turned, has cells in many rows.
        if outline is None or (
            parent >= 0 and _breadth(contours[parent]) > ROWS * _breadth(outline[0])
        ):
            continue
        found[int(parent >= 0)].append(outline)
    apart, cells = ([each[i] for i in _alike([corners for corners, _ in each])] for each in found)
    return apart, cells


def _breadth(contour: NDArray[np.int32]) -> float:
    """The shorter side of what a contour encloses, in pixels."""
    return float(min(cv2.minAreaRect(contour)[1]))


def _erase_outlines(
    outlines: list[Outline],
    darkness: GrayImage,
    mask: GrayImage,
    erased: GrayImage,
) -> NDArray[np.int32]:
    """Erase boxes and cells in place; the number of the one that each pixel lies in."""
    boxes = np.zeros(mask.shape, np.int32)
    room = 2 * thickest(mask)
    for number, (corners, _) in enumerate(outlines, start=1):
        cv2.fillConvexPoly(boxes, corners, number)
        x, y, width, height = cv2.boundingRect(corners)
        left, top = max(x - room, 0), max(y - room, 0)
        here = slice(top, y + height + room), slice(left, x + width + room)
        dark, ink, shifted = darkness[here], mask[here], corners - (left, top)
        # A side's other edge is at a line's thickness from the one that the outline is.
        ring = np.zeros_like(ink)
        cv2.polylines(ring, [shifted], True, 255, room)
        length = cv2.arcLength(corners, True)
        thickness = round(cv2.countNonZero(cv2.bitwise_and(ring, ink)) / length)
        ring[:] = 0
        cv2.polylines(ring, [shifted], True, 255, 2 * (thickness + 2) + 1)
        # Of lines their cores: sides that are seen aslant are fainter, and blurred.
        cores = cv2.dilate(dark, _SQUARE)[(ring > 0) & (ink > 0)]
        gone = (ring > 0) & (dark <= darkest(cores))
        ink[gone] = 0
        dark[gone] = 0
        erased[here][ring > 0] = 255
    boxes[erased > 0] = 0
    return boxes


def _alike(outlines: list[NDArray[np.int32]]) -> list[int]:
    """Which outlines are of about one size; seen aslant, of about that of their neighbours."""
    if not outlines:
        return []
    area = np.array([cv2.contourArea(corners) for corners in outlines])
    middle = np.array([corners.mean(axis=(0, 1)) for corners in outlines])
    usual = np.median(area)
    alike = (area > 0.5 * usual) & (area < 2 * usual)
    reach = NEIGHBOUR * np.sqrt(area)
    others = np.flatnonzero(~alike)
    front = np.flatnonzero(alike).tolist()
    while front and others.size:
        one = front.pop()
        near = np.hypot(*(middle[others] - middle[one]).T) < reach[others]
        ratio = area[others] / area[one]
        joins = near & (ratio < GROWS) & (ratio > 1 / GROWS)
        alike[others[joins]] = True
        front += others[joins].tolist()
        others = others[~joins]
    return np.flatnonzero(alike).tolist()


def _outline(contour: NDArray[np.int32], mask: GrayImage) -> Outline | None:
    """The box whose outer or inner edge a contour is; None where it is none's."""
    x, y, width, height = cv2.boundingRect(contour)
    if min(width, height) < 1.5 * MIN_BOX or not 1 / 3 < width / height < 3:
        return None
    if width * height > WHOLE * mask.size:
        return None
    hull = cv2.convexHull(contour)
    corners = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, True), True)
    if len(corners) != 4 or cv2.contourArea(hull) > 1.1 * cv2.contourArea(corners):
        return None
    part = mask[y : y + height, x : x + width]
    shifted = corners - (x, y)
    near = cv2.dilate(part, np.ones((5, 5), np.uint8))
    middle = shifted.mean(axis=0, keepdims=True)
    inner = np.zeros_like(part)
    cv2.fillConvexPoly(inner, np.rint(middle + 0.7 * (shifted - middle)).astype(np.int32), 255)
    ink = cv2.countNonZero(cv2.bitwise_and(inner, part)) / max(cv2.countNonZero(inner), 1)
    if ink > FILLING or _covered(near, shifted) < SIDES:
        return None
    # П is open at one side.
    if min(_covered(near, shifted[[i - 1, i]]) for i in range(4)) < SIDE:
        return None
    return corners.astype(np.int32), ink > 0.01


def _covered(near: GrayImage, corners: NDArray[np.int32]) -> float:
    """The share of the lines between corners, the last to the first too, near which is ink."""
    drawn = np.zeros_like(near)
    cv2.polylines(drawn, [corners], True, 255, 1)
    return cv2.countNonZero(cv2.bitwise_and(drawn, near)) / cv2.countNonZero(drawn)
