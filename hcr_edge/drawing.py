"""Boxes and letters drawn over a page or a camera's frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hcr_runtime import Box

Kind = Literal["accepted", "refused", "touching"]

# Blue, green, red; told apart by people who see no red or no green, too.
COLOURS: dict[Kind, tuple[int, int, int]] = {
    "accepted": (70, 110, 0),
    "refused": (0, 125, 230),
    "touching": (150, 40, 170),
}
# Letters are as high as this share of the box they name, within limits in pixels.
LETTER_SHARE, LETTER_LIMITS = 0.5, (13, 40)
_WHITE = 255


@dataclass(frozen=True, slots=True)
class Mark:
    """A box, and what is written at it.

    Attributes:
        box: In pixels of the image.
        text: Unicode text, as the script writes it.
        kind: Decides the colour.
        note: Set beside the text, smaller and on white: a digit in it is taken for no letter.
    """

    box: Box
    text: str
    kind: Kind = "accepted"
    note: str = ""


def draw_overlay(image: NDArray[np.uint8], marks: Iterable[Mark]) -> NDArray[np.uint8]:
    """Draw boxes with their texts; rendered texts are kept, so that video costs little.

    Args:
        image: BGR, uint8, shape (H, W, 3).
        marks: What to draw; boxes may reach beyond the image.

    Returns:
        A copy of the image with the marks.

    >>> page = np.full((200, 300, 3), 255, np.uint8)
    >>> drawn = draw_overlay(page, [Mark(Box(120, 90, 60, 40), "ب")])
    >>> drawn[90, 150].tolist(), bool((page == 255).all())
    ([70, 110, 0], True)
    """
    canvas = image.copy()
    line = max(1, round(max(image.shape[:2]) / 900))
    marks = list(marks)
    for mark in marks:
        box = mark.box
        corners = (box.left, box.top), (box.left + box.width - 1, box.top + box.height - 1)
        # On white, so that it is seen on a blackboard too.
        cv2.rectangle(canvas, *corners, (_WHITE, _WHITE, _WHITE), line + 2)
        cv2.rectangle(canvas, *corners, COLOURS[mark.kind], line)
    for mark in marks:
        if mark.text:
            chip = _chip(mark.text, _points(mark.box), mark.kind, mark.note)
            _place(canvas, chip, mark.box)
    return canvas


def _points(box: Box) -> int:
    low, high = LETTER_LIMITS
    # Steps keep the number of rendered chips small while boxes tremble.
    return min(max(round(LETTER_SHARE * max(box.width, box.height) / 3) * 3, low), high)


def _place(canvas: NDArray[np.uint8], chip: NDArray[np.uint8], box: Box) -> None:
    """Lay a chip over its box, or under it where the image ends; cut at the image's edges."""
    height, width = chip.shape[:2]
    top = box.top - height if box.top >= height else box.top + box.height
    left = min(max(box.left, 0), max(canvas.shape[1] - width, 0))
    top = min(max(top, 0), max(canvas.shape[0] - height, 0))
    seen = canvas[top : top + height, left : left + width]
    seen[:] = chip[: seen.shape[0], : seen.shape[1]]


@lru_cache(maxsize=2048)
def _chip(text: str, points: int, kind: Kind, note: str = "") -> NDArray[np.uint8]:
    """Render a text in white on its colour, and its note in the colour on white: BGR, uint8."""
    white, colour = (_WHITE, _WHITE, _WHITE), COLOURS[kind]
    chip = _rendered(text, points, white, colour)
    if not note:
        return chip
    beside = _rendered(note, max(LETTER_LIMITS[0], points // 2), colour, white)
    height = max(len(chip), len(beside))
    return np.hstack([_heightened(chip, height, colour), _heightened(beside, height, white)])


def _heightened(
    chip: NDArray[np.uint8], height: int, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    above, rest = divmod(height - len(chip), 2)
    below = above + rest
    return np.asarray(
        cv2.copyMakeBorder(chip, above, below, 0, 0, cv2.BORDER_CONSTANT, value=colour), np.uint8
    )


def _rendered(
    text: str, points: int, ink: tuple[int, int, int], ground: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Draw a text, as large as it is: BGR, uint8."""
    font = _font(points)
    text = "".join(c if c.isprintable() else "?" for c in text)
    left, top, right, bottom = font.getbbox(text)
    rim = max(2, points // 6)
    # As high as a letter at least, or the dot of a full stop would have a chip of its size.
    size = round(right - left) + 2 * rim, max(round(bottom - top), points // 2) + 2 * rim
    chip = Image.new("RGB", size, ground[::-1])
    place = (size[0] - (right - left)) / 2 - left, (size[1] - (bottom - top)) / 2 - top
    ImageDraw.Draw(chip).text(place, text, fill=ink[::-1], font=font)
    return np.ascontiguousarray(np.asarray(chip)[:, :, ::-1])


@lru_cache(maxsize=64)
def _font(points: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which ships with the package: Latin, Cyrillic, Arabic."""
    with as_file(files("hcr_edge") / "fonts" / "DejaVuSans-subset.ttf") as path:
        return ImageFont.truetype(str(path), points)
