"""Letters that their writer has crossed out: they shall be refused.

What counts stands in the next cell, or in the margin. A crossing-out is drawn with the letter's own
pen, over a letter of the training set.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset
from hcr_edge.errors import RecipeError
from hcr_edge.pen import draw_line, pen_width
from hcr_runtime import Label
from hcr_runtime.image import to_gray
from hcr_runtime.ink import lift_ink

Ink = NDArray[np.uint8]
Points = NDArray[np.float64]
Crossing = Callable[[np.random.Generator], list[Points]]

# One stroke more makes other letters of many: an A of Л, an E of C, an X of V; a barred 7 is a 7.
# Of the simplest ones it is hard to tell that they are crossed out.
_CROSSABLE = frozenset("بتثجحخدذرزسشصضطظعغفقكلمنهويپچژگکیةىئؤ۲۳۴۵۶۷۸۹BDKMNRSWБВДЖКМФЦШЩЫЮЯ")
_ROOM = 0.35  # of a letter's longer side, around it: a crossing-out reaches beyond the letter
_SHOWN = 0.45  # so much of a crossing-out lies beside the letter's ink, or no one would see it


def can_be_crossed(label: Label) -> bool:
    """Tell whether a letter that is crossed out is no other one, and shows it.

    >>> from hcr_edge.labels import find_label
    >>> [text for text in "XKЛЖحا7" if can_be_crossed(find_label(text))]
    ['K', 'Ж', 'ح']
    """
    return label.text in _CROSSABLE


def cross_out(ink: Ink, kind: str, rng: np.random.Generator) -> Ink:
    """Cross a letter out.

    Args:
        ink: The letter: uint8 (H, W), bright on 0.
        kind: One of `KINDS`.
        rng: Decides where, and with what pen.

    Returns:
        At least as large; `ink` itself where it is blank.

    Raises:
        RecipeError: There is no such kind.

    >>> letter = np.zeros((32, 32), np.uint8)
    >>> letter[6:26, 14:17] = 255
    >>> crossed = cross_out(letter, "cross", np.random.default_rng(0))
    >>> int(np.count_nonzero(crossed)) > 2 * int(np.count_nonzero(letter))
    True
    """
    if kind not in KINDS:
        raise RecipeError(f"there is no crossing-out {kind!r}", allowed=", ".join(KINDS))
    if not ink.any():
        return ink
    left, top, width, height = cv2.boundingRect((ink > int(ink.max()) // 5).astype(np.uint8))
    longer = max(width, height)
    room = round(_ROOM * longer) + 2
    page = cv2.copyMakeBorder(ink, room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    pen, level = pen_width(ink), int(ink.max()) * rng.uniform(0.75, 1.0) / 255
    # A flat or an upright letter is crossed out by more than its own narrow box.
    box = np.maximum((width, height), 0.6 * longer)
    corner = np.array((left + width / 2, top + height / 2)) - box / 2 + room
    faint = int(ink.max()) // 5
    for _ in range(8):
        strokes = [corner + points * box for points in KINDS[kind](rng)]
        wide = max(1.0, pen * rng.uniform(0.7, 1.3))
        drawn = np.maximum.reduce([draw_line(points, wide, page.shape) for points in strokes])
        beside = np.count_nonzero((drawn > 127) & (page < faint))
        if beside >= _SHOWN * np.count_nonzero(drawn > 127):
            break
    crossed = np.maximum(page, np.rint(drawn * level).astype(np.uint8))
    # The frame grows no more than it must: a letter's size in it means something.
    ys, xs = np.flatnonzero(crossed.any(axis=1)), np.flatnonzero(crossed.any(axis=0))
    rows, columns = crossed.shape
    spare = min(ys[0], xs[0], rows - 1 - ys[-1], columns - 1 - xs[-1], room)
    return np.asarray(crossed[spare : rows - spare, spare : columns - spare], np.uint8)


def cross_out_some(data: Dataset, count: int, seed: int = 0) -> dict[str, list[Ink]]:
    """Cross letters of a data set out.

    Args:
        data: Whose letters; of those that `can_be_crossed` any may come several times.
        count: How many, for each kind.
        seed: The same gives the same ones.

    Returns:
        Uint8 (H, W), dark on white, by kind; empty where no letter can be crossed out.
    """
    able = [i for i, at in enumerate(data.labels) if can_be_crossed(data.label_set[int(at)])]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[Ink]] = {}
    for kind in KINDS if able else ():
        chosen = rng.integers(len(able), size=count)
        inks = [lift_ink(to_gray(data.encoded(able[i]))) for i in chosen]
        drawn[kind] = [255 - cross_out(ink, kind, rng) for ink in inks]
    return drawn


def _stroke(
    start: tuple[float, float], end: tuple[float, float], rng: np.random.Generator
) -> Points:
    """A stroke of a hand: a little off, and a little bent."""
    ends = np.array([start, end]) + rng.normal(0, 0.05, (2, 2))
    along = np.linspace(0, 1, 9)[:, None]
    across = (ends[1] - ends[0])[::-1] * (-1, 1)
    bend = rng.normal(0, 0.05) * 4 * along * (1 - along)
    return np.asarray(ends[0] + along * (ends[1] - ends[0]) + bend * across)


def _level(y: float, rng: np.random.Generator) -> Points:
    return _stroke((-rng.uniform(0.1, 0.3), y), (1 + rng.uniform(0.1, 0.3), y), rng)


def _strike(rng: np.random.Generator) -> list[Points]:
    return [_level(rng.uniform(0.35, 0.65), rng)]


def _double(rng: np.random.Generator) -> list[Points]:
    gap = rng.uniform(0.15, 0.35)
    middle = rng.uniform(0.4, 0.6)
    return [_level(middle - gap / 2, rng), _level(middle + gap / 2, rng)]


def _rising(rng: np.random.Generator) -> Points:
    low, high = -rng.uniform(0, 0.2), 1 + rng.uniform(0, 0.2)
    return _stroke((low, high), (high, low), rng)


def _slash(rng: np.random.Generator) -> list[Points]:
    rising = _rising(rng)
    return [rising if rng.random() < 0.7 else rising * (1, -1) + (0, 1)]


def _cross(rng: np.random.Generator) -> list[Points]:
    return [_rising(rng), _rising(rng) * (1, -1) + (0, 1)]


def _zigzag(rng: np.random.Generator) -> list[Points]:
    turns = int(rng.integers(4, 9))
    x = np.linspace(-0.1, 1.1, turns) + rng.normal(0, 0.04, turns)
    reach = rng.uniform(0.2, 0.5)
    y = 0.5 + reach * np.where(np.arange(turns) % 2, 1, -1) + rng.normal(0, 0.06, turns)
    return [np.stack([x, y], axis=1)]


def _loops(rng: np.random.Generator) -> list[Points]:
    turn = np.linspace(0, 2 * np.pi * rng.uniform(3, 6), 120)
    along = np.linspace(0, 1, 120) - 0.1 * np.cos(turn)
    high = rng.uniform(0.2, 0.45)
    return [np.stack([along, 0.5 + high * np.sin(turn)], axis=1)]


def _hatch(rng: np.random.Generator) -> list[Points]:
    count = int(rng.integers(3, 6))
    return [
        _stroke((middle - 0.2, 1.05), (middle + 0.2, -0.05), rng)
        for middle in np.linspace(0.1, 0.9, count)
    ]


KINDS: dict[str, Crossing] = {
    "strike": _strike,
    "slash": _slash,
    "double": _double,
    "cross": _cross,
    "zigzag": _zigzag,
    "loops": _loops,
    "hatch": _hatch,
}
TRAINED = ("strike", "slash", "double", "cross", "zigzag", "loops")
"""What training may see; the other kind only measures."""
