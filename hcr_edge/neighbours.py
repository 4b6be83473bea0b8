"""Letters of neighbouring alphabets: known strokes with other dots, so they shall be refused.

A reader of the 28 Arabic letters meets پ, چ and ژ, and reads each, surely, as the letter with whose
stroke it is written. The data sets do not hold them; they are composed here from letters that
training has: the stroke of one, the dots of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np

from hcr_edge.parts import Ink, Parts, put_together, take_apart
from hcr_edge.pen import join_dots


class Composition(NamedTuple):
    """How a letter is written with the parts of two others.

    Attributes:
        stroke: The letter that lends its stroke.
        dots: The letter that lends its dots.
        place: Where they go; ``below`` and ``inside`` turn them upside down, to two above one.
    """

    stroke: str
    dots: str
    place: Literal["above", "below", "inside"]


COMPOSITIONS = {
    "پ": Composition("ب", "ث", "below"),
    "چ": Composition("ج", "ث", "inside"),
    "ژ": Composition("ر", "ث", "above"),
}


class Neighbours:
    """Composes the letters that a label set lacks from inks of those that it has.

    Args:
        inks: Uint8 (H, W), bright on 0, in the order of their writers: parts are joined that lie
            close to each other, and so agree in pen and size.
        texts: The character of each.
        joined: The share of the dots that are one stroke (`pen.join_dots`).

    >>> Neighbours([], []).letters
    ()
    """

    def __init__(self, inks: Sequence[Ink], texts: Sequence[str], *, joined: float = 0.0) -> None:
        known = set(texts)
        rng = np.random.default_rng(0)
        self._strokes: dict[str, list[Parts]] = {}
        self._dots: dict[str, list[Ink]] = {}
        for letter, how in COMPOSITIONS.items():
            if letter in known or not {how.stroke, how.dots} <= known:
                continue
            pairs = list(zip(inks, texts, strict=True))
            strokes = [take_apart(ink) for ink, text in pairs if text == how.stroke]
            strokes = [parts for parts in strokes if _fits(parts, how)]
            lenders = [ink for ink, text in pairs if text == how.dots]
            dots = [dots for ink in lenders if (dots := _many(ink, joined, rng)) is not None]
            if strokes and dots:
                self._strokes[letter], self._dots[letter] = strokes, dots

    @property
    def letters(self) -> tuple[str, ...]:
        """What can be composed."""
        return tuple(self._strokes)

    def draw(self, letter: str, rng: np.random.Generator) -> Ink:
        """Compose one of `letters`: uint8 (H, W), bright on 0."""
        strokes, dots = self._strokes[letter], self._dots[letter]
        chosen = int(rng.integers(len(strokes)))
        near = chosen * len(dots) // len(strokes) + int(rng.integers(-3, 4))
        return _compose(strokes[chosen], dots[near % len(dots)], COMPOSITIONS[letter].place, rng)


def _is_above(parts: Parts) -> bool:
    return parts.middle[1] < parts.box[1] + 0.5 * parts.box[3]


def _many(ink: Ink, joined: float, rng: np.random.Generator) -> Ink | None:
    """The dots over a stroke, if no one takes them for a single one; or a line in their place."""
    parts = take_apart(ink)
    apart = parts.count in (2, 3) and parts.dots is not None and parts.dots.shape[1] >= 5
    if not apart or not _is_above(parts):
        return None
    if joined > 0 and rng.random() < joined:
        line = take_apart(join_dots(ink, 3, rng))
        return line.dots if line.count == 1 and _is_above(line) else None
    return parts.dots


def _fits(parts: Parts, how: Composition) -> bool:
    """Whether the stroke came off its own dot: where they touch, it would keep it."""
    if max(parts.box[2:]) < 7:
        return False
    if how.place == "above":
        return parts.count == 0
    return parts.count == 1 and (how.place == "inside" or not _is_above(parts))


def _compose(parts: Parts, dots: Ink, place: str, rng: np.random.Generator) -> Ink:
    scale = rng.uniform(0.8, 1.0) if place == "inside" else rng.uniform(0.9, 1.1)
    size = tuple(max(2, round(side * scale)) for side in dots.shape[::-1])
    shown = np.asarray(cv2.resize(dots, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    if place != "above":
        shown = shown[::-1]
    height = len(shown)
    x, y, wide, high = parts.box
    gap = rng.uniform(0, 0.2) * high
    if place == "above":
        middle = (x + wide * rng.uniform(0.3, 0.9), y - gap - height / 2)
    elif place == "below":
        middle = (parts.middle[0], max(parts.middle[1], y + high + gap + height / 2 - 2))
    else:
        middle = parts.middle
    return put_together(parts.stroke, shown, middle)
