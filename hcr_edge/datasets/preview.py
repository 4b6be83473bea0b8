"""`contact_sheet`: a picture of a data set, one row for each class, as a person checks it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.base import Dataset
from hcr_edge.errors import DataError
from hcr_runtime import ImageError, Label
from hcr_runtime.image import to_gray

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

_PAPER, _INK, _FAINT, _FRAME, _DAMAGED = 252, 20, 110, 214, 170
_GAP, _MARGIN = 3, 16
# Classes beyond these go into further columns, so that a sheet stays about as wide as high.
_ROWS = 36
# Widest words beside a letter, and the height of their three lines.
_WORDS, _LINES = 150, 44
# A title needs some room.
_NARROWEST = 420


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where everything is drawn, in pixels."""

    cell: int
    columns: int
    rows: int
    stacks: int
    text: int

    @property
    def row(self) -> int:
        return max(self.cell, _LINES) + _GAP

    @property
    def box(self) -> int:
        """Width of the place for a letter."""
        return round(1.3 * max(self.cell, _LINES))

    @property
    def label(self) -> int:
        """Width of a row's label: the letter, and the words beside it."""
        return self.box + self.text + 20

    @property
    def stack(self) -> int:
        """Width of a column of rows."""
        return self.label + self.columns * (self.cell + _GAP) + 2 * _MARGIN

    @property
    def head(self) -> int:
        return 58

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        width = max(self.stacks * self.stack, _NARROWEST)
        return width, self.head + self.rows * self.row + _MARGIN


