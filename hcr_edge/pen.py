"""What a quick pen does: it joins dots to a line, and leaves a blot where it is set down.

The writers of the data sets set every dot apart. Most adults write two as a dash (of Ё too), three
as an angle or a loop; ث with an angle over it is then read as ت or as ك, and ر with a blot at its
head as ز.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.uint8]

DOTS = {"ت": 2, "ث": 3, "ش": 3, "ق": 2, "ي": 2, "ة": 2, "پ": 3, "چ": 3, "ژ": 3, "Ё": 2, "ё": 2}
"""How many dots a letter has, of those that have more than one."""

_FINE = 4  # lines are drawn so many times as large, and shrunk: a pen has no whole pixels
_RIM = 40  # of 255: a rim as faint as that joins nothing
_CORNERS = np.array([(0.0, 1.0), (0.5, 0.0), (1.0, 1.0)])  # of three dots, two below one


def join_dots(ink: Ink, count: int, rng: np.random.Generator) -> Ink:
    """Write the dots of a letter in one stroke of its own pen.

    Args:
        ink: Uint8 (H, W), bright on 0.
        count: 2 or 3.
        rng: Draws which way.

    Returns:
        At least as large; `ink` itself where no dots are found apart from the letter's stroke.
    """
    mask = (ink > int(ink.max()) // 5).astype(np.uint8)
    parts, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    if parts < 3:
        return ink
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    stroke = (components == largest).astype(np.uint8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    enough = sizes >= max(2, 0.03 * sizes[largest])  # what is smaller is dust
    enough[[0, largest]] = False
    dots = enough[components].astype(np.uint8)
    left, top, width, height = cv2.boundingRect(dots)
    longer = int(max(stats[largest, 2:4]))
    if not dots.any() or max(width, height) > 0.8 * longer:  # a torn stroke, not dots
        return ink
    pen = pen_width(ink * stroke) * rng.uniform(0.6, 1.1)
    wide = max(width, 3 * pen) * rng.uniform(0.8, 1.2)
    high = max(height if count == 3 else 0.0, 2 * pen) * rng.uniform(0.8, 1.2)
    points = _dash(rng) if count == 2 else _three(rng)
    points = (points - 0.5) * (wide, high) + (left + width / 2, top + height / 2)
    near_dots = cv2.dilate(dots, np.ones((3, 3), np.uint8)) & (components != largest)
    alone = np.where(near_dots, 0, ink).astype(np.uint8)
    # What a line takes more than dots did goes away from the stroke; the frame grows for it.
    room = longer // 2
    page = cv2.copyMakeBorder(alone, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    taken = cv2.dilate(
        cv2.copyMakeBorder(stroke, room, room, room, room, cv2.BORDER_CONSTANT), None
    )
    y, rows = stats[largest, [1, 3]]
    away = -1 if top + height / 2 < y + rows / 2 else 1
    for step in range(room):
        line = draw_line(points + np.array((room, room + away * step)), pen, page.shape)
        if not (line[taken > 0] > _RIM).any():
            break
    else:
        return ink
    page = np.maximum(page, (line * (int(ink.max()) / 255)).astype(np.uint8))
    ys, xs = np.flatnonzero(page.any(axis=1)), np.flatnonzero(page.any(axis=0))
    spare = min(ys[0], xs[0], page.shape[0] - 1 - ys[-1], page.shape[1] - 1 - xs[-1], room)
    return page[spare : page.shape[0] - spare, spare : page.shape[1] - spare]


def blot(ink: Ink, rng: np.random.Generator) -> Ink:
    """Set a blot on an end of a letter's longest stroke, up to half as wide again as it.

    In half of them the ball runs dry for a moment next to the blot: the stroke is faint there.

    Args:
        ink: Uint8 (H, W), bright on 0.
        rng: Draws which end, and how large.

    Returns:
        The same shape; `ink` itself where it is blank, a dot would be joined to its stroke, or
        the stroke would be torn.
    """
    mask = (ink > int(ink.max()) // 5).astype(np.uint8)
    parts, components, stats, _ = cv2.connectedComponentsWithStats(mask)
    if parts < 2:
        return ink
    stroke = (components == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    dots = mask - stroke
    pen = pen_width(ink * stroke)
    angle = rng.uniform(0, 2 * np.pi)
    outward = np.array([np.cos(angle), np.sin(angle)])
    ys, xs = np.nonzero(stroke)
    end = np.argmax(xs * outward[0] + ys * outward[1])
    x, y = (xs[end], ys[end]) + outward * pen * rng.uniform(-0.6, 0.3)
    dry = ink
    if rng.random() < 0.5:
        away = np.hypot(ys - ys[end], xs - xs[end])
        neck = np.argmin(np.abs(away - pen * rng.uniform(1.2, 1.8)))
        rows, columns = np.ogrid[: ink.shape[0], : ink.shape[1]]
        near = ((rows - ys[neck]) ** 2 + (columns - xs[neck]) ** 2) / (0.6 * pen) ** 2
        faint = np.rint(ink * (1 - rng.uniform(0.2, 0.7) * np.exp(-near / 2)))
        around_dots = cv2.dilate(dots, np.ones((3, 3), np.uint8)) > 0
        dry = np.where(around_dots, ink, faint).astype(np.uint8)
    # A line without length is a round dot of its width.
    dot = draw_line(np.array([(x, y), (x, y)]) + 0.5, pen * rng.uniform(0.9, 1.5), ink.shape)
    blotted = np.maximum(dry, np.rint(dot * (int(ink.max()) / 255)).astype(np.uint8))
    mask = (blotted > int(ink.max()) // 5).astype(np.uint8)
    count, now = cv2.connectedComponents(mask)
    joined = np.isin(now[dots > 0], now[(stroke & mask) > 0]).any()
    return ink if joined or count != parts else blotted


def pen_width(stroke: Ink) -> float:
    """Measure how wide the strokes of a letter are, in pixels: four times their mean distance to
    their rim.

    Args:
        stroke: Uint8 (H, W), bright on 0; not blank.

    >>> stroke = np.zeros((32, 64), np.uint8)
    >>> stroke[14:18, 4:60] = 255
    >>> round(pen_width(stroke))
    5
    """
    size = stroke.shape[1] * _FINE, stroke.shape[0] * _FINE
    fine = cv2.resize(stroke, size, interpolation=cv2.INTER_LINEAR)
    # What is all ink has its rim at the frame.
    fine = cv2.copyMakeBorder(fine, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = (fine > int(stroke.max()) // 3).astype(np.uint8)
    return float(cv2.distanceTransform(inside, cv2.DIST_L2, 3)[inside > 0].mean()) * 4 / _FINE


def _dash(rng: np.random.Generator) -> NDArray[np.float64]:
    """A level line, a little bent, in the unit square."""
    ends = rng.normal((0.5, 0.5, 0.5), 0.25)
    return np.stack([np.linspace(0, 1, 3), ends], axis=1)


def _three(rng: np.random.Generator) -> NDArray[np.float64]:
    """An angle through three dots, begun at any of them, or a loop around them."""
    corners = np.roll(_CORNERS, int(rng.integers(3)), axis=0) + rng.normal(0, 0.1, (3, 2))
    draw = rng.random()
    if draw < 0.1:
        corners = 1 - corners  # two above one
    if draw > 0.85:
        return np.concatenate([corners, corners[:1]])
    return corners


def draw_line(points: NDArray[np.float64], pen: float, shape: tuple[int, ...]) -> Ink:
    """Draw a line through points.

    Args:
        points: X and y of each, in pixels: (N, 2).
        pen: Its width, pixels.
        shape: Rows and columns of what is returned.

    Returns:
        Uint8 (H, W), 255 on 0, with soft rims.

    >>> line = draw_line(np.array([(4.0, 8.0), (28.0, 8.0)]), 2.0, (16, 32))
    >>> line.shape, int(line[8, 16]), int(line[2, 16])
    ((16, 32), 255, 0)
    """
    canvas = np.zeros((shape[0] * _FINE, shape[1] * _FINE), np.uint8)
    corners = np.round(points * _FINE).astype(np.int32)
    cv2.polylines(canvas, [corners[:, None]], False, 255, max(1, round(pen * _FINE)))
    return np.asarray(cv2.resize(canvas, shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
