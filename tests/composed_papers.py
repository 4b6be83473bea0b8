"""What is printed on composed pages: ruled and squared paper, dots, guide lines, boxes, combs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Lines = Literal[
    "none",
    "ruled",
    "dotted",
    "squared",
    "table",
    "boxes",
    "comb",
    "dot grid",
    "check boxes",
    "ticks",
    "slanted",
    "guides",
    "diagonals",
]
Image = NDArray[np.float32]
# Where letters stand on a line, in shares of a row: they hang below it, too.
BASE = 0.68


class Print(NamedTuple):
    """Where letters stand on a page, and how lines are drawn between them.

    Attributes:
        page: What is drawn on, BGR, float32, (H, W, 3).
        side: Of a writing box, in pixels.
        colour: Of the lines, BGR.
        thick: Of the lines, in pixels.
        margin: Left and upper edge of the first writing box.
        across, down: Distance of columns and of rows, in pixels.
        columns, rows: How many there are.
    """

    page: Image
    side: int
    colour: tuple[int, int, int]
    thick: int
    margin: float
    across: float
    down: float
    columns: int
    rows: int

    @property
    def right(self) -> float:
        return self.margin + self.columns * self.across

    @property
    def bottom(self) -> float:
        return self.margin + self.rows * self.down

    @property
    def bases(self) -> Iterator[float]:
        """The line that each row of letters stands on."""
        for row in range(self.rows):
            yield self.margin + (row + BASE) * self.down

    @property
    def middles(self) -> Iterator[tuple[float, float]]:
        """The middle of each writing box."""
        for row in range(self.rows):
            for column in range(self.columns):
                yield (
                    self.margin + (column + 0.5) * self.across,
                    self.margin + (row + 0.5) * self.down,
                )

    def line(self, x0: float, y0: float, x1: float, y1: float) -> None:
        ends = (round(x0), round(y0)), (round(x1), round(y1))
        cv2.line(self.page, *ends, self.colour, self.thick, cv2.LINE_AA)

    def box(self, x: float, y: float, side: float) -> None:
        half = side / 2
        ends = (round(x - half), round(y - half)), (round(x + half), round(y + half))
        cv2.rectangle(self.page, *ends, self.colour, self.thick, cv2.LINE_AA)


def _ruled(on: Print) -> None:
    for y in on.bases:
        on.line(0, y, on.page.shape[1], y)


def _dotted(on: Print) -> None:
    for y in on.bases:
        for x in np.arange(0, on.page.shape[1], 5 * on.thick):
            on.line(x, y, x + on.thick, y)


def _squared(on: Print) -> None:
    height, width = on.page.shape[:2]
    pitch = on.side / 2.3
    for k in range(int(max(width, height) / pitch) + 1):
        on.line(0, k * pitch, width, k * pitch)
        on.line(k * pitch, 0, k * pitch, height)


def _table(on: Print) -> None:
    for row in range(on.rows + 1):
        y = on.margin + row * on.down
        on.line(on.margin, y, on.right, y)
    for column in range(on.columns + 1):
        x = on.margin + column * on.across
        on.line(x, on.margin, x, on.bottom)


def _boxes(on: Print) -> None:
    for x, y in on.middles:
        on.box(x, y, 1.15 * on.side)


def _dot_grid(on: Print) -> None:
    """Dots a tenth of their distance wide, or as `thick` says."""
    height, width = on.page.shape[:2]
    pitch, part = on.side / 2.3, 16  # a dot's place, in parts of a pixel
    for y in np.arange(pitch / 2, height, pitch):
        for x in np.arange(pitch / 2, width, pitch):
            place = round(x * part), round(y * part)
            radius = round(0.75 * on.thick * part)
            cv2.circle(on.page, place, radius, on.colour, -1, cv2.LINE_AA, shift=4)


def _check_boxes(on: Print) -> None:
    """One before each row, as in a list of things to do."""
    side = 0.42 * on.side
    for row in range(on.rows):
        on.box(0.55 * on.margin, on.margin + (row + 0.5) * on.down, side)


def _ticks(on: Print) -> None:
    """A base line for each row, and a short upright stroke before each letter."""
    for row in range(on.rows):
        y = on.margin + (row + 0.85) * on.down
        on.line(on.margin, y, on.right, y)
        for column in range(on.columns + 1):
            x = on.margin + column * on.across
            on.line(x, y - 0.3 * on.side, x, y)


def _slanted(on: Print) -> None:
    """Guide lines of exercise books, 55 degrees from the ruled ones."""
    _ruled(on)
    _parallel(on, steep=55, pitch=1.2)


def _guides(on: Print) -> None:
    """Guide lines for left-handed writers, near together, and nothing else."""
    _parallel(on, steep=115, pitch=0.7)


def _diagonals(on: Print) -> None:
    """Boxes of a book for Chinese characters, their middles and diagonals dashed."""
    _table(on)
    across, down = on.across / 2, on.down / 2
    for x, y in on.middles:
        for dx, dy in ((across, 0), (0, down), (across, down), (across, -down)):
            for begin in np.linspace(-1, 1, round(8 * np.hypot(dx, dy) / on.side), endpoint=False):
                end = begin + 0.12 * on.side / np.hypot(dx, dy)
                on.line(x + begin * dx, y + begin * dy, x + end * dx, y + end * dy)


def _parallel(on: Print, steep: float, pitch: float) -> None:
    height, width = on.page.shape[:2]
    run = height / np.tan(np.radians(steep))
    for x in np.arange(-abs(run), width + abs(run), pitch * on.side):
        on.line(x, height, x + run, 0)


PAPERS: dict[Lines, Callable[[Print], None]] = {
    "none": lambda on: None,
    "ruled": _ruled,
    "dotted": _dotted,
    "squared": _squared,
    "table": _table,
    "boxes": _boxes,
    "comb": _boxes,
    "dot grid": _dot_grid,
    "check boxes": _check_boxes,
    "ticks": _ticks,
    "slanted": _slanted,
    "guides": _guides,
    "diagonals": _diagonals,
}
