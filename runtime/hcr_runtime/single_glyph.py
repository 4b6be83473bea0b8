"""The one glyph of a frame, where a character is held before the camera."""

from __future__ import annotations

import numpy as np

from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_type, received
from hcr_runtime.colour import gray_of_ink
from hcr_runtime.components import BOX_SHARE
from hcr_runtime.errors import HcrError
from hcr_runtime.image import GrayImage, ImageLike, check_size, read_pixels
from hcr_runtime.limits import DEFAULT_LIMITS, Limits
from hcr_runtime.segment import Box

# Frames are searched at this longer side; it bounds the time and closes gaps in thin strokes.
SEARCH_SIDE = 480
# Dots lie within this distance of their letter (share of the search side).
JOIN_SHARE = 0.03
# And within this distance, in shares of the letter's longer side.
DOT_REACH = 0.35
# Ink differs from the paper around it by this much at least (0-255).
INK_CONTRAST = 18
# The smallest glyph that is reported (share of the search side).
MIN_SHARE = 0.04


def largest_glyph(frame: ImageLike, *, limits: Limits = DEFAULT_LIMITS) -> Box | None:
    """Find the glyph with the most ink that does not touch the frame's edge.

    Dots and hamza are joined to their letter; the box has a rim of a pixel. Dark writing on
    bright paper, or the reverse where the frame is mostly dark.

    Args:
        frame: A path, the bytes of an image file, or a uint8 array (see `Classifier.classify`).
        limits: What is refused as too large.

    Returns:
        Its box, or None when there is none.

    Raises:
        ImageError: `frame` is no image, or beyond the limits.
        HcrError: `limits` are none.

    >>> paper = np.full((240, 320), 255, np.uint8)
    >>> paper[100:160, 150:156] = 0
    >>> largest_glyph(paper)
    Box(left=149, top=99, width=8, height=62)
    """
    gray = gray_of_ink(read_pixels(frame, limits=limits))
    scale = min(1.0, SEARCH_SIDE / max(gray.shape))
    if scale < 1.0:
        size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
        gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    mask = ink_mask(gray)
    side = max(gray.shape)
    reach = 2 * round(JOIN_SHARE * side / 2) + 1
    joined = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    count, regions = cv2.connectedComponents(joined, connectivity=8)
    parts: list[tuple[int, Box]] = []
    for region in range(1, count):
        part = cv2.bitwise_and(mask, cv2.compare(regions, region, cv2.CMP_EQ))
        left, top, width, height = cv2.boundingRect(part)
        inside = (
            left > 0 and top > 0 and left + width < gray.shape[1] and top + height < gray.shape[0]
        )
        if inside:
            parts.append((cv2.countNonZero(part), Box(left, top, width, height)))
    large = [part for part in parts if max(part[1].width, part[1].height) >= MIN_SHARE * side]
    if not large:
        return None
    main_ink, main = max(large, key=lambda part: part[0])
    box = main
    reach_of_dots = DOT_REACH * max(main.width, main.height)
    for ink, part in sorted(parts, key=lambda entry: _gap(main, entry[1])):
        if ink < 0.4 * main_ink and _gap(box, part) <= reach_of_dots:
            box = _union(box, part)
    edges = [round(edge / scale) for edge in (box.left, box.top, box.width, box.height)]
    return Box(*edges)


def _gap(box: Box, other: Box) -> int:
    across = max(other.left - box.left - box.width, box.left - other.left - other.width)
    down = max(other.top - box.top - box.height, box.top - other.top - other.height)
    return max(across, down, 0)


def _union(box: Box, other: Box) -> Box:
    left, top = min(box.left, other.left), min(box.top, other.top)
    right = max(box.left + box.width, other.left + other.width)
    bottom = max(box.top + box.height, other.top + other.height)
    return Box(left, top, right - left, bottom - top)


def ink_mask(gray: GrayImage) -> GrayImage:
    """255 where a pixel is ink against the paper around it."""
    if np.median(gray[::8, ::8]) < 100:
        gray = cv2.bitwise_not(gray)
    window = max(3, 2 * (max(gray.shape) // 12) + 1)
    smooth = cv2.GaussianBlur(gray, (3, 3), 0)
    mask = cv2.adaptiveThreshold(
        smooth, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, window, INK_CONTRAST
    )
    return np.asarray(mask, np.uint8)


def crop_glyph(frame: ImageLike, box: Box, *, limits: Limits = DEFAULT_LIMITS) -> GrayImage:
    """Cut a glyph out of its frame and lay it into a writing box of the usual proportion.

    Args:
        frame: A path, the bytes of an image file, or an array (see `to_gray`).
        box: Where the glyph is, in pixels of the frame, as `largest_glyph` gives it; what of it
            lies outside of the frame is left out.
        limits: What is refused as too large; also the writing box's pixels.

    Returns:
        Grey, uint8, square, for `Classifier.classify`; what surrounded the glyph is replaced by
        the paper's brightness.

    Raises:
        ImageError: `frame` is no image, or the frame or the writing box is beyond the limits.
        HcrError: `box` is none, or lies outside of the frame; or `limits` are none.

    >>> paper = np.full((240, 320), 200, np.uint8)
    >>> paper[100:160, 150:156] = 0
    >>> crop_glyph(paper, Box(150, 100, 6, 60)).shape
    (109, 109)
    """
    gray = gray_of_ink(read_pixels(frame, limits=limits))
    check_type("box", box, Box, hint="largest_glyph finds one")
    box = _inside(box, gray)
    rim = max(2, max(box.width, box.height) // 16)
    top, left = max(box.top - rim, 0), max(box.left - rim, 0)
    bottom, right = box.top + box.height + rim, box.left + box.width + rim
    crop = gray[top:bottom, left:right]
    edge = np.concatenate([crop[0], crop[-1], crop[:, 0], crop[:, -1]])
    height, width = crop.shape
    side = max(round(max(box.width, box.height) / BOX_SHARE), height, width)
    check_size(side, side, "the writing box", limits)
    above, before = (side - height) // 2, (side - width) // 2
    return np.asarray(
        cv2.copyMakeBorder(
            crop,
            above,
            side - height - above,
            before,
            side - width - before,
            cv2.BORDER_CONSTANT,
            value=float(np.median(edge)),
        ),
        np.uint8,
    )


def _inside(box: Box, gray: GrayImage) -> Box:
    """The part of a box that lies inside of the frame; raises `HcrError` where there is none."""
    height, width = gray.shape
    edges = (box.left, box.top, box.width, box.height)
    if all(isinstance(edge, int | np.integer) for edge in edges):
        left, top, across, down = map(int, edges)  # NumPy's own would overflow
        right, bottom = min(left + across, width), min(top + down, height)
        left, top = max(left, 0), max(top, 0)
        if across > 0 and down > 0 and left < right and top < bottom:
            return Box(left, top, right - left, bottom - top)
    raise HcrError(f"box is {received(box)}", allowed=f"within {width} x {height} pixels")