def contact_sheet(data: Dataset, columns: int = 16, seed: int = 0, size: int = 44) -> Picture:
    """Draw some images of each class of a data set, beside its label.

    Args:
        data: The data set.
        columns: Images of each class.
        seed: Which images.
        size: Side of the square that each image is scaled into, in pixels.

    Returns:
        A grey picture. Images are shown as they are: neither turned nor inverted. Those that
        cannot be decoded are grey squares with a cross.

    Raises:
        ModuleNotFoundError: Pillow or Matplotlib, of the extra ``export``, is not installed.
        DataError: The data set has no images.
    """
    from PIL import Image, ImageDraw

    shown = [i for i, n in enumerate(np.bincount(data.labels, minlength=len(data.label_set))) if n]
    if not shown:
        raise DataError(f"{data.name} {data.split} has no images to show")
    stacks = math.ceil(len(shown) / _ROWS)
    labels = {i: _Words.of(data.label_set[i], int((data.labels == i).sum()), size) for i in shown}
    text = min(max(words.width for words in labels.values()), _WORDS)
    plan = _Plan(size, columns, math.ceil(len(shown) / stacks), stacks, text)
    sheet = Image.new("L", plan.size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, data, shown, plan)
    rng = np.random.default_rng(seed)
    for place, label in enumerate(shown):
        x = place // plan.rows * plan.stack + _MARGIN
        y = plan.head + place % plan.rows * plan.row
        members = np.flatnonzero(data.labels == label)
        _draw_label(sheet, labels[label], (x, y), plan)
        chosen = draw_mixed(members, data.writers, columns, rng)
        for column, index in enumerate(chosen):
            tile = Image.fromarray(_tile(data, index, size))
            left = x + plan.label + column * (size + _GAP)
            sheet.paste(tile, (left, y + (plan.row - _GAP - size) // 2))
    return sheet


def draw_mixed(
    members: NDArray[np.int64],
    writers: NDArray[np.int64] | None,
    count: int,
    rng: np.random.Generator,
) -> list[int]:
    """Draw `count` of `members` at random, as many writers as there are.

    >>> writers = np.array([0, 0, 0, 0, 1, 2])
    >>> found = draw_mixed(np.arange(6), writers, 3, np.random.default_rng(0))
    >>> sorted(writers[found].tolist())
    [0, 1, 2]
    """
    shuffled = rng.permutation(members)
    if writers is not None:
        seen: dict[int, int] = {}
        turn = []
        for i in shuffled.tolist():
            writer = int(writers[i])
            # Of unknown writers each image counts as somebody else's.
            turn.append(seen.get(writer, 0) if writer >= 0 else 0)
            seen[writer] = turn[-1] + 1
        shuffled = shuffled[np.argsort(turn, kind="stable")]
    return shuffled[:count].tolist()


def _tile(data: Dataset, index: int, side: int) -> NDArray[np.uint8]:
    """Scale an image into a square, its sides in proportion; a thin frame shows where it ends."""
    tile = np.full((side, side), _PAPER, np.uint8)
    image = data.images[index]
    try:
        gray = to_gray(image)
    except ImageError:
        tile[:] = _DAMAGED
        cv2.line(tile, (0, 0), (side - 1, side - 1), _INK)
        cv2.line(tile, (0, side - 1), (side - 1, 0), _INK)
        return tile
    inner = side - 2
    scale = inner / max(gray.shape)
    width, height = (max(1, round(length * scale)) for length in gray.shape[::-1])
    # Enlarged pixels stay pixels.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    x, y = (side - width) // 2, (side - height) // 2
    tile[y : y + height, x : x + width] = cv2.resize(gray, (width, height), interpolation=how)
    cv2.rectangle(tile, (x - 1, y - 1), (x + width, y + height), _FRAME)
    return tile


def _draw_head(draw: ImageDraw, data: Dataset, shown: list[int], plan: _Plan) -> None:
    title = f"{data.name}, {data.split}: {len(data):,} images of {len(shown)} classes"
    missing = len(data.label_set) - len(shown)
    if missing:
        title += f" ({missing} more have none)"
    width = plan.size[0] - 2 * _MARGIN
    draw.text((_MARGIN, 10), _cut(title, font(17), width), fill=_INK, font=font(17))
    licence = f"licence: {data.licence}"
    if data.split != "all":
        licence += f"; split: {data.split_rule}"
    draw.text((_MARGIN, 34), _cut(licence, font(11), width), fill=_FAINT, font=font(11))


@dataclass(frozen=True, slots=True)
class _Words:
    """What is written at the head of a row.

    Attributes:
        letter: The label, drawn; None where the font cannot.
        lines: Its name, its code point, and how many images there are.
    """

    letter: Picture | None
    lines: tuple[str, ...]

    @classmethod
    def of(cls, label: Label, count: int, cell: int) -> _Words:
        letter = draw_letter(label, round(1.3 * max(cell, _LINES)) - 4, max(cell, _LINES) - 2)
        code = label.codepoint if len(label.text) == 1 or letter is None else ""
        return cls(letter, (label.name, code, f"{count:,} image{'s' * (count != 1)}"))

    @property
    def width(self) -> int:
        return max(math.ceil(font(11).getlength(line)) for line in self.lines)


def _draw_label(sheet: Picture, words: _Words, corner: tuple[int, int], plan: _Plan) -> None:
    from PIL import Image, ImageDraw

    draw = ImageDraw.Draw(sheet)
    x, y = corner
    if words.letter is not None:
        ink = Image.new("L", words.letter.size, _INK)
        left = x + (plan.box - words.letter.width) // 2
        top = y + (max(plan.cell, _LINES) - words.letter.height) // 2
        sheet.paste(ink, (left, top), words.letter)
    for number, line in enumerate(words.lines):
        place = (x + plan.box + 8, y + 2 + 14 * number)
        text = _cut(line, font(11), plan.text)
        draw.text(place, text, fill=_FAINT if number else _INK, font=font(11))


def draw_letter(label: Label, width: int, height: int) -> Picture | None:
    """Draw a label as large as a font allows, cut to its ink.

    Args:
        label: Written in its direction, its letters joined.
        width: It is at most so wide.
        height: And so high.

    Returns:
        White on black; None where the font lacks a character, or nothing can join its letters.
    """
    if not _drawable(label):
        return None
    from PIL import Image, ImageDraw

    for points in range(round(0.8 * height), 7, -2):
        used, way = font(points), _direction(label)
        left, _, right, bottom = used.getbbox(label.text, direction=way)
        canvas = Image.new("L", (round(right - left) + 4 * points, round(bottom) + 4 * points))
        place = (2 * points - left, points)
        ImageDraw.Draw(canvas).text(place, label.text, fill=255, font=used, direction=way)
        # The ink, not the font's lines: letters with tails and dots come to the middle.
        letter = canvas.crop(canvas.getbbox())
        if letter.width <= width and letter.height <= height:
            return letter
    return None


def _cut(text: str, used: FreeTypeFont, width: int) -> str:
    """Shorten a text to a width."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    if used.getlength(text) <= width:
        return text
    while text and used.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _drawable(label: Label) -> bool:
    """Whether the font has the label's characters, and several are joined as they should be."""
    from PIL import features

    empty = font(20).getmask("\U0010fffd")
    missing = bytes(empty), empty.size
    for character in label.text:
        mask = font(20).getmask(character)
        if not character.isspace() and (bytes(mask), mask.size) == missing:
            return False
    return len(label.text) == 1 or label.direction == "ltr" or bool(features.check("raqm"))


def _direction(label: Label) -> str | None:
    from PIL import features

    # Without raqm, Pillow knows no direction; a single letter needs none.
    return label.direction if features.check("raqm") else None


@cache
def font(points: int) -> FreeTypeFont:
    """DejaVu Sans, which Matplotlib brings along: Latin, Greek, Cyrillic, Arabic."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), points)
